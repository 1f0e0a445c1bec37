# SPDX-License-Identifier: MIT
"""Draws results with matplotlib; it must not measure, and it reads no file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from results import Results
from tables import duration, kinds, shape_names

TOKEN_BYTES = {"f32": 40 * 128 * 4, "f16": 40 * 128 * 2, "bf16": 40 * 128 * 2}  # of growth/.../tokens-1
KIB = 1024


def new_figure(title: str, found: Results, width: float = 9.0, height: float = 5.0) -> tuple[Figure, plt.Axes]:
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.set_title(f"{title}\n{found.cpu}, {found.best_isa}", fontsize=10)
    axes.grid(True, which="major", alpha=0.3)
    return figure, axes


def size_of(size: float, _: object = None) -> str:
    """`64 KiB`, `2 MiB`"""
    return f"{size / KIB:g} KiB" if size < KIB**2 else f"{size / KIB**2:g} MiB"


def label_logarithms(axes: plt.Axes) -> None:
    """Sizes along x and plain numbers along y, several of each: powers of ten would be one number for all GB/s."""
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_locator(LogLocator(base=4, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(size_of))
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())


def last_number(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])


def reference_lines(found: Results) -> dict[str, list[tuple[float, float]]]:
    """`sweep avx512` -> (bytes, GB/s) by size, one thread."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in found.matching(r"reference/(sweep|memcpy|copy-stream)/.*/1t"):
        _, loop, isa, size, _ = row.name.split("/")
        lines.setdefault(f"{loop} {isa}", []).append((last_number(size) * KIB, row.value("GB/s")))
    return lines


def by_size(found: Results) -> Figure | None:
    figure, axes = new_figure("Speed by size (q and k, 40 heads x 128, in place, 1 thread)", found)
    for dtype, token_bytes in TOKEN_BYTES.items():
        rows = found.matching(rf"growth/{dtype}/half/.*/tokens-\d+")
        points = [(last_number(r.name) * token_bytes, r.value("GB/s")) for r in rows]
        if points:
            axes.plot(*zip(*sorted(points), strict=False), marker="o", label=f"roperot {dtype} half")
    if not axes.lines:
        return None
    for label, points in reference_lines(found).items():
        axes.plot(*zip(*sorted(points), strict=False), linestyle="--", linewidth=1, label=label)
    label_logarithms(axes)
    axes.set(xlabel="size of the tensors", ylabel="GB/s, read + written")
    axes.legend(fontsize=8, ncols=2)
    return figure


def decode_bars(found: Results) -> Figure | None:
    chosen = [(k, found.value(f"rotate/{'/'.join(k)}/decode", "ns")) for k in kinds(found)]
    chosen = sorted(((" ".join(k), ns) for k, ns in chosen if ns), key=lambda pair: pair[1])
    figure, axes = new_figure("One decoded token: 32 + 8 heads x 128", found, height=1.2 + 0.28 * len(chosen))
    bars = axes.barh([label for label, _ in chosen], [ns for _, ns in chosen])
    axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axes.set_xlabel("ns per apply(q, k)")
    axes.invert_yaxis()
    return figure if chosen else None


def heat_map(found: Results) -> Figure | None:
    rows = found.matching("rotate/.*")
    measured = {r.name.split("/")[4] for r in rows if r.value("sweep_ratio") is not None}
    shapes = [shape for shape in shape_names(found) if shape in measured]
    lines = [k for k in kinds(found) if any(found.value(f"rotate/{'/'.join(k)}/{s}", "sweep_ratio") for s in shapes)]
    if not shapes or not lines:
        return None
    values = [[found.value(f"rotate/{'/'.join(k)}/{s}", "sweep_ratio") or float("nan") for s in shapes] for k in lines]
    figure, axes = new_figure(
        "Share of the in-place sweep's speed", found, 2.5 + 0.75 * len(shapes), 1.8 + 0.3 * len(lines)
    )
    axes.grid(False)
    image = axes.imshow(values, vmin=0.0, vmax=1.0, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(shapes)), shapes, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(lines)), [" ".join(k) for k in lines], fontsize=8)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if value == value:
                axes.text(
                    x,
                    y,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if value < 0.6 else "black",
                )
    figure.colorbar(image, shrink=0.8)
    return figure


