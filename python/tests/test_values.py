"""Setting and getting: what comes back for what was set, and on which terms."""

import datetime
import os
import subprocess
import unittest

import globstash
from support import Case


class Values(Case):
    def test_text_comes_back_as_str(self):
        for text in ["0.5", "", "Grüße\n\t\x7f", "a\0b", "\ufffe", "😀" * 1000]:
            self.stash.set("k", text)
            self.assertEqual(self.stash.get("k"), text)
            self.assertEqual(self.stash.get_bytes("k"), text.encode())

    def test_other_bytes_come_back_as_bytes(self):
        for data in [b"\xff", bytes(range(256)), b"\xed\xa0\x80", b"\xff" * (1 << 20)]:
            for given in [data, bytearray(data), memoryview(data)]:
                self.stash.set("k", given)
                self.assertEqual(self.stash.get("k"), data)
                self.assertEqual(self.stash["k"], data)

    def test_bytes_that_are_text_come_back_as_str(self):
        self.stash.set("k", b"abc")
        self.assertEqual(self.stash.get("k"), "abc")
        self.assertEqual(self.stash.get_bytes("k"), b"abc")

    def test_text_can_be_asked_for(self):
        self.stash.set("k", "abc")
        self.assertEqual(self.stash.get_str("k"), "abc")
        self.assertEqual(self.stash.get_str("none", "x"), "x")
        self.stash.set("k", b"\xff")
        with self.assertRaises(UnicodeDecodeError):
            self.stash.get_str("k")

    def test_numbers_are_kept_as_they_print(self):
        for number, text in [(5, "5"), (-0.25, "-0.25"), (1e22, "1e+22"), (10**30, str(10**30))]:
            self.stash.set("k", number)
            self.assertEqual(self.stash.get("k"), text)

    def test_numbers_are_their_digits_whatever_their_type_prints(self):
        # As an IntEnum does: before Python 3.11 its members print their names.
        class Level(int):
            def __str__(self):
                return "Level.HIGH"

            __repr__ = __str__

        class Half(float):
            __str__ = __repr__ = lambda self: "a half"

        for number, text in [(Level(3), "3"), (Half(0.5), "0.5")]:
            self.stash.set("k", number)
            self.assertEqual(self.stash.get("k"), text)
            self.assertEqual(self.stash.increment("k", number), 2 * float(text))

    def test_what_is_no_value_is_refused(self):
        for given in [None, True, [1], {"a": 1}, object()]:
            with self.assertRaises(TypeError):
                self.stash.set("k", given)
        with self.assertRaises(UnicodeEncodeError):
            self.stash.set("k", "\udcff")
        self.assertNotIn("k", self.stash)

    def test_what_is_not_defined_is_none_or_the_default(self):
        self.assertIsNone(self.stash.get("k"))
        self.assertEqual(self.stash.get("k", "x"), "x")
        self.assertEqual(self.stash.get("k", default=7), 7)
        self.assertIsNone(self.stash.get_bytes("k"))
        self.assertEqual(self.stash.revision("k"), 0)
        self.assertIsNone(self.stash.entry("k"))

    def test_conditions(self):
        revision = self.stash.set("k", 1, new=True)
        with self.assertRaises(globstash.ConditionFailed) as failed:
            self.stash.set("k", 2, new=True)
        self.assertEqual((failed.exception.key, failed.exception.revision), ("k", revision))
        with self.assertRaises(globstash.ConditionFailed):
            self.stash.set("k", 2, if_revision=revision + 1)
        with self.assertRaises(globstash.ConditionFailed):
            self.stash.set("k", 2, if_revision=revision, if_value="5")
        with self.assertRaises(globstash.ConditionFailed):
            self.stash.delete("k", if_value="5")
        self.assertEqual(self.stash.get("k"), "1")
        revision = self.stash.set("k", 2, if_revision=revision, if_value=1)
        self.assertTrue(self.stash.delete("k", if_revision=revision))

    def test_a_time_to_live(self):
        self.stash.set("k", "v", ttl=3600)
        expires = self.stash.entry("k").expires
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        self.assertLess(abs(expires - soon), datetime.timedelta(minutes=5))
        self.assertTrue(self.stash.expire("k", datetime.timedelta(seconds=0.001)))
        self.assertIsNone(self.stash.wait("k", gone=True))
        self.assertFalse(self.stash.expire("k", None))
        for wrong in [-1, float("nan"), float("inf")]:
            with self.assertRaises(ValueError):
                self.stash.set("k", "v", ttl=wrong)
        self.stash.set("k", "v", ttl=0.001)
        self.stash.wait("k", gone=True)

    def test_a_process(self):
        other = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.stash.set("k", "v", pid=other.pid)
        self.assertEqual(self.stash.entry("k").pid, other.pid)
        other.communicate()
        self.stash.wait("k", gone=True)
        with self.assertRaises(ProcessLookupError):
            self.stash.set("k", "v", pid=other.pid)

    def test_protection_and_what_is_known(self):
        self.stash.set("k", "v", protected=True)
        entry = self.stash.entry("k")
        self.assertTrue(entry.protected)
        self.assertEqual((entry.key, entry.value, entry.owner), ("k", "v", os.getuid()))
        self.assertEqual(entry.writer, (os.getuid(), os.getpid()))
        self.stash.set("k", "v", protected=False)
        self.assertEqual([entry.protected for entry in self.stash.entries()], [False])

    def test_sums_are_exact(self):
        self.assertEqual(self.stash.increment("n"), 1)
        self.assertEqual(self.stash.increment("n", -4), -3)
        self.stash.set("n", "0.1")
        self.assertEqual(self.stash.increment("n", 0.2), 0.3)
        self.assertEqual(self.stash.increment("n", 5, maximum=1), 1)
        self.assertIsInstance(self.stash.increment("n", 5, minimum=0), int)
        self.stash.set("n", "many")
        with self.assertRaises(ValueError) as failed:
            self.stash.increment("n")
        self.assertIsInstance(failed.exception, globstash.NotNumeric)

    def test_small_and_large_numbers_are_added_as_well(self):
        # Python writes these with an exponent.
        self.assertEqual(self.stash.increment("n", 1e-7), 1e-7)
        self.assertEqual(self.stash["n"], "0.0000001")
        self.assertEqual(self.stash.increment("m", 1e16), 10**16)
        with self.stash.batch() as batch:
            batch.increment("n", -1e-7)
        self.assertEqual(self.stash["n"], "0")

    def test_what_cannot_be_added_is_told_as_it_was_given(self):
        for wrong in [float("nan"), float("-inf")]:
            with self.assertRaisesRegex(ValueError, str(wrong)):
                self.stash.increment("n", wrong)
        for wrong in [10**40, 1e-30]:
            with self.assertRaisesRegex(globstash.InvalidValue, "18 digits"):
                self.stash.increment("n", wrong)
        self.assertNotIn("n", self.stash)

    def test_a_batch_is_done_at_once_or_not_at_all(self):
        with self.stash.batch() as batch:
            batch.set("width", 1920)
            batch.set("height", 1080, ttl=3600)
            batch.increment("count", 2)
            batch.delete("none")
        self.assertEqual(self.stash.revision("width"), self.stash.revision("count"))
        with self.assertRaises(globstash.ConditionFailed):
            with self.stash.batch() as batch:
                batch.check("width", if_value=0)
                batch.delete("height")
        with self.assertRaises(ZeroDivisionError):
            with self.stash.batch() as batch:
                batch.delete("height")
                1 / 0
        self.assertIn("height", self.stash)


