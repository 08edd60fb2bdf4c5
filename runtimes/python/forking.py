"""A pod that forks: its code is loaded, and other pods of the same revision begin as forks of
it, in its namespaces and each in a cgroup of its own.

Talks to the Local Controller over the pod's control socket, see pod.py:
  controller -> pod   "F" + JSON   fork: {"pod", "late"}; with descriptors: the fork's control
                                   socket, listener, log, and the files by which it joins its
                                   cgroup; "late": that takes long, so do it while it serves
                      "Z"          retire: fork no more, end with the last fork
  pod -> controller   "X" + text   a fork has ended: its wait status and pod
  fork -> controller  "P"          it is there, and waits for "G"; then as a pod that loads
"""

import gc
import json
import os
import signal
import socket
import sys
import threading

CONTROL, LISTEN = 3, 4
MESSAGE_LIMIT = 4096
MOST_DESCRIPTORS = 8


class State:
    def __init__(self):
        self.threads = threading.active_count()
        self.tasks = len(os.listdir("/proc/self/task"))
        self.files = len(os.listdir("/proc/self/fd"))


def look():
    """What there is before the code is loaded, for check()."""
    return State()


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def check(before, automatic):
    """LookupError if the code has made what a fork would not have, or would share. Nobody
    has asked for it if `automatic`: then whatever might break is too much."""
    now = State()
    if now.threads > before.threads:
        made = "threads"
    elif automatic and now.tasks > before.tasks:
        made = "threads"
    elif automatic and now.files > before.files:
        made = "files or connections"
    elif automatic and has_children():
        made = "processes"
    else:
        return
    raise LookupError("the code cannot stay loaded for other pods to start from: it has made %s "
                      "as it was loaded" % made)


class Parent:
    def __init__(self, control):
        self.control = control
        self.forks = {}  # pid -> pod
        self.retired = False

    def reap(self, *_):
        """On SIGCHLD. As the first process of its namespace it is everybody's parent."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            pod = self.forks.pop(pid, None)
            if pod is not None:
                self.control.send(b"X%d %s" % (status, pod.encode()))
        self.end_if_done()

    def retire(self, *_):
        self.retired = True
        self.end_if_done()

    def end_if_done(self):
        if self.retired and not self.forks:
            os._exit(0)

    def fork(self, order, fds):
        """True in the fork."""
        # Its end must not come before it is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            return True
        self.forks[pid] = order["pod"]
        for fd in fds:
            os.close(fd)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        return False


def join(entrances):
    for fd in entrances:
        os.write(fd, b"0")
        os.close(fd)


def become(order, fds):
    """In the fork: its own descriptors, and what must not be the same in every pod."""
    os.dup2(fds[0], CONTROL, False)
    os.dup2(fds[1], LISTEN, False)
    os.dup2(fds[2], 1)
    os.dup2(fds[2], 2)
    for fd in fds[:3]:
        os.close(fd)
    if order["late"]:
        threading.Thread(target=join, args=(fds[3:],), daemon=True).start()
    else:
        join(fds[3:])
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def serve(control):
    """Forks as it is told to. Returns in each fork, once it may serve."""
    terminate = signal.getsignal(signal.SIGTERM)
    parent = Parent(control)
    signal.signal(signal.SIGCHLD, parent.reap)
    signal.signal(signal.SIGTERM, parent.retire)
    gc.collect()
    gc.freeze()
    control.send(b"R")
    while True:
        data, fds, _, _ = socket.recv_fds(control, MESSAGE_LIMIT, MOST_DESCRIPTORS)
        if not data:
            os._exit(0)
        if data[:1] != b"F":
            parent.retire()
            continue
        order = json.loads(data[1:])
        if not parent.fork(order, fds):
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, terminate)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        become(order, fds)
        control.send(b"P")
        if not control.recv(1):
            os._exit(0)
        return
