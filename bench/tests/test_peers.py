# SPDX-License-Identifier: MIT
"""Who counts as faster; no peer is needed."""

from __future__ import annotations

import json

import peers
import pytest
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
    monkeypatch.setattr(peers, "measure", lambda _: iter([entries(numpy=200.0), entries(roperot_c=100.0)]))
    path = make_file("a", [])
    monkeypatch.setattr("sys.argv", ["peers.py", "--into", str(path), "--cpu", "0"])
    assert peers.main() == 0
    found = results.load(path)
    assert found.context["peers"]["mlx"] == "0.32.4"
    assert found.context["peers"]["jax"] == "not installed"
    assert "(numpy 2.4.6, mlx 0.32.4)" in tables.overview(found)


def refusal(monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr("sys.argv", ["peers.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        peers.main()
    assert stop.value.code == 2  # 1: a peer is faster
    return capsys.readouterr().err


def test_the_file_is_read_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peers, "measure", lambda _: pytest.fail("measured"))
    path = tmp_path / "a.json"
    text = refusal(monkeypatch, capsys, "--into", str(path))
    assert text == f"peers.py: error: --into {path}: No such file or directory\n"
    path.write_text('{"benchmarks": []}')
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        assert f"--into {path}: there is no permission" in refusal(patch, capsys, "--into", str(path))
    path.write_text("{}")
    assert f"--into {path}: not a file of Google Benchmark" in refusal(monkeypatch, capsys, "--into", str(path))


def test_a_file_without_a_context_gets_one(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "measure", lambda _: iter([entries(roperot_c=100.0, numpy=50.0)]))
    path = tmp_path / "a.json"
    path.write_text('{"benchmarks": []}')
    monkeypatch.setattr("sys.argv", ["peers.py", "--into", str(path)])
    assert peers.main() == 1
    assert "numpy" in json.loads(path.read_text())["context"]["peers"]


def test_what_was_measured_before_an_interruption_is_in_the_file(monkeypatch, make_file):
    def interrupted(_: object):
        yield entries(numpy=200.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(peers, "measure", interrupted)
    path = make_file("a", [])
    monkeypatch.setattr("sys.argv", ["peers.py", "--into", str(path)])
    with pytest.raises(KeyboardInterrupt):
        peers.main()
    assert results.load(path).value("peer/numpy/f32/half/decode", "ns") == 200.0


def test_a_failure_of_roperot_bench_is_no_faster_peer(tmp_path, monkeypatch, capsys):
    assert "roperot-bench is missing" in refusal(monkeypatch, capsys, "--build", str(tmp_path))
    program = tmp_path / "bench" / "roperot-bench"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho first >&2\necho the reason >&2\nexit 1\n")
    program.chmod(0o755)
    text = refusal(monkeypatch, capsys, "--build", str(tmp_path))
    assert text.endswith("peers.py: error: roperot-bench ended with status 1: the reason\n")
    assert "--cpu: 99999 is not a CPU" in refusal(monkeypatch, capsys, "--cpu", "99999")
