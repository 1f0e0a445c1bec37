# SPDX-License-Identifier: MIT
"""Intervals and verdicts; the numbers are made, so that the right answers are known."""

from __future__ import annotations

import compare
import numpy
import results
from conftest import row

NAME = "rotate/f32/half/avx2/decode"


def repeated(counter: str, values: list[float]) -> list[dict]:
    return [{**row(NAME, 100.0), "repetition_index": i, counter: v} for i, v in enumerate(values)]


def only_change(make_file, old: list[dict], new: list[dict]) -> compare.Change:
    changes = compare.changes(results.load(make_file("old", old)), results.load(make_file("new", new)))
    assert len(changes) == 1
    return changes[0]


def test_a_ratio_that_fell_is_slower(make_file):
    old, new = [0.80, 0.81, 0.79, 0.80, 0.80], [0.70, 0.71, 0.69, 0.70, 0.70]
    c = only_change(make_file, repeated("sweep_ratio", old), repeated("sweep_ratio", new))
    assert (c.metric, c.verdict) == ("sweep_ratio", "slower")
    assert c.low <= 0.875 <= c.high < 0.94
    assert c.low > 0.82


def test_less_time_is_faster(make_file):
    c = only_change(make_file, repeated("ns", [200, 202, 198]), repeated("ns", [100, 101, 99]))
    assert (c.metric, c.verdict) == ("ns", "faster")
    assert c.low <= 2.0 <= c.high
    assert c.speed == 2.0


def test_noise_is_no_change(make_file):
    random = numpy.random.default_rng(1)
    old, new = (list(random.normal(100, 10, 9)) for _ in range(2))
    assert only_change(make_file, repeated("ns", old), repeated("ns", new)).verdict == "same"


def test_one_run_has_an_interval_from_its_chunks(make_file):
    quiet = only_change(make_file, [row(NAME, 100.0, spread=0.0)], [row(NAME, 101.0, spread=0.0)])
    assert quiet.verdict == "same"
    assert 0.96 < quiet.low < quiet.high < 1.02
    wild = only_change(make_file, [row(NAME, 100.0, spread=0.9, rounds=9)], [row(NAME, 130.0, spread=0.9, rounds=9)])
    assert wild.verdict == "same"
    assert wild.high - wild.low > 0.5
    assert only_change(make_file, [row(NAME, 100.0)], [row(NAME, 110.0)]).verdict == "slower"


def test_the_interval_covers_the_truth_about_95_times_in_100():
    random = numpy.random.default_rng(2)
    hits = 0
    for _ in range(100):
        low, high = compare.bootstrap(list(random.normal(100, 5, 15)), list(random.normal(110, 5, 15)))
        hits += low <= 1.1 <= high
    assert 85 <= hits <= 100


def test_errors_and_strangers_are_left_out(make_file):
    old = [row(NAME, 100.0), row("only/old", 1.0), row("rotate/f32/half/avx2/void", 5.0)]
    new = [
        row(NAME, 100.0),
        row("only/new", 1.0),
        row("rotate/f32/half/avx2/void", 5.0, error_occurred=True, error_message="the run is void"),
    ]
    assert only_change(make_file, old, new).name == NAME


def test_the_worst_comes_first(make_file):
    names = ["a/1", "a/2", "a/3"]
    old = results.load(make_file("old", [row(n, 100.0) for n in names]))
    new = results.load(make_file("new", [row(n, ns) for n, ns in zip(names, (90.0, 150.0, 110.0), strict=False)]))
    assert [c.name for c in compare.changes(old, new)] == ["a/2", "a/3", "a/1"]