def growth(found: Results) -> Figure | None:
    labels = {"tokens": "tokens (32 + 8 heads)", "heads": "heads (1 token)", "context": "position (FACTORED, 1 token)"}
    labels = {what: label for what, label in labels.items() if found.matching(f"growth/.*/{what}-.*")}
    if not labels:
        return None
    figure, panels = plt.subplots(1, len(labels), figsize=(4 * len(labels), 4), layout="constrained", squeeze=False)
    figure.suptitle(f"How time grows\n{found.cpu}, {found.best_isa}", fontsize=10)
    for axes, (what, label) in zip(panels[0], labels.items(), strict=False):
        for dtype in TOKEN_BYTES:
            rows = found.matching(rf"growth/{dtype}/half/.*/{what}-\d+")
            points = sorted((last_number(r.name), r.value("ns")) for r in rows)
            if points:
                axes.plot(*zip(*points, strict=False), marker="o", label=dtype)
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="ns per call")
        axes.grid(True, alpha=0.3)
        axes.legend(fontsize=8)
        if what == "context":
            axes.set_ylim(10, 10_000)  # flat is the news: do not magnify its noise
    return figure


def caches(found: Results) -> Figure | None:
    names = sorted(
        {"/".join(r.name.split("/")[1:3]) for r in found.matching("cache/.*")},
        key=lambda n: (["4k", "128k", "1m"].index(n.split("/")[1]), n),
    )
    if not names:
        return None
    figure, axes = new_figure("Decoding 16 sequences: what the cos/sin cache costs per token", found)
    for offset, mood in ((-0.2, "warm"), (0.2, "cold")):
        values = [found.value(f"cache/{n}/{mood}", "ns_per_token") or 0.0 for n in names]
        axes.bar([i + offset for i in range(len(names))], values, width=0.4, label=f"positions {mood}")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set_ylabel("ns per token (32 + 8 heads x 128, f32)")
    axes.legend(fontsize=8)
    return figure


def peers(found: Results) -> Figure | None:
    rows = found.matching(r"peer/.*/f32/half/decode")
    points = sorted(((r.name.split("/")[1], r.value("ns")) for r in rows), key=lambda p: p[1])
    if not points:
        return None
    figure, axes = new_figure("One decoded token, f32 half-split, 1 thread", found, height=1.2 + 0.35 * len(points))
    bars = axes.barh(
        [who for who, _ in points],
        [ns for _, ns in points],
        color=["tab:orange" if who.startswith("roperot") else "tab:blue" for who, _ in points],
    )
    axes.bar_label(bars, [duration(ns) for _, ns in points], padding=3, fontsize=8)
    axes.set(xscale="log", xlabel="ns")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.6)  # the longest bar's label
    axes.invert_yaxis()
    return figure


PLOTS: dict[str, Callable[[Results], Figure | None]] = {
    "speed": by_size,
    "decode": decode_bars,
    "share": heat_map,
    "growth": growth,
    "caches": caches,
    "peers": peers,
}


def draw(found: Results) -> dict[str, Figure]:
    """Only those that the results have rows for."""
    figures = {}
    for name, plot in PLOTS.items():
        figure = plot(found)
        if figure is not None:
            figures[name] = figure
    return figures


def save(found: Results, stem: Path) -> list[Path]:
    """<stem>-<plot>.png for each."""
    paths = []
    for name, figure in draw(found).items():
        path = stem.with_name(f"{stem.name}-{name}.png")
        figure.savefig(path, dpi=110)
        paths.append(path)
    plt.close("all")
    return paths
