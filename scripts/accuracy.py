#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the error of cos and sin, by roperot and by others' methods, and of shifted K caches; it times nothing.

    python3 scripts/accuracy.py                                  print the tables in Markdown
    python3 scripts/accuracy.py --plot docs/accuracy.png         and draw them
    python3 scripts/accuracy.py --fill docs/accuracy.md          and put them between the page's <!-- --> marks

Needs NumPy, mpmath, ml_dtypes, and matplotlib for --plot. The library is found as python/roperot finds it: in build/,
or where ROPEROT_LIBRARY says. Ten seconds on one CPU.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import mpmath
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import roperot  # noqa: E402

DIM, PAIRS = 128, 64
BASES = (1e4, 5e5, 1e6)
MIDDLES = {"4 k": 4096, "32 k": 32768, "128 k": 131072, "1 M": 2**20, "10 M": 10 * 2**20}
WINDOW = 16
SHIFTS = (0, 1, 10, 100, 1000)
START = 1_000_000  # far enough from 0 for every walk of shifts
DTYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
STYLES = {"random, up to ±1024": "-", "always −256": "--", "always −1": ":"}  # of the walks
F32 = np.float32
CosSin = tuple[np.ndarray, np.ndarray]


# ---- the truth -------------------------------------------------------------------------------------------------------


def exact_cos_sin(frequencies: list, positions: np.ndarray) -> CosSin:
    """cos and sin of the exact products, with 200 bits and then as the nearest f64: good to 2^-54."""
    with mpmath.workprec(200):
        angles = [[mpmath.mpf(int(p)) * w for w in frequencies] for p in positions]
        cos = np.array([[float(mpmath.cos(a)) for a in row] for row in angles])
        sin = np.array([[float(mpmath.sin(a)) for a in row] for row in angles])
    return cos, sin


def exact_frequencies(base: float) -> list:
    """base^(-2j/d) as real numbers, not as f64."""
    with mpmath.workprec(200):
        return [mpmath.mpf(base) ** (-mpmath.mpf(2 * j) / DIM) for j in range(PAIRS)]


# ---- methods: positions and base to cos and sin. Where others call powf, cosf and sinf, the correctly rounded result
# ---- stands in: no library's can be better, and theirs differ by a unit in the last place.


def pow_f32(base: float, exponent: np.ndarray) -> np.ndarray:
    return np.power(np.float64(F32(base)), exponent.astype(np.float64)).astype(F32)


def of_angles(theta: np.ndarray) -> CosSin:
    assert theta.dtype == F32
    return np.cos(theta.astype(np.float64)).astype(F32), np.sin(theta.astype(np.float64)).astype(F32)


def roperot_exact(base: float, positions: np.ndarray) -> CosSin:
    return roperot.Rope(DIM, base=base).cos_sin(positions)


def roperot_f32(base: float, positions: np.ndarray) -> CosSin:
    """By coordinates, which take the same angles as the table does, without its 5 GB at 10 M positions."""
    rope = roperot.Rope(DIM, base=base, angles="f32", max_positions=4096)
    few = np.arange(4096 - WINDOW, 4096)
    by_table, by_coordinate = rope.cos_sin(few), rope.cos_sin(None, coordinates=few.astype(np.float64))
    assert all(np.array_equal(a, b) for a, b in zip(by_table, by_coordinate))
    return rope.cos_sin(None, coordinates=positions.astype(np.float64))


def hugging_face(base: float, positions: np.ndarray) -> CosSin:
    """1 / base ** (arange(0, d, 2) / d), and the product with the position: each step rounded to f32, as in torch."""
    inv_freq = F32(1) / pow_f32(base, np.arange(0, DIM, 2).astype(F32) / F32(DIM))
    return of_angles(positions.astype(F32)[:, None] * inv_freq)


