"""What a call from Python costs: Rope.apply_ on decode-sized tensors; it must not time the kernels.

Run it on a quiet core: taskset -c 1 python bench/python_overhead.py (the package and its library as for any program).
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
import timeit
from collections.abc import Callable

import numpy as np
import roperot

# Of the Xeon in the README; slower machines miss them.
BUDGETS = {"NumPy, q and k": 2.5, "NumPy, q and k, prepared": 1.2}
CALLS, REPEATS = 500, 100


def cost(call: Callable[[], object]) -> float:
    """Microseconds of this thread's processor time per call; the least of many repeats, as disturbance only adds."""
    return min(timeit.repeat(call, timer=time.thread_time, number=CALLS, repeat=REPEATS)) / CALLS * 1e6


def numpy_cases(rope: roperot.Rope) -> dict[str, Callable[[], object]]:
    """Calls on one token of 32 + 8 heads x 128, float32."""
    q, k = np.ones((1, 32, 128), np.float32), np.ones((1, 8, 128), np.float32)
    ids = np.array([17])
    return {
        "NumPy, one array": lambda: rope.apply_(q, positions=17),
        "NumPy, q and k": lambda: rope.apply_(q, k, 17),
        "NumPy, q and k, prepared": functools.partial(rope.prepare(q, k), 17),
        "NumPy, q and k, array of positions": lambda: rope.apply_(q, k, ids),
        "NumPy, new array": lambda: rope.apply(q, 17),
    }


def torch_cases(rope: roperot.Rope) -> dict[str, Callable[[], object]]:
    """The same on PyTorch tensors; empty if there is no PyTorch."""
    try:
        import roperot.torch as rt
        import torch
    except ImportError:
        return {}
    q, k, ids = torch.ones(1, 32, 128), torch.ones(1, 8, 128), torch.tensor([17])
    return {
        "PyTorch, one tensor": lambda: rope.apply_(q, positions=17),
        "PyTorch, q and k": lambda: rope.apply_(q, k, 17),
        "PyTorch, q and k, prepared": functools.partial(rope.prepare(q, k), 17),
        "PyTorch, q and k, tensor of positions": lambda: rope.apply_(q, k, ids),
        "roperot.torch.rotary, no gradient": lambda: rt.rotary(q, k, rope, 17),
    }


def main() -> int:
    """Print the table; with --check, fail where a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a budget is missed")
    options = parser.parse_args()
    rope = roperot.Rope(128, base=500000.0, cache="full", max_positions=8192)
    missed = False
    print(f"{rope.info()['kernels']['float32']}, Python {sys.version.split()[0]}, NumPy {np.__version__}")
    for name, call in {**numpy_cases(rope), **torch_cases(rope)}.items():
        taken, budget = cost(call), BUDGETS.get(name)
        missed |= budget is not None and taken > budget
        print(f"{name:<40} {taken:6.2f} us{f'   (budget {budget:g})' if budget else ''}")
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
