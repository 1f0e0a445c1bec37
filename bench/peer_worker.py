# SPDX-License-Identifier: MIT
"""Checks and times one peer, in this process; it must not know how the peer is called.

Prints one JSON line per case. The clock is the CPU time of this process, all threads together: it is pinned to one CPU,
so that is what the peer would take alone, and other processes on that CPU do not count against it. `overhead_ns` is
what the same path takes on a tensor that is too small to matter (one token, one head, dim 16).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy
import peer_kinds
from peer_cases import TOLERANCE, Case, cases

CHUNK_S = 2e-3
SLOW_S, SLOW_ROUNDS = 20e-3, 7  # a call that takes this long is no matter of a few per cent


def seconds_of(run, calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        run()
    return time.process_time() - start


def calls_per_chunk(run) -> int:
    calls = 1
    while (taken := seconds_of(run, calls)) < CHUNK_S / 4:
        calls *= 2
    return max(1, round(calls * CHUNK_S / taken))


def time_ns(run, rounds: int) -> tuple[float, float]:
    """Median per call, and the quartile distance over it."""
    slow = seconds_of(run, 3) > 3 * SLOW_S
    calls = 1 if slow else calls_per_chunk(run)
    rounds = min(rounds, SLOW_ROUNDS) if slow else rounds
    chunks = [seconds_of(run, calls) / calls * 1e9 for _ in range(rounds)]
    low, middle, high = statistics.quantiles(chunks, n=4)
    return middle, (high - low) / middle


def largest_error(wanted: list, found: tuple) -> float:
    if len(found) != len(wanted):
        raise ValueError(f"{len(found)} outputs, {len(wanted)} expected")
    for a, b in zip(found, wanted, strict=False):
        if a.shape != b.shape:
            raise ValueError(f"output {a.shape}, expected {b.shape}")
    return max(float(numpy.max(numpy.abs(a.astype(numpy.float64) - b))) for a, b in zip(found, wanted, strict=False))


def measure(peer, case: Case, rounds: int) -> dict:
    name = f"{peer.group}/{peer.name}/{case.dtype}/{case.pairing}/{case.shape}"
    try:
        case = peer.case(case)
        call = peer.prepare(case)
        error = largest_error(peer.oracle(case), call.read(call.run()))
        if not error <= TOLERANCE[case.dtype]:
            return {"name": name, "error": f"differs from the oracle by {error:.3g}: not timed"}
        ns, spread = time_ns(call.run, rounds)
        overhead, _ = time_ns(peer.prepare(case.tiny()).run, rounds)
    except Exception as failure:  # a peer may fail in any way of its own; its row says how, and the others go on
        reason = str(failure).strip().splitlines()
        return {"name": name, "error": f"{type(failure).__name__}: {reason[0] if reason else ''}"[:300]}
    return {"name": name, "ns": ns, "spread": spread, "overhead_ns": overhead, "max_error": error, "rounds": rounds}


def main(name: str, shapes: str, quick: bool) -> None:
    """`shapes` is a JSON object, as results.shapes_of makes it."""
    peer = peer_kinds.open_peer(name)
    for case in cases(json.loads(shapes), quick):
        if peer.offers(case.dtype, case.pairing):
            print(json.dumps(measure(peer, case, 9 if quick else 25)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="the peer's")
    parser.add_argument("shapes", help="a JSON object of shapes")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    given = parser.parse_args()
    main(given.name, given.shapes, given.quick)
