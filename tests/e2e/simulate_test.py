"""`ebb simulate` on a trace that is made here: needs no running Ebb."""

import collections
import html.parser
import json
import pathlib
import subprocess
import tempfile
import unittest

from harness import PROGRAM


class Simulate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.trace = pathlib.Path(cls.folder.name) / "calls.csv"
        # Two calls of a second, 5 minutes apart.
        cls.trace.write_text("timestamp,function,duration\n0,f,1000\n300,f,1000\n")

    def simulate(self, *options, code=0):
        done = subprocess.run([PROGRAM, "simulate", str(self.trace), *options],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_policies_side_by_side(self):
        done = self.simulate("--policy", "fixed:10m", "--policy", "fixed:1s", "--cold-start", "1s",
                             "-o", "json")
        kept, gone = json.loads(done.stdout)["policies"]
        self.assertEqual((kept["policy"], kept["cold"]), ("fixed:10m", 1))
        self.assertEqual((gone["policy"], gone["cold"]), ("fixed:1s", 2))
        self.assertGreater(kept["memory_held_gb_h"], gone["memory_held_gb_h"])
        self.assertEqual(done.stderr, "")

    def test_the_seed_decides(self):
        options = ("--cold-start", "exponential:1s", "-o", "json")
        first = self.simulate(*options).stdout
        self.assertEqual(self.simulate(*options).stdout, first)
        self.assertNotEqual(self.simulate("--seed", "2", *options).stdout, first)

    def test_a_lua_policy(self):
        policy = pathlib.Path(self.folder.name) / "two.lua"
        policy.write_text("function decide(metric, state) return {desired = 2} end\n")
        out = json.loads(self.simulate("--policy", str(policy), "-o", "json").stdout)
        self.assertEqual(out["policies"][0]["peak_pods"], 2)

    def test_a_lua_policy_is_read_as_lua_reads_it_and_its_errors_name_file_and_line(self):
        policy = pathlib.Path(self.folder.name) / "mine.lua"
        decide = "function decide(metric, state)\n  {}\n  return {{desired = 1}}\nend\n"

        def run(text):
            policy.write_bytes(b"\xef\xbb\xbf#!/usr/bin/env lua\n" + text.encode())
            return json.loads(self.simulate("--policy", str(policy), "-o", "json").stdout)[
                "policies"][0]
        self.assertEqual(run(decide.format(""))["problems"], [])
        for body, why in (("local x = nil; x.y = 1", "attempt to index a nil value"),
                          ("while true do end", "more than 20000 instructions"),
                          ("local s = 'x' while true do s = s .. s end", "more memory than")):
            out = run(decide.format(body))
            self.assertGreater(out["policy_errors"], 0)
            self.assertIn(f"{policy}:3: {why}", out["first_policy_error"])
            self.assertIn(f"the first: {policy}:3: {why}", " ".join(out["problems"]))
        policy.write_text("x = = 1\n")
        wrong = self.simulate("--policy", str(policy), code=1).stderr
        self.assertIn(f"{policy}:1: unexpected symbol near '='", wrong)

    def test_a_policy_that_leaves_calls_cannot_be_overlooked(self):
        busy = pathlib.Path(self.folder.name) / "busy.csv"
        busy.write_text("timestamp,function,duration\n" + "0,f,1h\n" * 3)
        command = [PROGRAM, "simulate", str(busy), "--policy", "kpa,max-scale=1", "--policy",
                   "fixed:10m"]
        table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        self.assertRegex(table, r"(?m)^POLICY +UNFINISHED +COLD ")
        self.assertRegex(table, r"(?m)^kpa,max-scale=1 +2 ")
        self.assertRegex(table, r"(?m)^fixed:10m +0 ")
        self.assertIn("kpa,max-scale=1: 2 calls had not ended an hour after the trace", table)
        short, whole = json.loads(subprocess.run([*command, "-o", "json"], capture_output=True,
                                                 check=True).stdout)["policies"]
        self.assertEqual((len(short["problems"]), whole["problems"]), (1, []))
        page = subprocess.run([*command, "-o", "html"], capture_output=True, text=True,
                              check=True).stdout
        self.assertIn('<p class="bad">kpa,max-scale=1: 2 calls', page)
        self.assertIn("kpa,max-scale=1 (not comparable)", page)

    def test_how_calls_are_spread_over_their_minute(self):
        counts = pathlib.Path(self.folder.name) / "counts.csv"
        counts.write_text("HashOwner,HashApp,HashFunction,1\no,a,f,100\n")
        peaks = {}
        for spread in ("equidistant", "aligned", "uniform", "exponential", "start"):
            done = subprocess.run([PROGRAM, "simulate", str(counts), "--policy", "fixed:10m",
                                   "--spread", spread, "-o", "json"], capture_output=True,
                                  text=True, check=True)
            out = json.loads(done.stdout)
            self.assertEqual(out["spread"], spread)
            peaks[spread] = out["policies"][0]["peak_pods"]
        self.assertEqual(peaks["start"], 100)
        self.assertLess(peaks["equidistant"], peaks["start"])
        text = subprocess.run([PROGRAM, "simulate", str(counts), "--spread", "uniform"],
                              capture_output=True, text=True, check=True).stdout
        self.assertIn("spread of a minute's calls: uniform; seed 1", text)
        self.assertIn("{equidistant,aligned,uniform,exponential,start}",
                      self.simulate("--spread", "wide", code=2).stderr)
        self.assertNotIn("spread", self.simulate("--spread", "uniform").stdout)

    def test_the_table(self):
        out = self.simulate("--policy", "kpa", "--nodes", "2", "--node-memory", "1Gi").stdout
        self.assertIn("2 calls of 1 function in", out)
        self.assertIn("room for 8 pods each", out)
        self.assertRegex(out, r"(?m)^kpa +2 +100\.00%")

    def test_a_policy_for_nodes(self):
        policy = pathlib.Path(self.folder.name) / "nodes.lua"
        policy.write_text("function decide(metric, state) return {desired = 3} end\n")
        nodes = ("--policy", "kpa", "--nodes", "5", "--node-policy")
        out = json.loads(self.simulate(*nodes, str(policy), "-o", "json").stdout)
        self.assertEqual((out["node_policy"], out["policies"][0]["peak_nodes"]), (str(policy), 3))
        self.assertIn(f"node policy {policy}", self.simulate(*nodes, str(policy)).stdout)
        self.assertIn("node policy average", self.simulate(*nodes, "average").stdout)
        self.assertIn("no policy \"quick\" for nodes", self.simulate(*nodes, "quick", code=1).stderr)
        self.simulate("--node-policy", "kpa", code=2)
        policy.write_text("function decide(metric, state)\n  return {desired = oh + 1}\nend\n")
        self.assertIn(f"decisions failed, the first: nodes: {policy}:2: ",
                      self.simulate(*nodes, str(policy)).stdout)

    def test_mistakes(self):
        wrong = self.simulate("--policy", "adaptive,window=0s", code=1).stderr
        self.assertIn('window: Invalid value: "0s": must be in [1s, 1h]', wrong)
        self.assertIn("no policy \"quick\"", self.simulate("--policy", "quick", code=1).stderr)
        self.simulate("--cold-start", "soon", code=2)
        self.assertIn('there is no runtime "cobol"; there are: exec, node, python',
                      self.simulate("--cold-start", "cobol=1ms", code=2).stderr)
        bad = pathlib.Path(self.folder.name) / "bad.csv"
        bad.write_text("start_s,function,duration_ms\n0,f,-5\n")
        done = subprocess.run([PROGRAM, "simulate", str(bad)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("bad.csv:2:5: duration must be 0 to", done.stderr)

    def test_standard_input(self):
        done = subprocess.run([PROGRAM, "simulate", "-", "--policy", "kpa", "-o", "json"],
                              input="0,f,1000\n300,f,1000\n", capture_output=True, text=True)
        self.assertEqual(json.loads(done.stdout)["policies"][0]["calls"], 2, done.stderr)

    def test_lenient(self):
        some = pathlib.Path(self.folder.name) / "some.csv"
        some.write_text("timestamp,function,duration,memory\n0,f,1000,128\n1,f,soon,128\n"
                        "300,f,1000,128\n200,f,1000,128\n")
        command = [PROGRAM, "simulate", str(some), "--policy", "kpa", "-o", "json"]
        strict = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(strict.returncode, 1)
        self.assertIn("some.csv:3:5: duration is no number", strict.stderr)
        out = json.loads(subprocess.run([*command, "--lenient"], capture_output=True,
                                        check=True).stdout)
        self.assertEqual((out["skipped_rows"], out["policies"][0]["calls"]), (2, 2))

    def test_one_wrong_time(self):
        plain = "timestamp,function,duration\n0,f,1000\n{}300,f,1000\n301,f,1000\n{}"
        wrong = "1700000000,f,1000\n"
        log = '{{"time":"{}","service":"f","duration_us":9,"queue_us":0}}\n'
        days = [log.format(f"{year}-11-24T02:18:09Z") for year in (2026, 1999, 2026)]
        for name, text, where in (
                ("middle.csv", plain.format(wrong, ""), ":3:1: timestamp is after the row below"),
                ("last.csv", plain.format("", wrong), ":5:1: timestamp is 19675 days after"),
                ("access.log", "".join(days), ':2:2: "time" is 9862 days before')):
            with self.subTest(name):
                path = pathlib.Path(self.folder.name) / name
                path.write_text(text)
                command = [PROGRAM, "simulate", str(path), "--policy", "kpa"]
                strict = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(strict.returncode, 1)
                self.assertIn(name + where, strict.stderr)
                lenient = subprocess.run([*command, "--lenient"], capture_output=True, text=True,
                                         check=True).stdout
                self.assertIn("1 row of the trace was wrong and left out, the first at", lenient)

    def test_the_page_stands_by_itself(self):
        out = self.simulate("--nodes", "2", "-o", "html").stdout
        page = Page()
        page.feed(out)
        page.close()
        self.assertEqual(page.open, [])
        self.assertEqual(page.outside, [])
        self.assertGreaterEqual(page.count["svg"], 6)
        for policy in ("kpa", "adaptive", "fixed:10m", "hybrid"):
            self.assertIn(policy, out)
        for used in ("1 to 2 nodes with room for 64 pods each, 8 of them kept cold",
                     "a node boots in 60s, a cold pod is made in 3ms"):
            self.assertIn(used, out)


class Page(html.parser.HTMLParser):
    """Which elements are left open, and what the page would fetch."""

    VOID = {"meta", "link", "img", "br", "hr", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.count = [], [], collections.Counter()

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [value for name, value in attrs
                         if name in ("src", "href", "data", "srcset") or "url(" in (value or "")]
        if tag in ("script", "link", "iframe", "object"):
            self.outside.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] += 1

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes another element, line {self.getpos()[0]}")

    def handle_data(self, data):
        if self.open and self.open[-1] == "style" and ("url(" in data or "@import" in data):
            self.outside.append(data)


if __name__ == "__main__":
    unittest.main()
