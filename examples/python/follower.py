"""Prints what there is, and then what changes, beside something else to wait for: here for standard
input to end, which asyncio can do of a terminal or a pipe. follower.py [PATTERN]

`async for` needs no thread. A program that has nothing else to wait for needs no more than
`for event in globstash.watch("player/"):`
"""

import asyncio
import sys

import globstash


async def follow(watch: globstash.Watch) -> None:
    async for event in watch:
        if event.change == "set":
            print(event.key, event.value, sep="=", flush=True)
        else:
            print(f"{event.key} is gone", flush=True)


async def end_of_input() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while await reader.read(64):
        pass


async def main() -> None:
    watch = globstash.watch(sys.argv[1] if len(sys.argv) > 1 else None)
    tasks = [asyncio.create_task(follow(watch)), asyncio.create_task(end_of_input())]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


try:
    asyncio.run(main())
except globstash.Error as error:
    sys.exit(f"follower: {error}")
