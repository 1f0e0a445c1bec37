# SPDX-License-Identifier: MIT
"""Reading, merging, flagging and gating; the pages are read back as text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import machine
import plots
import pytest
import report
import results
import tables
from conftest import row


def rotation(shape: str, ns: float, **counters: object) -> dict:
    return row(f"rotate/f32/half/avx2/{shape}", ns, **{"GB/s": 100.0, "sweep_ratio": 0.8, **counters})


def refusal(capsys, arguments: list[str]) -> str:
    """The one line that report.py ends with."""
    with pytest.raises(SystemExit) as stop:
        report.main(arguments)
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.fixture
def two_machines(make_file):
    a = make_file(
        "a",
        [
            rotation("decode", 111.0),
            rotation("prefill128", 2.5e4, spread=0.6),
            rotation("decode-d64", 7.0, void=1.0),
            rotation("decode-d80", 7.0, error_occurred=True, error_message="no memory"),
        ],
    )
    b = make_file(
        "b",
        [
            rotation("decode", 222.0),
            row("cache/full/4k/warm", 10.0, ns_per_token=33.0, build_ms=1.5, cache_bytes=2097152.0),
            row("cache/full/4k/cold", 10.0, ns_per_token=44.0, build_ms=1.5, cache_bytes=2097152.0),
            row("startup/dlopen-plan", 2.1e6, library_bytes=412.0 * 1024),
        ],
    )
    return a, b


def test_units_and_repetitions(make_file):
    entry = {**row("x/y", 0.0), "real_time": 1.5, "time_unit": "us"}
    del entry["ns"]
    mean = {**entry, "name": "x/y_mean", "run_type": "aggregate", "real_time": 9.0}
    found = results.load(make_file("a", [entry, {**entry, "real_time": 2.5, "repetition_index": 1}, mean]))
    assert list(found.rows) == ["x/y"]
    assert found.rows["x/y"].samples("ns") == [1500.0, 2500.0]
    assert found.value("x/y", "ns") == 2000.0


def test_both_machines_stand_side_by_side(two_machines, tmp_path, capsys):
    assert report.main([*map(str, two_machines), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out.md").read_text()
    line = next(found for found in text.splitlines() if found.startswith("| f32/half/avx2/decode "))
    assert [part.strip() for part in line.split("|")[2:-1]] == [
        "111 ns",
        "100",
        "0.80",
        "2%",
        "222 ns",
        "100",
        "0.80",
        "2%",
    ]
    assert "CPU a" in text
    assert "CPU b" in text
    assert "33 ns" in text
    assert "44 ns" in text
    assert "first FACTORED plan (dim 128): 2.1 ms; the library's file has 412 KiB." in text
    assert str(tmp_path / "out.html") in capsys.readouterr().out


def test_the_page_needs_no_other_file(two_machines, tmp_path):
    report.main([*map(str, two_machines), "--out", str(tmp_path / "out")])
    page = (tmp_path / "out.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(s.startswith("data:image/png;base64,iVBOR") for s in sources)
    assert page.count("<table>") >= 3


def test_the_plot_by_size_can_be_read(make_file):
    speeds = {1: 214.0, 64: 118.0, 4096: 54.0}
    rows = [row(f"growth/f32/half/avx2/tokens-{n}", 1.0, **{"GB/s": speed}) for n, speed in speeds.items()]
    rows.append(row("reference/memcpy/libc/262144KiB/1t", 1.0, **{"GB/s": 21.0}))
    figure = plots.draw(results.load(make_file("a", rows)))["speed"]
    figure.canvas.draw()
    axes = figure.axes[0]
    written = {
        name: {text.get_text() for text in axis.get_ticklabels()}
        for name, axis in (("x", axes.xaxis), ("y", axes.yaxis))
    }
    assert {"50", "100", "200"} <= written["y"]
    assert {"64 KiB", "1 MiB", "64 MiB"} <= written["x"]


def test_noise_is_flagged(two_machines, tmp_path):
    report.main([*map(str, two_machines), "--out", str(tmp_path / "out")])
    text = (tmp_path / "out.md").read_text()
    assert re.search(r"\| f32/half/avx2/prefill128 \(noisy\) +\| +25 us \| +100 \| +0.80 \| +60% ", text)
    assert "decode (noisy)" not in text
    assert "`rotate/f32/half/avx2/prefill128` spreads by 60%" in text
    report.main([*map(str, two_machines), "--out", str(tmp_path / "out"), "--noise", "0.7"])
    assert "(noisy)" not in (tmp_path / "out.md").read_text()


def test_void_runs_are_named_and_keep_their_times(two_machines, tmp_path):
    report.main([*map(str, two_machines), "--out", str(tmp_path / "out")])
    text = (tmp_path / "out.md").read_text()
    void = text.split("## Void")[1].split("## Failed")[0]
    assert "`rotate/f32/half/avx2/decode-d64`" in void
    assert "decode-d80" not in void
    assert re.search(r"\| f32/half/avx2/decode-d64 +\| +7 ns \| +100 \| +void \|", text)
    assert "skipped" not in text
    assert "1 void" in text.split("## Caches")[0]
    assert "rotate/f32/half/avx2/decode-d80: no memory" in text.split("## Failed")[1]


def test_an_old_error_that_meant_void_is_void(make_file):
    old = row("rotate/f32/half/avx2/decode", 0.0, error_occurred=True, error_message="slow twin; the run is void")
    found = results.load(make_file("a", [old]))
    assert found.rows["rotate/f32/half/avx2/decode"].void
    assert tables.failures(found) == []


def test_a_void_repetition_does_not_count_for_the_ratio(make_file):
    rows = [rotation("decode", 100.0, sweep_ratio=9.0, void=1.0), rotation("decode", 100.0, sweep_ratio=0.7, void=0.0)]
    found = results.load(make_file("a", rows)).rows["rotate/f32/half/avx2/decode"]
    assert found.ratio == ("sweep_ratio", 0.7)
    assert not found.void
    assert found.samples("ns") == [100.0, 100.0]


def test_the_summary_says_which_machine_is_faster(make_file):
    def machine(name: str, isa: str, ns: float) -> results.Results:
        rows = [row(f"rotate/{dtype}/half/{isa}/decode", ns, sweep_ratio=0.5) for dtype in ("f32", "bf16")]
        rows.append(row(f"rotate/f16/half/{isa}/decode", 100.0, sweep_ratio=0.5))
        rows.append(row("rotate/f32/half/scalar/decode", 1.0, sweep_ratio=0.5))  # not its best
        return results.load(make_file(name, rows, isa=isa, main_shapes="decode"))

    files = [machine("a", "avx512", 100.0), machine("b", "avx2", 150.0)]
    text = report.summary(files)
    assert "machine 1 is the fastest in 2 of 3 rows, by 1.50 to 1.50 times; 1 row is equal within 5%" in text
    assert "machine 1 (CPU a) is 1.31 times as fast as machine 2 (CPU b)" in text
    assert re.search(r"\| decode f32 half +\| +100 ns .* 150 ns .*\| 1, by 1.50 \|", text)
    assert "machine 2 (CPU b) is as fast" not in text
    assert "fastest" not in report.summary(files[:1])


def test_two_generations_of_one_brand_can_be_told_apart(make_file):
    known = make_file("a", [rotation("decode", 1.0)], cpu="AMD EPYC", machine="26-2-1-l1-48k-l2-1024k")
    assert results.load(known).cpu == "AMD EPYC (family 26, model 2)"
    assert results.load(make_file("b", [rotation("decode", 1.0)], cpu="Neoverse", machine="41-d40-1-1")).cpu == "Neoverse"


def test_one_reason_of_many_failures_is_one_line(make_file):
    failed = {"error_occurred": True, "error_message": "needs two CPUs"}
    rows = [rotation(f"prefill{n}-2t", 1.0, **failed) for n in (1, 2, 3, 4)]
    rows.append(rotation("decode", 1.0, error_occurred=True, error_message="no memory"))
    assert tables.failures(results.load(make_file("a", rows))) == [
        "4 benchmarks, rotate/f32/half/avx2/prefill1-2t to rotate/f32/half/avx2/prefill4-2t: needs two CPUs",
        "rotate/f32/half/avx2/decode: no memory",
    ]


def test_a_noisy_row_decides_nothing(make_file):
    quiet = [rotation("decode", 100.0), rotation("batch16", 100.0)]
    loaded = [rotation("decode", 900.0, spread=0.4), rotation("batch16", 200.0)]
    files = [results.load(make_file(stem, rows)) for stem, rows in (("a", quiet), ("b", loaded))]
    text = report.summary(files)
    assert "Over the 1 rows without noise machine 1 (CPU a) is 2.00 times as fast as machine 2 (CPU b)" in text
    assert re.search(r"\| decode f32 half +\|.* noisy \|", text)
    assert "- **decode**" not in text
    assert tables.winner([*(f.rows["rotate/f32/half/avx2/decode"] for f in files), None]) is None
    cold = results.load(make_file("c", [row("cold/f32/half/avx2/full-ids-hot", 1.0, spread=0.5)]))
    assert ", 0 noisy" in tables.health(cold) or "; 0 noisy" in tables.health(cold)


def test_missing_isas_are_one_line_and_a_short_run_says_so(make_file):
    missing = "avx512: this CPU has no AVX-512 F"
    found = results.load(make_file("a", [rotation("decode", 1.0)], isas_missing=missing, stopped="interrupted"))
    text = report.summary([found])
    assert text.count("AVX-512 F") == 1
    assert "**incomplete**: interrupted" in text


def test_cold_calls_and_steps_stand_beside_the_loop(make_file):
    rows = [
        row(f"cold/f32/half/avx2/full-ids-{swept}", ns, plain_ratio=ratio)
        for swept, ns, ratio in (("hot", 100.0, 0.5), ("12MiB", 2000.0, 1.5), ("96MiB", 9000.0, 2.5))
    ]
    rows.append(row("step/ggml/f32/half", 5e4, plain_ns=1e5, plain_ratio=0.5))
    found = results.load(make_file("a", rows))
    assert re.search(r"f32 half full ids +100 ns +0.50 +2 us +1.50 +9 us +2.50", tables.cold(found))
    assert re.search(r"f32 half +ggml +50 us +100 us +0.50", tables.steps(found))


def test_a_job_stands_beside_its_chains(make_file):
    rows = [
        row("run/layer/f32/avx2/decode", 1e3, chain_ratio=0.5),
        row("chain/torch-eager/f32/half/decode", 9e4),
    ]
    text = tables.layers(results.load(make_file("a", rows)))
    assert re.search(r"decode f32 +1 us +2 us +90 us", text)


def test_a_file_that_was_not_closed_is_read_to_its_last_whole_row(make_file):
    path = make_file("a", [rotation("decode", 1.0), rotation("batch16", 2.0)])
    text = json.dumps(json.loads(path.read_text()), indent=2)
    path.write_text(text[: text.index('"rotate/f32/half/avx2/batch16"') + 4])
    found = results.load(path)
    assert list(found.rows) == ["rotate/f32/half/avx2/decode"]
    assert found.context["stopped"]
    path.write_text(text[: text.index('"benchmarks"')])
    with pytest.raises(results.BadFileError):
        results.load(path)


def test_a_folder_is_the_runs_of_one_program(make_file, tmp_path):
    for stem, factor in (("1", 1.0), ("2", 1.5)):
        make_file(stem, [row("a/1", 100.0 * factor), row("a/2", 100.0, error_occurred=factor > 1.0)])
    found = results.load(tmp_path)
    assert found.rows["a/1"].samples("ns") == [100.0, 150.0]
    assert found.rows["a/2"].error == "failed"
    (tmp_path / "nothing").mkdir()
    with pytest.raises(results.BadFileError, match="without a file of results"):
        results.load(tmp_path / "nothing")


def test_shapes_sort_by_number(make_file, tmp_path):
    path = make_file("a", [rotation(s, 1.0) for s in ("decode-d256", "decode-d64", "decode")])
    report.main([str(path), "--out", str(tmp_path / "out")])
    text = (tmp_path / "out.md").read_text()
    order = [text.index(f"avx2/{s} ") for s in ("decode", "decode-d64", "decode-d256")]
    assert order == sorted(order)


def test_the_gate_looks_at_ratios_only(make_file, tmp_path, capsys):
    old = make_file("old", [rotation("decode", 100.0), row("startup/dlopen-plan", 100.0)])
    drifted = make_file("drifted", [rotation("decode", 300.0), row("startup/dlopen-plan", 900.0)])
    fell = make_file("fell", [rotation("decode", 100.0, sweep_ratio=0.5), row("startup/dlopen-plan", 100.0)])
    gate = ["--compare", "--gate", "0.85", "--out", str(tmp_path / "out")]
    assert report.main([str(old), str(drifted), *gate]) == 0
    assert report.main([str(old), str(fell), *gate]) == 1
    assert "sweep_ratio fell from 0.800 to 0.500" in capsys.readouterr().err
    assert report.main([str(fell), str(old), *gate]) == 0


@pytest.mark.parametrize("arguments", [["--compare", "a.json"], ["--gate", "0.9", "a.json", "b.json"]])
def test_wrong_use_is_refused(arguments):
    with pytest.raises(SystemExit) as stop:
        report.main(arguments)
    assert stop.value.code == 2


def test_file_names_of_cpus():
    assert machine.slug("Intel(R) Xeon(R) Processor") == "intel-xeon-processor"
    assert machine.slug("AMD EPYC 9755 128-Core Processor @ 2.7GHz") == "amd-epyc-9755-128-core-processor"


def test_durations_keep_three_digits():
    assert [tables.duration(x) for x in (7.0, 123.4, 999.6, 4567.0, 1.5e6, 2.5e9)] == [
        "7 ns",
        "123 ns",
        "1000 ns",
        "4.57 us",
        "1.5 ms",
        "2.5 s",
    ]


def test_the_overview_has_every_kind(two_machines):
    assert "2.1 ms; the library's file has 412 KiB" in tables.overview(results.load(two_machines[1]))
    text = tables.overview(results.load(two_machines[0]))
    assert "dlopen" not in text
    assert re.search(r"decode f32 half avx2 +111 ns +100 +0.80", text)
    assert "1 void" in text
    assert "rotate/f32/half/avx2/decode-d80: no memory" in text


def test_a_page_is_refreshed_between_its_marks(two_machines, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Story\n\n<!-- results -->\nold\n<!-- /results -->\nThe end.\n")
    report.main([str(two_machines[0]), "--out", str(tmp_path / "out"), "--fill", str(page)])
    text = page.read_text()
    assert text.startswith("# Story\n\n<!-- results -->\n")
    assert text.endswith("\n<!-- /results -->\nThe end.\n")
    assert re.search(r"decode f32 half avx2 +\| +111 ns ", text)
    assert "old" not in text
    report.main([str(two_machines[0]), "--out", str(tmp_path / "out"), "--fill", str(page)])
    assert page.read_text() == text


def test_a_page_has_the_parts_that_it_marks(make_file, tmp_path):
    rows = [
        row(f"rotate/f32/{pairing}/{isa}/{shape}", 1.0, sweep_ratio=share)
        for isa, share in (("avx512", 0.5), ("avx2", 0.9))
        for pairing in ("half", "interleaved")
        for shape in ("decode", "batch16")
    ]
    rows += [
        row(f"peer/{who}/f32/half/decode", ns)
        for who, ns in (
            ("roperot-c", 200.0),
            ("ggml", 3000.0),
            ("onnxruntime-contrib", 4e3),
            ("onnxruntime-std23", 3.5e3),
        )
    ]
    path = make_file("a", rows, isa="avx512")
    page = tmp_path / "docs" / "README.md"
    page.parent.mkdir()
    marks = ("speeds", "results", "peers")
    page.write_text("".join(f"<!-- {mark} -->\nold\n<!-- /{mark} -->\n" for mark in marks))
    for plot in ("peers", "share"):
        (tmp_path / f"a-{plot}.png").write_bytes(b"")
    report.main([str(path), "--out", str(tmp_path / "out"), "--fill", str(page)])
    text = page.read_text()
    assert "old" not in text
    speeds, rest = text.split("<!-- /speeds -->")
    full, all_peers = rest.split("<!-- /results -->")
    assert re.search(r"\| decode, f32 half \| \*\*200 ns\*\* \| 3 us \| +3.5 us \| +- \| +- \|", speeds)
    assert "CPU a" in speeds
    assert speeds.count("](../a-peers.png)") == 1
    assert re.search(r"\| f32 +\| 0.50 / 0.50 \| 0.50 / 0.50 \|", full)
    assert "a-share.png" not in speeds
    assert full.count("](../a-share.png)") == 1
    assert "onnxruntime-contrib" not in full
    assert "onnxruntime-contrib" in all_peers


def test_the_short_table_is_of_the_newest_file_with_peers(make_file, tmp_path):
    def file(cpu, date, ns):
        return make_file(cpu, [row("peer/roperot-c/f32/half/decode", ns)], date=date)

    paths = [file("a", "2026-01-02T00:00:00", 100.0), file("b", "2026-03-01T00:00:00", 200.0)]
    page = tmp_path / "page.md"
    page.write_text("<!-- speeds -->\nold\n<!-- /speeds -->\n")
    report.main([*map(str, paths), "--out", str(tmp_path / "out"), "--fill", str(page)])
    assert "CPU b" in page.read_text()


def test_a_page_without_marks_is_left_alone(two_machines, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("# Story\n")
    text = refusal(capsys, [str(two_machines[0]), "--out", str(tmp_path / "out"), "--fill", str(page)])
    assert text.startswith(f"report.py: error: {page}: no lines <!-- summary -->")
    assert page.read_text() == "# Story\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file or directory"),
        (b"", "not JSON: Expecting value"),
        (b"name,time\n", "not JSON: Expecting value"),
        (b"\xff\xfe", "not JSON: 'utf-8'"),
        (b"{}", "not a file of Google Benchmark"),
        (b"[]", "not a file of Google Benchmark"),
        (b'{"benchmarks": {}}', "not a file of Google Benchmark"),
        (b'{"benchmarks": [], "context": []}', '"context" must be an object'),
        (b'{"benchmarks": [], "context": {"cpu": 7}}', '"cpu" of "context" must be a string'),
        (b'{"benchmarks": [], "context": {"caches": [{"level": 1}]}}', 'each of the "caches"'),
    ],
)
def test_what_is_no_result_file_is_named(tmp_path, capsys, content, sentence):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    text = refusal(capsys, [str(path), "--out", str(tmp_path / "out")])
    assert text.startswith(f"report.py: error: {path}: {sentence}")
    assert not (tmp_path / "out.md").exists()


CACHE_ROW = row("cache/full/4k/warm", 1.0, ns_per_token=1.0, build_ms=1.0, cache_bytes=1.0)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (7, "is not an object"),
        ({"real_time": 1.0}, "has no name"),
        ({**rotation("decode", 1.0), "name": 7}, "has no name"),
        ({"name": "x/y"}, "has no real_time"),
        ({"name": "x/y", "real_time": "1"}, "has no real_time"),
        ({"name": "x/y", "real_time": float("nan")}, "has no real_time"),
        ({"name": "x/y", "real_time": 1.0, "time_unit": "h"}, "has the time_unit h, not one of ns, us, ms, s"),
        ({"name": "x/y", "real_time": 1.0, "time_unit": []}, "has the time_unit []"),
        (row("x/y", 0.0), "has 0 as its time, which must be above 0"),
        (rotation("decode", 1.0, sweep_ratio=0), "has 0 as sweep_ratio, which must be above 0"),
        (row("rotate/foo", 1.0), "is named rotate/foo, not rotate/<dtype>/<pairing>/<isa>/<shape>"),
        (row("growth/f32/half/avx2/tokens", 1.0), "is named growth/f32/half/avx2/tokens, not growth/"),
        (row("reference/sweep/avx2/big/1t", 1.0), "is named reference/sweep/avx2/big/1t, not reference/"),
        (row("peer/numpy/f32/tiny", 1.0), "is named peer/numpy/f32/tiny, not peer/"),
        (row("cold/f32/half/avx2/full-ids", 1.0), "is named cold/f32/half/avx2/full-ids, not cold/"),
        ({**CACHE_ROW, "name": "c", "run_name": "cache/full/2k/warm"}, "is named cache/full/2k/warm, not cache/"),
        ({**CACHE_ROW, "build_ms": None}, "has no build_ms, which must be a number"),
    ],
)
def test_a_wrong_benchmark_is_named(make_file, tmp_path, capsys, entry, sentence):
    good, bad = make_file("good", [row("x/y", 1.0)]), make_file("bad", [row("x/y", 1.0), entry])
    text = refusal(capsys, ["--compare", str(good), str(bad), "--out", str(tmp_path / "out")])
    assert text.startswith(f"report.py: error: {bad}: benchmark 2 {sentence}")


def test_results_of_this_repository_are_accepted():
    for path in (Path(report.__file__).parent / "results").glob("*.json"):
        assert results.load(path).rows


def test_figures_that_are_none_are_left_out(make_file):
    path = make_file("a", [row("x/y", 1.0, spread=float("nan"), copied=10**400)])
    found = results.load(path).rows["x/y"]
    assert found.noise == 0.0
    assert found.value("copied") is None


def test_the_folder_of_the_report_is_made(two_machines, tmp_path):
    assert report.main([str(two_machines[0]), "--out", str(tmp_path / "new" / "folder" / "x")]) == 0
    assert (tmp_path / "new" / "folder" / "x.html").exists()


def test_a_report_that_cannot_be_written_is_named(two_machines, tmp_path, capsys):
    text = refusal(capsys, [str(two_machines[0]), "--out", str(two_machines[1] / "x")])
    assert text.startswith(f"report.py: error: {two_machines[1]}: ")
    with pytest.raises(SystemExit) as stop:
        report.main([str(two_machines[0]), "--out", "."])
    assert stop.value.code == 2
    assert "--out . is a folder" in capsys.readouterr().err
    text = refusal(capsys, [str(two_machines[0]), "--out", str(tmp_path / "x"), "--fill", str(tmp_path / "no.md")])
    assert text == f"report.py: error: {tmp_path / 'no.md'}: No such file or directory\n"
