"""A pod that forks: its code is loaded, and other pods of the same revision begin as forks of
it, in its namespaces and each in a cgroup of its own.

Talks to the Local Controller over the pod's control socket, see pod.py:
  pod -> controller   "U" + text   instead of "R": the code should not be forked, and why
  controller -> pod   "F" + pod    fork; with descriptors: the fork's control socket, listener,
                                   log, and the files by which it joins its cgroup
  pod -> controller   "X" + text   how a fork has ended, or that there is none: wait status, pod
  fork -> controller  "P"          it is there, and waits for "G"; then as a pod that loads
"""

import gc
import os
import select
import signal
import socket
import sys
import threading

CONTROL, LISTEN = 3, 4
MESSAGE_LIMIT = 4096
MOST_DESCRIPTORS = 8
NO_PROCESS = 71 << 8  # as a wait status


class CannotFork(Exception):
    pass


class State:
    """What there is: before the code is loaded, for check()."""

    def __init__(self):
        self.threads = threading.active_count()
        self.tasks = len(os.listdir("/proc/self/task"))
        self.files = len(os.listdir("/proc/self/fd"))


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def check(before, automatic):
    """CannotFork if the code has made what a fork would not have, or would share. Nobody has
    asked for it if `automatic`: then whatever might break is too much."""
    now = State()
    if now.threads > before.threads or (automatic and now.tasks > before.tasks):
        made = "starts threads, which a fork would not have"
    elif automatic and now.files > before.files:
        made = "opens files or connections, which forks would share"
    elif automatic and has_children():
        made = "starts processes, which forks would share"
    else:
        return
    raise CannotFork("each pod loads its code itself: loading it %s (ebb.dev/preload)" % made)


class Parent:
    def __init__(self, control):
        self.control = control
        self.forks = {}  # pid -> pod
        self.ending = False

    def reap(self, *_):
        """On SIGCHLD. As the first process of its namespace it is everybody's parent."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.forks:
                self.tell(status, self.forks.pop(pid))
        if self.ending and not self.forks:
            os._exit(0)

    def end(self, *_):
        """On SIGTERM, which its forks have got, too."""
        self.ending = True
        self.reap()

    def tell(self, status, pod):
        self.control.send(b"X%d %s" % (status, pod))

    def fork(self, pod, fds):
        """True in the fork."""
        # Its end must not come before it is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        try:
            pid = os.fork()
        except OSError:
            self.tell(NO_PROCESS, pod)
        else:
            if pid == 0:
                return True
            self.forks[pid] = pod
        for fd in fds:
            os.close(fd)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        return False


def become(fds):
    """In the fork: its own group and descriptors, and what must not be the same in every pod."""
    for fd in fds[3:]:
        os.write(fd, b"0")
    os.dup2(fds[0], CONTROL, False)
    os.dup2(fds[1], LISTEN, False)
    os.dup2(fds[2], 1)
    os.dup2(fds[2], 2)
    for fd in fds:
        os.close(fd)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def serve(control):
    """Forks as it is told to. Returns in each fork, once it may serve."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGTERM)}
    parent = Parent(control)
    # A signal may come to another thread, which wakes nobody who waits here: this does.
    heard, told = socket.socketpair()
    heard.setblocking(False)
    told.setblocking(False)
    signal.signal(signal.SIGCHLD, parent.reap)
    signal.signal(signal.SIGTERM, parent.end)
    woken = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    waits = select.poll()
    for each in (control, heard):
        waits.register(each, select.POLLIN)
    gc.collect()
    gc.freeze()
    control.send(b"R")
    while True:
        ready = [fd for fd, _ in waits.poll()]
        if heard.fileno() in ready:
            heard.recv(MESSAGE_LIMIT)
            parent.reap()
        if CONTROL not in ready:
            continue
        data, fds, _, _ = socket.recv_fds(control, MESSAGE_LIMIT, MOST_DESCRIPTORS)
        if not data:
            os._exit(0)
        if not parent.fork(data[1:], fds):
            continue
        signal.set_wakeup_fd(woken)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        heard.close()
        told.close()
        try:
            become(fds)
            control.send(b"P")
            if control.recv(1):
                return
        except OSError:
            pass  # it is not waited for any more
        os._exit(0)
