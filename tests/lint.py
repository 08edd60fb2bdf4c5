#!/usr/bin/env python3
"""Checks that every header compiles alone (g++), and runs clang-tidy over every source
but tests and fuzz targets.

Reading the headers is what takes clang-tidy its time, so the sources of a folder are
read some at a time, as one unit; where their names clash, in halves. What passed is
remembered by its content, below $XDG_CACHE_HOME/ebb-lint: only what changed is read
again.

    lint.py BUILD     BUILD: a configured build folder with compile_commands.json
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ebb-lint"
TIDY = "clang-tidy-19"
UNIT = 8  # sources read as one; with more a change costs more, with fewer the whole does
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def sources():
    patterns = ["src/*.cc", "src/*.h", "tests/*.cc", "bench/*.cc", "bench/*.h"]
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for line in listed.splitlines() if (path := ROOT / line).exists()]


def name_of(path):
    return str(path.relative_to(ROOT))


def closure(path, seen):
    """Adds `path` and every file of the project that it includes to `seen`."""
    if path in seen:
        return
    seen.add(path)
    for name in INCLUDE.findall(path.read_text()):
        for base in (ROOT / "src", ROOT, path.parent):
            if (included := base / name).exists():
                closure(included.resolve(), seen)
                break


def digest(paths, *others):
    """A name for this very content of `paths` and all they include, and of `others`."""
    seen = set()
    for path in paths:
        closure(path, seen)
    state = hashlib.sha256("\0".join(others).encode())
    for path in sorted(seen):
        state.update(f"\0{name_of(path)}\0".encode() + path.read_bytes())
    return state.hexdigest()


class Header:
    FLAGS = ["-std=c++20", "-Wall", f"-I{ROOT}/src", f"-I{ROOT}", "-isystem", "/usr/share/include/llhttp",
             "-DLLHTTP_STRICT_MODE=1"]

    def __init__(self, path):
        self.path = path
        self.stamp = CACHE / digest([path], "header", *self.FLAGS[:2])

    def check(self):
        """Nothing when it passes, else what was said."""
        if self.stamp.exists():
            return ""
        ran = subprocess.run(["g++", "-fsyntax-only", *self.FLAGS, "-x", "c++", "-"],
                             input=f'#include "{self.path}"\n', capture_output=True, text=True, cwd=ROOT)
        if ran.returncode == 0:
            self.stamp.touch()
            return ""
        return f"{name_of(self.path)} does not compile alone:\n{ran.stderr}"


class Unit:
    VERSION = subprocess.run([TIDY, "--version"], check=True, capture_output=True, text=True).stdout
    CONFIG = (ROOT / ".clang-tidy").read_text()
    # These fire on what other files of the unit declare; g++ warns of shadows, too.
    BLIND = ("-bugprone-forward-declaration-namespace", "-Wshadow")

    def __init__(self, members, commands, folder):
        self.members, self.commands, self.folder = members, commands, folder
        words = [word for path in members
                 for word in re.findall(r"-[DIW]\S+|-isystem \S+|-std=\S+", commands[str(path)])]
        self.flags = list(dict.fromkeys(words))
        flags = [flag.replace(str(ROOT), "") for flag in self.flags]
        self.stamp = CACHE / digest(members, "tidy", self.VERSION, self.CONFIG, *flags)

    def check(self):
        """Nothing when it passes, else what was said."""
        if self.stamp.exists():
            return ""
        unit = self.folder / (self.stamp.name[:16] + ".cc")
        unit.write_text("".join(
            f'#include "{path}"  // NOLINT(bugprone-suspicious-include)\n' for path in self.members))
        ran = subprocess.run(
            [TIDY, "--quiet", f"--checks={self.BLIND[0]}", rf"--header-filter={ROOT}/(src|tests|bench)/.*", str(unit), "--",
             *(part for flag in self.flags if flag not in self.BLIND for part in shlex.split(flag))],
            capture_output=True, text=True, cwd=ROOT)
        said = ran.stdout
        if ran.returncode != 0 and "clang-diagnostic-error" in said and len(self.members) > 1:
            half = len(self.members) // 2
            said = "".join(Unit(part, self.commands, self.folder).check()
                           for part in (self.members[:half], self.members[half:]))
        elif ran.returncode != 0 and not said:  # it may have been killed
            said = ran.stderr or f"{TIDY} ended with {ran.returncode} on {', '.join(map(name_of, self.members))}\n"
        elif ran.returncode == 0:
            said = ""
        if not said:
            self.stamp.touch()
        return said


def grouped(files):
    """Lists of files of one folder, UNIT at most; a file with a main() stands alone."""
    folders = {}
    for path in files:
        alone = re.search(r"^int main\(", path.read_text(), re.MULTILINE)
        folders.setdefault(path if alone else path.parent, []).append(path)
    for members in folders.values():
        count = -(-len(members) // UNIT)
        for i in range(count):
            yield members[i * len(members) // count:(i + 1) * len(members) // count]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    commands = {e["file"]: e["command"] for e in json.loads((build / "compile_commands.json").read_text())}
    folder = build / "units"
    CACHE.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    headers = [path for path in sources() if path.suffix == ".h"]
    files = [path for path in sources()
             if path.suffix == ".cc" and not re.search(r"_(test|fuzz)\.cc$", path.name)]
    if missing := [name_of(path) for path in files if str(path) not in commands]:
        sys.exit(f"not part of the build, so not checked: {', '.join(missing)}")
    jobs = [Header(path) for path in headers]
    jobs += [Unit(members, commands, folder) for members in grouped(files)]
    todo = sum(not job.stamp.exists() for job in jobs)
    print(f"{len(headers)} headers, {len(jobs) - len(headers)} units of sources; {todo} to read", flush=True)
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for said in pool.map(lambda job: job.check(), jobs):
            if said:
                failed = True
                print(said, flush=True)
    return 1 if failed else 0


sys.exit(main())
