"""Global variables for every process on a Linux machine.

>>> import globstash
>>> globstash.set("player/volume", 0.5)
>>> globstash.get("player/volume")
'0.5'

These functions are the methods of one `Stash`, the machine's or the one that
`$GLOBSTASH_ADDRESS` names: `globstash.get` is `globstash.default.get`. It connects with the first
use, and can be used again after any error. Keys are by convention `program/name`.
"""

from __future__ import annotations

from globstash._native import Batch, Variable
from globstash.errors import (
    Busy,
    ConditionFailed,
    Error,
    InvalidAddress,
    InvalidKey,
    InvalidPattern,
    InvalidValue,
    LimitExceeded,
    Lost,
    NoSuchProcess,
    Nonsense,
    NotNumeric,
    NumberOverflow,
    OutcomeUnknown,
    Protected,
    Silent,
    TimedOut,
    TooLarge,
    Unreachable,
    Unsupported,
)
from globstash.stash import Stash
from globstash.types import Entry, Event, Position, Settable, Status, Value, Writer
from globstash.watch import Watch

#: The stash that the functions of this module are of.
default = Stash()

get = default.get
get_str = default.get_str
get_bytes = default.get_bytes
set = default.set
delete = default.delete
delete_matching = default.delete_matching
expire = default.expire
increment = default.increment
wait = default.wait
watch = default.watch
keys = default.keys
values = default.values
items = default.items
entry = default.entry
entries = default.entries
revision = default.revision
variable = default.variable
batch = default.batch
status = default.status

__all__ = [
    "Batch", "Busy", "ConditionFailed", "Entry", "Error", "Event", "InvalidAddress", "InvalidKey",
    "InvalidPattern", "InvalidValue", "LimitExceeded", "Lost", "NoSuchProcess", "Nonsense",
    "NotNumeric", "NumberOverflow", "OutcomeUnknown", "Position", "Protected", "Settable",
    "Silent", "Stash", "Status", "TimedOut", "TooLarge", "Unreachable", "Unsupported", "Value",
    "Variable", "Watch", "Writer", "batch", "default", "delete", "delete_matching", "entries",
    "entry", "expire", "get", "get_bytes", "get_str", "increment", "items", "keys", "revision",
    "set", "status", "values", "variable", "wait", "watch",
]  # fmt: skip
