#!/usr/bin/python3
"""Changes variables while the service is killed again and again, and checks what it promises.

Each worker has variables of its own. What was acknowledged must be there after every crash; what was
in flight is there wholly or not at all; revisions never go back; nobody is refused. Runs until
SIGTERM, then prints what it saw as JSON; what must not be is a sentence in "broken".
"""

import json
import random
import signal
import socket
import sys
import time

ADDRESS = "/run/globstash"
running = True


def stop(*_):
    global running
    running = False


class Gone(Exception):
    """The connection was lost; whether the call was done is not known."""


class Worker:
    def __init__(self, name):
        self.random = random.Random(name)
        self.keys = [f"{name}/{n}" for n in range(20)]
        # What is known of each key: its possible values (None: not defined).
        self.possible = {key: {None} for key in self.keys}
        self.revision = 0
        self.connection = None
        self.seen = {"calls": 0, "lost": 0, "refused": 0, "longest": 0.0, "broken": []}

    def call(self, method, **parameters):
        """The parameters of the reply."""
        if self.connection is None:
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.settimeout(20)
            try:
                self.connection.connect(ADDRESS)
            except OSError as error:
                self.seen["refused"] += 1
                self.broken(f"refused: {error}")
                raise Gone from error
        request = {"method": f"io.globstash.{method}", "parameters": parameters}
        try:
            self.connection.sendall(json.dumps(request).encode() + b"\0")
            reply = b""
            while not reply.endswith(b"\0"):
                part = self.connection.recv(1 << 16)
                if not part:
                    raise ConnectionResetError
                reply += part
        except OSError as error:
            self.connection.close()
            self.connection = None
            self.seen["lost"] += 1
            raise Gone from error
        reply = json.loads(reply[:-1])
        if "error" in reply:
            self.broken(f"{method} {parameters}: {reply}")
        return reply["parameters"]

    def broken(self, sentence):
        if len(self.seen["broken"]) < 5:
            self.seen["broken"].append(sentence)

    def check_revision(self, revision, grows):
        if revision < self.revision + grows:
            self.broken(f"revision {revision} after {self.revision}")
        self.revision = max(self.revision, revision)

    def set(self, key):
        value = "x" * self.random.choice([0, 8, 100, 5000]) + str(self.random.random())
        self.change(value, "Set", key=key, value=value)

    def delete(self, key):
        self.change(None, "Delete", key=key)

    def change(self, to, method, **parameters):
        key = parameters["key"]
        self.possible[key] = self.possible[key] | {to}
        reply = self.call(method, **parameters)
        self.possible[key] = {to}
        self.check_revision(reply["revision"], 1 if method == "Set" else 0)

    def delete_all(self, prefix):
        """Several at once: after a crash all of them are gone, or none."""
        before = {key: set(values) for key, values in self.possible.items()}
        for key in self.keys:
            self.possible[key] = self.possible[key] | {None}
        try:
            self.call("Delete", patterns=[prefix + "/"])
        except Gone:
            there = [key for key in self.keys if self.get(key) is not None]
            certain = [key for key in self.keys if None not in before[key]]
            if 0 < len(set(there) & set(certain)) < len(certain):
                self.broken(f"half of {prefix} was deleted: {there} of {certain}")
            return
        self.possible = {key: {None} for key in self.keys}

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

    def step(self, name):
        key = self.random.choice(self.keys)
        kind = self.random.random()
        if kind < 0.6:
            self.set(key)
        elif kind < 0.7:
            self.delete(key)
        elif kind < 0.72:
            self.delete_all(name)
        else:
            self.get(key)

    def run(self, name):
        while running:
            began = time.monotonic()
            try:
                self.step(name)
            except Gone:
                # Who comes back looks at what there is.
                self.get(self.random.choice(self.keys))
            self.seen["calls"] += 1
            self.seen["longest"] = max(self.seen["longest"], time.monotonic() - began)
        for key in self.keys:
            self.get(key)


signal.signal(signal.SIGTERM, stop)
worker = Worker(sys.argv[1])
worker.run(sys.argv[1])
print(json.dumps(worker.seen))