def ggml_chained(base: float, positions: np.ndarray) -> CosSin:
    """theta starts as the position, and theta *= base^(-2/d) leads from pair to pair."""
    scale = pow_f32(base, np.array(F32(-2) / F32(DIM)))
    theta = np.empty((len(positions), PAIRS), F32)
    theta[:, 0] = positions
    for j in range(1, PAIRS):
        theta[:, j] = theta[:, j - 1] * scale
    return of_angles(theta)


def gpu_style(base: float, positions: np.ndarray) -> CosSin:
    """position * powf(base^(-2/d), j), as kernels do that have no table."""
    scale = pow_f32(base, np.array(F32(-2) / F32(DIM)))
    return of_angles(positions.astype(F32)[:, None] * pow_f32(float(scale), np.arange(PAIRS).astype(F32)))


def bf16_hugging_face(base: float, positions: np.ndarray) -> CosSin:
    cos, sin = hugging_face(base, positions)
    return cos.astype(ml_dtypes.bfloat16), sin.astype(ml_dtypes.bfloat16)


def bf16_exact(base: float, positions: np.ndarray) -> CosSin:
    return roperot.Rope(DIM, base=base).cos_sin(positions, dtype="bfloat16")


METHODS: dict[str, Callable[[float, np.ndarray], CosSin]] = {
    "roperot EXACT": roperot_exact,
    "roperot F32": roperot_f32,
    "Hugging Face f32": hugging_face,
    "ggml chained f32": ggml_chained,
    "GPU p·powf": gpu_style,
    "bf16 table, HF angles": bf16_hugging_face,
    "bf16 table, exact": bf16_exact,
}


# ---- measurements ----------------------------------------------------------------------------------------------------


