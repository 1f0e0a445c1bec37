# SPDX-License-Identifier: MIT
"""Values of options that are checked before anything runs, and how a script ends; it must not know what is measured."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

FAILURE = 2  # argparse's own; 1 is an answer: slower than the gate allows, or a peer is faster


def fail(program: str, why: object) -> NoReturn:
    print(f"{program}: error: {why}", file=sys.stderr)
    raise SystemExit(FAILURE)


def need_package(program: str, missing: str) -> None:
    """`missing` is the package that could not be imported; empty if none."""
    if missing:
        fail(program, f"the Python package {missing} is missing; pip install -r bench/requirements.txt installs it")


def expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text} is not a valid regular expression: {error}") from error
    return text


def count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def cpu(text: str) -> int:
    """One that this process may move to, which can be more than where it may run now."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {int(text)})
    except (ValueError, OverflowError, OSError) as error:
        names = ", ".join(map(str, sorted(allowed)))
        raise argparse.ArgumentTypeError(f"{text} is not a CPU that can be used here; there are {names}") from error
    os.sched_setaffinity(0, allowed)
    return int(text)


def output_file(text: str) -> Path:
    """A file that can be written; its folder need not exist yet."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text or 'an empty name'} is a folder; the name of a file is wanted")
    there = path if path.exists() else next(folder for folder in path.absolute().parents if folder.exists())
    if there != path and not there.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be written: {there} is not a folder")
    if not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written: there is no permission to write to {there}")
    return path


def last_line(text: str) -> str:
    """What a program that failed said last."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]
