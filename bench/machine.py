# SPDX-License-Identifier: MIT
"""Names the machine as its processor describes itself, whatever its host is called; it must not measure."""

from __future__ import annotations

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# What tells models of one brand apart: x86, then ARM, then RISC-V.
NUMBERS = (
    ("cpu family", "model", "stepping"),
    ("CPU implementer", "CPU part", "CPU variant", "CPU revision"),
    ("mvendorid", "marchid", "mimpid"),
)


def first_cpu(text: str) -> dict[str, str]:
    """The lines about the first CPU of /proc/cpuinfo."""
    lines = (line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in lines}


def facts() -> dict[str, str]:
    return first_cpu(CPUINFO.read_text()) if CPUINFO.exists() else {}


def cpu_name() -> str:
    return facts().get("model name") or platform.processor() or platform.machine()


def numbers(known: dict[str, str]) -> str:
    """`25-1-1`: family, model and stepping, or what stands for them."""
    for keys in NUMBERS:
        if keys[0] in known:
            return "-".join(known.get(key, "0").removeprefix("0x") for key in keys)
    return platform.machine()


def cache_sizes(folder: Path = CACHES) -> str:
    """`l1-32k-l2-512k-l3-32768k`: data and unified caches as the CPU states them; empty if it does not."""
    found = {}
    for cache in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[level] = size.lower()
    return "-".join(f"l{level}-{size}" for level, size in found.items())


def identity() -> str:
    return "-".join(filter(None, [numbers(facts()), cache_sizes()]))


def slug(name: str) -> str:
    """`Intel(R) Xeon(R) Processor` becomes `intel-xeon-processor`."""
    words = re.sub(r"\((r|tm)\)|@.*", " ", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")
