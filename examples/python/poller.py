"""Looks at twenty variables a thousand times a second, as a control loop does, and prints those that
have changed: poller.py [ROUNDS]

Reading them is no system call where the service lets its map be read, so this costs next to nothing.
Ctrl-C ends it.
"""

import itertools
import sys
import time

import globstash

PERIOD = 0.001

rounds = range(int(sys.argv[1])) if len(sys.argv) > 1 else itertools.count()
try:
    axes = [globstash.variable(f"machine/axis-{number}") for number in range(20)]
    due = time.monotonic()
    for _ in rounds:
        for number, axis in enumerate(axes):
            if axis.changed():
                print(f"axis {number} is at", axis.get(""), flush=True)
        # The next millisecond of the clock, however long the round took.
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))
except KeyboardInterrupt:
    pass
except globstash.Error as error:
    sys.exit(f"poller: {error}")
