# SPDX-License-Identifier: MIT
"""The whole trial of the adapter in a ggml of llama.cpp's: build, tests, times in situ, tokens a second, KL divergence.

usage: trial.py <checkout> [step ..] [--work DIR] [--library libroperot.so] [--threads 1,2] [--rounds N]

Steps, in this order if none is named:
    build    applies the adapter (apply.sh) and builds llama.cpp; the checkout is changed
    ops      test-backend-ops of everything that the adapter takes part in, against ggml's reference path
    models   random weights in the shapes of Qwen3-0.6B and Llama-3.2-1B (make_model.py, gguf from PyPI)
    times    microseconds of each node or chain of nodes within a real prefill and decode, both sides in turns
    speed    tokens a second, roperot and ggml in turns
    kl       KL divergence of the logits from ggml's own
Each step leaves its results in DIR (trial/ by default) and prints a table in Markdown. Needs cmake, ninja, a C++
compiler, and this repository's libroperot.so (build/ by default). Every process is named before it runs.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODELS = ("qwen3-0.6b", "llama-3.2-1b")
OPS = ("ROPE", "ROPE_BACK", "RMS_NORM_MUL_ROPE", "ROPE_SET_ROWS")
CACHES = ("f16", "q8_0")
PREFILL, DECODE = 256, 40


def run(command, **changed):
    """Run a command; its output, or the end of the trial with what it said."""
    command = [str(part) for part in command]
    shown = " ".join([*(f"{k}={v}" for k, v in changed.items()), *command])
    print(f"$ {shown}", file=sys.stderr, flush=True)
    done = subprocess.run(command, env=os.environ | changed, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"trial.py: {shown} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def table(header, rows):
    """Print a table in Markdown."""
    print("\n| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


class Trial:
    """A checkout, and where its build, models and results are."""

    def __init__(self, options):
        self.checkout = Path(options.checkout).resolve()
        self.place = Path(options.work).resolve()
        self.place.mkdir(parents=True, exist_ok=True)
        self.tree = self.place / "build"
        self.library = Path(options.library).resolve()
        self.threads = [int(n) for n in options.threads.split(",")]
        self.rounds = options.rounds

    # ---- build and tests ---------------------------------------------------------------------------------------------

    def configure(self, definitions):
        """Configure and build with these definitions of the adapter; only two files depend on them."""
        if not self.library.exists():
            sys.exit(f"trial.py: {self.library} does not exist; build roperot, or name it by --library")
        on, off = "-DLLAMA_BUILD_{}=ON", "-DLLAMA_BUILD_{}=OFF"
        run(["cmake", "-S", self.checkout, "-B", self.tree, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
             "-DGGML_OPENMP=OFF", "-DLLAMA_CURL=OFF", on.format("TESTS"), on.format("COMMON"),
             *(off.format(part) for part in ("EXAMPLES", "TOOLS", "SERVER", "APP")),
             f"-DROPEROT_INCLUDE={ROOT / 'include'}", f"-DROPEROT_LIBRARY={self.library}",
             f"-DROPEROT_DEFINITIONS={definitions}"])  # fmt: skip
        run(["ninja", "-C", self.tree, "ggml-cpu", "llama", "test-backend-ops"])

    def build(self):
        """Apply the adapter and build."""
        print(run(["sh", HERE / "apply.sh", self.checkout]).strip())
        self.configure("")

    def ops(self):
        """test-backend-ops."""
        self.configure("")
        rows = []
        for op in OPS:
            lines = run([self.tree / "bin/test-backend-ops", "test", "-o", op, "-b", "CPU"]).splitlines()
            cases = [line for line in lines if line.lstrip().startswith(op + "(")]
            rows.append([op, sum("OK" in line for line in cases), len(cases)])
        table(["test-backend-ops", "passed", "of"], rows)

    # ---- in situ -----------------------------------------------------------------------------------------------------

    def models(self):
        """Write the models."""
        python = self.place / "venv/bin/python"
        if not python.exists():
            run([sys.executable, "-m", "venv", self.place / "venv"])
            run([python, "-m", "pip", "install", "-q", "gguf", "numpy"])
        for name in MODELS:
            if not self.model(name).exists():
                run([python, HERE / "make_model.py", name, self.model(name)])

    def model(self, name):
        """A model's file."""
        return self.place / f"{name}.gguf"

    def decoder(self):
        """The program that decodes, built against the checkout's libraries."""
        program, bin_ = self.tree / "decode", self.tree / "bin"
        includes = [f"-I{self.checkout / part}" for part in ("include", "ggml/include")]
        run(["c++", "-O2", "-std=c++17", *includes, HERE / "decode.cpp", "-o", program, f"-L{bin_}", "-lllama",
             "-lggml", "-lggml-base", f"-Wl,-rpath,{bin_}:{self.library.parent}", f"-Wl,-rpath-link,{bin_}"])  # fmt: skip
        return program

    def times(self):
        """Times of nodes and chains, medians and minima in microseconds on thread 0."""
        self.configure("ROPEROT_GGML_MEASURE")
        program = self.decoder()
        for fuse in ("all", "off"):
            rows = []
            for name in MODELS:
                for cache in CACHES if fuse == "all" else CACHES[:1]:
                    for threads in self.threads:
                        rows += self.times_of(program, name, cache, threads, fuse)
            print(f"\nROPEROT_GGML_FUSE={fuse}, prefill {PREFILL}, decode {DECODE}")
            table(["model", "cache", "threads", "nodes", "heads", "tokens", "ggml", "roperot", "ratio"], rows)
        self.configure("")

    def times_of(self, program, name, cache, threads, fuse):
        """One run: rows of the table, and the sum of q's and k's for each number of tokens."""
        path = self.place / f"times-{name}-{cache}-{threads}-{fuse}"
        run([program, self.model(name), threads, PREFILL, DECODE, cache], ROPEROT_GGML="alternate",
            ROPEROT_GGML_FUSE=fuse, ROPEROT_GGML_TIMES=str(path), LLAMA_ATTN_ROT_DISABLE="1")  # fmt: skip
        found = {}
        for line in path.read_text().splitlines():
            nodes, heads, tokens, type_, side, _, median, least = line.split()
            found.setdefault((int(tokens), nodes, int(heads), type_), {})[side] = (int(median) / 1e3, int(least) / 1e3)
        rows, sums = [], {}
        for (tokens, nodes, heads, _), sides in sorted(found.items()):
            if len(sides) < 2:
                continue
            cells = [f"{sides[side][0]:.2f} ({sides[side][1]:.2f})" for side in ("ggml", "roperot")]
            ratio = sides["roperot"][0] / sides["ggml"][0]
            rows.append([name, cache, threads, nodes, heads, tokens, *cells, f"{ratio:.2f}"])
            whole = sums.setdefault(tokens, [0.0, 0.0])
            whole[0] += sides["ggml"][0]
            whole[1] += sides["roperot"][0]
        for tokens, (theirs, ours) in sorted(sums.items()):
            rows.append([name, cache, threads, "**all of a layer**", "", tokens, f"{theirs:.2f}", f"{ours:.2f}",
                         f"**{ours / theirs:.2f}**"])  # fmt: skip
        return rows

    def speed(self):
        """Tokens a second, both sides in turns."""
        program, rows = self.decoder(), []
        for name in MODELS:
            for threads in self.threads:
                got = {"off": [], "on": []}
                for i in range(2 * self.rounds):
                    side = ("off", "on")[(i + i // 2) % 2]  # off on on off: drift hits both
                    said = run([program, self.model(name), threads, PREFILL, DECODE, "f16"], ROPEROT_GGML=side)
                    got[side].append([float(x) for x in said.split()])
                for k, what in enumerate(("prefill", "decode")):
                    theirs, ours = ([run_[k] for run_ in got[side]] for side in ("off", "on"))
                    spread = [f"{statistics.median(x):.1f} ({min(x):.1f} .. {max(x):.1f})" for x in (theirs, ours)]
                    rows.append([name, threads, what, *spread,
                                 f"{statistics.median(ours) / statistics.median(theirs):.3f}"])  # fmt: skip
        table(["model", "threads", "tokens a second", "ggml: median (range)", "roperot", "ratio"], rows)

    def kl(self):
        """KL divergence of the logits."""
        program, rows = self.decoder(), []
        for name in MODELS:
            for cache in CACHES:
                files = {side: self.place / f"logits-{name}-{cache}-{side}" for side in ("off", "on")}
                for side, path in files.items():
                    run([program, self.model(name), self.threads[0], 64, 32, cache, path], ROPEROT_GGML=side)
                script = HERE / "divergence.py"
                python = self.place / "venv/bin/python"
                rows.append([name, cache, *run([python, script, files["off"], files["on"]]).split()])
        table(["model", "cache", "mean", "largest", "same first token"], rows)


def main():
    """Run the steps that are named."""
    steps = ("build", "ops", "models", "times", "speed", "kl")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout")
    parser.add_argument("steps", nargs="*", choices=[[], *steps])
    parser.add_argument("--work", default="trial")
    parser.add_argument("--library", default=ROOT / "build/libroperot.so")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    trial = Trial(options)
    for step in options.steps or steps:
        getattr(trial, step)()


if __name__ == "__main__":
    main()
