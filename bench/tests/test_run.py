# SPDX-License-Identifier: MIT
"""What bench.sh and its Python scripts answer to wrong options and missing packages; nothing is built or measured."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import machine
import pytest
import run

SCRIPTS = Path(run.__file__).parent
LISTS = """case "$*" in
    *list*rotate*) echo rotate/f32/half/scalar/decode ;;
    *list*naive*) echo naive/f32/half/native/decode ;;
    *rotate*) echo rotate/f32/half/scalar/decode ;;
    *list*nothing*) ;;
    *list*odd*) echo "Could not compile benchmark re: Mismatched" >&2 ;;
    *list*) echo x/y ;;
    *) echo first >&2; echo the reason >&2; exit 1 ;;
esac
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build directory with a roperot-bench that only fails."""
    program = tmp_path / "build" / "bench" / "roperot-bench"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n" + LISTS)
    program.chmod(0o755)
    return tmp_path / "build"


def refusal(monkeypatch, capsys, *arguments: object) -> str:
    monkeypatch.setattr("sys.argv", ["run.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run.main()
    assert stop.value.code == 2  # 1: a peer is faster
    return capsys.readouterr().err


def test_wrong_values_are_refused_before_anything_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    sentences = {
        ("--filter", "["): "argument --filter: [ is not a valid regular expression: unterminated character set",
        ("--repetitions", "0"): "argument --repetitions: 0 is not a whole number of at least 1",
        ("--repetitions", "x"): "argument --repetitions: x is not a whole number of at least 1",
        ("--cpu", "99999"): "argument --cpu: 99999 is not a CPU that can be used here; there are ",
        ("--cpu", "-1"): "argument --cpu: -1 is not a CPU",
        ("--cpu", "one"): "argument --cpu: one is not a CPU",
        ("--out", str(tmp_path)): f"argument --out: {tmp_path} is a folder; the name of a file is wanted",
        ("--out", ""): "argument --out: an empty name is a folder",
        ("--out", f"{tmp_path}/file/x"): f"{tmp_path}/file/x cannot be written: {tmp_path}/file is not a folder",
    }
    for option, sentence in sentences.items():
        assert sentence in refusal(monkeypatch, capsys, "--check", "=".join(option))


def test_values_that_are_right_are_taken(tmp_path, monkeypatch):
    allowed = os.sched_getaffinity(0)
    cpu = max(allowed)
    arguments = ["--filter=a|b", "--repetitions=1", f"--cpu={cpu}", f"--out={tmp_path}/new/x.json"]
    monkeypatch.setattr("sys.argv", ["run.py", "--check", *arguments])
    assert run.main() == run.CHECKED
    assert os.sched_getaffinity(0) == allowed
    assert not (tmp_path / "new").exists()


def test_why_roperot_bench_failed_is_kept(build, tmp_path, monkeypatch, capsys):
    def said(chosen: str) -> str:
        arguments = ["--build", build, "--filter", chosen, "--out", tmp_path / "x.json"]
        return refusal(monkeypatch, capsys, *arguments).splitlines()[-1]

    assert said("x") == "bench.sh: error: roperot-bench ended with status 1: the reason"
    assert said("odd") == "bench.sh: error: --filter odd is not a valid regular expression: Mismatched"
    assert said("nothing") == "bench.sh: error: no benchmark matches nothing"


PARTIAL = """
for a in "$@"; do case $a in --benchmark_out=*) out=${a#*=} ;; esac; done
printf '{"context": {},\\n"benchmarks": [\\n    {\\n"name": "x/y", "real_time": 1.0\\n    },\\n    {"na' >"$out"
echo "the reason" >&2
kill -SEGV $$
"""


def test_a_crash_keeps_what_was_measured(build, tmp_path, monkeypatch, capsys):
    program, out = build / "bench" / "roperot-bench", tmp_path / "x.json"
    program.write_text("#!/bin/sh\n" + LISTS.replace("echo first >&2; echo the reason >&2; exit 1", PARTIAL))
    arguments = ["--build", build, "--filter", "x", "--out", out, "--no-plots"]
    monkeypatch.setattr("sys.argv", ["run.py", *map(str, arguments)])
    assert run.main() == 2
    assert "status -11: the reason; what was measured until then is kept" in capsys.readouterr().err
    found = run.results.load(out)
    assert list(found.rows) == ["x/y"]
    assert "status -11" in found.context["stopped"]


def test_an_interruption_keeps_what_was_measured(build, tmp_path, monkeypatch, capsys):
    program, out = build / "bench" / "roperot-bench", tmp_path / "x.json"
    slow = PARTIAL.replace("kill -SEGV $$", "echo x/y; sleep 60")
    program.write_text("#!/bin/sh\n" + LISTS.replace("echo first >&2; echo the reason >&2; exit 1", slow))
    monkeypatch.setattr("sys.argv", ["run.py", "--build", str(build), "--filter=x", f"--out={out}", "--no-plots"])

    def press(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run.Progress, "step", press)
    assert run.main() == 2
    assert "interrupted; what was measured until then is kept" in capsys.readouterr().err
    assert list(run.results.load(out).rows) == ["x/y"]


def test_every_machine_and_run_has_a_file_of_its_own(tmp_path):
    for i, (level, kind, size) in enumerate(
        (("1", "Data", "32K"), ("1", "Instruction", "32K"), ("2", "Unified", "512K"))
    ):
        (tmp_path / f"index{i}").mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (tmp_path / f"index{i}" / name).write_text(text + "\n")
    assert machine.cache_sizes(tmp_path) == "l1-32k-l2-512k"
    zen3 = machine.first_cpu("cpu family\t: 25\nmodel\t\t: 1\nstepping\t: 1\n\ncpu family\t: 6\n")
    assert machine.numbers(zen3) == "25-1-1"
    assert machine.numbers(machine.first_cpu("CPU implementer\t: 0x41\nCPU part\t: 0xd40\n")) == "41-d40-0-0"
    assert re.fullmatch(rf".+-{machine.identity()}-\d{{4}}-\d\d-\d\d-\d{{6}}\.json", run.default_out().name)


def test_what_cannot_be_run_or_written_is_named(build, tmp_path, monkeypatch, capsys):
    program, out = build / "bench" / "roperot-bench", tmp_path / "x.json"
    cpu = min(os.sched_getaffinity(0))
    monkeypatch.setenv("PATH", str(tmp_path))
    text = refusal(monkeypatch, capsys, "--build", build, "--filter=x", "--out", out, "--cpu", cpu)
    assert text == "bench.sh: error: taskset cannot be run: No such file or directory\n"
    program.chmod(0o644)
    text = refusal(monkeypatch, capsys, "--build", build, "--out", out)
    assert text == f"bench.sh: error: {program} cannot be run: Permission denied\n"
    program.unlink()
    assert f"{program} is missing" in refusal(monkeypatch, capsys, "--build", build, "--out", out)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"no permission to write to {tmp_path}\n" in refusal(monkeypatch, capsys, "--out", out)


def without(package: str, tmp_path: Path, *command: object) -> subprocess.CompletedProcess:
    """Runs it with a Python that does not find the package."""
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError(name={package!r})\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("script", "name", "package"),
    [
        ("report.py", "report.py", "markdown"),
        ("report.py", "report.py", "matplotlib"),
        ("report.py", "report.py", "numpy"),
        ("run.py", "bench.sh", "matplotlib"),
    ],
)
def test_a_missing_package_is_named_and_help_needs_none(make_file, tmp_path, script, name, package):
    done = without(package, tmp_path, SCRIPTS / script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: {name}" in done.stdout
    done = without(package, tmp_path, SCRIPTS / script, *([make_file("a", [])] if script == "report.py" else []))
    assert done.returncode == 2
    assert done.stderr == (
        f"{name}: error: the Python package {package} is missing; pip install -r bench/requirements.txt installs it\n"
    )


def test_bench_sh_answers_before_it_builds_or_installs(tmp_path):
    """In a copy of the scripts, where programs that build and install only say that they were called."""
    root = SCRIPTS.parent
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    shutil.copytree(SCRIPTS, tmp_path / "bench", ignore=shutil.ignore_patterns("results", "tests", "__pycache__"))
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("meson", "ninja", "apt-get", "sudo", "cc", "c++", "pkg-config"):
        (tools / tool).write_text(f"#!/bin/sh\necho called >>{tmp_path}/called\nexit 1\n")
        (tools / tool).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}

    def bench(*arguments: str) -> subprocess.CompletedProcess:
        command = ["sh", str(tmp_path / "scripts" / "bench.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    for option in ("--help", "-h", "--he"):
        done = bench(option)
        assert done.returncode == 0
        assert done.stdout.count("usage: bench.sh") == 1
    for arguments in (["--qiuck"], ["--repetitions", "0"], ["--filter", "["]):
        done = bench(*arguments)
        assert done.returncode == 2
        assert "bench.sh: error: " in done.stderr
    assert not (tmp_path / "called").exists()
    assert bench("--quick").returncode == 1
    assert (tmp_path / "called").exists()
