# SPDX-License-Identifier: MIT
"""Lets the tests import the scripts beside them, and makes result files; it must not know any test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def row(name: str, ns: float, **counters: object) -> dict:
    return {
        "name": name,
        "run_name": name,
        "run_type": "iteration",
        "repetitions": 1,
        "threads": 1,
        "iterations": 100,
        "real_time": ns,
        "cpu_time": ns,
        "time_unit": "ns",
        "ns": ns,
        "rounds": 700.0,
        "spread": 0.02,
        **counters,
    }


@pytest.fixture
def make_file(tmp_path: Path):
    """make_file("a", [rows...]) -> the path of a file as Google Benchmark writes it."""

    def make(stem: str, rows: list[dict], **context: object) -> Path:
        path = tmp_path / f"{stem}.json"
        document = {
            "context": {
                "cpu": f"CPU {stem}",
                "isa": "avx2",
                "commit": stem,
                "date": "2026-11-23T12:00:00",
                "caches": [{"type": "Data", "level": 1, "size": 49152}],
                **context,
            },
            "benchmarks": rows,
        }
        path.write_text(json.dumps(document))
        return path

    return make
