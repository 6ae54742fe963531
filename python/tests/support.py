"""A real service in a folder of its own. `$GLOBSTASHD` is the program.

Nothing here sleeps to wait: readiness is heard from the service itself, and what takes too long is
ended by a watchdog.
"""

import contextlib
import faulthandler
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator

import globstash

#: How long anything may take that takes no time at all, in seconds.
WATCHDOG = 60

# A test that hangs says where, and ends.
faulthandler.dump_traceback_later(5 * WATCHDOG, exit=True)


def sleeps(pid: int) -> None:
    """Waits until the main thread of a process sleeps."""
    while True:
        with open(f"/proc/{pid}/task/{pid}/stat") as stat:
            # The third field is the state, after the name in brackets.
            state = stat.read().rpartition(")")[2].split()[0]
            assert state != "Z", "it has ended"
            if state == "S":
                return
        time.sleep(0.002)


class Daemon:
    """A running service, at `address`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.address = os.path.join(self._folder.name, "socket")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(os.path.join(self._folder.name, "notify"))
        self._notify.settimeout(WATCHDOG)
        self._log = open(os.path.join(self._folder.name, "log"), "wb")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [os.environ["GLOBSTASHD"], "--address", self.address],
            env={**os.environ, "NOTIFY_SOCKET": os.path.join(self._folder.name, "notify")},
            stderr=self._log,
        )
        while b"READY=1" not in self._notify.recv(4096).splitlines():
            pass

    def end(self) -> None:
        """Ends it in order: it forgets."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WATCHDOG)

    @contextlib.contextmanager
    def out_of_reach(self) -> Iterator[None]:
        """Makes its address one at which no service can come back."""
        folder, aside = self._folder.name, self._folder.name + ".aside"
        os.rename(folder, aside)
        open(folder, "w").close()
        try:
            yield
        finally:
            os.remove(folder)
            os.rename(aside, folder)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WATCHDOG)
        self._notify.close()
        self._log.close()
        self._folder.cleanup()


class Case(unittest.TestCase):
    """Tests with a service of their own, and a stash of it."""

    def setUp(self) -> None:
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.stash = globstash.Stash(self.daemon.address)

    def python(self, code: str, **more) -> subprocess.Popen:
        """Another process that runs some code, with `stash` in it."""
        begin = "import globstash, sys\nstash = globstash.Stash(sys.argv[1])\n"
        return subprocess.Popen(
            [sys.executable, "-c", begin + code, self.daemon.address],
            stdout=subprocess.PIPE,
            text=True,
            **more,
        )
