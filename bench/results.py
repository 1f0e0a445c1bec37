# SPDX-License-Identifier: MIT
"""Reads Google Benchmark's JSON files; it must not know how results are shown."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path

TO_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
NOT_COUNTERS = {
    "family_index",
    "per_family_instance_index",
    "repetitions",
    "repetition_index",
    "threads",
    "iterations",
    "real_time",
    "cpu_time",
}
RATIOS = ("sweep_ratio", "copy_ratio")  # shares of a loop's speed: higher is better, and the machine's mood cancels


@dataclass
class Row:
    """One benchmark of one file: its repetitions, or the reason why there are none."""

    name: str
    error: str = ""
    repetitions: list[dict[str, float]] = field(default_factory=list)  # counters of each, "ns" among them

    def samples(self, counter: str) -> list[float]:
        return [r[counter] for r in self.repetitions if counter in r]

    def value(self, counter: str) -> float | None:
        samples = self.samples(counter)
        return statistics.median(samples) if samples else None

    @property
    def ratio(self) -> tuple[str, float] | None:
        """The share of a reference loop's speed, by whichever name it has here."""
        for counter in RATIOS:
            value = self.value(counter)
            if value is not None:
                return counter, value
        return None

    @property
    def noise(self) -> float:
        """Quartile distance over median: within a run, or over repetitions where that is larger."""
        within = self.value("spread") or 0.0
        ns = self.samples("ns")
        if len(ns) < 4:
            return within
        low, _, high = statistics.quantiles(ns, n=4)
        return max(within, (high - low) / statistics.median(ns))


@dataclass
class Results:
    """One file. rows keeps the order of the run."""

    path: str
    context: dict
    rows: dict[str, Row]

    @property
    def cpu(self) -> str:
        return self.context.get("cpu", "unknown CPU")

    @property
    def commit(self) -> str:
        return self.context.get("commit", "unknown")

    @property
    def label(self) -> str:
        return f"{self.cpu} ({Path(self.path).stem})"

    def matching(self, pattern: str) -> list[Row]:
        """Rows whose whole name matches and that did not fail."""
        expression = re.compile(pattern)
        return [r for r in self.rows.values() if not r.error and expression.fullmatch(r.name)]

    def value(self, name: str, counter: str) -> float | None:
        row = self.rows.get(name)
        return None if row is None or row.error else row.value(counter)


def counters_of(entry: dict) -> dict[str, float]:
    counters = {
        k: float(v)
        for k, v in entry.items()
        if isinstance(v, (int, float)) and k not in NOT_COUNTERS and not isinstance(v, bool)
    }
    counters.setdefault("ns", entry["real_time"] * TO_NS[entry.get("time_unit", "ns")])
    return counters


def parse(document: dict, path: str) -> Results:
    rows: dict[str, Row] = {}
    for entry in document["benchmarks"]:
        if entry.get("run_type") == "aggregate":
            continue
        name = entry.get("run_name", entry["name"])
        row = rows.setdefault(name, Row(name))
        if entry.get("error_occurred"):
            row.error = entry.get("error_message", "failed")
        else:
            row.repetitions.append(counters_of(entry))
    return Results(path, document.get("context", {}), rows)


def load(path: str | Path) -> Results:
    return parse(json.loads(Path(path).read_text()), str(path))


def natural(name: str) -> list:
    """Sorts d64 before d256."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
