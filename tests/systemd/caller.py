"""A caller who speaks varlink by hand, so that it knows exactly what was answered and what was not."""

import json
import socket

ADDRESS = "/run/globstash"


class Gone(Exception):
    """The connection was lost; whether the call was done is not known."""


class Caller:
    def __init__(self):
        self.connection = None
        self.rest = b""
        self.seen = {"calls": 0, "lost": 0, "refused": 0, "waits": [], "broken": []}

    def broken(self, sentence):
        """Notes what must not be."""
        if len(self.seen["broken"]) < 5:
            self.seen["broken"].append(f"{type(self).__name__}: {sentence}")

    def call(self, method, **parameters):
        """The parameters of the one reply."""
        self.send(method, parameters)
        reply = self.receive()
        if "error" in reply:
            self.broken(f"{method} {parameters}: {reply}")
        return reply["parameters"]

    def send(self, method, parameters, **flags):
        self.connect()
        request = {"method": f"io.globstash.{method}", "parameters": parameters, **flags}
        try:
            self.connection.sendall(json.dumps(request).encode() + b"\0")
        except OSError as error:
            self.lose(error)

    def connect(self):
        if self.connection is not None:
            return
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(20)
        try:
            self.connection.connect(ADDRESS)
        except OSError as error:
            self.seen["refused"] += 1
            self.broken(f"refused: {error}")
            self.lose(error)

    def receive(self):
        """The next message."""
        parts = [self.rest]
        while b"\0" not in parts[-1]:
            try:
                part = self.connection.recv(1 << 16)
            except OSError as error:
                self.lose(error)
            if not part:
                self.lose(None)
            parts.append(part)
        message, self.rest = b"".join(parts).split(b"\0", 1)
        return json.loads(message)

    def lose(self, error):
        self.connection.close()
        self.connection, self.rest = None, b""
        self.seen["lost"] += 1
        raise Gone from error
