"""`Stash`: the variables of a service, as a mapping."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, MutableMapping, ValuesView
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, Union, overload

from globstash import _native
from globstash.errors import ConditionFailed
from globstash.types import Position, Settable, Value
from globstash.watch import Watch

#: A pattern, or several: "player/*" is what is directly below, "player/" all below.
Patterns = Union[str, Iterable[str]]

_T = TypeVar("_T")
_NOTHING: Any = object()


class Keys(KeysView[str]):
    """Keys, all or those that match. Each iteration is over what there is at one moment."""

    def __init__(self, stash: Stash, patterns: Patterns | None) -> None:
        super().__init__(stash)
        self._stash, self._patterns = stash, patterns

    def __iter__(self) -> Iterator[str]:
        return iter(self._stash._keys(self._patterns))

    def __len__(self) -> int:
        return len(self._stash._keys(self._patterns))

    def __contains__(self, key: object) -> bool:
        return key in self._stash._keys(self._patterns)


class Values(ValuesView[Value]):
    """Values, of all variables or of those that match."""

    def __init__(self, stash: Stash, patterns: Patterns | None) -> None:
        super().__init__(stash)
        self._stash, self._patterns = stash, patterns

    def __iter__(self) -> Iterator[Value]:
        return (value for _, value in self._stash._items(self._patterns))

    def __len__(self) -> int:
        return len(self._stash._keys(self._patterns))

    def __contains__(self, value: object) -> bool:
        return any(value == other for other in self)


class Items(ItemsView[str, Value]):
    """Keys with their values. Each iteration is over what there is at one moment, all together."""

    def __init__(self, stash: Stash, patterns: Patterns | None) -> None:
        super().__init__(stash)
        self._stash, self._patterns = stash, patterns

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self._stash._items(self._patterns))

    def __len__(self) -> int:
        return len(self._stash._keys(self._patterns))

    def __contains__(self, item: object) -> bool:
        return item in self._stash._items(self._patterns)


class Stash(_native.Stash, MutableMapping[str, Value]):
    """The variables of one service.

    `Stash()` is the machine's, or the one that `$GLOBSTASH_ADDRESS` names; `Stash.user()` is the
    user's own; `Stash("unix:/path")` the one at an address. It connects with the first use.
    timeout: how many seconds the service has for each answer, 5 if nothing is said. Waits and
    watches have no such limit.

    Threads can share it, and processes that fork. `key in stash` is False of what cannot be a key, and
    reading it raises InvalidKey.

    >>> stash = Stash()
    >>> stash["player/volume"] = 0.5
    >>> stash["player/volume"]
    '0.5'
    >>> dict(stash.items("player/"))
    {'player/volume': '0.5'}
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        user: bool = False,
        timeout: float | timedelta | None = None,
    ) -> None:
        self._open(address, user, timeout)

    @classmethod
    def user(cls, *, timeout: float | None = None) -> Stash:
        """The variables of the user's own service."""
        return cls(user=True, timeout=timeout)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys(None))

    # It stands for a service, not for what is in it just now.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        address, user = self._address
        where = "user=True" if user else repr(address) if address is not None else ""
        mapped = {None: "not read yet", True: "mapped", False: "not mapped"}[self.is_mapped]
        return f"<globstash.Stash({where}), {mapped}>"

    def __enter__(self) -> Stash:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keys(self, patterns: Patterns | None = None) -> Keys:
        """The keys, all or those that match."""
        return Keys(self, patterns)

    def values(self, patterns: Patterns | None = None) -> Values:
        """The values, of all variables or of those that match."""
        return Values(self, patterns)

    def items(self, patterns: Patterns | None = None) -> Items:
        """Keys with their values, of all variables or of those that match."""
        return Items(self, patterns)

    @overload
    def get_str(self, key: str, default: None = None) -> str | None: ...
    @overload
    def get_str(self, key: str, default: _T) -> str | _T: ...
    def get_str(self, key: str, default: Any = None) -> Any:
        """Reads a variable that must be text, else UnicodeDecodeError."""
        value = self.get(key)
        if isinstance(value, bytes):
            return value.decode()
        return default if value is None else value

    @overload
    def pop(self, key: str, /) -> Value: ...
    @overload
    def pop(self, key: str, /, default: _T) -> Value | _T: ...
    def pop(self, key: str, /, default: Any = _NOTHING) -> Any:
        """Deletes a variable and returns its value. If several do so, one of them gets it."""
        while True:
            entry = self.entry(key)
            if entry is None:
                if default is _NOTHING:
                    raise KeyError(key)
                return default
            try:
                self.delete(key, if_revision=entry.revision)
            except ConditionFailed:
                continue
            return entry.value

    def setdefault(self, key: str, default: Settable | None = None, /) -> Value:
        """Defines a variable if it is not, and returns its value in any case."""
        if default is None:
            raise TypeError("a variable cannot be None")
        while True:
            try:
                self.set(key, default, new=True)
            except ConditionFailed:
                pass
            value = self.get(key)
            if value is not None:
                return value

    def clear(self) -> None:
        """Deletes all variables, whoever has set them."""
        self.delete_matching("**")

    @contextmanager
    def batch(self) -> Iterator[_native.Batch]:
        """Gathers changes, and makes all of them at the end of the block, or none.

        >>> with stash.batch() as batch:
        ...     batch.set("screen/width", 1920)
        ...     batch.set("screen/height", 1080)
        """
        batch = _native.Batch()
        yield batch
        self.apply(batch)

    def watch(
        self,
        patterns: Patterns | None = None,
        *,
        initial: bool = True,
        after: Position | None = None,
        known: Iterable[str] = (),
        values: bool = True,
        writers: bool = False,
    ) -> Watch:
        """Watches variables, all or those that match: when this returns, nothing is missed.

        First it tells their present state as events that set them, unless initial is false. after:
        go on where another watch was, see Watch.position; known: the keys that were there then.
        values: tell them. writers: tell who made each change.
        """
        return Watch(self._watch(patterns, initial, after, list(known), values, writers))
