"""What a read costs in Python, beside a dict and redis-py: `make bench-python`.

Each row is the best of several runs, in ns a call and as a multiple of a dict's.
A service and a Redis are started for it, each at a UNIX socket; without redis-py or redis-server
these rows are left out. $GLOBSTASHD is the service's program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import globstash

#: How long one run is to take, in s, and how many there are.
RUN, RUNS = 0.1, 15
VALUE = "0123456789abcdef"


@contextmanager
def running(command: list[str], path: str) -> Iterator[None]:
    """A server, from when its socket is there."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not os.path.exists(path):
            if server.poll() is not None:
                sys.exit(f"{command[0]} does not start")
            time.sleep(0.01)
        yield
    finally:
        server.kill()
        server.wait()


def cost(statement: str, names: dict[str, object]) -> float:
    """What a statement takes at best, in ns: as `python -m timeit` tells it."""
    timer = timeit.Timer(statement, globals=names)
    count = max(10, int(RUN / min(timer.repeat(3, 10)) * 10))
    return min(timer.repeat(RUNS, count)) / count * 1e9


def rows(folder: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """A name, a statement, and what it uses."""
    get = "get('player/volume')"
    yield "dict.get", get, {"get": {"player/volume": VALUE}.get}

    stash = globstash.Stash(os.path.join(folder, "globstash"))
    stash["player/volume"] = VALUE
    variable = stash.variable("player/volume")
    assert stash.get("player/volume") == variable.get() == VALUE
    how = "mapped" if stash.is_mapped else "over the socket"
    yield f"globstash get, {how}", get, {"get": stash.get}
    yield f"globstash stash[key], {how}", "stash['player/volume']", {"stash": stash}
    yield f"globstash variable.get, {how}", "get()", {"get": variable.get}
    yield f"globstash variable.changed, {how}", "changed()", {"changed": variable.changed}
    yield "globstash set", f"set('player/volume', '{VALUE}')", {"set": stash.set}

    try:
        import redis
    except ImportError:
        redis = None
    if redis is None or not os.path.exists(os.path.join(folder, "redis")):
        return
    client = redis.Redis(unix_socket_path=os.path.join(folder, "redis"), decode_responses=True)
    client.set("player/volume", VALUE)
    yield "redis-py get", get, {"get": client.get}
    yield "redis-py set", f"set('player/volume', '{VALUE}')", {"set": client.set}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        socket = os.path.join(folder, "globstash")
        servers.enter_context(running([os.environ["GLOBSTASHD"], "--address", socket], socket))
        if shutil.which("redis-server"):
            socket = os.path.join(folder, "redis")
            redis = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", ""]
            servers.enter_context(running(redis, socket))
        floor = 0.0
        for name, statement, names in rows(folder):
            ns = cost(statement, names)
            floor = floor or ns
            print(f"{name:44} {ns:10.1f} ns {ns / floor:8.2f} x", flush=True)


main()
