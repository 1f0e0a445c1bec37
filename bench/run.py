# SPDX-License-Identifier: MIT
"""Runs roperot-bench, saves its JSON, prints a table and draws plots; it must not measure anything itself.

scripts/bench.sh has its arguments checked here, builds, and passes them on to here. Exit status 1: a peer was faster;
2: something is wrong.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import options
import results
import tables

missing = ""
try:
    import plots
except ModuleNotFoundError as error:  # --help and --no-plots work without
    missing = error.name or str(error)

ROOT = Path(__file__).resolve().parent.parent
# --quick: the main shapes in the two best ISAs, one ISA's reference loops, growth with tokens, the caches' small sizes
QUICK = (
    r"^rotate/.*/({isas})/({shapes}|front|decode-out)$|^naive/f32/half|^growth/f32/half/.*/tokens-"
    r"|^reference/(sweep|copy-stream)/{best}/.*/1t$|^reference/memcpy/.*/1t$|^cache/.*/(4k|128k)/|^startup/"
    r"|^cold/f32/half/{best}/(full|factored)-(ids|layer|bare)-"
)
CHECKED = 3  # exit status of --check, as 0 is that of --help, after which nothing is to be built
FULL = (
    r"^(rotate|mrope|naive|growth|cache|build|startup)/|^reference/.*/({isas}|libc)/|^step/roperot"
    r"|^run/(norm|layer)/.*/{best}/"
    r"|^cold/f32/.*/({isas})/|^cold/.*16/.*/{best}/.*-(ids|offset|layer|bare)-"
)
INTERRUPTED = "interrupted"


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the main shapes only, under a minute")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="measure other implementations too; exit 1 if one is faster at a shape that both have",
    )
    parser.add_argument(
        "--filter", type=options.expression, help="a regular expression of benchmark names instead of the usual choice"
    )
    parser.add_argument(
        "--repetitions", type=options.count, default=1, help="of each benchmark; 3 or more give report.py intervals"
    )
    parser.add_argument("--cpu", type=options.cpu, help="the CPU to run on (default: the scheduler's choice)")
    parser.add_argument(
        "--out", type=options.output_file, help="the JSON file (default: one of its own in bench/results)"
    )
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build directory")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # the options only: bench.sh's
    return parser.parse_args()


def text_of(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    except OSError:  # there is no such program
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def commit() -> str:
    name = text_of("git", "rev-parse", "--short", "HEAD") or "unknown"
    dirty = text_of(
        "git", "status", "--porcelain", "--", "src", "simd", "include", "bench/*.c", "bench/*.h", "meson.build"
    )
    return name + ("+changes" if dirty else "")


def listed(program: Path, chosen: str) -> list[str]:
    """The benchmarks that a filter chooses. Google Benchmark's expressions are not quite Python's: it has the last
    word, and its exit status is 0 even if it does not understand one."""
    command = [str(program), "--benchmark_list_tests", f"--benchmark_filter={chosen}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        options.fail("bench.sh", f"{program} cannot be run: {error.strerror}")
    if "Could not compile benchmark re" in done.stderr:
        why = options.last_line(done.stderr).partition("re: ")[2]
        options.fail("bench.sh", f"--filter {chosen} is not a valid regular expression: {why}")
    if done.returncode != 0:
        options.fail("bench.sh", f"{program} ended with status {done.returncode}: {options.last_line(done.stderr)}")
    if not done.stdout:
        options.fail("bench.sh", f"no benchmark matches {chosen}")
    return done.stdout.splitlines()


def usable_isas(program: Path) -> list[str]:
    """Best first, as the rotate group lists them."""
    return list(dict.fromkeys(name.split("/")[3] for name in listed(program, "^rotate/f32/half/")))


def main_shapes(program: Path) -> list[str]:
    """The ten-line loop is measured at them and at no other."""
    return [name.split("/")[4] for name in listed(program, "^naive/f32/half/")]


def selection(arguments: argparse.Namespace, isas: list[str], shapes: list[str]) -> str:
    if arguments.filter:
        return arguments.filter
    vector = [isa for isa in isas if isa != "scalar"] or isas
    pattern = QUICK if arguments.quick else FULL
    if arguments.peers:
        pattern += "|^peer/|^step/"  # those that roperot-bench measures itself
    return pattern.format(isas="|".join(vector[:2]), best=vector[0], shapes="|".join(shapes))


def pinned(cpu: int | None, command: list[str]) -> list[str]:
    return command if cpu is None else ["taskset", "-c", str(cpu), *command]


class Progress:
    """One line on stderr, rewritten; whole lines where stderr is a file."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()
        self.terminal = sys.stderr.isatty()

    def step(self, name: str) -> None:
        self.done += 1
        elapsed = time.monotonic() - self.start
        left = elapsed / self.done * max(self.total - self.done, 0)
        line = f"[{self.done:3}/{self.total}] {elapsed:4.0f} s, {left:4.0f} s left  {name}"
        if self.terminal:
            print(f"\r\033[K{line[:110]}", end="", file=sys.stderr, flush=True)
        elif self.done % 20 == 0 or self.done == self.total:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def follow(command: list[str], progress: Progress) -> str:
    """Runs it to its end; a line of its output with a benchmark's name is a step. Why it ended early; empty if not."""
    with tempfile.TemporaryFile("w+") as errors:
        try:
            pipe = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
        except OSError as error:
            options.fail("bench.sh", f"{command[0]} cannot be run: {error.strerror}")
        try:
            for line in pipe.stdout:
                name = line.split(" ", 1)[0].strip()
                if "/" in name and not re.search(r"_(mean|median|stddev|cv)$", name):
                    progress.step(name)
            status = pipe.wait()
        except KeyboardInterrupt:
            pipe.terminate()
            pipe.wait()
            return INTERRUPTED
        finally:
            progress.end()
        errors.seek(0)
        why = options.last_line(errors.read())
        return "" if status == 0 else f"roperot-bench ended with status {status}: {why}"


