#!/usr/bin/python3
"""Those who change and read variables while the service is killed, and those who watch them.

workers.py NAME    changes and reads until SIGTERM comes, and prints what it saw as JSON
"""

import json
import random
import signal
import sys
import threading
import time
import types

from caller import Caller, Gone


class Worker(Caller):
    """Has variables of its own, and knows what each can be.

    What was acknowledged must be there after every crash; what was in flight is there wholly or not
    at all; revisions never go back.
    """

    def __init__(self, name, crashes, is_measured):
        super().__init__()
        self.name = name
        # How many there were so far, known to all processes; and whether a wait counts during which
        # this number changed so.
        self.crashes, self.is_measured = crashes, is_measured
        self.random = random.Random(name)
        self.keys = [f"{name}/{n}" for n in range(20)]
        # The possible values of each (None: not defined).
        self.possible = {key: {None} for key in self.keys}
        self.revision = 0
        # What was acknowledged: revision, key, value.
        self.acknowledged = []

    def run(self, is_over):
        while not is_over():
            began, before = time.monotonic(), self.crashes.value
            try:
                self.step()
            except Gone:
                # Who comes back looks at what there is.
                self.get(self.random.choice(self.keys))
                if self.is_measured(before, self.crashes.value):
                    self.seen["waits"].append(time.monotonic() - began)
            self.seen["calls"] += 1
        for key in self.keys:
            self.get(key)
        return {**self.seen, "acknowledged": self.acknowledged}

    def step(self):
        key = self.random.choice(self.keys)
        kind = self.random.random()
        if kind < 0.5:
            value = "x" * self.random.choice([0, 8, 100, 5000]) + str(self.random.random())
            self.change({key: value}, "Set", key=key, value=value)
        elif kind < 0.6:
            self.change({key: None}, "Delete", key=key)
        elif kind < 0.62:
            self.delete_all()
        else:
            self.get(key)

    def change(self, to, method, **parameters):
        before = {key: self.possible[key] for key in to}
        for key, value in to.items():
            self.possible[key] = self.possible[key] | {value}
        reply = self.call(method, **parameters)
        is_change = reply.get("count", 1) > 0
        if reply["revision"] < self.revision + is_change:
            self.broken(f"revision {reply['revision']} after {self.revision}")
        self.revision = max(self.revision, reply["revision"])
        for key, value in to.items():
            # Of several that were deleted at once it is not known which were there.
            is_known = len(to) == 1 or None not in before[key]
            self.possible[key] = {value}
            if is_change and is_known:
                self.acknowledged.append((reply["revision"], key, value))

    def delete_all(self):
        """Several at once: after a crash all of them are gone, or none."""
        certain = [key for key in self.keys if None not in self.possible[key]]
        try:
            self.change(dict.fromkeys(self.keys), "Delete", patterns=[self.name + "/"])
        except Gone:
            there = [key for key in self.keys if self.get(key) is not None]
            if 0 < len(set(there) & set(certain)) < len(certain):
                self.broken(f"half of {self.name} was deleted: {there} of {certain}")

    def get(self, key):
        while True:
            try:
                reply = self.call("Get", key=key)
                break
            except Gone:
                pass
        value = reply.get("value") if reply["defined"] else None
        if value not in self.possible[key]:
            self.broken(f"{key} is {value!r:.40}, not one of {self.possible[key]!r:.200}")
        self.possible[key] = {value}
        return value


class Watcher(Caller):
    """Follows variables, resumes where it was, and checks what it is told.

    ordered: revisions never go back; unique: no change is told twice; atomic: a change of several
    variables comes in one reply; reliable: see `strict`; resumable: what follows a lost connection
    joins on to what was told before it, or is said to be a reset. When it is over, what was told adds
    up to what there is.
    """

    def __init__(self, patterns, last):
        super().__init__()
        self.patterns = patterns
        self.last = last
        self.cursor = self.instance = None
        self.state = {}
        self.is_resetting = self.is_up_to_date = False
        # What was told: (revision, key) and the value; and between which revisions nothing can have
        # been left out, so that every acknowledged change must have been told.
        self.told = {}
        self.strict = []
        self.resets = 0

    def run(self, _):
        while self.last not in self.state or not self.is_up_to_date:
            try:
                self.begin()
                while self.last not in self.state or not self.is_up_to_date:
                    self.take_in(self.receive()["parameters"])
            except Gone:
                pass
        return {
            **self.seen,
            "patterns": self.patterns,
            "told": self.told,
            "strict": self.strict,
            "resets": self.resets,
            "state": {key: value for key, (_, value) in self.state.items()},
        }

    def begin(self):
        start = {"initial": True}
        if self.cursor is not None:
            start = {"afterRevision": self.cursor, "instance": self.instance}
        self.is_up_to_date = False
        self.send("Watch", {"patterns": self.patterns, **start}, more=True)
        reply = self.receive()["parameters"]
        if self.instance not in (None, reply["instance"]):
            self.broken(f"instance {reply['instance']} after {self.instance}")
        self.instance = reply["instance"]
        if reply.get("reset"):
            self.is_resetting = True
            self.resets += 1
            self.state = {}
        self.take_in(reply)

    def take_in(self, reply):
        self.seen["calls"] += 1
        before, now = self.cursor or 0, reply["revision"]
        if now < before and not self.is_resetting:
            self.broken(f"told up to {now} after {before}")
        at = before if not self.is_resetting else 0
        for event in reply["events"]:
            at = self.hear(event, at, before)
        if at > now:
            self.broken(f"told of {at}, which is after {now}")
        was_up_to_date, self.is_up_to_date = self.is_up_to_date, reply.get("upToDate", False)
        if was_up_to_date and self.is_up_to_date and "skipped" not in reply:
            self.note_strict(before, now)
        self.cursor = now
        self.is_resetting &= not self.is_up_to_date

    def hear(self, event, at, before):
        revision, key = event["revision"], event["key"]
        value = event.get("value") if event["change"] == "set" else None
        if revision < at:
            self.broken(f"not ordered: {revision} after {at}")
        if not self.is_resetting:
            if (revision, key) in self.told:
                self.broken(f"not unique: {key} at {revision}")
            if revision <= before:
                self.broken(f"not atomic: {key} at {revision}, told up to {before} already")
        if self.told.get((revision, key), value) != value:
            self.broken(f"{key} at {revision} has another value than before")
        self.told[revision, key] = value
        if value is None:
            self.state.pop(key, None)
        else:
            self.state[key] = (revision, value)
        return revision

    def note_strict(self, before, now):
        if self.strict and self.strict[-1][1] == before:
            self.strict[-1][1] = now
        else:
            self.strict.append([before, now])


def main():
    is_over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: is_over.set())
    worker = Worker(sys.argv[1], types.SimpleNamespace(value=0), lambda *_: True)
    seen = worker.run(is_over.is_set)
    seen["longest"] = max(seen.pop("waits"), default=0)
    seen["acknowledged"] = len(seen["acknowledged"])
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
