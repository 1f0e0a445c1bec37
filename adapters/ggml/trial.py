# SPDX-License-Identifier: MIT
"""The whole trial of the adapter in a ggml of llama.cpp's: build, tests, times in situ, tokens a second, KL divergence.

usage: trial.py <checkout> [step ..] [--quick] [--work DIR] [--library libroperot.so] [--threads 1,2] [--rounds N]
    [--floors] [--under "taskset -c 0,1"]

Steps, in this order if none is named:
    build    copies the checkout to DIR, applies the adapter there (apply.sh), builds it plain and with clocks
    ops      test-backend-ops of everything that the adapter takes part in, against ggml's reference path
    models   random weights in the shapes of Qwen3-0.6B and Llama-3.2-1B (make_model.py, gguf from PyPI)
    times    microseconds of each node or chain of nodes within a real prefill and decode, both sides in turns
    speed    tokens a second, roperot and ggml in turns
    kl       KL divergence of the logits from ggml's own, and that fusing changes no bit of them where it must not
A step prints a table in Markdown, and leaves it in DIR (trial/ by default). It may be interrupted and called again:
what is built stays built, and a measurement is not repeated unless a library is newer. --quick tries all of it on small
models. With --floors, times has a third side: a plain loop with cos and sin at hand for one token, and for a prompt the
bytes of the node read and written, where chains do not take it.
Needs cmake, ninja, a C++ compiler, and this repository's libroperot.so (build/ by default). The checkout is only read.
Every process is named before it runs; --under names the command that runs it: a lock, nice, taskset.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODELS = ("qwen3-0.6b", "llama-3.2-1b")
OPS = ("ROPE", "ROPE_BACK", "RMS_NORM_MUL_ROPE", "ROPE_SET_ROWS", "SET_ROWS")
CACHES = ("f16", "q8_0")
# What ROPEROT_GGML_FUSE is, and for which caches.
KINDS = (("off", CACHES[:1]), ("default", CACHES[:1]), ("all", CACHES))


UNDER = []  # what every command is run by


def run(command, **changed):
    """Run a command; its output, or the end of the trial with what it said."""
    command = [*UNDER, *map(str, command)]
    shown = " ".join([*(f"{k}={v}" for k, v in changed.items()), *command])
    print(f"$ {shown}", file=sys.stderr, flush=True)
    done = subprocess.run(command, env=os.environ | changed, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"trial.py: {shown} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def table(header, rows):
    """Make a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def processor():
    """Name this machine's processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


class Trial:
    """A checkout, and where its copy, builds, models and results are."""

    def __init__(self, options):
        self.checkout = Path(options.checkout).resolve()
        self.place = Path(options.work).resolve()
        self.place.mkdir(parents=True, exist_ok=True)
        self.source, self.tree, self.clocks = (self.place / name for name in ("source", "build", "clocks"))
        self.library = Path(options.library).resolve()
        self.threads = [int(n) for n in options.threads.split(",")]
        self.quick = options.quick
        self.sides = ("ggml", "roperot", *(["floor"] if options.floors else []))
        self.rounds = 1 if self.quick else options.rounds
        self.prefill, self.decode = (64, 8) if self.quick else (512, 64)
        self.command = " ".join(sys.argv)

    def report(self, step, text):
        """Print a step's result, and keep it."""
        version = re.findall(r"GGML_VERSION_\w+ (\d+)", (self.source / "ggml/CMakeLists.txt").read_text())
        commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
        head = f"{processor()}; ggml {'.'.join(version)}, roperot {commit.stdout.strip()}; {self.command}\n\n"
        (self.place / f"{step}{'-quick' if self.quick else ''}.md").write_text(head + text)
        print(head + text, flush=True)

    # ---- build and tests ---------------------------------------------------------------------------------------------

    def build(self):
        """Copy, apply the adapter, and build: ggml-cpu with clocks to a place of its own, then everything without."""
        if not self.library.exists():
            sys.exit(f"trial.py: {self.library} does not exist; build roperot, or name it by --library")
        if not self.source.exists():
            part = self.place / "source.part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(self.checkout, part, symlinks=True, ignore=shutil.ignore_patterns(".git", "build"))
            part.rename(self.source)
        print(run(["sh", HERE / "apply.sh", self.source]).strip())
        self.compile("ROPEROT_GGML_MEASURE", "ggml-cpu")
        self.clocks.mkdir(exist_ok=True)
        for library in (self.tree / "bin").glob("libggml-cpu.*"):
            shutil.copy2(library, self.clocks)
        self.compile("", "ggml-cpu", "llama", "test-backend-ops")
        self.decoder()

    def compile(self, definitions, *targets):
        """Configure and build with these definitions of the adapter; only two files depend on them."""
        on, off = "-DLLAMA_BUILD_{}=ON", "-DLLAMA_BUILD_{}=OFF"
        run(["cmake", "-S", self.source, "-B", self.tree, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
             "-DGGML_OPENMP=OFF", "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_CURL=OFF", on.format("TESTS"), on.format("COMMON"),
             *(off.format(part) for part in ("EXAMPLES", "TOOLS", "SERVER", "APP")),
             f"-DROPEROT_INCLUDE={ROOT / 'include'}", f"-DROPEROT_LIBRARY={self.library}",
             f"-DROPEROT_DEFINITIONS={definitions}"])  # fmt: skip
        run(["ninja", "-C", self.tree, *targets])

    def decoder(self):
        """Build the program that decodes, against the copy's libraries."""
        bin_ = self.tree / "bin"
        includes = [f"-I{self.source / part}" for part in ("include", "ggml/include")]
        run(["c++", "-O2", "-std=c++17", *includes, HERE / "decode.cpp", "-o", self.tree / "decode", f"-L{bin_}",
             "-lllama", "-lggml", "-lggml-base", "-Wl,--enable-new-dtags",
             f"-Wl,-rpath,{bin_}:{self.library.parent}", f"-Wl,-rpath-link,{bin_}"])  # fmt: skip

    def ops(self):
        """test-backend-ops."""
        rows = []
        for op in OPS:
            lines = run([self.tree / "bin/test-backend-ops", "test", "-o", op, "-b", "CPU"]).splitlines()
            cases = [line for line in lines if line.lstrip().startswith(op + "(")]
            supported = [line for line in cases if "not supported" not in line]
            rows.append([op, sum("OK" in line for line in supported), len(supported)])
        self.report("ops", table(["test-backend-ops", "passed", "of"], rows))

    # ---- in situ -----------------------------------------------------------------------------------------------------

    def models(self):
        """Write the models."""
        python = self.place / "venv/bin/python"
        if not python.exists():
            run([sys.executable, "-m", "venv", self.place / "venv"])
            run([python, "-m", "pip", "install", "-q", "gguf", "numpy"])
        for name in MODELS:
            if not self.model(name).exists():
                part = self.place / "model.part"
                run([python, HERE / "make_model.py", name, part, *(["2"] if self.quick else [])])
                part.rename(self.model(name))

    def model(self, name):
        """A model's file."""
        return self.place / f"{name}{'-quick' if self.quick else ''}.gguf"

    def is_done(self, path):
        """Whether this measurement was made, and with these libraries."""
        made = [self.library, *self.clocks.glob("libggml-cpu.so"), *(self.tree / "bin").glob("libggml-cpu.so")]
        return path.exists() and path.stat().st_mtime > max(part.stat().st_mtime for part in made)

    def file(self, *parts):
        """Where the result of one run is."""
        return self.place / "-".join([*map(str, parts), *(["quick"] if self.quick else [])])

    def go(self, name, threads, cache, *more, prompts=1, **environment):
        """Prefill one prompt or several in a row, and decode; what the program says."""
        command = [self.tree / "decode", self.model(name), threads, prompts * self.prefill, self.decode, cache, *more]
        return run(command, **environment)

    def times(self):
        """Times of nodes and chains, medians and minima in microseconds on thread 0."""
        text = ""
        for fuse, caches in KINDS:
            rows = []
            for name in MODELS:
                for cache in caches:
                    for threads in self.threads:
                        rows += self.times_of(name, cache, threads, fuse)
            header = ["model", "cache", "threads", "nodes", "heads", "tokens", "ggml"]
            header += [name for side in self.sides[1:] for name in (side, "ratio")]
            text += f"ROPEROT_GGML_FUSE={fuse}, prefill {self.prefill}, decode {self.decode}\n\n{table(header, rows)}\n"
        self.report("times", text)

    def times_of(self, name, cache, threads, fuse):
        """One run: rows of the table, and the sum of q's and k's for each number of tokens."""
        path = self.file("times", name, cache, threads, fuse, *(["floors"] if "floor" in self.sides else []))
        if not self.is_done(path):
            part = self.place / "times.part"
            # As many prompts as sides: each side has each layer about once.
            self.go(name, threads, cache, prompts=len(self.sides),
                    LD_LIBRARY_PATH=str(self.clocks), ROPEROT_GGML_FUSE=fuse,
                    ROPEROT_GGML="floors" if "floor" in self.sides else "alternate",
                    ROPEROT_GGML_TIMES=str(part), LLAMA_ATTN_ROT_DISABLE="1")  # fmt: skip
            part.rename(path)
        found = {}
        for line in path.read_text().splitlines():
            nodes, heads, tokens, type_, side, _, median, least = line.split()
            found.setdefault((int(tokens), nodes, int(heads), type_), {})[side] = (int(median) / 1e3, int(least) / 1e3)
        rows, sums = [], {}
        for (tokens, nodes, heads, _), times in sorted(found.items()):
            if "ggml" not in times or "roperot" not in times:
                continue
            rows.append([name, cache, threads, nodes, heads, tokens, *self.cells(times)])
            sums.setdefault(tokens, []).append(times)
        for tokens, parts in sorted(sums.items()):
            whole = {side: [sum(times[side][0] for times in parts)] for side in self.sides
                     if all(side in times for times in parts)}  # fmt: skip
            rows.append([name, cache, threads, "**all of a layer**", "", tokens, *self.cells(whole)])
        return rows

    def cells(self, times):
        """Every side's median, its minimum if there is one, and its ratio to ggml's median."""
        cells = []
        for side in self.sides:
            median, *least = times.get(side, [None])
            cells.append("" if median is None else f"{median:.2f}" + "".join(f" ({x:.2f})" for x in least))
            if side != "ggml":
                cells.append("" if median is None else f"**{median / times['ggml'][0]:.2f}**")
        return cells

    def speed(self):
        """Tokens a second, both sides in turns."""
        rows = []
        for name in MODELS:
            for threads in self.threads:
                got = {"off": [], "on": []}
                for i in range(2 * self.rounds):
                    side = ("off", "on")[(i + i // 2) % 2]  # off on on off: drift hits both
                    path = self.file("speed", name, threads, i)
                    if not self.is_done(path):
                        path.write_text(self.go(name, threads, CACHES[0], ROPEROT_GGML=side))
                    got[side].append([float(x) for x in path.read_text().split()])
                for k, what in enumerate(("prefill", "decode")):
                    theirs, ours = ([run_[k] for run_ in got[side]] for side in ("off", "on"))
                    spread = [f"{statistics.median(x):.1f} ({min(x):.1f} .. {max(x):.1f})" for x in (theirs, ours)]
                    rows.append([name, threads, what, *spread,
                                 f"{statistics.median(ours) / statistics.median(theirs):.3f}"])  # fmt: skip
        header = ["model", "threads", "tokens a second", "ggml: median (range)", "roperot", "ratio"]
        self.report("speed", table(header, rows))

    def kl(self):
        """KL divergence of the logits."""
        rows = []
        for name in MODELS:
            for cache in CACHES:
                files = {side: self.file("logits", name, cache, side) for side in ("off", "on")}
                for side, path in files.items():
                    if not self.is_done(path):
                        part = self.place / "logits.part"
                        self.go(name, self.threads[0], cache, part, ROPEROT_GGML=side)
                        part.rename(path)
                script = HERE / "divergence.py"
                python = self.place / "venv/bin/python"
                rows.append([name, cache, *run([python, script, files["off"], files["on"]]).split()])
        self.report("kl", table(["model", "cache", "mean", "largest", "same first token"], rows))
        self.same_bits(MODELS[-1])

    def same_bits(self, name):
        """Fusing changes no bit of an f16 cache's logits where no norm takes part; ggml's depend on the threads."""
        for threads in self.threads:
            files = []
            for fuse in ("off", "default"):
                files.append(self.file("logits", name, CACHES[0], threads, f"fuse-{fuse}"))
                if not self.is_done(files[-1]):
                    part = self.place / "logits.part"
                    self.go(name, threads, CACHES[0], part, ROPEROT_GGML_FUSE=fuse)
                    part.rename(files[-1])
            if files[0].read_bytes() != files[1].read_bytes():
                sys.exit(f"trial.py: {name}, {threads} threads: ROPEROT_GGML_FUSE=off gives other logits")
        self.report("bits", f"{name}, f16: the same logits with ROPEROT_GGML_FUSE=off\n")


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
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--under", default="")
    parser.add_argument("--floors", action="store_true")
    options = parser.parse_intermixed_args()
    UNDER.extend(options.under.split())
    trial = Trial(options)
    for step in options.steps or steps:
        getattr(trial, step)()


if __name__ == "__main__":
    main()