def keep(out: Path, stopped: str) -> None:
    """What was measured before the run stopped becomes a whole file that says why it is short."""
    try:
        document = results.read(out)
    except results.BadFileError:
        document = {"benchmarks": []}
    if not document["benchmarks"]:
        out.unlink(missing_ok=True)
        options.fail("bench.sh", stopped)
    document.setdefault("context", {})["stopped"] = stopped
    results.write(out, document)
    print(f"bench.sh: {stopped}; what was measured until then is kept", file=sys.stderr)


def run(program: Path, arguments: argparse.Namespace, chosen: str, out: Path) -> str:
    """Google Benchmark writes the JSON; its console lines only move the progress line. The program's name goes into the
    file, so it is the one that it has in the checkout. Why it ended early; empty if it did not."""
    names = listed(program, chosen)
    context = (
        f"commit={commit()},python={platform.python_version()},pinned_to={arguments.cpu},machine={machine.identity()}"
    )
    command = [
        os.path.relpath(program, ROOT),
        f"--benchmark_filter={chosen}",
        f"--benchmark_out={out.resolve()}",
        "--benchmark_out_format=json",
        f"--benchmark_repetitions={arguments.repetitions}",
        f"--benchmark_context={context}",
    ]
    if arguments.quick:
        command.append("--benchmark_min_time=0.02")
    stopped = follow(pinned(arguments.cpu, command), Progress(len(names) * arguments.repetitions))
    if stopped:
        keep(out, stopped)
    return stopped


def default_out() -> Path:
    """A name of its own for each machine and run."""
    now = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    name = f"{machine.slug(machine.cpu_name())}-{machine.identity()}-{now}.json"
    return ROOT / "bench" / "results" / name


def run_peers(arguments: argparse.Namespace, out: Path) -> int:
    """peers.py has a Python environment of its own; it adds its rows to the file and says who was faster."""
    script = ROOT / "bench" / "peers.sh"
    command = ["sh", str(script), "--into", str(out), "--build", str(arguments.build.resolve())]
    if arguments.quick:
        command.append("--quick")
    if arguments.cpu is not None:
        command += ["--cpu", str(arguments.cpu)]
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:  # peers.py got it too, and has written every peer that was finished
        return options.FAILURE


def show(out: Path, with_plots: bool) -> None:
    try:
        found = results.load(out)
    except results.BadFileError as error:
        options.fail("bench.sh", error)
    print(tables.overview(found))
    if with_plots:
        for path in plots.save(found, out.with_suffix("")):
            print(f"plot: {path}")
    print(f"data: {out}")


def main() -> int:
    arguments = command_line()
    if arguments.check:
        return CHECKED
    if not arguments.no_plots:
        options.need_package("bench.sh", missing)
    program = arguments.build / "bench" / "roperot-bench"
    if not program.exists():
        options.fail("bench.sh", f"{program} is missing; run sh scripts/bench.sh, which builds it")
    out = arguments.out or default_out()
    chosen = selection(arguments, usable_isas(program), main_shapes(program))
    out.parent.mkdir(parents=True, exist_ok=True)
    stopped = run(program, arguments, chosen, out)
    status = run_peers(arguments, out) if arguments.peers and not stopped else 0
    show(out, not arguments.no_plots)
    return options.FAILURE if stopped else status


if __name__ == "__main__":
    sys.exit(main())
