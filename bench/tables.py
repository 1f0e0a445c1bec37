# SPDX-License-Identifier: MIT
"""Results as tables of text; it must not read files or draw."""

from __future__ import annotations

import math
from collections.abc import Iterable

from results import Results, Row

NOISY = 0.15  # quartile distance over median
PAIRINGS = ("half", "interleaved")
SINGLE_CALLS = ("cold/", "step/")
MANY = 3  # benchmarks that failed for one reason and have a line each
SAME = 1.05  # two machines, or two peers, that are closer than this are equally fast
COLD = ("hot", "12MiB", "96MiB")
README_PEERS = {  # in the README: one column each
    "ggml": ("ggml",),
    "ONNX Runtime": ("onnxruntime-contrib", "onnxruntime-std23"),
    "PyTorch eager": ("torch-eager",),
    "PyTorch compile": ("torch-compile",),
}


def duration(ns: float) -> str:
    for unit, factor in (("ns", 1.0), ("us", 1e3), ("ms", 1e6)):
        if ns < 1000 * factor:
            return f"{ns / factor:.3g} {unit}" if ns < 100 * factor else f"{ns / factor:.0f} {unit}"
    return f"{ns / 1e9:.3g} s"


def grid(head: list[str], body: list[list[str]], markdown: bool = False) -> str:
    """Aligned columns, the first to the left; as Markdown if wanted."""
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=False))]
        return "| " + " | ".join(padded) + " |" if markdown else "  ".join(padded).rstrip()

    rule = [":" + "-" * (w - 1) if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    separator = "| " + " | ".join(rule) + " |" if markdown else "  ".join("-" * w for w in widths)
    return "\n".join([line(head), separator, *map(line, body)])


def kinds(found: Results) -> list[tuple[str, str, str]]:
    """(dtype, pairing, isa) in the order of the run."""
    seen = dict.fromkeys(tuple(name.split("/")[1:4]) for name in found.rows if name.startswith("rotate/"))
    return list(seen)


# ---- one row as cells ------------------------------------------------------------------------------------------------


def time_of(row: Row | None) -> str:
    if row is None:
        return ""
    return duration(row.value("ns")) if row.repetitions else "void" if row.void else "failed"


def speed_of(row: Row | None) -> str:
    speed = row.value("GB/s") if row is not None and not row.error else None
    return f"{speed:.0f}" if speed else ""


def share_of(row: Row | None) -> str:
    if row is None or (row.error and not row.void):
        return ""
    return "void" if row.void else f"{row.ratio[1]:.2f}" if row.ratio else ""


def noise_of(row: Row | None) -> str:
    return "" if row is None or not row.repetitions else f"{row.noise:.0%}"


HEADS = ("time", "GB/s", "share", "noise")


def cells(row: Row | None) -> list[str]:
    """Under HEADS."""
    return [time_of(row), speed_of(row), share_of(row), noise_of(row)]


# ---- rotations -------------------------------------------------------------------------------------------------------


def shape_names(found: Results) -> list[str]:
    """The main shapes, then all others as they were measured."""
    others = (name.split("/")[4] for name in found.rows if name.startswith("rotate/"))
    return list(dict.fromkeys([*found.main_shapes, *others]))


def rotations(found: Results, shapes: Iterable[str] | None = None, markdown: bool = False) -> str:
    """Every shape, dtype, pairing and ISA on a line of its own; shapes None: the main ones."""
    body = []
    for shape in found.main_shapes if shapes is None else shapes:
        for kind in kinds(found):
            row = found.rows.get(f"rotate/{'/'.join(kind)}/{shape}")
            if row is not None:
                body.append([f"{shape} {' '.join(kind)}", *cells(row)])
    return grid(["shape, dtype, pairing, ISA", *HEADS], body, markdown)


def shares(found: Results) -> str:
    """The best ISA's shares of the sweep's speed, half-split / interleaved."""
    body = []
    for dtype in dict.fromkeys(dtype for dtype, _, isa in kinds(found) if isa == found.best_isa):
        both = [[share_of(found.best(dtype, p, shape)) or "-" for p in PAIRINGS] for shape in found.main_shapes]
        body.append([dtype, *map(" / ".join, both)])
    return grid([f"share of the sweep, {found.best_isa}", *found.main_shapes], body, markdown=True)


# ---- machines against each other -------------------------------------------------------------------------------------


def contests(files: list[Results]) -> list[tuple[str, str, list[Row | None]]]:
    """(shape, what, best ISA's row of each machine) wherever one has it."""
    found = []
    for shape in dict.fromkeys(shape for f in files for shape in f.main_shapes):
        for what in dict.fromkeys(" ".join(kind[:2]) for f in files for kind in kinds(f)):
            rows = [f.best(*what.split(), shape) for f in files]
            if any(rows):
                found.append((shape, what, rows))
    return found


def is_noisy(row: Row | None, limit: float = NOISY) -> bool:
    """Single calls of a cold row differ by nature: their median is the figure."""
    return row is not None and bool(row.repetitions) and not row.name.startswith(SINGLE_CALLS) and row.noise > limit


def winner(rows: list[Row | None]) -> tuple[int | None, float] | None:
    """Index of the fastest machine (None: a tie) and its lead over the next one; None if there is no other.

    None, too, if one of the two is noisy: a neighbour's load is not a machine's speed.
    """
    times = sorted((row.value("ns"), i) for i, row in enumerate(rows) if row is not None)
    if len(times) < 2 or any(is_noisy(rows[i]) for _, i in times[:2]):
        return None
    lead = times[1][0] / times[0][0]
    return (times[0][1] if lead > SAME else None), lead


def verdict(rows: list[Row | None]) -> str:
    won = winner(rows)
    if won is None:
        return "noisy" if any(map(is_noisy, rows)) else ""
    return f"{won[0] + 1}, by {won[1]:.2f}" if won[0] is not None else "equal"


def face_to_face(files: list[Results], markdown: bool = True) -> str:
    """Best ISA against best ISA at the main shapes; numbers of machines stand in the head."""
    several = len(files) > 1
    heads = [f"{i}: {head}" for i in range(1, len(files) + 1) for head in ("time", "share", "noise")]
    body = []
    for shape, what, rows in contests(files):
        line = [text for row in rows for text in (time_of(row), share_of(row), noise_of(row))]
        body.append([f"{shape} {what}", *line, *([verdict(rows)] if several else [])])
    return grid(["shape, dtype, pairing", *heads, *(["fastest"] if several else [])], body, markdown)


def wins_at(shape: str, files: list[Results]) -> str:
    """`decode: machine 1 is the fastest in 5 of 6 rows, by 1.21 to 1.9 (1 equal).`"""
    won = [w for s, _, rows in contests(files) if s == shape and (w := winner(rows)) is not None]
    parts = []
    for i in range(len(files)):
        leads = sorted(lead for machine, lead in won if machine == i)
        if leads:
            by = f"{leads[0]:.2f}" + (f" to {leads[-1]:.2f}" if len(leads) > 1 else "")
            parts.append(f"machine {i + 1} is the fastest in {len(leads)} of {len(won)} rows, by {by} times")
    equal = sum(machine is None for machine, _ in won)
    if equal:
        parts.append(f"{equal} {'rows are' if equal > 1 else 'row is'} equal within {SAME - 1:.0%}")
    return f"- **{shape}**: {'; '.join(parts)}." if parts else ""


def overall(files: list[Results]) -> str:
    """One sentence for each machine after the first: geometric means over the rows that both have without noise."""
    sentences = []
    for i in range(2, len(files) + 1):
        ratios = [
            math.log(rows[0].value("ns") / rows[i - 1].value("ns"))
            for _, _, rows in contests(files)
            if rows[0] is not None and rows[i - 1] is not None and not is_noisy(rows[0]) and not is_noisy(rows[i - 1])
        ]
        if ratios:
            mean = math.exp(sum(ratios) / len(ratios))
            faster, slower = (i, 1) if mean >= 1 else (1, i)
            lead = "as fast" if max(mean, 1 / mean) <= SAME else f"{max(mean, 1 / mean):.2f} times as fast"
            names = [f"machine {n} ({files[n - 1].cpu})" for n in (faster, slower)]
            sentences.append(f"Over the {len(ratios)} rows without noise {names[0]} is {lead} as {names[1]} (geometric mean).")
    return "\n".join(sentences)


def health(found: Results) -> str:
    """How far a file is to be trusted, in one line."""
    rows = list(found.rows.values())
    void = sum(r.void for r in rows)
    failed = [r.error for r in rows if r.error and not r.void]
    noisy = sum(is_noisy(r) for r in rows)
    parts = [f"{len(rows)} benchmarks", f"{void} void (timed, but without a share: the sweep was no limit)"]
    parts += [f"{noisy} noisy (quartiles more than {NOISY:.0%} of the median apart)"]
    parts.append(f"{len(failed)} failed" + (f" ({', '.join(dict.fromkeys(failed))})" if failed else ""))
    if found.context.get("isas_missing"):
        parts.append(f"not on this CPU: {found.context['isas_missing']}")
    if found.context.get("stopped"):
        parts.append(f"**incomplete**: {found.context['stopped']}")
    return "; ".join(parts) + "."


# ---- cold calls and whole steps --------------------------------------------------------------------------------------


def cold(found: Results, markdown: bool = False) -> str:
    """One decode call by what has passed through the caches before it, best ISA; empty if it was not measured."""
    body = []
    for row in found.matching(f"cold/.*/{found.best_isa}/.*-hot"):
        stem, what = row.name.removesuffix("-hot"), row.name.split("/")
        line = [" ".join([*what[1:3], *what[4].split("-")[:2]])]
        for swept in COLD:
            ns, ratio = (found.value(f"{stem}-{swept}", counter) for counter in ("ns", "plain_ratio"))
            line += [duration(ns) if ns else "", f"{ratio:.2f}" if ratio else ""]
        body.append(line)
    heads = ["hot", "of loop", "12 MiB", "of loop", "96 MiB", "of loop"]
    return grid(["dtype, pairing, cache, positions", *heads], body, markdown) if body else ""


def steps(found: Results, markdown: bool = False) -> str:
    """Decode steps of 28 layers, each with the ten-line loop beside it; empty if none was measured."""
    body = []
    for row in found.matching("step/.*"):
        _, who, dtype, pairing = row.name.split("/")
        plain, ratio = row.value("plain_ns"), row.value("plain_ratio")
        body.append([f"{dtype} {pairing}", who, duration(row.value("ns")), duration(plain), f"{ratio:.2f}"])
    heads = ["dtype, pairing", "who", "step", "ten-line loop", "of loop"]
    return grid(heads, sorted(body, key=lambda line: line[:2]), markdown) if body else ""


# ---- peers -----------------------------------------------------------------------------------------------------------


def has_peers(found: Results) -> bool:
    return any(name.startswith("peer/") for name in found.rows)


def peers(found: Results, markdown: bool = False) -> str:
    """Who takes how long, fastest first within each shape; roperot's own rows among them."""
    rows = [r for r in found.rows.values() if r.name.startswith("peer/")]
    shapes = found.main_shapes

    def order(row: Row) -> tuple:
        _, _, dtype, pairing, shape = row.name.split("/")
        return dtype, pairing, shapes.index(shape), row.value("ns") or float("inf")

    body = []
    for row in sorted((r for r in rows if r.name.split("/")[4] in shapes), key=order):
        _, who, dtype, pairing, shape = row.name.split("/")
        own = found.value(f"peer/roperot-c/{dtype}/{pairing}/{shape}", "ns")
        times = f"{row.value('ns') / own:.2f}" if own and not row.error else ""
        overhead = row.value("overhead_ns")
        body.append(
            [
                f"{dtype} {pairing} {shape}",
                who,
                row.error or duration(row.value("ns")),
                times,
                duration(overhead) if overhead else "",
            ]
        )
    return grid(["shape", "who", "time", "x roperot C", "of it overhead"], body, markdown)


def peers_note(found: Results) -> str:
    """How the table of peers is to be read, with the versions that ran."""
    ran = [
        f"{name} {version}" for name, version in found.context.get("peers", {}).items() if version != "not installed"
    ]
    return "Peers, one thread, fastest first" + (f" ({', '.join(ran)})" if ran else "") + ":"


def peer_time(found: Results, names: tuple[str, ...], case: str) -> float | None:
    times = [ns for who in names if (ns := found.value(f"peer/{who}/{case}", "ns"))]
    return min(times) if times else None


def layers(found: Results, markdown: bool = False) -> str:
    """One call of roperot_run for a layer with q/k norms and a cache, and who does the same in several; empty if
    nobody was measured."""
    names = list(dict.fromkeys(r.name.split("/")[1] for r in found.matching("chain/.*")))
    body = []
    for row in found.matching(f"run/layer/.*/{found.best_isa}/.*"):
        _, _, dtype, _, shape = row.name.split("/")
        chain = row.value("chain_ratio")
        others = [found.value(f"chain/{who}/{dtype}/half/{shape}", "ns") for who in names]
        own = [duration(row.value("ns")), duration(row.value("ns") / chain) if chain else ""]
        body.append([f"{shape} {dtype}", *own, *[duration(ns) if ns else "" for ns in others]])
    return grid(["layer", "roperot_run", "separate calls", *names], body, markdown) if body else ""


def speeds(found: Results) -> str:
    """The README's table: times of roperot and of what people use, at the main shapes."""
    body = []
    for dtype, pairing in (("f32", "half"), ("f32", "interleaved"), ("f16", "half"), ("bf16", "half")):
        for shape in found.main_shapes:
            case = f"{dtype}/{pairing}/{shape}"
            own = found.value(f"peer/roperot-c/{case}", "ns")
            others = [peer_time(found, names, case) for names in README_PEERS.values()]
            if own and any(others):
                times = [duration(t) if t else "-" for t in others]
                body.append([f"{shape}, {dtype} {pairing}", f"**{duration(own)}**", *times])
    return grid(["one thread", "roperot", *README_PEERS], body, markdown=True)


# ---- the rest --------------------------------------------------------------------------------------------------------


def caches(found: Results, markdown: bool = False) -> str:
    body = []
    for row in found.matching(r"cache/.*/warm"):
        _, kind, positions, _ = row.name.split("/")
        scattered = found.value(f"cache/{kind}/{positions}/cold", "ns_per_token")
        body.append(
            [
                f"{kind} {positions}",
                f"{row.value('ns_per_token'):.0f} ns",
                f"{scattered:.0f} ns" if scattered else "",
                f"{row.value('build_ms'):.1f} ms",
                f"{row.value('cache_bytes') / 2**20:.1f} MiB",
            ]
        )
    return grid(["cache, positions", "warm, per token", "cold, per token", "build", "memory"], body, markdown)


def startup(found: Results) -> str:
    """One sentence; empty if it was not measured."""
    ns, size = (found.value("startup/dlopen-plan", counter) for counter in ("ns", "library_bytes"))
    if ns is None:
        return ""
    library = f"; the library's file has {size / 2**10:.0f} KiB" if size else ""
    return f"dlopen and a first FACTORED plan (dim 128): {duration(ns)}{library}."


def failures(found: Results) -> list[str]:
    """What neither ran nor is void: a line for each, or for each reason that many share."""
    by_reason: dict[str, list[str]] = {}
    for row in found.rows.values():
        if row.error and not row.void:
            by_reason.setdefault(row.error, []).append(row.name)
    lines = []
    for reason, names in by_reason.items():
        if len(names) > MANY:
            lines.append(f"{len(names)} benchmarks, {names[0]} to {names[-1]}: {reason}")
        else:
            lines += [f"{name}: {reason}" for name in names]
    return lines


def overview(found: Results) -> str:
    parts = [
        f"{found.cpu}, best ISA {found.best_isa}, commit {found.commit}: {health(found)}",
        "share: of an in-place load-multiply-store sweep's speed over the same bytes (out of place: of a "
        "non-temporal copy's)",
        rotations(found),
    ]
    if cold(found):
        parts.append("One decode call after other data has passed through the caches, against the ten-line loop:")
        parts.append(cold(found))
    if steps(found):
        parts.append("A decode step: 28 calls with 10 MiB of other data before each, against the ten-line loop:")
        parts.append(steps(found))
    if found.matching("cache/.*"):
        parts.append(caches(found))
    if startup(found):
        parts.append(startup(found))
    if has_peers(found):
        parts += [peers_note(found), peers(found)]
    if failures(found):
        parts.append("failed:\n  " + "\n  ".join(failures(found)))
    return "\n\n".join(parts)
