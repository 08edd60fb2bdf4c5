"""Requests of all kinds while everything moves: functions flap between zero and many pods,
revisions roll, and a pod is killed each second. What a client sees fail must have been in a
killed pod's code, and not safe to repeat; afterwards everything is as it was before.

EBB_SOAK_REQUESTS says how many requests are sent at least (default 30,000)."""

import collections
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from grpc_server import GRPC_SERVER
from harness import BUILD, PATIENCE, Ebb, wait_until

REQUESTS = int(os.environ.get("EBB_SOAK_REQUESTS", "30000"))
BATCHES = 2
CLIENTS = 2
ROLL_SECONDS = 7
LEAST_KILLED, LEAST_ROLLED = 8, 2  # before the clients may end
# In the second half of the requests (measured: none, and 0.7 MiB with 3 revisions, however many
# requests). Revisions that were rolled stay. What each of 15,000 requests leaks shows from
# 140 bytes on.
MOST_DESCRIPTORS = {"front": 2, "controller": 0}
MOST_GROWN = {"front": 1.5, "controller": 0.5}  # MiB
MOST_PER_REVISION = {"front": 0.25, "controller": 0.05}
# Of pods that load. The third in a row counts as the function's failure, and one may be missed.
FORGIVEN_KILLS = 1
# Parts in a thousand.
HTTP_KINDS = {"small": 880, "post": 60, "chunked": 30, "events": 10, "up": 10, "down": 10}
OTHER_KINDS = {"websocket": 1, "grpc": 3}
OTHER_SHARE = 0.004  # of all requests

MIX = """
import hashlib, time
GENERATION = %d
BLOCK = b'd' * 65536
def events():
    for i in range(10):
        yield 'data: %%d\\n\\n' %% i
        time.sleep(0.004)
def handle(request):
    if request.path == '/up':
        body = request.body
        return '%%d %%s\\n' %% (len(body), hashlib.md5(body).hexdigest())
    if request.path == '/down':
        return (BLOCK for _ in range(16))
    if request.path == '/events':
        return events(), {'content-type': 'text/event-stream'}
    return 'hello\\n'
"""
SOCKET = """
async def app(scope, receive, send):
    await receive()
    await send({'type': 'websocket.accept'})
    while (message := await receive())['type'] == 'websocket.receive':
        await send({'type': 'websocket.send', 'bytes': message['bytes']})
"""
SCALING = ("--annotation", "autoscaling.knative.dev/window=6s", "--max", "12")


class Mover(threading.Thread):
    """Kills a pod each second and rolls revisions, until it is stopped."""

    killed_loading = collections.Counter()  # by revision, of all batches

    def __init__(self, ebb, enough, generation):
        super().__init__()
        self.ebb, self.killed, self.rolled = ebb, set(), 0
        self.generation = generation  # of the code, before the first roll
        self.seen_ready = set()
        self.enough = enough  # the file that says so
        self.ended, self.error = threading.Event(), None

    def run(self):
        dice = random.Random(7)
        rolled_at = time.monotonic()
        try:
            while not self.ended.wait(1):
                pods = [pod for pod in self.ebb.list("pods")
                        if pod["metadata"]["labels"]["ebb.dev/state"] == "Warm"]
                if victims := self.may_be_killed(pods):
                    self.kill(dice.choice(victims))
                if time.monotonic() - rolled_at > ROLL_SECONDS:
                    self.roll()
                    rolled_at = time.monotonic()
                if len(self.killed) >= LEAST_KILLED and self.rolled >= LEAST_ROLLED:
                    self.enough.touch()
        except Exception as error:  # for the test to see
            self.error = error
            self.enough.touch()

    def may_be_killed(self, pods):
        """Also those that still load: that somebody kills these is not the function's fault."""
        def revision(pod):
            return pod["metadata"]["labels"]["serving.knative.dev/revision"]

        def is_ready(pod):
            return pod["status"]["containerStatuses"][0]["ready"]
        for pod in pods:
            if is_ready(pod) and pod["metadata"]["name"] not in self.seen_ready:
                self.seen_ready.add(pod["metadata"]["name"])
                self.killed_loading[revision(pod)] = 0
        return [pod for pod in pods
                if is_ready(pod) or self.killed_loading[revision(pod)] < FORGIVEN_KILLS]

    def kill(self, pod):
        name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
        if self.ebb.signal_pod(name, signal.SIGKILL):
            self.killed.add(name)
            if name not in self.seen_ready:
                self.killed_loading[labels["serving.knative.dev/revision"]] += 1

    def roll(self):
        self.rolled += 1
        self.ebb.deploy("mix-%d" % (self.rolled % 2), MIX % (self.generation + self.rolled), *SCALING)

    def stop(self):
        self.ended.set()
        self.join()


class Left:
    """What a running Ebb with nothing to do holds."""

    def __init__(self, ebb):
        front, controller = ebb.front(), ebb.local_controller()
        self.descriptors = {
            name: collections.Counter(map(kind_of, pathlib.Path(f"/proc/{pid}/fd").iterdir()))
            for name, pid in (("front", front), ("controller", controller))}
        self.processes = len(ebb.pods())
        self.cgroups = sorted(p.name for p in ebb.cgroup_folder().iterdir() if p.is_dir())
        self.sockets = len(list(pathlib.Path(ebb.data, "run/pods").iterdir()))
        self.mounts = pathlib.Path(f"/proc/{controller}/mountinfo").read_text().count("\n")
        self.memory = {
            name: int(re.search(r"^RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(),
                                re.M)[1]) / 1024
            for name, pid in (("front", front), ("controller", controller))}  # MiB


