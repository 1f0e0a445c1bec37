# SPDX-License-Identifier: MIT
"""Measures other CPU implementations of RoPE beside roperot; it must not know how any of them is called.

Each peer runs in a process of its own, on one thread, through its own best path (peer_kinds.py), after its output was
compared with a double-precision oracle. roperot's C rows come from roperot-bench, once before the peers and once after.
The goal counts the C row; the Python row shows what ctypes adds. Exit status 1: a peer was faster at a shape both have;
2: something is wrong.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import options
import results

ROOT = Path(__file__).resolve().parent.parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TOKENIZERS_PARALLELISM": "false",
}
PEERS = (
    "roperot-python",
    "numpy",
    "torch-eager",
    "torch-compile",
    "torch-complex",
    "rotary-embedding-torch",
    "onnxruntime-contrib",
    "onnxruntime-std23",
    "openvino",
    "jax",
    "mlx",
    "ncnn",
    "chain/torch-eager",
    "chain/torch-compile",
    "chain/onnxruntime",
)
OWN = "roperot-c"


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, help="a Google Benchmark JSON file that the rows are added to")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build directory")
    parser.add_argument("--only", action="append", choices=PEERS, help="this peer (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="f32, and fewer rounds")
    parser.add_argument("--cpu", type=options.cpu, default=min(os.sched_getaffinity(0)), help="the CPU to run on")
    return parser.parse_args()


def pinned(cpu: int, *command: str) -> list[str]:
    return ["taskset", "-c", str(cpu), *command]


def entry(name: str, ns: float, **more: object) -> dict:
    """One row as Google Benchmark would write it."""
    return {
        "name": name,
        "run_name": name,
        "run_type": "iteration",
        "repetitions": 1,
        "repetition_index": 0,
        "threads": 1,
        "iterations": 1,
        "real_time": ns,
        "cpu_time": ns,
        "time_unit": "ns",
        "ns": ns,
        **more,
    }


def failed(name: str, why: str) -> dict:
    return {**entry(name, 0.0), "error_occurred": True, "error_message": why}


def run_own(arguments: argparse.Namespace, *flags: str) -> None:
    program = arguments.build / "bench" / "roperot-bench"
    if not program.exists():
        options.fail("peers.py", f"{program} is missing; sh scripts/bench.sh builds it")
    command = pinned(arguments.cpu, str(program), *flags)
    try:
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        options.fail("peers.py", f"{command[0]} cannot be run: {error.strerror}")
    if done.returncode != 0:
        why = options.last_line(done.stderr)
        options.fail("peers.py", f"roperot-bench ended with status {done.returncode}: {why}")


def own_rows(arguments: argparse.Namespace) -> tuple[dict[str, float], dict[str, list[int]]]:
    """ns of roperot's best ISA by `<dtype>/<pairing>/<shape>`, from the C benchmark, and the shapes that it has."""
    dtypes = "f32" if arguments.quick else "[^/]+"
    chosen = rf"^rotate/({dtypes})/[^-]*$"
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        run_own(arguments, f"--benchmark_filter={chosen}", f"--benchmark_out={out.name}", "--benchmark_out_format=json")
        document = json.loads(Path(out.name).read_text())
    found, shapes = {}, results.shapes_of(document["context"])
    for row in document["benchmarks"]:
        _, dtype, pairing, isa, shape = row["name"].split("/")
        if isa == document["context"]["isa"] and shape in shapes and not row.get("error_occurred"):
            found[f"{dtype}/{pairing}/{shape}"] = row["ns"]
    return found, shapes


def peer_rows(name: str, shapes: dict[str, list[int]], arguments: argparse.Namespace) -> list[dict]:
    """Rows of one peer, or one row that says why there are none."""
    environment = {
        **os.environ,
        **ONE_THREAD,
        "PYTHONPATH": str(ROOT / "python"),
        "ROPEROT_LIBRARY": str(arguments.build.resolve() / "libroperot.so"),
    }
    command = pinned(arguments.cpu, sys.executable, str(ROOT / "bench" / "peer_worker.py"), name, json.dumps(shapes))
    if arguments.quick:
        command.append("--quick")
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
        errors.seek(0)
        last = options.last_line(errors.read())
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    rows = [failed(r["name"], r["error"]) if "error" in r else entry(**r) for r in lines]
    if done.returncode != 0:
        group = name if "/" in name else f"peer/{name}"
        rows.append(failed(f"{group}/f32/half/decode", f"the peer's process ended with {done.returncode}: {last}"))
    return rows


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(arguments: argparse.Namespace) -> Iterator[list[dict]]:
    """The rows of each peer as they come, and at last roperot's own."""
    names = arguments.only or list(PEERS)
    note("peers: roperot (C)")
    before, shapes = own_rows(arguments)
    for i, name in enumerate(names, 1):
        note(f"peers: [{i}/{len(names)}] {name}")
        yield peer_rows(name, shapes, arguments)
    after, _ = own_rows(arguments)
    own = {case: statistics.median([ns, after.get(case, ns)]) for case, ns in before.items()}
    yield [entry(f"peer/{OWN}/{case}", ns) for case, ns in own.items()]


def versions() -> dict[str, str]:
    """What is installed of bench/requirements-peers.txt, which need not be all of it."""
    found = {}
    for line in (ROOT / "bench" / "requirements-peers.txt").read_text().splitlines():
        name = re.match(r"[A-Za-z0-9-]*", line)[0]
        try:
            found.update({name: importlib.metadata.version(name)} if name else {})
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def beaten(rows: list[dict]) -> list[str]:
    """One sentence for each shape at which somebody else was faster than the C row."""
    times = {r["name"]: r["ns"] for r in rows if not r.get("error_occurred")}
    found = []
    for name, ns in times.items():
        _, who, case = name.split("/", 2)
        own = times.get(f"peer/{OWN}/{case}")
        if own is not None and not who.startswith("roperot") and ns < own:
            found.append(f"{who} is faster at {case}: {ns:.0f} ns against {own:.0f} ns")
    return found


def target(path: Path) -> dict:
    """The document that rows are added to, read before anything is measured."""
    try:
        document = results.read(path)
    except results.BadFileError as error:
        options.fail("peers.py", f"--into {error}")
    if not os.access(path, os.W_OK):
        options.fail("peers.py", f"--into {path}: there is no permission to write to it")
    return document


def add(document: dict, rows: list[dict]) -> None:
    document["benchmarks"] += rows
    document.setdefault("context", {})["peers"] = versions()


def main() -> int:
    arguments = command_line()
    document = target(arguments.into) if arguments.into else {"benchmarks": []}
    for rows in measure(arguments):
        add(document, rows)
        if arguments.into:  # each peer at once: what was measured outlives whatever comes
            results.write(arguments.into, document)
    if not arguments.into:
        print(json.dumps(document, indent=1))
    losses = beaten([r for r in document["benchmarks"] if r["name"].startswith("peer/")])
    for sentence in losses:
        note(f"peers: {sentence}")
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
