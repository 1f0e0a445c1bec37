# SPDX-License-Identifier: MIT
"""Who counts as faster; no peer is needed."""

from __future__ import annotations

import peers
import results
import tables


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


def test_the_versions_that_ran_are_in_the_file(tmp_path, monkeypatch, make_file):
    installed = {"numpy": "2.4.6", "mlx": "0.32.4"}

    def version(name: str) -> str:
        if name not in installed:
            raise peers.importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(peers.importlib.metadata, "version", version)
    monkeypatch.setattr(peers, "measure", lambda _: entries(roperot_c=100.0, numpy=200.0))
    path = make_file("a", [])
    monkeypatch.setattr("sys.argv", ["peers.py", "--into", str(path), "--cpu", "0"])
    assert peers.main() == 0
    found = results.load(path)
    assert found.context["peers"]["mlx"] == "0.32.4"
    assert found.context["peers"]["jax"] == "not installed"
    assert "(numpy 2.4.6, mlx 0.32.4)" in tables.overview(found)
