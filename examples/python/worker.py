"""Waits for a flag, does what it says, and takes it down; the flag "stop" ends it.

    globstash set worker/flag invoices

That there is a worker, others see by worker/state: it goes with this process, however that ends.
"""

import os
import sys

import globstash


def work(stash: globstash.Stash) -> None:
    while True:
        stash.set("worker/state", "waiting", pid=os.getpid())
        stash.wait("worker/flag")
        flag = stash.entry("worker/flag")
        if flag is None:
            continue
        stash.set("worker/state", "working", pid=os.getpid())
        if flag.value != "stop":
            print(flag.value, "done", sep=": ", flush=True)
        # Only this one: if somebody has raised another meanwhile, it stays, and is the next.
        try:
            stash.delete("worker/flag", if_revision=flag.revision)
        except globstash.ConditionFailed:
            pass
        if flag.value == "stop":
            return


try:
    work(globstash.Stash())
except globstash.Error as error:
    sys.exit(f"worker: {error}")
