#!/usr/bin/python3
"""Calls GetStatus again and again, each time on a new connection, until SIGTERM; then prints how it went, as JSON.

answered: as it should be;
refused: nobody listened;
unasked: the connection ended before the request was sent, so that it can be sent again;
unanswered: the request was sent, but no answer came.
"""

import json
import signal
import socket

REQUEST = b'{"method":"io.globstash.GetStatus"}\0'
running = True


def stop(*_):
    global running
    running = False


def call():
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect("/run/globstash")
        except OSError:
            return "refused"
        try:
            connection.sendall(REQUEST)
        except OSError:
            return "unasked"
        answer = b""
        while not answer.endswith(b"\0"):
            try:
                part = connection.recv(65536)
            except OSError:
                return "unanswered"
            if not part:
                return "unanswered"
            answer += part
        return "answered"


signal.signal(signal.SIGTERM, stop)
count = {"answered": 0, "refused": 0, "unasked": 0, "unanswered": 0}
while running:
    count[call()] += 1
print(json.dumps(count))
