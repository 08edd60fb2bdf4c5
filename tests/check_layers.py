#!/usr/bin/env python3
"""Checks that each folder of src/ includes only itself and folders that stand above
it in src/README.md, that heavy third-party headers stay out of headers, and that
nothing is formatted with {:?}, which cannot take every text (base/quote.h can)."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAVY = ("boost/", "CLI/", "spdlog/", "yaml-cpp/")
# Headers that only .cc files of their own folder include.
INTERNAL = {"net/asio_impl.h", "net/stream_impl.h", "net/tls_impl.h", "net/tls_pem.h"}


def layers():
    text = (ROOT / "src/README.md").read_text()
    return re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)


def main():
    order = layers()
    errors = []
    folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    for missing in folders ^ set(order):
        errors.append(f"src/README.md and src/ differ on {missing}/")
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".h", ".cc") or path.parent.name not in order:
            continue
        name = str(path.relative_to(ROOT / "src"))
        allowed = order[: order.index(path.parent.name) + 1]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if include := re.match(r'#include "(\w+)/', line):
                if include[1] in order and include[1] not in allowed:
                    errors.append(f"src/{name}:{number}: {path.parent.name}/ may not use {include[1]}/")
            if include := re.match(r"#include <([^>]+)>", line):
                if path.suffix == ".h" and name not in INTERNAL and include[1].startswith(HEAVY):
                    errors.append(f"src/{name}:{number}: <{include[1]}> is for .cc files")
            if "{:?}" in line and name != "base/quote.h":
                errors.append(f"src/{name}:{number}: {{:?}} ends the program on some bytes: use in_quotes()")
    print("\n".join(errors) or f"{len(order)} layers, all in order")
    return 1 if errors else 0


sys.exit(main())
