# SPDX-License-Identifier: MIT
"""Who counts as faster; no peer is needed."""

from __future__ import annotations

import peers


def entries(**times: float) -> list[dict]:
    return [peers.entry(f"peer/{who.replace('_', '-')}/f32/half/decode", ns) for who, ns in times.items()]


def test_a_faster_peer_is_named():
    assert peers.beaten(entries(roperot_c=100.0, numpy=99.0, jax=101.0)) == [
        "numpy is faster at f32/half/decode: 99 ns against 100 ns"
    ]


def test_neither_our_python_row_nor_a_failure_counts():
    failure = peers.failed("peer/mlx/f32/half/decode", "no such library")
    assert peers.beaten([*entries(roperot_c=100.0, roperot_python=50.0), failure]) == []


def test_a_shape_that_only_the_peer_has_does_not_count():
    assert peers.beaten([*entries(roperot_c=100.0), peers.entry("peer/numpy/f32/half/tiny", 1.0)]) == []
