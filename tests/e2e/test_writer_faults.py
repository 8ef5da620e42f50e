"""A disk that hangs, is full or fails: at most lines are lost, which is counted and logged once, and
all goes on by itself."""

import os
import re
import shutil
import statistics
import time
import unittest
from pathlib import Path

from faults import (FAST, SMALL_FILES, TREE, Socket, Tampering, check_files, cpu_seconds, hang,
                    herd, lines_after, thread_of, told, wait_for_more)
from harness import HOST, Collectd, check_none_lost, procfs_only, wait_until

LOST, WORKS = "lines are being lost", "writing works again"
FULL, ROOM = "the queue is full", "the queue has room again"


@procfs_only
class HungDisk(unittest.TestCase):
    """A disk that does not answer for as long as a flush waits for it, some seconds."""

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(herd())
        cls.collectd = cls.enterClassContext(Collectd(
            FAST + TREE, SMALL_FILES + "QueueSize 0.05\n", interval=0.5, extra=Socket.settings()))
        wait_for_more(cls.collectd)
        with Socket(cls.collectd) as socket, hang(cls.collectd):
            cls.collectd.wait_for_log(FULL, timeout=30)
            cls.began = time.time()
            cls.answer = socket.ask("FLUSH plugin=write_denet")
            cls.ended = time.time()
        cls.collectd.wait_for_log(ROOM, timeout=30)
        cls.again = time.time()
        wait_for_more(cls.collectd)
        cls.dropped = cls.collectd.wait_for_values("_self", "derive-records_dropped",
                                                   after=cls.again)[-1].numbers[0]
        cls.log = told(cls.collectd)
        cls.collectd.stop()

    def in_the_meantime(self, what):
        """The numbers of _self while the disk hung."""
        return [value.numbers[0] for value in self.collectd.values("_self", what)
                if self.began < value.time < self.ended]

    def test_ticks_are_not_late(self):
        ticks = self.in_the_meantime("duration-tick")
        self.assertGreater(len(ticks), 2)
        self.assertLess(statistics.median(ticks), 1)  # the machine may delay one
        sent = [sum(pair) for pair in zip(self.in_the_meantime("derive-records"),
                                          self.in_the_meantime("derive-records_dropped"))]
        self.assertGreater(sent[-1] - sent[0], len(ticks), "lines were made all the time")

    def test_a_flush_gives_up(self):
        self.assertTrue(self.answer)
        self.assertLess(self.ended - self.began, 15)

    def test_lines_that_were_dropped_are_counted(self):
        counts = self.in_the_meantime("derive-records_dropped")
        self.assertGreater(counts[-1], counts[0])
        line, = [line for line in self.log if ROOM in line]
        self.assertEqual(int(re.search(r"(\d+) lines were dropped", line)[1]), self.dropped)

    def test_one_log_line_says_that_it_begins_and_one_that_it_is_over(self):
        first, second = self.log
        self.assertRegex(first, rf"\[warning\].*{FULL}")
        self.assertIn(ROOM, second)

    def test_lines_are_whole_and_none_is_there_twice(self):
        found = check_files(self, self.collectd.records_folder)
        self.assertGreater(lines_after(found, self.again), 1)


@procfs_only
class HungAtTheEnd(unittest.TestCase):
    def test_the_end_comes_although_the_disk_does_not_answer(self):
        self.enterContext(herd())
        collectd = self.enterContext(Collectd(FAST + TREE, SMALL_FILES + "QueueSize 0.05\n"))
        wait_for_more(collectd)
        self.enterContext(hang(collectd))
        collectd.wait_for_log(FULL, timeout=30)
        start = time.monotonic()
        self.assertEqual(collectd.stop(), 0)
        self.assertLess(time.monotonic() - start, 20)
        self.assertTrue(told(collectd, "lost") or told(collectd, "were dropped"), told(collectd))


class Scene:
    """A collectd that cannot write for a while."""

    reason = ""  # what the log says
    prefix = ()

    def __init__(self, stack):
        self.collectd = Collectd(FAST + TREE, SMALL_FILES, prefix=self.prefix)
        self.folder = self.collectd.records_folder
        self.prepare()
        stack(self.collectd)
        self.thread = wait_until(lambda: thread_of(self.collectd.pid, "denet-writer"), "the writer")
        self.started = time.monotonic()

    def prepare(self):
        """Before collectd starts."""

    def stop(self):
        self.ran = time.monotonic() - self.started
        self.cpu = cpu_seconds(self.collectd.pid, self.thread)
        self.status = self.collectd.stop()


class Tampered(Scene):
    """strace(1) changes a system call; is_in_folder: only calls on the folder."""

    call, is_in_folder = "writev", False

    def begin(self):
        self.tampering = Tampering(self.collectd, self.call, self.what,
                                   self.folder if self.is_in_folder else None)

    def end(self):
        self.tampering.close()


