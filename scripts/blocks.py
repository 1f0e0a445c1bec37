# SPDX-License-Identifier: MIT
"""Turns the code blocks of Markdown pages into shell scripts, in their order; it must not know what they do.

usage: blocks.py <folder> <page.md> [<page.md> ...]

Writes <folder>/001.sh and so on, whose first lines say where they are from.

A `sh` block is run as it stands. A `c` or `cpp` block is saved as first.c or first.cpp if it is a whole program. A
`python` block is run by .venv/bin/python where that exists, else by python3 with the package of the checkout. Other
blocks are for reading.
"""

import argparse
import pathlib
import shlex
from typing import NamedTuple

from markdown_it import MarkdownIt

PYTHON = 'if [ -x .venv/bin/python ]; then .venv/bin/python {0}; else PYTHONPATH=python python3 {0}; fi\n'


class Block(NamedTuple):
    page: pathlib.Path
    line: int
    language: str
    content: str


def blocks_of(page):
    tokens = [t for t in MarkdownIt().parse(pathlib.Path(page).read_text()) if t.type == "fence"]
    return [Block(pathlib.Path(page), t.map[0] + 1, t.info.strip(), t.content) for t in tokens]


def save(name, content):
    return f"printf '%s' {shlex.quote(content)} >{name}\n"


def commands(language, content):
    if language == "sh":
        return content
    if language in ("c", "cpp") and "main(" in content:
        return save(f"first.{language}", content)
    if language == "python":
        return save("block.py", content) + PYTHON.format("block.py")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("pages", nargs="+")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    count = 0
    for page in given.pages:
        for block in blocks_of(page):
            script = commands(block.language, block.content)
            if script:
                count += 1
                (given.folder / f"{count:03}.sh").write_text(f"# {page}:{block.line}\nset -eu\n{script}")


if __name__ == "__main__":
    main()
