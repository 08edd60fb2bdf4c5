"""What dies, and what goes on: the supervisor, the Local Controller and the front are
killed, stopped and told to end, with functions in use."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from harness import BUILD, PATIENCE, PROGRAM, Ebb, Load, wait_until

HELLO = "def handle(request): return 'hi'\n"
WHO = "import os\nstate = os.urandom(8).hex()\ndef handle(request): return state\n"


class OutOfMemory(unittest.TestCase):
    def test_the_kernel_is_told_to_end_pods_first(self):
        def score(pid):
            return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())
        with Ebb() as ebb:
            ebb.deploy("hello", HELLO, "--min", "1")
            own = score("self")
            controller = ebb.local_controller()
            self.assertEqual([score(pid) for pid in (ebb.process.pid, controller, ebb.front())],
                             [own] * 3)
            children = pathlib.Path(f"/proc/{controller}/task/{controller}/children")
            pods = children.read_text().split()  # and a zygote
            self.assertGreaterEqual(len(pods), 3)
            self.assertEqual({score(pid) for pid in pods}, {max(own, 900)})


class WithoutRoot(unittest.TestCase):
    """Somebody's own Ebb: no root, but a user namespace."""

    def test_runs_with_what_it_has(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chown(folder, 65534, 65534)
            os.chmod(folder, 0o755)
            nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            with Ebb(data=folder, prefix=nobody) as ebb:
                self.assertIn("run as one user", "".join(ebb.log))
                self.front_has_no_rights(ebb)
                ebb.deploy("who", """
import os
def handle(request):
    try:
        os.listdir('/home')
        home = 'seen'
    except OSError:
        home = 'hidden'
    caps = [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')][0]
    return {'uid': os.getuid(), 'home': home, 'caps': int(caps, 16),
            'processes': len([p for p in os.listdir('/proc') if p.isdigit()])}
""")
                answer = ebb.get("who")
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(json.loads(answer.text),
                                 {"uid": 1000, "home": "hidden", "caps": 0, "processes": 1})
                ebb.deploy("other", HELLO)
                self.assertEqual(ebb.get("other").text, "hi")
                killed = ebb.local_controller()
                os.kill(killed, signal.SIGKILL)
                wait_until(lambda: ebb.local_controller() != killed, "another Local Controller")
                self.assertEqual(ebb.get("who", timeout=PATIENCE * 2).status, 200)
                self.assertEqual(ebb.stop(), 0)
                self.assertEqual(ebb.leftovers(), [])

    def front_has_no_rights(self, ebb):
        """Not even over the pods, whose namespaces its user made."""
        def namespace(pid):
            return os.readlink(f"/proc/{pid}/ns/user")
        children = pathlib.Path(f"/proc/{ebb.process.pid}/task/{ebb.process.pid}/children")
        fronts = [pid for pid in children.read_text().split()
                  if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "ebb"]
        self.assertEqual(len(fronts), 1)
        status = pathlib.Path(f"/proc/{fronts[0]}/status").read_text()
        for field in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            self.assertRegex(status, rf"{field}:\t0+\n")
        self.assertIn("NoNewPrivs:\t1", status)
        if BUILD.name == "tsan":  # its own thread forbids a namespace to be made
            self.assertIn("the front shares a user namespace", "".join(ebb.log))
        else:
            self.assertNotEqual(namespace(fronts[0]), namespace(ebb.local_controller()))
        self.assertNotEqual(namespace(ebb.local_controller()), namespace("self"))


class Processes(unittest.TestCase):
    def end(self, ebb):
        self.assertEqual(ebb.stop(), 0, "".join(ebb.log))
        self.assertEqual(ebb.leftovers(), [])

    def test_a_killed_front_is_started_again_and_takes_the_pods_over(self):
        with Ebb() as ebb:
            ebb.deploy("adopt", WHO)
            before = ebb.get("adopt").text
            pods = ebb.pods("adopt")
            front = ebb.front()
            os.kill(front, signal.SIGKILL)
            # Nothing was in flight, so nobody notices: the listening sockets stay.
            self.assertEqual(ebb.get("adopt").text, before)
            self.assertNotEqual(ebb.front(), front)
            self.assertEqual(ebb.pods("adopt"), pods)
            self.end(ebb)

    def test_a_front_killed_under_load_loses_only_what_was_in_it(self):
        with Ebb() as ebb:
            ebb.deploy("busy", HELLO)
            ebb.get("busy")
            with Load(ebb, "busy") as load:
                for _ in range(3):
                    seen = len(load.answers)
                    wait_until(lambda: len(load.answers) > seen + 50, "answers")
                    os.kill(ebb.front(), signal.SIGKILL)
                seen = len(load.answers)
                wait_until(lambda: len(load.answers) > seen + 50, "answers")
            self.assertEqual(set(load.answers), {200})
            self.assertFalse([e for e in load.errors if isinstance(e, ConnectionRefusedError)])
            self.assertLessEqual(len(load.errors), 3 * len(load.threads))
            self.end(ebb)

    def test_a_killed_local_controller_is_started_again(self):
        with Ebb() as ebb:
            ebb.deploy("again", WHO)
            before = ebb.get("again").text
            controller = ebb.local_controller()
            os.kill(controller, signal.SIGKILL)

            def other():  # the old pod may answer for as long as its end takes
                answer = ebb.get("again")  # waits for a pod of the new one
                self.assertEqual(answer.status, 200, answer)
                return answer.text != before
            wait_until(other, "a pod of the new one")
            self.assertNotEqual(ebb.local_controller(), controller)
            self.assertIn("the Local Controller has ended (by signal 9)", "".join(ebb.log))
            self.end(ebb)

    def test_both_killed_at_once(self):
        with Ebb() as ebb:
            ebb.deploy("both", HELLO)
            ebb.get("both")
            os.kill(ebb.local_controller(), signal.SIGKILL)
            os.kill(ebb.front(), signal.SIGKILL)
            self.assertEqual(ebb.get("both").status, 200)
            self.end(ebb)

    def test_a_local_controller_that_hangs_is_replaced(self):
        with Ebb() as ebb:
            ebb.deploy("hung", HELLO)
            ebb.get("hung")
            controller = ebb.local_controller()
            os.kill(controller, signal.SIGSTOP)
            wait_until(lambda: not pathlib.Path(f"/proc/{controller}").exists(),
                       "the one that hangs is ended")
            self.assertEqual(ebb.get("hung").status, 200)
            self.end(ebb)

    def test_a_killed_supervisor_takes_its_front_along_and_the_next_adopts(self):
        with Ebb() as ebb:
            ebb.deploy("adopt", WHO)
            before = ebb.get("adopt").text
            pods = ebb.pods("adopt")
            front = ebb.front()
            ebb.process.kill()
            ebb.process.wait()
            wait_until(lambda: not pathlib.Path(f"/proc/{front}").exists(), "its front has ended")
            ebb.start()
            self.assertEqual(ebb.pods("adopt"), pods)
            self.assertEqual(ebb.get("adopt").text, before)  # the very same pod
            self.end(ebb)

    def test_after_a_kill_of_everything_the_next_start_sweeps(self):
        with Ebb() as ebb:
            ebb.deploy("swept", HELLO)
            ebb.get("swept")
            victims = [ebb.process.pid, ebb.local_controller(), ebb.front()]
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            ebb.process.wait()
            wait_until(lambda: not [left for left in ebb.leftovers() if left.startswith("process")],
                       "all processes of the old run have ended")
            ebb.start()
            self.assertEqual(ebb.get("swept").status, 200)
            self.end(ebb)

    def test_a_second_ebb_up_on_the_same_data_is_refused(self):
        with Ebb() as ebb:
            second = subprocess.run(
                [PROGRAM, "up", "--data", ebb.data, "--gateway", "127.0.0.1:0", "--api", "127.0.0.1:0"],
                text=True, capture_output=True, timeout=60)
            self.assertEqual(second.returncode, 1)
            self.assertIn("another ebb up uses the data folder", second.stderr)
            self.end(ebb)

    def test_no_connection_waits_in_vain_while_it_ends(self):
        with Ebb() as ebb:
            ebb.deploy("slow", "import time\ndef handle(request):\n"
                               "    yield b'o'\n    time.sleep(1)\n    yield b'k'\n")
            answers, inside = [], threading.Event()

            def call():
                connection = ebb.connection()
                connection.request("GET", "/", headers={"Host": "slow.default.localhost"})
                answer = connection.getresponse()
                first = answer.read(1)
                inside.set()
                answers.append(first + answer.read())
                connection.close()
            caller = threading.Thread(target=call)
            caller.start()
            self.assertTrue(inside.wait(20))
            ebb.signal(signal.SIGTERM)

            def refused():
                connection = ebb.connection()
                try:
                    connection.connect()
                    connection.close()
                except (ConnectionRefusedError, ConnectionResetError):
                    return True  # reset: it was in the backlog of one that closed
            wait_until(refused, "the listening sockets are closed while the request goes on")
            caller.join()
            self.assertEqual(answers, [b"ok"])
            self.assertEqual(ebb.wait(), 0)
            self.assertEqual(ebb.leftovers(), [])

    def test_told_twice_it_waits_for_nobody(self):
        with Ebb() as ebb:
            ebb.deploy("slow", "import time\ndef handle(request):\n"
                               "    yield b'o'\n    time.sleep(60)\n    yield b'k'\n")
            watch = subprocess.Popen(
                [PROGRAM, "--data", ebb.data, "get", "services", "slow", "-w", "-o", "name"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                self.assertEqual(watch.stdout.readline(), "service.serving.knative.dev/slow\n")
                connection = ebb.connection()
                connection.request("GET", "/", headers={"Host": "slow.default.localhost"})
                self.assertEqual(connection.getresponse().read(1), b"o")
                front = ebb.front()
                ebb.signal(signal.SIGTERM)
                wait_until(lambda: "draining" in "".join(ebb.log), "it drains")
                os.kill(front, signal.SIGTERM)
                self.assertEqual(ebb.wait(), 1)
                connection.close()
            finally:
                watch.kill()
                watch.communicate()
            self.assertEqual(ebb.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
