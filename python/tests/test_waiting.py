"""Waiting: waits and watches, with and without asyncio, ended by signals and by each other."""

import asyncio
import os
import select
import signal
import threading
import unittest

import globstash
from support import WATCHDOG, Case, sleeps


class Waits(Case):
    def test_until_it_is_as_wanted(self):
        def soon(act):
            thread = threading.Thread(target=act)
            thread.start()
            self.addCleanup(thread.join)

        soon(lambda: self.stash.set("k", "v"))
        self.assertEqual(self.stash.wait("k", timeout=WATCHDOG), "v")
        revision = self.stash.revision("k")
        soon(lambda: self.stash.set("k", "w"))
        self.assertEqual(self.stash.wait("k", changed_from=revision, timeout=WATCHDOG), "w")
        soon(lambda: self.stash.set("k", "x"))
        self.assertEqual(self.stash.wait("k", value="x", timeout=WATCHDOG), "x")
        soon(lambda: self.stash.delete("k"))
        self.assertIsNone(self.stash.wait("k", gone=True, timeout=WATCHDOG))

    def test_no_longer_than_was_said(self):
        with self.assertRaises(globstash.TimedOut) as failed:
            self.stash.wait("k", timeout=0.01)
        self.assertEqual(failed.exception.key, "k")
        with self.assertRaises(ValueError):
            self.stash.wait("k", value="v", gone=True)

    def test_a_signal_is_handled_while_it_lasts(self):
        heard = []

        def handler(*_):
            heard.append(self.stash.get("flag"))
            self.stash.set("k", "v")

        self.stash.set("flag", "up")
        before = signal.signal(signal.SIGUSR1, handler)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)

        def send():
            # One that comes between two steps of a wait is handled after it: then the next one.
            while not heard:
                sleeps(os.getpid())
                signal.pthread_kill(main, signal.SIGUSR1)

        main = threading.get_ident()
        sender = threading.Thread(target=send)
        # What is read over a connection of its own opens that before.
        self.stash.get("flag")
        sender.start()
        self.assertEqual(self.stash.wait("k", timeout=WATCHDOG), "v")
        sender.join()
        self.assertEqual(set(heard), {"up"})


