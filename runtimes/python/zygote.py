"""The Python zygote: imports once, warms up once, then forks pods.

The Local Controller starts it with descriptor 3 = its socket. It runs no tenant
code; each pod that comes out of it does (pod.py).
"""

import ctypes
import gc
import os

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

import pod

SOCKET = 3
FILTER = "/proc/self/fd/4"  # the seccomp program, compiled by the Local Controller
# Enough calls for the interpreter to specialise the bytecode of the request path
# before the fork, so that the pods share it.
WARM_REQUESTS = 40


def main():
    library = ctypes.PyDLL("/ebb/runtime/libebb_zygote.so")
    library.ebb_zygote_serve.argtypes = [ctypes.c_int, ctypes.c_char_p]
    library.ebb_zygote_serve.restype = ctypes.c_int
    pod.warm_up(WARM_REQUESTS)
    pod.warm_up_async(WARM_REQUESTS)
    buffer = pod.prepare()
    gc.collect()
    gc.freeze()

    # Returns once in every pod, and once here when the Local Controller has gone.
    where = library.ebb_zygote_serve(SOCKET, FILTER.encode())
    if where == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        pod.main(buffer)
    if where < 0:
        raise OSError(-where, "the zygote cannot serve: " + os.strerror(-where))


main()
