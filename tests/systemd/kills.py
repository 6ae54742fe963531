#!/usr/bin/python3
"""kills.py COUNT: kills the service so often while others use it; prints what they saw as JSON.

What must not be is a sentence in "broken".
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time

from caller import Caller, Gone
from workers import Watcher, Worker

CGROUP = "/sys/fs/cgroup/system.slice/globstashd.service/cgroup.procs"
LAST = "the/last"
# Longest wait for the next process of the service; only a failure takes so long.
PATIENCE = 20


def running():
    """The process of the service; None while there is none, or it is not the program yet."""
    try:
        with open(CGROUP) as processes:
            for pid in processes.read().split():
                with open(f"/proc/{pid}/comm") as name:
                    if name.read() == "globstashd\n":
                        return int(pid)
    except OSError:
        pass
    return None


def next_process(dead):
    deadline = time.monotonic() + PATIENCE
    while (pid := running()) in (None, dead):
        if time.monotonic() > deadline:
            sys.exit(f"no service {PATIENCE} s after a kill")
        time.sleep(0.001)
    return pid


def kill(count, crashes):
    """Kills it so often: at first whatever it is doing, then when it has just answered."""
    caller, chance, pid = Caller(), random.Random(count), None
    for n in range(count):
        pid = next_process(pid)
        if n >= count // 2 or chance.random() < 0.5:
            try:
                caller.call("Set", key="kills", value=str(n))
            except Gone:
                pass
        time.sleep(chance.random() * 0.03)
        crashes.value += 1
        os.kill(pid, signal.SIGKILL)
    next_process(pid)
    return caller


def start(player, is_over):
    """Lets one play in a process of its own; what it returns comes out of the pipe."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    play = lambda: theirs.send(player.run(is_over.is_set))
    process = multiprocessing.Process(target=play, daemon=True)
    process.start()
    theirs.close()
    return ours


def check_watcher(seen, acknowledged, there):
    """What only those know who know everything."""
    broken = seen["broken"]
    prefixes = tuple(seen["patterns"])
    is_watched = lambda key: prefixes == ("**",) or key.startswith(prefixes)
    for revision, key, value in acknowledged:
        if not is_watched(key):
            continue
        told = seen["told"].get((revision, key), "nothing")
        is_strict = any(low < revision <= high for low, high in seen["strict"])
        if told == "nothing" and is_strict:
            broken.append(f"not reliable: {key} at {revision} was not told")
        elif told not in ("nothing", value):
            broken.append(f"{key} at {revision} was told as {told!r:.40}, not {value!r:.40}")
    if seen["state"] != {key: value for key, value in there.items() if is_watched(key)}:
        broken.append("what was told does not add up to what there is")


def memory(pid):
    """What the service takes for itself, and what its memory file takes, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        own = next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))
    folder = f"/proc/{pid}/fd"
    files = [f"{folder}/{n}" for n in os.listdir(folder)]
    maps = [os.stat(file).st_blocks << 9 for file in files if "memfd:" in os.readlink(file)]
    return own, sum(maps)


def main():
    is_over, crashes = multiprocessing.Event(), multiprocessing.Value("i", 0)
    count = int(sys.argv[1])
    # Of a service that serves and is back the next time.
    is_measured = lambda before, after: before > count // 2 and after == before + 1
    names = ("one", "two", "three")
    workers = [start(Worker(name, crashes, is_measured), is_over) for name in names]
    watchers = [start(Watcher([pattern], LAST), is_over) for pattern in ("**",)]
    watchers += [start(Watcher(["one/", "the/"], LAST), is_over)]
    watchers += [start(Watcher(["kills", "the/"], LAST), is_over)]
    killer = kill(count, crashes)
    is_over.set()
    workers = [worker.recv() for worker in workers]
    caller = Caller()
    caller.call("Set", key=LAST, value="")
    watchers = [watcher.recv() for watcher in watchers]
    reply = caller.call("List")
    there = {entry["key"]: entry["value"] for entry in reply["entries"]}
    acknowledged = [change for worker in workers for change in worker["acknowledged"]]
    for watcher in watchers:
        check_watcher(watcher, acknowledged, there)
    single = [(revision, key) for revision, key, _ in acknowledged]
    everybody = [*workers, *watchers, killer.seen, caller.seen]
    waits = sorted(wait for worker in workers for wait in worker["waits"])
    own, map_ = memory(running())
    strict = sum(high - low for watcher in watchers for low, high in watcher["strict"])
    print(
        json.dumps(
            {
                "calls": sum(worker["calls"] for worker in workers),
                "changes": reply["revision"],
                "acknowledged": len(acknowledged),
                "lost": sum(one["lost"] for one in everybody),
                "refused": sum(one["refused"] for one in everybody),
                "waits": {
                    name: round(1000 * waits[int(part * (len(waits) - 1))], 1)
                    for name, part in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("longest", 1)]
                },
                "told": sum(len(watcher["told"]) for watcher in watchers),
                "strict": strict,
                "resets": sum(watcher["resets"] for watcher in watchers),
                "own": own,
                "map": map_,
                "twice": len(single) - len(set(single)),
                "broken": [sentence for one in everybody for sentence in one["broken"]][:10],
            }
        )
    )


main()