def window(middle: int) -> np.ndarray:
    return np.arange(middle - WINDOW // 2, middle + WINDOW // 2, dtype=np.int64)


def furthest(got: CosSin, truth: CosSin) -> float:
    return max(float(np.abs(g.astype(np.float64) - t).max()) for g, t in zip(got, truth))


def largest_errors() -> dict[tuple[float, str], dict[str, float]]:
    """(base, position) -> method -> the largest error of a cos or sin over the window and all pairs."""
    found = {}
    for base in BASES:
        frequencies = exact_frequencies(base)
        for name, middle in MIDDLES.items():
            positions = window(middle)
            truth = exact_cos_sin(frequencies, positions)
            found[base, name] = {m: furthest(compute(base, positions), truth) for m, compute in METHODS.items()}
    return found


def promise(base: float, middle: int) -> float:
    """The largest error of EXACT for its own f64 frequencies, less 2^-50, in units of the last f32 place."""
    rope, positions = roperot.Rope(DIM, base=base), window(middle)
    truth = exact_cos_sin([mpmath.mpf(float(w)) for w in rope.inv_freq], positions)
    worst = 0.0
    for got, want in zip(rope.cos_sin(positions), truth):
        unit = np.ldexp(1.0, np.frexp(want)[1] - 24)
        worst = max(worst, float(((np.abs(got.astype(np.float64) - want) - 2.0**-50) / unit).max()))
    if worst > 0.5:
        sys.exit(f"EXACT breaks its promise: {worst} units in the last place around position {middle}, base {base:g}")
    return worst


def rotate_f64(x: np.ndarray, inv_freq: np.ndarray, positions: np.ndarray) -> np.ndarray:
    angle = (positions[:, None] * inv_freq)[:, None, :]
    z = (x[..., :PAIRS] + 1j * x[..., PAIRS:]) * np.exp(1j * angle)
    return np.concatenate([z.real, z.imag], axis=-1)


def walk(dtype: type, deltas: np.ndarray, base: float = 1e4) -> list[float]:
    """||K shifted - K rotated in f64|| / ||K|| after SHIFTS in-place shifts by the deltas."""
    rope = roperot.Rope(DIM, base=base)
    x = np.random.default_rng(1).standard_normal((64, 8, DIM)).astype(dtype)
    positions = START + np.arange(len(x))
    key = rope.apply(x, positions=START)
    errors = []
    for n in range(SHIFTS[-1] + 1):
        if n:
            rope.shift_(key, int(deltas[n - 1]))
            positions = positions + deltas[n - 1]
        if n in SHIFTS:
            truth = rotate_f64(x.astype(np.float64), rope.inv_freq, positions)
            errors.append(float(np.linalg.norm(key.astype(np.float64) - truth) / np.linalg.norm(truth)))
    return errors


def shift_errors() -> dict[tuple[str, str], list[float]]:
    rng = np.random.default_rng(2)
    steps = SHIFTS[-1]
    random = rng.integers(1, 1025, steps) * rng.choice([-1, 1], steps)
    walks = dict(zip(STYLES, (random, np.full(steps, -256), np.full(steps, -1))))
    return {(name, dtype): walk(DTYPES[dtype], deltas) for name, deltas in walks.items() for dtype in DTYPES}


# ---- output ----------------------------------------------------------------------------------------------------------


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def tables(errors: dict, shifts: dict) -> dict[str, str]:
    rows = [[f"{base:g}", name, *(f"{e:.1e}" for e in line.values())] for (base, name), line in errors.items()]
    ends = MIDDLES | {"2^31 - 1": 2**31 - WINDOW // 2}
    kept = [[f"{base:g}", *(f"{promise(base, middle):.4f}" for middle in ends.values())] for base in BASES]
    moved = [[dtype, name, *(f"{e:.2e}" for e in line)] for (name, dtype), line in shifts.items()]
    return {
        "errors": markdown(["base", "around position", *METHODS], rows),
        "promise": markdown(["base", *ends], kept),
        "shifts": markdown(["cache", "shifts", "none"] + [f"after {n}" for n in SHIFTS[1:]], moved),
    }


def plot(errors: dict, shifts: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for i, method in enumerate(METHODS):
        most = [max(errors[base, name][method] for base in BASES) for name in MIDDLES]
        left.plot(list(MIDDLES.values()), most, marker="osv^Dx+"[i], label=method)
    left.set(xscale="log", yscale="log", xlabel="position", ylabel="largest error of cos or sin")
    left.set_title(f"d = {DIM}, worst of the bases {', '.join(f'{b:g}' for b in BASES)}", fontsize=10)
    for (name, dtype), line in shifts.items():
        look = {"linestyle": STYLES[name], "color": f"C{list(DTYPES).index(dtype)}", "marker": "."}
        right.plot(SHIFTS[1:], line[1:], label=f"{dtype}, {name}", **look)
    right.set(xscale="log", yscale="log", xlabel="in-place shifts", ylabel="relative RMS error of K")
    right.set_title("Keys shifted in place, base 1e4", fontsize=10)
    for axes in (left, right):
        axes.grid(True, alpha=0.3)
    left.legend(fontsize=8)
    right.set_ylim(bottom=1e-9)  # room for the legend
    right.legend(fontsize=8, loc="lower center", ncols=3)
    figure.savefig(path, dpi=90)


def fill(page: Path, made: dict[str, str]) -> None:
    text = page.read_text(encoding="utf-8")
    for name, table in made.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->\n)", re.S)
        if not marks.search(text):
            sys.exit(f"{page} has no lines <!-- {name} --> and <!-- /{name} -->")
        text = marks.sub(lambda m, table=table: m[1] + table + m[2], text)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the results")
    parser.add_argument("--fill", type=Path, metavar="PAGE", help="write the tables into a Markdown page with marks")
    arguments = parser.parse_args()
    errors, shifts = largest_errors(), shift_errors()
    made = tables(errors, shifts)
    print("\n".join(made.values()))
    if arguments.fill:
        fill(arguments.fill, made)
    if arguments.plot:
        plot(errors, shifts, arguments.plot)


if __name__ == "__main__":
    main()
