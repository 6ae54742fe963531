"""Follows what a player does, beside other things: `async for` needs no thread."""

import asyncio

import globstash


async def follow() -> None:
    async for event in globstash.watch("player/"):
        if event.change == "set":
            print(f"{event.key} is {event.value!r}", flush=True)
        else:
            print(f"{event.key} is gone", flush=True)
        if (event.key, event.value) == ("player/state", "stopped"):
            return


async def blink() -> None:
    while True:
        await asyncio.sleep(0.5)


async def main() -> None:
    light = asyncio.create_task(blink())
    await follow()
    light.cancel()


asyncio.run(main())
