"""Which pages a fork wrote to, and that later forks have copies of them from the start."""

import ctypes
import mmap
import os
import pathlib
import resource
import signal
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("EBB_BUILD", ROOT / "build/release"))
sys.path.insert(0, str(ROOT / "runtimes/python"))

import hot_pages  # noqa: E402
from hot_pages import PAGE  # noqa: E402

PAGES = 200


@unittest.skipUnless(os.path.exists("/proc/self/pagemap"), "no pagemap here")
class HotPages(unittest.TestCase):
    def setUp(self):
        self.memory = mmap.mmap(-1, PAGES * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.memory.madvise(mmap.MADV_NOHUGEPAGE)
        for i in range(PAGES - 1):  # the last one is not there yet
            self.write(i)
        view = (ctypes.c_char * len(self.memory)).from_buffer(self.memory)
        self.begin = ctypes.addressof(view)
        del view
        self.addCleanup(self.memory.close)

    def write(self, page):
        self.memory[page * PAGE] = page & 255

    def address(self, page):
        return self.begin + page * PAGE

    def in_fork(self, act):
        """Does that in a fork, and returns what it says."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, str(act()).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            text = answer.read()
        os.waitpid(child, 0)
        return text

    def test_what_a_fork_has_written_to(self):
        here, there = os.pipe()
        child = os.fork()
        if child == 0:
            for page in (3, 4, 5, 9, PAGES - 1):
                self.write(page)
            _ = self.memory[20 * PAGE]  # only read
            os.write(there, b"x")
            signal.pause()
        try:
            os.read(here, 1)
            found = hot_pages.written(child)
            self.assertEqual([i for i in range(PAGES) if self.address(i) in found], [3, 4, 5, 9],
                             "neither what it only read nor what we do not have")
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(here)
            os.close(there)

    def test_pages_that_follow_each_other_are_one_piece(self):
        first, second, alone = (self.address(i) for i in (3, 4, 9))
        self.assertEqual(list(hot_pages.pieces({second, first, alone}, True)),
                         [first, 2 * PAGE, alone, PAGE])
        self.assertEqual(list(hot_pages.pieces(set(), True)), [])

    def test_a_kernel_that_refuses_memory_of_files_gets_the_rest(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * PAGE)
            file.flush()
            private = mmap.mmap(file.fileno(), PAGE, mmap.MAP_PRIVATE)
        self.addCleanup(private.close)
        view = (ctypes.c_char * PAGE).from_buffer(private)
        pages = {ctypes.addressof(view), self.address(3)}
        del view
        asked = []

        class Refuses:
            def ebb_zygote_copy_at_fork(self, _, count):
                asked.append(count)
                return -95 if count == 2 else 0
        self.assertTrue(hot_pages.copy_at_fork(Refuses(), pages))
        self.assertEqual(asked, [2, 1])

    def faults_of_writing(self, pages):
        def act():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for page in pages:
                self.write(page)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        return int(self.in_fork(act))

    def test_forks_have_copies_from_the_start(self):
        library = ctypes.CDLL(str(BUILD / "runtimes/python/libebb_zygote.so"), use_errno=True)
        hot = range(0, 100)
        self.assertGreaterEqual(self.faults_of_writing(hot), len(hot))
        if not hot_pages.copy_at_fork(library, {self.address(i) for i in hot}):
            self.skipTest("no io_uring here")
        self.assertLess(self.faults_of_writing(hot), len(hot) // 2, "only the interpreter's own")
        self.assertGreaterEqual(self.faults_of_writing(range(100, 190)), 90, "others as before")
        self.assertEqual(self.in_fork(lambda: self.memory[50 * PAGE]), "50", "what we wrote")
        self.write(51)
        self.memory[50 * PAGE] = 7
        self.assertEqual(self.in_fork(lambda: self.memory[50 * PAGE]), "7", "what we write later")

    def test_what_is_no_memory_is_refused(self):
        library = ctypes.CDLL(str(BUILD / "runtimes/python/libebb_zygote.so"))
        self.assertLess(library.ebb_zygote_copy_at_fork(0, 0), 0, "-errno")


if __name__ == "__main__":
    unittest.main(verbosity=2)
