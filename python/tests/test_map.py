"""Reading through the map: no system call, and nothing older than what was set."""

import unittest

from support import WATCHDOG, Case

#: Reads ten thousand times each way in a process to which the kernel allows nothing but read, write and
#: its end (seccomp(2), strict): any other system call kills it. So does its end as Python ends.
STRICT = """
import ctypes, os
stash["k"] = "v"
data = stash["data"] = b"\\xff" * 10000
variable, other = stash.variable("k"), stash.variable("data")
def read():
    return (
        stash.get("k") == stash["k"] == variable.get() == "v"
        and stash.get_bytes("data") == other.get() == data
        and stash.get("none") is None
        and "k" in stash and "none" not in stash
        and not variable.changed()
    )
assert read() and stash.is_mapped
PR_SET_SECCOMP, SECCOMP_MODE_STRICT = 22, 1
prctl = ctypes.CDLL(None).prctl
count = range(10000)

prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0)
for _ in count:
    assert read()
{more}
os.write(1, b"all read")
"""


class Map(Case):
    def strict(self, more=""):
        process = self.python(STRICT.replace("{more}", more))
        said, _ = process.communicate(timeout=WATCHDOG)
        return said

    def test_a_read_is_no_system_call(self):
        self.assertEqual(self.strict(), "all read")

    def test_a_system_call_would_have_been_seen(self):
        self.assertEqual(self.strict(more="os.getppid()"), "")
        self.assertEqual(self.strict(more="stash['k'] = 'w'"), "")

    def test_what_others_set_is_read_at_once(self):
        self.stash["n"] = 0
        self.assertEqual(self.stash["n"], "0")
        self.assertTrue(self.stash.is_mapped)
        self.assertIn("mapped", repr(self.stash))
        other = self.python("for n in range(1, 2001): print(stash.increment('n'), flush=True)")
        for line in other.stdout:
            self.assertGreaterEqual(int(self.stash["n"]), int(line))
        other.stdout.close()
        self.assertEqual(other.wait(WATCHDOG), 0)

    def test_reading_goes_on_without_the_service(self):
        self.stash["k"] = "v"
        variable = self.stash.variable("k")
        self.assertEqual((self.stash["k"], variable.get()), ("v", "v"))
        self.daemon.process.kill()
        self.daemon.process.wait(WATCHDOG)
        for _ in range(1000):
            self.assertEqual((self.stash["k"], variable.get()), ("v", "v"))
        with self.assertRaises(ConnectionError):
            self.stash["k"] = "w"


if __name__ == "__main__":
    unittest.main()
