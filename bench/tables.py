# SPDX-License-Identifier: MIT
"""Results as tables of text; it must not read files or draw."""

from __future__ import annotations

from results import Results, Row

MAIN_SHAPES = ("decode", "batch16", "prefill128", "prefill4096")


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


def cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.error:
        return "skipped"
    ratio = row.ratio
    share = f" {ratio[1]:.2f}" if ratio else ""
    speed = row.value("GB/s")
    return f"{duration(row.value('ns'))} {speed:.0f}{share}" if speed else duration(row.value("ns"))


def kinds(found: Results) -> list[tuple[str, str, str]]:
    """(dtype, pairing, isa) in the order of the run."""
    seen = dict.fromkeys(tuple(name.split("/")[1:4]) for name in found.rows if name.startswith("rotate/"))
    return list(seen)


def rotations(found: Results, shapes: tuple[str, ...] = MAIN_SHAPES, markdown: bool = False) -> str:
    body = []
    for kind in kinds(found):
        cells = [cell(found.rows.get(f"rotate/{'/'.join(kind)}/{shape}")) for shape in shapes]
        if any(cells):
            body.append([" ".join(kind), *cells])
    return grid(["in place, time GB/s share", *shapes], body, markdown)


def shares(found: Results) -> str:
    """The best ISA's shares of the sweep's speed, half-split / interleaved: the README's table."""
    best = found.context.get("isa", "?")
    body = []
    for dtype in dict.fromkeys(dtype for dtype, _, isa in kinds(found) if isa == best):
        cells = []
        for shape in MAIN_SHAPES:
            names = [f"rotate/{dtype}/{pairing}/{best}/{shape}" for pairing in ("half", "interleaved")]
            both = [found.value(name, "sweep_ratio") for name in names]
            cells.append(" / ".join("void" if share is None else f"{share:.2f}" for share in both))
        body.append([dtype, *cells])
    return grid([f"share of the sweep, {best}", *MAIN_SHAPES], body, markdown=True)


def peers(found: Results, markdown: bool = False) -> str:
    """Who takes how long, fastest first within each shape; roperot's own rows among them."""
    rows = [r for r in found.rows.values() if r.name.startswith("peer/")]
    shapes = list(MAIN_SHAPES)

    def order(row: Row) -> tuple:
        _, _, dtype, pairing, shape = row.name.split("/")
        return dtype, pairing, shapes.index(shape), row.value("ns") or float("inf")

    body = []
    for row in sorted(rows, key=order):
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


def caches(found: Results, markdown: bool = False) -> str:
    body = []
    for row in found.matching(r"cache/.*/warm"):
        _, kind, positions, _ = row.name.split("/")
        cold = found.value(f"cache/{kind}/{positions}/cold", "ns_per_token")
        body.append(
            [
                f"{kind} {positions}",
                f"{row.value('ns_per_token'):.0f} ns",
                f"{cold:.0f} ns" if cold else "",
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


def failures(found: Results) -> str:
    return "\n".join(f"  {row.name}: {row.error}" for row in found.rows.values() if row.error)


def overview(found: Results) -> str:
    parts = [
        f"{found.cpu}, best ISA {found.context.get('isa', '?')}, commit {found.commit}",
        "share: of an in-place load-multiply-store sweep's speed over the same bytes (out of place: of a "
        "non-temporal copy's)",
        rotations(found),
    ]
    if found.matching("cache/.*"):
        parts.append(caches(found))
    if startup(found):
        parts.append(startup(found))
    if any(name.startswith("peer/") for name in found.rows):
        parts += [peers_note(found), peers(found)]
    if failures(found):
        parts.append("skipped or void:\n" + failures(found))
    return "\n\n".join(parts)