class IoError(Tampered):
    what, reason = "error=EIO", "Input/output error"


class ShortWrites(Tampered):
    """As if each write stopped after three bytes."""
    what, reason = "retval=3", "No space left on device"


class NoDescriptors(Tampered):
    call, is_in_folder, what, reason = "openat", True, "error=EMFILE", "Too many open files"


class FullDisk(Scene):
    """A small file system, which is collectd's alone: it is gone when collectd is."""

    reason = "No space left on device"
    prefix = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=4M none "$0" && exec "$@"']

    def prepare(self):
        self.folder.mkdir()
        self.collectd.prefix += [str(self.folder)]

    def begin(self):
        # A descriptor keeps it a little longer, so that it can be read at the end.
        root = os.open(f"/proc/{self.collectd.pid}/root{self.folder}", os.O_RDONLY | os.O_DIRECTORY)
        self.folder = Path(f"/proc/self/fd/{root}")
        self.ballast = self.folder / "ballast"
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def end(self):
        self.ballast.unlink()


class NoPermission(Scene):
    """Not even root may, without these capabilities."""

    reason = "Permission denied"
    prefix = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]

    def begin(self):
        (self.folder / HOST / "herd").chmod(0)

    def end(self):
        (self.folder / HOST / "herd").chmod(0o750)


class PlantedLink(Scene):
    """Where the group's folder was, a symbolic link leads elsewhere."""

    reason = "herd"

    def begin(self):
        self.elsewhere = self.collectd.folder / "elsewhere"
        self.elsewhere.mkdir()
        self.place = self.folder / HOST / "herd"
        self.place.rename(self.folder / HOST / "moved")
        self.place.symlink_to(self.elsewhere)

    def end(self):
        self.left_there = list(self.elsewhere.iterdir())
        self.place.unlink()


@procfs_only
@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, ("setpriv", "strace", "unshare"))),
                     "needs root, setpriv, strace and unshare")
class LostLines(unittest.TestCase):
    """All at once, since each takes some seconds."""

    SCENES = (IoError, ShortWrites, NoDescriptors, FullDisk, NoPermission, PlantedLink)

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(herd())
        scenes = [scene(cls.enterClassContext) for scene in cls.SCENES]
        for scene in scenes:
            wait_for_more(scene.collectd, f"/proc/{scene.collectd.pid}/root{scene.folder}")
        for scene in scenes:
            scene.begin()
        for scene in scenes:
            scene.collectd.wait_for_log(LOST, timeout=30)
        time.sleep(1)  # time for a second log line
        for scene in scenes:
            scene.end()
        for scene in scenes:
            scene.collectd.wait_for_log(WORKS, timeout=30)
        cls.again = time.time()
        for scene in scenes:
            wait_for_more(scene.collectd, scene.folder)
            scene.lost = scene.collectd.wait_for_values("_self", "derive-records_lost",
                                                        after=cls.again)[-1].numbers[0]
            scene.stop()
        cls.scenes = scenes

    def check(self, scene):
        first, last = told(scene.collectd)
        self.assertIn("[error]", first)
        self.assertIn(LOST, first)
        self.assertIn(scene.reason, first)
        self.assertRegex(last, rf"\[notice\].*{WORKS}; {scene.lost:.0f} lines were lost")
        self.assertGreater(scene.lost, 0)
        self.assertEqual(scene.status, 0)
        self.assertLess(scene.cpu, scene.ran * 0.3, "of a core, by the writer's thread")
        found = check_files(self, scene.folder)
        self.assertGreater(lines_after(found, self.again), 1)

    def test_each_loss_is_counted_and_logged_once_and_lines_go_on(self):
        for scene in self.scenes:
            with self.subTest(scene=type(scene).__name__):
                self.check(scene)
        self.assertEqual(self.scenes[-1].left_there, [])  # PlantedLink


@procfs_only
@unittest.skipUnless(shutil.which("strace"), "needs strace")
class Interrupted(unittest.TestCase):
    def test_writes_that_are_interrupted_are_made_again(self):
        self.enterContext(herd())
        collectd = self.enterContext(Collectd(FAST + TREE, SMALL_FILES))
        wait_for_more(collectd)
        with Tampering(collectd, "writev", "error=EINTR:when=1+2"):
            start = time.time()
            wait_for_more(collectd, count=5)
            collectd.wait_for_values("_self", "derive-records", after=start)
        self.assertEqual(collectd.stop(), 0)
        self.assertEqual(told(collectd), [])
        found = check_files(self, collectd.records_folder)
        times, = [sorted(sum(segments.values(), [])) for segments in found.values()]
        check_none_lost(self, collectd, times)
        self.assertGreater(times[-1], start * 1e3)
