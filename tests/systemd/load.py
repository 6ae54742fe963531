#!/usr/bin/python3
"""Calls GetStatus again and again until SIGTERM; then prints how it went, as JSON.

Each call is made on a new connection, or with --keep on the same one as long as it lasts.

answered: as it should be;
refused: nobody listened;
unasked: the connection ended before the request was sent, so that it can be sent again;
unanswered: the request was sent, but no answer came.
"""

import json
import signal
import socket
import sys

REQUEST = b'{"method":"io.globstash.GetStatus"}\0'
running = True


def stop(*_):
    global running
    running = False


def call(connection):
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


def calls(keep):
    """The outcomes of the calls on one connection."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect("/run/globstash")
        except OSError:
            yield "refused"
            return
        outcome = "answered"
        while running and outcome == "answered":
            outcome = call(connection)
            yield outcome
            if not keep:
                return


signal.signal(signal.SIGTERM, stop)
count = {"answered": 0, "refused": 0, "unasked": 0, "unanswered": 0}
while running:
    for outcome in calls(keep="--keep" in sys.argv):
        count[outcome] += 1
print(json.dumps(count))
