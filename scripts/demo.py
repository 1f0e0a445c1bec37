"""The demonstration that demo.sh runs: real models, checked and timed; it must not know how to build anything."""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import roperot
from roperot import _arrays, _library

ROOT = Path(__file__).resolve().parent.parent
PREFILL, DECODE_AT = 4096, 4096
RNG = np.random.default_rng(20260101)


def load_models() -> list[dict[str, Any]]:
    """The JSON files of examples/models, in a stable order."""
    return [json.loads(path.read_text()) for path in sorted((ROOT / "examples" / "models").glob("*.json"))]


def rope_of(model: dict[str, Any], isa: str | None = None) -> roperot.Rope:
    """The plan of a model, with a row per position: what an inference runtime would hold."""
    return roperot.Rope(
        model["head_dim"],
        rotary_dim=model["rotary_dim"],
        base=model["base"],
        pairing=model["pairing"],
        scaling=model.get("scaling"),
        cache="full",
        max_positions=2 * PREFILL,
        isa=isa,
    )


def random_qk(model: dict[str, Any], tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal float32 queries and keys, [tokens, heads, head_dim]."""
    dim = model["head_dim"]
    q = RNG.standard_normal((tokens, model["heads"], dim), np.float32)
    return q, RNG.standard_normal((tokens, model["kv_heads"], dim), np.float32)


def numpy_rotation(rope: roperot.Rope, x: np.ndarray, first: int) -> np.ndarray:
    """The textbook formula in NumPy's float32, given the same cos and sin."""
    info = rope.info()
    width, pairs = info["rotary_dim"], info["pairs"]
    cos, sin = (table[:, None, :] for table in rope.cos_sin(np.arange(first, first + len(x))))
    half = info["pairing"] == "half"
    first_of_pair = slice(0, pairs) if half else slice(0, width, 2)
    second_of_pair = slice(pairs, width) if half else slice(1, width, 2)
    x0, x1 = x[..., first_of_pair], x[..., second_of_pair]
    y = x.copy()
    y[..., first_of_pair] = x0 * cos - x1 * sin
    y[..., second_of_pair] = x0 * sin + x1 * cos
    return y


def check_model(model: dict[str, Any]) -> None:
    """Every usable ISA against the scalar backend and against NumPy, bit for bit, prefill and decode."""
    scalar = rope_of(model, "scalar")
    for tokens, first in ((PREFILL, 0), (1, DECODE_AT)):
        tensors = random_qk(model, tokens)
        expected = [scalar.apply(x, first) for x in tensors]
        for x, y in zip(tensors, expected):
            if not np.array_equal(numpy_rotation(scalar, x, first).view(np.uint32), y.view(np.uint32)):
                sys.exit(f"{model['name']}: the scalar backend differs from NumPy's formula")
        for isa in roperot.isas():
            rotated = [x.copy() for x in tensors]
            rope_of(model, isa).apply_(*rotated, positions=first)
            if not all(np.array_equal(a.view(np.uint32), b.view(np.uint32)) for a, b in zip(rotated, expected)):
                sys.exit(f"{model['name']}: {isa} differs from the scalar backend")
    values = (PREFILL + 1) * (model["heads"] + model["kv_heads"]) * model["head_dim"]
    print(f"  {model['name']:<14} {values:>12,} values: {', '.join(roperot.isas())} equal NumPy bit for bit")


def show_relative_position(model: dict[str, Any]) -> None:
    """<R_m q, R_n k> depends on m - n alone: the same distance at three places of the context."""
    rope = rope_of(model)
    q, k = (x[:, :1].astype(np.float32) for x in random_qk(model, 1))
    products = [
        float(np.sum(rope.apply(q, n + 17).astype(np.float64) * rope.apply(k, n).astype(np.float64)))
        for n in (0, 1000, 8000)
    ]
    scale = float(np.linalg.norm(q) * np.linalg.norm(k))
    spread = (max(products) - min(products)) / scale
    row = "  ".join(f"{product:12.7f}" for product in products)
    print(f"  {model['name']:<14} {row}   spread / |q||k| = {spread:.1e}")


def time_model(speed: Any, model: dict[str, Any], isa: str, tokens: int, first: int) -> tuple[float, float, float]:
    """ns per call, GB/s of rotated channels, and the share of the sweep's speed."""
    rope = rope_of(model, isa)
    tensors = random_qk(model, tokens)
    structs = (_library.TensorStruct * 2)()
    for i, x in enumerate(tensors):
        _arrays.Slot(structs[i]).bind(x, "bshd", "x", True)
    moved = sum(x.size for x in tensors) * 4 * model["rotary_dim"] // model["head_dim"]
    scratch = np.ones(moved // 4 + 32, np.float32)
    aligned = (_arrays.address(scratch) + 63) // 64 * 64
    positions = _library.PositionsStruct(axes=1, offset=first)
    ns = (ctypes.c_double * 2)()
    where, size = ctypes.c_void_p(aligned), ctypes.c_int64(moved)
    status = speed.model_speed(rope._plan, ctypes.byref(positions), structs, 2, isa.encode(), where, size, ns)
    _library.check(status)
    return ns[0], 2 * moved / ns[0], ns[1] / ns[0]


def show_speed(models: list[dict[str, Any]]) -> None:
    """The table of ISA x model."""
    speed = ctypes.CDLL(str(ROOT / "build" / "examples" / "libmodel-speed.so"))
    print(f"  {'model':<14} {'ISA':<8} {'prefill ' + str(PREFILL):>14} {'GB/s':>8} {'sweep':>6} "
          f"{'decode':>12} {'GB/s':>8} {'sweep':>6}")  # fmt: skip
    for model in models:
        for isa in roperot.isas():
            long = time_model(speed, model, isa, PREFILL, 0)
            short = time_model(speed, model, isa, 1, DECODE_AT)
            print(
                f"  {model['name']:<14} {isa:<8} {long[0] / 1e6:>11.2f} ms {long[1]:>8.1f} {long[2]:>6.2f} "
                f"{short[0]:>9.0f} ns {short[1]:>8.1f} {short[2]:>6.2f}"
            )


def main() -> None:
    """Check, show, time."""
    models = load_models()
    print(f"\n{_library.text(_library.lib.roperot_build_info())}")
    print(f"usable here: {', '.join(roperot.isas())}; AUTO picks {roperot.best_isa()}\n")
    print(f"1. q and k of a {PREFILL}-token prefill and a decode step, float32, against the scalar backend and NumPy")
    for model in models:
        check_model(model)
    print("\n2. The product of a query and a key 17 positions apart, at positions 0, 1000 and 8000")
    for model in models:
        show_relative_position(model)
    print("\n3. Speed, in place, one thread. GB/s counts the rotated channels, read and written; sweep is the share of")
    print("   the speed of a plain load-multiply-store loop over as many bytes with the same vectors")
    show_speed(models)
    print("\nYour own array: sh scripts/demo.sh q.npy. Every shape and dtype: build/bench/roperot-bench --help")


if __name__ == "__main__":
    main()
