#!/usr/bin/env python3
"""Checks that every header compiles alone, given the precompiled one that all are given,
and runs clang-tidy over every source but tests and fuzz targets, by the units that they
are compiled in. What passed is remembered by its content, below
$XDG_CACHE_HOME/ebb-lint: only what changed is read again. Before that it looks for names in
anonymous namespaces that another source of the unit would take for its own: that compiles.

    lint.py BUILD     BUILD: a build folder with compile_commands.json, by clang; its
                      precompiled header is made
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


HIDDEN = re.compile(r"^namespace \{$(.*?)^\}  // namespace$", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^(?:template <[^\n]*> ?\n?)?(?:\[\[\w+\]\] )?"
                      r"(?!using |struct |class |enum |union |template |static_assert|TEST|INSTANTIATE)"
                      r"[A-Za-z_][^\n;={}]*?[ &*](\w+)\(", re.MULTILINE)
TYPE = re.compile(r"^(?:struct|class|enum class|enum|using) (?:\[\[\w+\]\] )?(\w+)(?= final| \{| :| =)", re.MULTILINE)


def clashes(unit):
    """What is wrong with the names in the unit's anonymous namespaces: a function that two
    sources have, or a type that a header has, which other sources would take for theirs."""
    owners, said = {}, []
    for path in unit.members:
        headers = [*path.parent.glob("*.h"), *(ROOT / "src/base").glob("*.h")]
        types = {name: header for header in headers for name in TYPE.findall(header.read_text())}
        for block in HIDDEN.findall(path.read_text()):
            for name in set(FUNCTION.findall(block)):
                if owners.setdefault(name, path) != path:
                    said.append(f"{name_of(path)}: {name}() is also one of {name_of(owners[name])}: rename one")
            said += [f"{name_of(path)}: {name} is also one of {name_of(types[name])}: rename it, or take that one"
                     for name in TYPE.findall(block) if name in types]
    return said


class Header:
    FUZZERS = ["-isystem", "/usr/share/include/llhttp"]  # the parser that some compare with

    def __init__(self, path, command, given):
        self.path, self.command = path, command
        self.stamp = CACHE / digest([path], "header", " ".join(command).replace(str(ROOT), ""), given)

    def check(self):
        """Nothing when it passes, else what was said."""
        if self.stamp.exists():
            return ""
        ran = subprocess.run([*self.command, *self.FUZZERS, "-fsyntax-only", "-x", "c++", "-"],
                             input=f'#include "{self.path}"\n', capture_output=True, text=True, cwd=ROOT)
        if ran.returncode == 0:
            self.stamp.touch()
            return ""
        return f"{name_of(self.path)} does not compile alone:\n{ran.stderr or f'it ended with {ran.returncode}'}"


class Unit:
    VERSION = subprocess.run([TIDY, "--version"], check=True, capture_output=True, text=True).stdout
    CONFIG = (ROOT / ".clang-tidy").read_text()
    # These fire on what other sources of the unit declare; g++ warns of shadows, too.
    BLIND = ("--checks=-bugprone-forward-declaration-namespace,-bugprone-suspicious-include", "--extra-arg=-Wno-shadow")

    def __init__(self, file, command, build):
        self.file, self.build = file, build
        self.members = [file]
        if file.suffix == ".cxx":
            self.members = [pathlib.Path(name) for name in INCLUDE.findall(file.read_text())]
        flags = " ".join(re.findall(r"-[DIW]\S+|-isystem \S+|-std=\S+", command)).replace(str(ROOT), "")
        self.stamp = CACHE / digest(self.members, "tidy", self.VERSION, self.CONFIG, *self.BLIND, flags)

    def check(self):
        """Nothing when it passes, else what was said."""
        if self.stamp.exists():
            return ""
        ran = subprocess.run([TIDY, "--quiet", "-p", str(self.build), *self.BLIND,
                              rf"--header-filter={ROOT}/(src|tests|bench|runtimes)/.*", str(self.file)],
                             capture_output=True, text=True, cwd=ROOT)
        if ran.returncode == 0:
            self.stamp.touch()
            return ""
        return ran.stdout or ran.stderr or f"{TIDY} ended with {ran.returncode} on {self.file}\n"


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    commands = {pathlib.Path(e["file"]): e["command"]
                for e in json.loads((build / "compile_commands.json").read_text())}
    CACHE.mkdir(parents=True, exist_ok=True)
    for_headers = shlex.split(commands[ROOT / "src/main.cc"].split(" -o ")[0])
    for_headers = for_headers[next(i for i, word in enumerate(for_headers) if "clang++" in word):]
    headers = [path for path in sources() if path.suffix == ".h"]
    units = [Unit(file, command, build) for file, command in commands.items() if file.suffix in (".cc", ".cxx")]
    if said := [line for unit in units if len(unit.members) > 1 for line in clashes(unit)]:
        sys.exit("\n".join(said))
    units = [unit for unit in units if unit.members and all(ROOT in path.parents and build not in path.parents
                                           and not re.search(r"_(test|fuzz)\.cc$", path.name)
                                           for path in unit.members)]
    built = {path for unit in units for path in unit.members}
    if missing := [name_of(path) for path in sources()
                   if path.suffix == ".cc" and not re.search(r"_(test|fuzz)\.cc$", path.name) and path not in built]:
        sys.exit(f"not part of the build, so not checked: {', '.join(missing)}")
    given = (build / "src/CMakeFiles/ebb_pch.dir/cmake_pch.hxx").read_text()
    jobs = units + [Header(path, for_headers, given) for path in headers]
    todo = sum(not job.stamp.exists() for job in jobs)
    print(f"{len(headers)} headers, {len(units)} units of sources; {todo} to read", flush=True)
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for said in pool.map(lambda job: job.check(), jobs):
            if said:
                failed = True
                print(said, flush=True)
    return 1 if failed else 0


sys.exit(main())