def kind_of(fd):
    with contextlib.suppress(OSError):
        return re.sub(r"\d+|/[0-9a-f]{64}", "#", os.readlink(fd)).partition(":")[0]
    return "gone"


class Soak(unittest.TestCase):
    def settle(self, ebb):
        wait_until(lambda: not [p for p in ebb.pods() if p[1] != "Cold"], "no pod in use",
                   PATIENCE * 4)
        wait_until(lambda: len(ebb.pods(state="Cold")) >= self.pool, "a full pool", PATIENCE * 4)

    def clients(self, ebb, enough, batch):
        address = "%s:%d" % ebb.gateway
        client = str(pathlib.Path(__file__).parent / "soak_client.py")

        def start(number, requests, kinds):
            return subprocess.Popen(
                ["/usr/bin/python3", client, address, str(batch * (CLIENTS + 1) + number),
                 str(requests), str(enough),
                 *(f"{kind}={weight}" for kind, weight in kinds.items())],
                stdout=subprocess.PIPE, text=True)
        requests = REQUESTS // BATCHES
        others = int(requests * OTHER_SHARE)
        return [start(n, (requests - others) // CLIENTS, HTTP_KINDS) for n in range(CLIENTS)] + [
            start(CLIENTS, others, OTHER_KINDS)]

    def logged(self, ids):
        """The access log's lines of these requests."""
        lines = {}
        with open(self.log) as file:
            for line in file:
                if (name := line.partition('"id":"')[2].partition('"')[0]) in ids:
                    lines[name] = json.loads(line)
        return lines

    def is_excused(self, line, killed):
        """It was in a killed pod's code, and could not be sent again."""
        begun = line.get("cut") or line.get("upgraded") or line["bytes_out"] > 0
        return line.get("pod") in killed and (line["method"] == "POST" or begun)

    def batch(self, ebb, number):
        """Some of the requests, and the end of all pods that they had."""
        mover = Mover(ebb, self.folder / f"enough-{number}", number * 100)
        mover.start()
        clients = self.clients(ebb, mover.enough, number)
        began = time.monotonic()
        try:
            said = [json.loads(client.communicate(timeout=PATIENCE * 10 + REQUESTS / 100)[0])
                    for client in clients]
        finally:
            mover.stop()
            for client in clients:
                client.kill()
                client.wait()
        took = time.monotonic() - began
        if mover.error:
            raise mover.error

        counts = collections.Counter()
        for one in said:
            counts.update(one["counts"])
        failures = [failure for one in said for failure in one["failures"]]
        lines = self.logged({failure["id"] for failure in failures})
        bad = [(failure, lines.get(failure["id"])) for failure in failures
               if failure["id"] not in lines
               or not self.is_excused(lines[failure["id"]], mover.killed)]
        print(f"{sum(counts.values())} requests in {took:.0f} s: {dict(counts)}; "
              f"{len(mover.killed)} pods killed, {mover.rolled} revisions rolled, "
              f"{len(failures)} requests failed in killed pods' code", flush=True)
        self.assertEqual(bad[:10], [], f"{len(bad)} failures")
        self.settle(ebb)
        return mover.rolled

    def test_nothing_is_lost_while_everything_moves(self):
        folder = tempfile.TemporaryDirectory(prefix="ebb-soak-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.folder = pathlib.Path(folder.name)
        self.pool, self.log = 10, folder.name + "/access.log"
        with Ebb("--pool", str(self.pool), "--access-log", self.log) as ebb:
            for i in range(2):
                ebb.deploy(f"mix-{i}", MIX % 0, *SCALING)
            ebb.deploy("socket", SOCKET, *SCALING)
            ebb.deploy("grpc", {"run": GRPC_SERVER}, *SCALING, "--port", "h2c:8080", runtime="exec")
            for name in ("mix-0", "mix-1"):
                self.assertEqual(ebb.get(name).status, 200)
            self.settle(ebb)
            cold = Left(ebb)
            self.batch(ebb, 0)
            before = Left(ebb)
            rolled = self.batch(ebb, 1)
            after = Left(ebb)
            for what in ("processes", "sockets", "mounts"):
                self.assertEqual(getattr(cold, what), getattr(after, what), what)
            self.assertEqual(len(cold.cgroups), len(after.cgroups), after.cgroups)
            # What a first batch has made grow, such as pools of memory, is there: a second one
            # needs no more.
            print(f"memory, MiB: {cold.memory} at first, {before.memory} after one batch, "
                  f"{after.memory} after another", flush=True)
            for name, descriptors in before.descriptors.items():
                grown = after.descriptors[name] - descriptors
                self.assertLessEqual(sum(grown.values()), MOST_DESCRIPTORS[name], f"{name}: {grown}")
            # A sanitizer keeps what was freed.
            kept = {} if BUILD.name in ("asan", "tsan") else before.memory
            for name, memory in kept.items():
                most = MOST_GROWN[name] + rolled * MOST_PER_REVISION[name]
                self.assertLess(after.memory[name] - memory, most, f"{name}, MiB")
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
