"""One stash in many threads, and in processes that fork."""

import multiprocessing
import os
import threading
import unittest

import globstash
from support import WATCHDOG, Case

fork = multiprocessing.get_context("fork")


class Threads(Case):
    def test_they_share_a_stash(self):
        failed = []

        def work(n):
            try:
                variable = self.stash.variable("shared")
                for step in range(50):
                    self.stash.increment("count")
                    self.stash[f"own/{n}"] = step
                    assert self.stash[f"own/{n}"] == str(step)
                    self.stash["shared"] = step
                    assert variable.get() is not None
                    shared.get()
                    shared.changed()
            except BaseException as error:
                failed.append(error)

        shared = self.stash.variable("shared")
        threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WATCHDOG)
        self.assertEqual(failed, [])
        self.assertEqual(self.stash["count"], "400")

    def test_one_that_waits_holds_up_nobody(self):
        waiter = threading.Thread(target=lambda: self.stash.wait("flag"))
        waiter.start()
        for step in range(100):
            self.stash["k"] = step
            self.assertEqual(self.stash["k"], str(step))
        self.stash["flag"] = "up"
        waiter.join(WATCHDOG)
        self.assertFalse(waiter.is_alive())


class Forks(Case):
    def child(self, work):
        """What a forked process sends; it must end in order."""
        mine, theirs = fork.Pipe(duplex=False)

        def run():
            theirs.send(work())

        process = fork.Process(target=run)
        process.start()
        self.assertTrue(mine.poll(WATCHDOG))
        sent = mine.recv()
        process.join(WATCHDOG)
        self.assertEqual(process.exitcode, 0)
        return sent

    def test_parent_and_child_both_go_on(self):
        self.stash["k"] = "parent"
        variable = self.stash.variable("k")
        self.assertEqual(variable.get(), "parent")

        def work():
            seen = self.stash["k"], variable.get()
            self.stash["k"] = "child"
            return seen, self.stash["k"], variable.get(), self.stash.entry("k").writer.pid

        seen, then, read, writer = self.child(work)
        self.assertEqual((seen, then, read), (("parent", "parent"), "child", "child"))
        self.assertNotEqual(writer, os.getpid(), "it has a connection of its own")
        self.assertEqual((self.stash["k"], variable.get()), ("child", "child"))

    def test_while_threads_are_in_the_middle_of_calls(self):
        over = threading.Event()

        def work():
            variable = self.stash.variable("k")
            while not over.is_set():
                self.stash["k"] = self.stash.get("k", 0)
                variable.get()
                shared.get()

        shared = self.stash.variable("k")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                self.assertIsNotNone(self.child(lambda: (self.stash.set("k", 1), shared.get())))
        finally:
            over.set()
            for thread in threads:
                thread.join(WATCHDOG)

    def test_a_watch_stays_with_the_process_that_began_it(self):
        watch = self.stash.watch()

        def work():
            try:
                watch.try_next()
            except RuntimeError as error:
                return str(error)

        self.assertIn("forked", self.child(work))
        self.stash["k"] = "v"
        self.assertEqual(next(watch).key, "k")

    def test_a_pool_of_processes(self):
        with fork.Pool(4) as pool:
            jobs = [pool.apply_async(add, (self.daemon.address,)) for _ in range(40)]
            for job in jobs:
                job.get(WATCHDOG)
        self.assertEqual(self.stash["count"], "40")


def add(address):
    globstash.Stash(address).increment("count")


if __name__ == "__main__":
    unittest.main()