class Mapping(Case):
    def test_it_is_a_mapping(self):
        stash = self.stash
        self.assertEqual(len(stash), 0)
        self.assertTrue(stash, "an empty one is one, too")
        stash.update({"b": 2, "a/x": 1, "a/y": "3"})
        self.assertEqual(list(stash), ["a/x", "a/y", "b"])
        self.assertEqual(dict(stash), {"a/x": "1", "a/y": "3", "b": "2"})
        self.assertEqual(dict(stash.items("a/")), {"a/x": "1", "a/y": "3"})
        self.assertEqual(list(stash.keys(["b", "a/y"])), ["a/y", "b"])
        self.assertEqual(sorted(stash.values()), ["1", "2", "3"])
        self.assertEqual(len(stash.items("a/")), 2)
        self.assertIn("b", stash.keys())
        self.assertNotIn("b", stash.keys("a/"))
        self.assertNotIn(5, stash)
        self.assertIn(("b", "2"), stash.items())
        self.assertEqual(stash.keys("a/") & {"a/x", "b"}, {"a/x"})
        del stash["b"]
        self.assertNotIn("b", stash)
        with self.assertRaises(KeyError):
            del stash["b"]
        with self.assertRaises(KeyError) as failed:
            stash["b"]
        self.assertEqual(failed.exception.args, ("b",))
        self.assertEqual(stash.pop("a/x"), "1")
        self.assertEqual(stash.pop("a/x", None), None)
        with self.assertRaises(KeyError):
            stash.pop("a/x")
        self.assertEqual(stash.setdefault("a/y", "5"), "3")
        self.assertEqual(stash.setdefault("a/z", 5), "5")
        self.assertEqual(stash.delete_matching("a/z"), 1)
        stash.clear()
        self.assertEqual(list(stash), [])

    def test_it_tells_what_it_is(self):
        self.assertEqual(repr(self.stash), f"<globstash.Stash({self.daemon.address!r}), not read yet>")
        self.assertIn("user=True", repr(globstash.Stash.user()))
        self.assertEqual(repr(self.stash.variable("a'b")), "<globstash.Variable \"a'b\">")
        self.assertEqual(self.stash.status().variables, 0)

    def test_it_can_be_used_again_after_its_end(self):
        with self.stash as stash:
            stash["k"] = "v"
        self.assertEqual(stash["k"], "v")


