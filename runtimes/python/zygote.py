"""The Python zygote: imports once, warms up once, then forks pods.

The Local Controller starts it with descriptor 3 = its socket. It runs no tenant
code; each pod that comes out of it does (pod.py).
"""

import ctypes
import gc
import os
import signal
import socket

# What functions commonly import: loaded once here, shared by every pod.
import asyncio  # noqa: F401
import base64  # noqa: F401
import collections  # noqa: F401
import datetime  # noqa: F401
import hashlib  # noqa: F401
import io  # noqa: F401
import json  # noqa: F401
import logging  # noqa: F401
import random  # noqa: F401
import re  # noqa: F401
import time  # noqa: F401
import urllib.parse  # noqa: F401
import uuid  # noqa: F401

import hot_pages
import pod

SOCKET = 3
FILTER = "/proc/self/fd/4"  # the seccomp program, compiled by the Local Controller
# Enough calls for the interpreter to specialise the bytecode of the request path
# before the fork, so that the pods share it.
WARM_REQUESTS = 40
TRIAL_TIME = 10  # seconds
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def written_by_trial(buffer, code):
    """The pages that a pod writes to until it has answered its first request."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its, socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        for each in (ours, client):
            each.settimeout(TRIAL_TIME)
        listener.bind("")  # the kernel finds a name
        listener.listen(1)
        zygote = os.getpid()
        trial = os.fork()
        if trial == 0:
            try:
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != zygote:
                    os._exit(0)
                os.dup2(its.fileno(), pod.CONTROL)
                os.dup2(listener.fileno(), pod.LISTEN)
                pod.main(buffer)
            finally:
                os._exit(1)
        try:
            its.close()
            client.connect(listener.getsockname())
            listener.close()  # so that the trial's end is seen
            client.sendall(pod.WARM_REQUEST)  # it waits when the pod begins to serve
            if ours.recv(1) != b"W":
                return set()
            ours.send(b"C" + code)
            ours.send(b"L" + pod.WARM_MESSAGE)
            client.recv(65536)
            return hot_pages.written(trial)
        finally:
            os.kill(trial, signal.SIGKILL)
            os.waitpid(trial, 0)


def copy_what_pods_write(library, buffer):
    """At the fork; see hot_pages.py. Without it each pod is only prepared more slowly."""
    try:
        codes = (pod.WARM_CODE, *pod.WARM_CODES.values())
        pages = set().union(*(written_by_trial(buffer, code) for code in codes))
        hot_pages.copy_at_fork(library, pages)
    except Exception:  # pods start all the same
        pass


def main():
    library = ctypes.PyDLL("/ebb/runtime/libebb_zygote.so")
    library.ebb_zygote_serve.argtypes = [ctypes.c_int, ctypes.c_char_p]
    library.ebb_zygote_serve.restype = ctypes.c_int
    pod.warm_up_zygote(WARM_REQUESTS)
    buffer = pod.prepare()
    gc.collect()
    gc.freeze()
    copy_what_pods_write(library, buffer)

    # Returns once in every pod, and once here when the Local Controller has gone.
    where = library.ebb_zygote_serve(SOCKET, FILTER.encode())
    if where == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        pod.main(buffer)
    if where < 0:
        raise OSError(-where, "the zygote cannot serve: " + os.strerror(-where))


main()
