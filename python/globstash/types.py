"""What a stash tells: values, entries, events, and how the service is doing."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, Union

#: What a variable holds: text as str, bytes that are not UTF-8 as bytes.
Value = Union[str, bytes]

#: What a variable can be given: a number is kept as its digits.
Settable = Union[str, bytes, bytearray, memoryview, int, float]


class Writer(NamedTuple):
    """The process that last changed a variable, as the kernel reported it."""

    uid: int
    #: As the service sees it; 0 if it has none there.
    pid: int


class Entry(NamedTuple):
    """A variable, with all that is known about it."""

    key: str
    value: Value
    #: The number of its last change.
    revision: int
    modified: datetime
    #: When it expires, as the calendar is set now; None if it does not.
    expires: datetime | None
    #: The process whose end deletes it, if there is one.
    pid: int | None
    #: Whether only its owner and root may change or delete it.
    protected: bool
    #: The user that created it, or that protected it.
    owner: int
    writer: Writer | None


class Event(NamedTuple):
    """One change of one variable."""

    #: "set", or how it came to its end: "deleted", "expired" or "released" with its process.
    change: Literal["set", "deleted", "expired", "released"]
    key: str
    #: The new value; of what is gone, the last one, if it is still known.
    value: Value | None
    revision: int
    #: Who made the change; None if nobody did, or if it was not asked for.
    writer: Writer | None


class Position(NamedTuple):
    """How far a watch has come: where another can go on."""

    revision: int
    #: The instance of the service in which the change has this number.
    instance: str


class Status(NamedTuple):
    """How the service is doing."""

    #: New whenever the service begins with no variables.
    instance: str
    version: str
    #: The number of the last change of any variable.
    revision: int
    started: datetime
    variables: int
    bytes: int
    maximum_variables: int
    maximum_bytes: int
    maximum_value_size: int
    #: How many variables the caller's user was the last to set, and how many bytes they have.
    user_variables: int
    user_bytes: int
    maximum_user_variables: int
    maximum_user_bytes: int
    connections: int
    watches: int
    calls: int
    errors: int
    skipped_events: int
