"""`Watch`: what happens to variables, for loops with and without asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from globstash import _native
from globstash.types import Event, Position


#: So many events are told one after the other before others of the loop have a turn.
_TURN = 32


class Watch(Iterator[Event], AsyncIterator[Event]):
    """Changes of variables, in the order in which they were made.

    >>> for event in stash.watch("player/"):
    ...     print(event.key, event.value)

    waits for each, until Ctrl-C or an error ends it. `async for` does the same in a coroutine: it
    waits for the watch's descriptor, without a thread. If the service goes away, a watch goes on
    where it was as soon as it is back, within 5 s.

    Who does not keep up misses intermediate values, never the last one: see skipped. A watch is
    for one thread or coroutine, and for the process that began it.
    """

    def __init__(self, native: _native.Watch) -> None:
        self._native = native
        # Of a coroutine that waits: the loop and what wakes it.
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Future[None], int] | None = None
        # How many events were told since others of the loop had a turn.
        self._told = 0

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Event:
        event = self._native.next()
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Event:
        loop = asyncio.get_running_loop()
        while not self._native.closed:
            if self._told == _TURN:
                self._told = 0
                # Before an event is taken: none is lost if this is cancelled.
                await asyncio.sleep(0)
                continue
            event = self._native.try_next()
            if event is not None:
                self._told += 1
                return event
            self._told = 0
            if not self._native.closed:
                await self._readable(loop)
        raise StopAsyncIteration

    async def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        """Waits until try_next may have more, or the watch is closed."""
        if self._waiting is not None:
            raise RuntimeError("another coroutine waits for this watch: begin one for each")
        woken: asyncio.Future[None] = loop.create_future()
        descriptor = self._native.fileno()
        loop.add_reader(descriptor, _wake, woken)
        self._waiting = (loop, woken, descriptor)
        try:
            await woken
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._waiting is not None:
            loop, woken, descriptor = self._waiting
            self._waiting = None
            if not loop.is_closed():
                loop.remove_reader(descriptor)
                _wake(woken)

    def try_next(self) -> Event | None:
        """The next event if it is there already, else None."""
        return self._native.try_next()

    def catch_up(self) -> list[Event]:
        """Everything that there is to tell until it adds up to the present state."""
        return self._native.catch_up()

    def fileno(self) -> int:
        """The descriptor to wait for, with select and its like, when try_next has given None. It
        may be another one after that."""
        return self._native.fileno()

    @property
    def position(self) -> Position:
        """Up to where everything was told: where another watch can go on."""
        return self._native.position

    @property
    def skipped(self) -> int:
        """How many changes were left out because newer ones took their place."""
        return self._native.skipped

    @property
    def is_up_to_date(self) -> bool:
        """Whether nothing is left to tell, as far as is known."""
        return self._native.is_up_to_date

    def close(self) -> None:
        """Ends the watch: iterations end."""
        self._let_go()
        self._native.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<globstash.Watch, {'closed' if self._native.closed else 'open'}>"


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