class CtrlC(Case):
    """As a person would: a process that waits, and SIGINT."""

    def end(self, code, is_away=False):
        process = self.python(code)
        self.assertEqual(process.stdout.readline(), "ready\n")
        if is_away:
            self.daemon.process.kill()
            self.daemon.process.wait(WATCHDOG)
        sleeps(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(WATCHDOG)
        said = process.stdout.read()
        process.stdout.close()
        self.assertEqual((said, process.returncode), ("interrupted\n", 0))

    def test_it_ends_a_wait(self):
        self.end(
            "try:\n"
            "    print('ready', flush=True)\n"
            "    stash.wait('never')\n"
            "except KeyboardInterrupt: print('interrupted')"
        )

    def test_it_ends_a_wait_that_looks_for_the_service(self):
        self.end(
            "stash.status()\n"  # So that it has a connection to lose.
            "try:\n"
            "    print('ready', flush=True)\n"
            "    stash.wait('never')\n"
            "except KeyboardInterrupt: print('interrupted')",
            is_away=True,
        )

    def test_it_ends_a_watch_that_would_catch_up(self):
        self.end(
            "watch = stash.watch()\n"
            "watch.catch_up()\n"
            "try:\n"
            "    print('ready', flush=True)\n"
            "    while watch.is_up_to_date: watch.try_next()\n"
            "    watch.catch_up()\n"
            "except KeyboardInterrupt: print('interrupted')",
            is_away=True,
        )

    WATCH = (
        "watch = stash.watch()\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    for event in watch: pass\n"
        "except KeyboardInterrupt: print('interrupted')"
    )

    def test_it_ends_a_watch(self):
        self.end(self.WATCH)

    def test_it_ends_a_watch_that_looks_for_the_service(self):
        self.end(self.WATCH, is_away=True)

    def test_it_ends_a_watch_of_asyncio(self):
        self.end(
            "import asyncio\n"
            "async def main():\n"
            "    print('ready', flush=True)\n"
            "    async for event in stash.watch(): pass\n"
            "try: asyncio.run(main())\n"
            "except KeyboardInterrupt: print('interrupted')"
        )


class Watches(Case):
    def test_it_tells_the_present_and_then_changes(self):
        self.stash["a/x"] = 1
        with self.stash.watch("a/", writers=True) as watch:
            self.assertEqual([event.key for event in watch.catch_up()], ["a/x"])
            self.assertTrue(watch.is_up_to_date)
            self.assertIsNone(watch.try_next())
            self.stash["b"] = 2
            revision = self.stash.set("a/y", b"\xff")
            event = next(watch)
            self.assertEqual(event[:4], ("set", "a/y", b"\xff", revision))
            self.assertEqual(event.writer, (os.getuid(), os.getpid()))
            del self.stash["a/x"]
            self.assertEqual(next(watch)[:3], ("deleted", "a/x", "1"))
            self.stash.set("a/y", "v", ttl=0.001)
            self.assertEqual([next(watch).change, next(watch).change], ["set", "expired"])
            self.assertEqual(watch.skipped, 0)
        self.assertEqual(list(watch), [])
        self.assertIn("closed", repr(watch))

    def test_it_goes_on_where_another_was(self):
        watch = self.stash.watch(initial=False)
        self.stash["a"] = 1
        self.assertEqual(next(watch).key, "a")
        position = watch.position
        watch.close()
        self.stash["b"] = 2
        with self.stash.watch(after=position, known=["a"], values=False) as watch:
            self.assertEqual(next(watch)[:3], ("set", "b", None))

    def test_its_descriptor_tells_when_there_is_something(self):
        with self.stash.watch() as watch:
            watch.catch_up()
            self.assertEqual(select.select([watch], [], [], 0)[0], [])
            self.stash["k"] = "v"
            self.assertEqual(select.select([watch], [], [], WATCHDOG)[0], [watch])
            self.assertEqual(watch.try_next().key, "k")

    def test_it_is_for_one_thread(self):
        watch = self.stash.watch()
        waiter = threading.Thread(target=lambda: self.assertEqual(next(watch).key, "k"))
        waiter.start()
        # The other one waits, or will in a moment.
        while True:
            try:
                watch.try_next()
            except RuntimeError as error:
                self.assertIn("another thread", str(error))
                break
        self.stash["k"] = "v"
        waiter.join()

    def test_it_outlives_the_service(self):
        watch = self.stash.watch()
        self.stash["k"] = 1
        next(watch)
        self.daemon.end()
        self.daemon.start()
        self.assertEqual(next(watch)[:2], ("deleted", "k"))
        self.stash["k"] = 2
        self.assertEqual(next(watch)[:3], ("set", "k", "2"))

    def test_it_ends_when_it_has_failed(self):
        watch = self.stash.watch()
        with self.daemon.out_of_reach():
            self.daemon.process.kill()
            with self.assertRaises(globstash.Unreachable):
                next(watch)
            self.assertEqual(list(watch), [])
            self.assertIn("closed", repr(watch))


class Asyncio(Case):
    def run_async(self, main):
        async def within():
            return await asyncio.wait_for(main, WATCHDOG)

        return asyncio.run(within())

    def test_a_watch_in_a_coroutine(self):
        async def main():
            seen = []
            threads = threading.active_count()
            async with self.stash.watch("a/") as watch:
                async for event in watch:
                    seen.append((event.change, event.key, event.value))
                    if len(seen) == 1:
                        self.stash["a/x"] = 2
                    if len(seen) == 2:
                        del self.stash["a/x"]
                    if len(seen) == 3:
                        break
            self.assertEqual(threading.active_count(), threads, "no thread was needed")
            return seen

        self.stash["a/x"] = 1
        expected = [("set", "a/x", "1"), ("set", "a/x", "2"), ("deleted", "a/x", "2")]
        self.assertEqual(self.run_async(main()), expected)

    def test_many_watches_at_the_same_time(self):
        async def follow(n):
            async for event in self.stash.watch(f"k/{n}"):
                return event.key

        async def main():
            followers = [asyncio.create_task(follow(n)) for n in range(100)]
            await asyncio.sleep(0)
            with self.stash.batch() as batch:
                for n in range(100):
                    batch.set(f"k/{n}", n)
            return await asyncio.gather(*followers)

        self.assertEqual(self.run_async(main()), [f"k/{n}" for n in range(100)])

    def test_others_run_while_there_is_much_to_tell(self):
        many = 1000
        with self.stash.batch() as batch:
            for n in range(many):
                batch.set(f"k/{n}", n)

        async def main():
            turns, told = 0, 0

            async def other():
                nonlocal turns
                while told < many:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            async for _ in self.stash.watch("k/"):
                told += 1
                if told == many:
                    break
            await task
            return turns

        self.assertGreater(self.run_async(main()), 10)

    def test_it_can_be_closed_when_its_loop_is(self):
        loop = asyncio.new_event_loop()
        watch = self.stash.watch()
        task = loop.create_task(self._keys(watch))
        # That it is left behind is meant.
        task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        watch.close()
        self.assertEqual(list(watch), [])

    def test_it_ends_when_it_is_closed(self):
        async def main():
            watch = self.stash.watch()
            task = asyncio.create_task(self._keys(watch))
            await asyncio.sleep(0)
            watch.close()
            return await task

        self.assertEqual(self.run_async(main()), [])

    def test_a_step_that_is_cancelled_loses_nothing(self):
        async def main():
            watch = self.stash.watch()
            for _ in range(3):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(watch.__anext__(), 0.001)
            self.stash["k"] = "v"
            return (await watch.__anext__()).key

        self.assertEqual(self.run_async(main()), "k")

    def test_it_outlives_the_service_and_others_run_meanwhile(self):
        async def main():
            watch = self.stash.watch()
            self.stash["k"] = 1
            await watch.__anext__()
            threads = threading.active_count()
            self.daemon.end()
            step = asyncio.ensure_future(watch.__anext__())
            # The loop turns while the watch looks for a service.
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(step, 0.05)
            self.assertEqual(threading.active_count(), threads, "no thread was needed")
            self.daemon.start()
            event = await watch.__anext__()
            self.assertEqual(event[:2], ("deleted", "k"))
            self.stash["k"] = 2
            return (await watch.__anext__()).value

        self.assertEqual(self.run_async(main()), "2")

    def test_it_ends_when_it_has_failed(self):
        async def main():
            watch = self.stash.watch()
            with self.daemon.out_of_reach():
                self.daemon.process.kill()
                with self.assertRaises(globstash.Unreachable):
                    await watch.__anext__()
                return await self._keys(watch)

        self.assertEqual(self.run_async(main()), [])

    def test_two_coroutines_are_told_apart(self):
        async def main():
            watch = self.stash.watch()
            first = asyncio.create_task(watch.__anext__())
            await asyncio.sleep(0)
            with self.assertRaises(RuntimeError):
                await watch.__anext__()
            self.stash["k"] = "v"
            return (await first).key

        self.assertEqual(self.run_async(main()), "k")

    async def _keys(self, watch):
        return [event.key async for event in watch]


if __name__ == "__main__":
    unittest.main()
