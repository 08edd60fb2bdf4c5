"""A function flaps between zero and many pods under load: no request may fail.

EBB_FLAP_REQUESTS says how many requests are sent (default 40,000)."""

import os
import re
import subprocess
import unittest

from harness import PATIENCE, Ebb, wait_until

REQUESTS = int(os.environ.get("EBB_FLAP_REQUESTS", "40000"))
BURST_SECONDS = 3
CONNECTIONS = 48


def burst(ebb, name):
    """Load for BURST_SECONDS; the number of answers, and what went wrong."""
    text = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{BURST_SECONDS}s", f"--timeout={int(PATIENCE)}s",
         "-H", f"Host: {name}.default.localhost", "http://%s:%d/" % ebb.gateway],
        text=True, capture_output=True, timeout=PATIENCE * 3, check=True).stdout
    wrong = [line.strip() for line in text.splitlines()
             if "Socket errors" in line or "Non-2xx" in line]
    return int(re.search(r"(\d+) requests in", text)[1]), wrong


class Flap(unittest.TestCase):
    def test_no_request_fails_while_pods_come_and_go(self):
        with Ebb("--pool", "12") as ebb:
            ebb.deploy("flap", "import time\ndef handle(request):\n    time.sleep(0.002)\n    return 'hi'\n",
                       "--concurrency", "4", "--max", "24",
                       "--annotation", "autoscaling.knative.dev/window=6s")
            total, cycles, most = 0, 0, 0
            while total < REQUESTS:
                wait_until(lambda: not ebb.pods("flap"), "no pods", PATIENCE * 3)
                answered, wrong = burst(ebb, "flap")
                self.assertEqual(wrong, [], f"after {total} requests, cycle {cycles}\n" + "".join(ebb.log[-20:]))
                most = max(most, len(ebb.pods("flap")))
                total += answered
                cycles += 1
            print(f"{total} requests in {cycles} bursts from zero, up to {most} pods", flush=True)
            self.assertGreater(most, 3)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