class Variables(Case):
    def test_a_variable_knows_whether_it_has_changed(self):
        variable = self.stash.variable("k")
        self.assertEqual((variable.key, variable.revision), ("k", 0))
        self.assertFalse(variable.changed())
        self.assertIsNone(variable.get())
        self.assertEqual(variable.get("x"), "x")
        revision = variable.set("v")
        self.assertTrue(variable.changed())
        self.assertFalse(variable.changed())
        self.assertEqual((variable.get(), variable.revision), ("v", revision))
        self.stash["k"] = b"\xff"
        self.assertEqual(variable.get(), b"\xff")
        self.assertFalse(variable.changed())
        del self.stash["k"]
        self.assertTrue(variable.changed())
        self.assertIsNone(variable.get())


class Errors(Case):
    def test_each_is_what_python_calls_such_a_thing(self):
        for error, builtin in [
            (globstash.Unreachable, ConnectionError),
            (globstash.Silent, TimeoutError),
            (globstash.OutcomeUnknown, ConnectionError),
            (globstash.TimedOut, TimeoutError),
            (globstash.InvalidKey, ValueError),
            (globstash.NumberOverflow, OverflowError),
            (globstash.Protected, PermissionError),
        ]:
            self.assertTrue(issubclass(error, globstash.Error))
            self.assertTrue(issubclass(error, builtin))

    def test_no_service(self):
        stash = globstash.Stash("/none/such")
        with self.assertRaises(globstash.Unreachable) as failed:
            stash.get("k")
        self.assertIn("start it with", str(failed.exception))
        with self.assertRaises(ConnectionError):
            stash["k"] = "v"
        with self.assertRaises(ValueError):
            globstash.Stash("nonsense").get("k")
        with self.assertRaises(ValueError):
            globstash.Stash("/a", user=True)

    def test_refusals(self):
        with self.assertRaises(globstash.InvalidKey) as failed:
            self.stash["a=b"] = "v"
        self.assertEqual(failed.exception.key, "a=b")
        with self.assertRaises(globstash.InvalidPattern):
            list(self.stash.keys("["))
        for size in [(1 << 20) + 1, 3 << 20]:
            with self.assertRaises(globstash.TooLarge) as failed:
                self.stash["k"] = b"x" * size
            self.assertEqual(failed.exception.size, size)

    def test_what_cannot_be_a_key_is_not_in_it(self):
        # As with os.environ: to ask is no mistake.
        self.stash["k"] = "v"
        for key in ["a=b", "", "a\nb", "k" * 256, "\ud800", 7, None]:
            self.assertNotIn(key, self.stash)
        self.assertIn("k", self.stash)
        with self.assertRaises(globstash.InvalidKey):
            self.stash.get("a=b")

    def test_numbers_that_cannot_be(self):
        for number in [-1, 1 << 32, -(10**30), 10**5000]:
            with self.assertRaisesRegex(ValueError, "process ID"):
                self.stash.set("k", "v", pid=number)
        for number in [-1, 1 << 64, 10**5000]:
            with self.assertRaisesRegex(ValueError, "revision"):
                self.stash.set("k", "v", if_revision=number)
            with self.assertRaisesRegex(ValueError, "revision"):
                self.stash.delete("k", if_revision=number)
            with self.assertRaisesRegex(ValueError, "revision"):
                self.stash.wait("k", changed_from=number)
            with self.assertRaisesRegex(ValueError, "revision"):
                globstash.Batch().check("k", if_revision=number)
            with self.assertRaisesRegex(ValueError, "revision"):
                self.stash.watch(after=(number, "0" * 32))
        for number in [-1, float("nan"), float("inf"), 10**400, 10**5000]:
            with self.assertRaisesRegex(ValueError, "number of seconds"):
                self.stash.set("k", "v", ttl=number)
            with self.assertRaisesRegex(ValueError, "number of seconds"):
                globstash.Stash(timeout=number)
        with self.assertRaises(TypeError):
            self.stash.set("k", "v", pid="1")
        self.assertNotIn("k", self.stash)

    def test_a_stash_survives_the_service(self):
        self.stash["k"] = "v"
        self.assertEqual(self.stash["k"], "v")
        self.daemon.end()
        with self.assertRaises(ConnectionError):
            self.stash["k"] = "v"
        self.daemon.start()
        self.assertNotIn("k", self.stash)
        self.stash["k"] = "w"
        self.assertEqual(self.stash["k"], "w")


class Subclasses(Case):
    def test_they_can_have_parameters_of_their_own(self):
        class Player(globstash.Stash):
            def __init__(self, name, *, address):
                super().__init__(address, timeout=30)
                self.name = name

        player = Player("radio", address=self.daemon.address)
        player["player"] = player.name
        self.assertEqual(self.stash["player"], "radio")
        self.assertIn(self.daemon.address, repr(player))

    def test_without_a_word_they_are_the_default(self):
        class Silent(globstash.Stash):
            def __init__(self, name):
                pass

        self.assertEqual(repr(Silent("x")), "<globstash.Stash(), not read yet>")

    def test_an_address_is_for_good(self):
        self.stash["k"] = "v"
        with self.assertRaises(RuntimeError):
            self.stash.__init__("/none/such")
        self.assertEqual(self.stash["k"], "v")


class Module(unittest.TestCase):
    def test_its_functions_are_of_the_default_stash(self):
        self.assertEqual(globstash.get, globstash.default.get)
        for name in globstash.__all__:
            self.assertTrue(getattr(globstash, name).__doc__ or name in ["Settable", "Value"], name)


if __name__ == "__main__":
    unittest.main()
