# SPDX-License-Identifier: MIT
"""roperot-bench itself: names, counters, and nothing but the report on stdout. $ROPEROT_BENCH is its path."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import results

PROGRAM = os.environ.get("ROPEROT_BENCH", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="ROPEROT_BENCH is not set")
SHAPES = """decode batch16 prefill128 prefill4096 decode-d64 decode-d80 decode-d96 decode-d256 prefill128-d64
prefill128-d80 prefill128-d96 prefill128-d256 prefill128-bhsd prefill4096-bhsd decode-out prefill128-out
prefill4096-out prefill128-2t decode-factored prefill128-factored front front-out""".split()
RATIO = {"decode": "sweep_ratio", "decode-out": "copy_ratio", "decode-factored": "full_ratio", "front": None}


def output(*arguments: str) -> str:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    chosen = f"^rotate/f32/.*/({'|'.join(RATIO)})$"
    text = output(f"--benchmark_filter={chosen}", "--benchmark_min_time=0.001", "--benchmark_format=json")
    return json.loads(text)["benchmarks"]  # fails if anything else is printed


def test_every_name_is_there():
    names = output("--benchmark_list_tests", "--benchmark_filter=^rotate/").split()
    isas = {name.split("/")[3] for name in names}
    assert "scalar" in isas
    assert sorted(names) == sorted(
        f"rotate/{dtype}/{pairing}/{isa}/{shape}"
        for dtype in ("f32", "f16", "bf16")
        for pairing in ("half", "interleaved")
        for isa in isas
        for shape in SHAPES
    )


def test_every_name_has_its_form():
    for name in output("--benchmark_list_tests").split():
        assert not results.name_complaint({"name": name}), results.name_complaint({"name": name})


def test_each_kind_has_its_ratio_and_an_error_has_none(rows):
    assert len(rows) >= 2 * len(RATIO)
    for row in rows:
        wanted = RATIO[row["name"].split("/")[-1]]
        ratios = {key for key in row if key.endswith("_ratio")}
        assert ratios == ({wanted} if wanted and "error_occurred" not in row else set()), row


def test_several_axes_are_held_against_one():
    chosen = "--benchmark_filter=^mrope/bf16/half/scalar/"
    names = output("--benchmark_list_tests", chosen).split()
    assert names == [
        f"mrope/bf16/half/scalar/{cache}-{prompt}" for cache in ("full", "factored") for prompt in ("image", "text")
    ]
    for row in json.loads(output(chosen, "--benchmark_min_time=0.001", "--benchmark_format=json"))["benchmarks"]:
        assert row["plain_ratio"] > 0 and row["ns"] >= row["ns_min"] > 0, row


def test_a_cold_call_is_held_against_the_plain_loop():
    chosen = "--benchmark_filter=^cold/.*/scalar/"
    names = output("--benchmark_list_tests", chosen).split()
    assert sorted(names) == sorted(
        f"cold/{dtype}/{pairing}/scalar/{cache}-{kind}-{swept}"
        for dtype in ("f32", "f16", "bf16")
        for pairing in ("half", "interleaved")
        for cache in ("full", "factored")
        for kind in ("offset", "ids", "signed", "layer", "bare")
        for swept in ("96MiB", "12MiB", "hot")
    )
    chosen = "--benchmark_filter=^cold/.*/scalar/full-.*-hot"
    text = output(chosen, "--benchmark_min_time=0.001", "--benchmark_format=json")
    for row in json.loads(text)["benchmarks"]:
        assert row["plain_ratio"] == pytest.approx(row["ns"] / row["plain_ns"]), row
        assert row["ns"] >= row["ns_min"] > 0, row


def test_figures_agree_with_each_other(rows):
    for row in (r for r in rows if "error_occurred" not in r):
        assert row["ns"] >= row["ns_min"] > 0
        assert row["rounds"] >= 15
        if row["name"].endswith("/decode"):
            assert row["GB/s"] * row["ns"] == pytest.approx(2 * 40 * 128 * 4)
            assert row["void"] == (row["sweep_of_twin"] < 0.95)


def test_a_decode_step_is_held_against_the_plain_loop():
    names = output("--benchmark_list_tests", "--benchmark_filter=^step/roperot").split()
    assert names == [
        f"step/roperot-{cache}/{dtype}/{pairing}"
        for dtype in ("f32", "f16", "bf16")
        for pairing in ("half", "interleaved")
        for cache in ("full", "factored")
    ]


def test_repetitions_have_statistics_and_the_context_has_the_shapes(tmp_path):
    chosen = "--benchmark_filter=^rotate/f32/half/scalar/decode$"
    out = tmp_path / "x.json"
    flags = ["--benchmark_repetitions=3", "--benchmark_min_time=0.001", f"--benchmark_out={out}"]
    output(chosen, *flags)
    found = results.load(out)
    assert len(found.rows["rotate/f32/half/scalar/decode"].repetitions) == 3
    assert found.main_shapes == ["decode", "batch16", "prefill128", "prefill4096"]
    assert results.shapes_of(found.context)["decode"] == [1, 32, 8, 128, 1000]


def test_what_was_measured_is_in_the_file_when_the_program_is_killed(tmp_path):
    out = tmp_path / "x.json"
    command = [PROGRAM, "--benchmark_filter=^rotate/f32/half/scalar/", f"--benchmark_out={out}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            if line.startswith("rotate/f32/half/scalar/batch16"):
                program.kill()
    assert "rotate/f32/half/scalar/decode" in results.load(out).rows


def test_an_unknown_flag_is_refused():
    done = subprocess.run([PROGRAM, "--benchmark_nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nonsense" in done.stderr
