"""The pages that every pod writes to, and that its fork therefore copies at once.

A page that a fork shares with its parent is copied at the first write to it, at the price of
a page fault and a flush of the TLB. Of 500 such pages that is half a millisecond for a pod,
and 30 ms on virtual machines whose page tables are shadowed. Those that a trial pod wrote to
are told to the kernel by the zygote (ebb_zygote_copy_at_fork).
"""

import array
import ctypes
import os

PAGE = os.sysconf("SC_PAGE_SIZE")
ENTRY = 8  # bytes of /proc/PID/pagemap for a page
# Of such an entry (Documentation/admin-guide/mm/pagemap.rst of Linux): the page is there, it is
# a file's or shared on purpose, nobody else has it.
PRESENT, FILE, EXCLUSIVE = 1 << 63, 1 << 61, 1 << 56


def writable(process):
    """(begin, end, whether it begins as a file's) of the private memory that it may write to."""
    with open("/proc/%s/maps" % process) as maps:
        for line in maps:
            place, rights, _, _, inode, *_ = line.split()
            if rights == "rw-p":
                begin, end = place.split("-")
                yield int(begin, 16), int(end, 16), inode != "0"


def entries(process, begin, end):
    """Of each page."""
    with open("/proc/%s/pagemap" % process, "rb", buffering=0) as pagemap:
        pagemap.seek(begin // PAGE * ENTRY)
        return array.array("Q", pagemap.read((end - begin) // PAGE * ENTRY))


def written(pid):
    """The addresses of our pages that our fork `pid`, which waits, has written to."""
    pages = set()
    for begin, end, _ in writable("self"):
        ours, its = entries("self", begin, end), entries(pid, begin, end)
        for i, (here, there) in enumerate(zip(ours, its)):
            if here & PRESENT and there & (PRESENT | FILE | EXCLUSIVE) == PRESENT | EXCLUSIVE:
                pages.add(begin + i * PAGE)
    return pages


def pieces(pages, files):
    """[address, bytes, address, bytes ...]: pages of one mapping that follow each other are one
    piece. Without those of files unless `files`."""
    numbers = array.array("L")
    for begin, end, is_file in writable("self"):
        if is_file and not files:
            continue
        after = 0
        for page in range(begin, end, PAGE):
            if page not in pages:
                continue
            if page == after:
                numbers[-1] += PAGE
            else:
                numbers.extend((page, PAGE))
            after = page + PAGE
    return numbers


def copy_at_fork(library, pages):
    """Whether the kernel does so from here on. `library`: libebb_zygote.so. Linux before 6.5
    refuses memory that began as a file's, such as the interpreter's own variables."""
    for files in (True, False):
        iovecs = pieces(pages, files)
        address, numbers = iovecs.buffer_info()
        if library.ebb_zygote_copy_at_fork(ctypes.c_void_p(address), numbers // 2) == 0:
            return True
    return False
