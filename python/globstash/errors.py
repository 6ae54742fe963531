"""What can go wrong. Each error is also what Python calls such a thing, where it has a name."""

from __future__ import annotations


class Error(Exception):
    """Why a call has no result. What it says is for the user: in some cases with a second line,
    which tells what to do."""


class InvalidAddress(Error, ValueError):
    """The address, or what `$GLOBSTASH_ADDRESS` holds, is none."""


class Unreachable(Error, ConnectionError):
    """There is no service, or it is not for us. Nothing was changed."""


class Silent(Error, TimeoutError):
    """The service is there, but does not answer in time."""


class Lost(Error, ConnectionError):
    """The connection ended before the answer came."""


class Nonsense(Error, ConnectionError):
    """The answer makes no sense: what listens there is no such service."""


class OutcomeUnknown(Error, ConnectionError):
    """A change was asked for, and then there was no answer: it may have been made or not. What
    happened is its `__cause__`."""


class InvalidKey(Error, ValueError):
    """The key cannot be the key of a variable."""

    key: str


class InvalidPattern(Error, ValueError):
    """The pattern is malformed or too complicated."""


class InvalidValue(Error, ValueError):
    """The value cannot be the value of this variable, or a number is none."""


class TooLarge(Error, ValueError):
    """The value is longer than values can be, or all that was asked at once is too much."""


class LimitExceeded(Error):
    """There is no room for the change."""

    limit: str
    maximum: int


class ConditionFailed(Error):
    """The variable is not as it had to be. Nothing was changed."""

    key: str
    #: The revision that the variable has; 0 if it is not defined.
    revision: int


class NotNumeric(Error, ValueError):
    """The variable does not hold a number that can be added to."""

    key: str


class NumberOverflow(Error, OverflowError):
    """The sum has more digits than can be kept."""

    key: str


class Protected(Error, PermissionError):
    """The variable is protected and belongs to another user."""


class NoSuchProcess(Error, ProcessLookupError):
    """There is no process with this ID, or it has ended."""


class TimedOut(Error, TimeoutError):
    """What was waited for did not come in time."""

    key: str


class Busy(Error):
    """The variables change so fast that there was no moment at which all of them could be read."""


class Unsupported(Error):
    """The service, or this version of it, does not know what it was asked for."""
