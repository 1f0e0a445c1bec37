# SPDX-License-Identifier: MIT
"""Merges result files of several CPUs into one Markdown and one self-contained HTML page; it must not measure.

python bench/report.py a.json b.json ...       all files, side by side
python bench/report.py --compare old.json new.json    and how the second differs from the first (two commits)

--fill PAGE writes the main tables of the first file between the lines `<!-- results -->` and `<!-- /results -->` there,
and the best ISA's shares between `<!-- shares -->` and `<!-- /shares -->`, with the plots that lie beside the file.

--gate FLOOR makes a comparison a test: exit 1 if a ratio (never a time) fell below FLOOR of the old one, with its whole
95 % interval. Exit 2: a file or an option is wrong.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
from pathlib import Path

import options
import results
import tables
from results import RATIOS, Results, natural

missing = ""
try:
    import compare
    import markdown
    import plots
except ModuleNotFoundError as error:  # --help works without them
    missing = error.name or str(error)

PICTURES = {  # of a page: what each plot shows
    "speed": "GB/s by size against the machine's limits",
    "decode": "ns per decoded token by dtype, pairing and ISA",
    "share": "Share of the sweep's speed at every shape",
    "growth": "Time against tokens, heads and position",
    "caches": "What each cos/sin cache costs, warm and cold",
    "peers": "One decoded token, everybody",
}
NOISY = 0.15  # quartile distance over median
STYLE = """body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15rem .6rem; text-align: right }
th { border-bottom: 2px solid #888 } tr:nth-child(even) { background: #8881 }
td:first-child, th:first-child { text-align: left }
img { max-width: 100% } code { background: #8882; padding: 0 .2rem }"""


def command_line(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="a.json")
    parser.add_argument("--compare", action="store_true", help="compare the second file with the first")
    parser.add_argument(
        "--gate", type=float, metavar="FLOOR", help="with --compare: exit 1 below this share, for example 0.85"
    )
    parser.add_argument(
        "--noise", type=float, default=NOISY, help="flag results with a larger spread (default %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("report"), help="<out>.md and <out>.html (default %(default)s)"
    )
    parser.add_argument("--fill", action="append", type=Path, default=[], metavar="PAGE", help="a page to refresh")
    chosen = parser.parse_args(arguments)
    if chosen.gate is not None and not chosen.compare:
        parser.error("--gate needs --compare")
    if chosen.compare and len(chosen.files) != 2:
        parser.error("--compare takes two files")
    if not chosen.out.name:
        parser.error(f"--out {chosen.out} is a folder; the name of a file without .md or .html is wanted")
    return chosen


def machines(files: list[Results]) -> str:
    body = []
    for i, f in enumerate(files, 1):
        caches = " ".join(
            f"L{c['level']}{c['type'][0].lower() if c['level'] == 1 else ''} {c['size'] >> 10} KiB"
            for c in f.context.get("caches", [])
            if c["type"] != "Instruction"
        )
        body.append(
            [
                f"{i}. {f.label}",
                f.context.get("isa", "?"),
                caches,
                f.context.get("date", "?")[:16],
                f.commit,
                f.context.get("roperot", "?"),
            ]
        )
    return tables.grid(["machine", "best ISA", "caches", "date", "commit", "library"], body, markdown=True)


def shape_order(name: str) -> list:
    """By shape first, then by dtype, pairing and ISA: what one wants to compare stands together."""
    _, dtype, pairing, isa, shape = name.split("/")
    return [natural(shape), dtype, pairing, isa]


def cell(file: Results, name: str, noise: float) -> str:
    row = file.rows.get(name)
    text = tables.cell(row)
    return f"{text} (noisy)" if row is not None and not row.error and row.noise > noise else text


def side_by_side(files: list[Results], noise: float) -> str:
    names = sorted({n for f in files for n in f.rows if n.startswith("rotate/")}, key=shape_order)
    body = [[name.removeprefix("rotate/"), *[cell(f, name, noise) for f in files]] for name in names]
    head = ["rotate/", *[f"{i}. {f.cpu}" for i, f in enumerate(files, 1)]]
    return tables.grid(head, body, markdown=True)


def noisy(files: list[Results], noise: float) -> str:
    lines = [
        f"- {f.label}: `{row.name}` spreads by {row.noise:.0%}"
        for f in files
        for row in f.rows.values()
        if not row.error and row.noise > noise
    ]
    return "\n".join(lines) or f"No result spreads by more than {noise:.0%}."


def skipped(files: list[Results]) -> str:
    return (
        "\n".join(f"- {f.label}: `{r.name}`: {r.error}" for f in files for r in f.rows.values() if r.error) or "None."
    )


def comparison(changes: list[compare.Change]) -> str:
    body = [
        [c.name, c.metric, f"{c.old:.3g}", f"{c.new:.3g}", f"{c.speed:.3f}", f"{c.low:.3f} .. {c.high:.3f}", c.verdict]
        for c in changes
    ]
    return tables.grid(["benchmark", "metric", "old", "new", "speed", "95 % interval", "verdict"], body, markdown=True)


def gate_failures(changes: list[compare.Change], floor: float) -> list[compare.Change]:
    """Ratios only: times of a shared machine prove nothing."""
    return [c for c in changes if c.metric in RATIOS and c.high < floor]


def save_pictures(file: Results, stem: Path) -> str:
    """Draws a file's plots beside the report; the Markdown that shows them."""
    return "\n\n".join(f"![{path.stem}]({path.name})" for path in plots.save(file, stem))


def sections(
    files: list[Results], changes: list[compare.Change] | None, noise: float, out: Path
) -> list[tuple[str, str]]:
    found = [("Machines", machines(files))]
    if changes is not None:
        found.append(
            ("Comparison", "speed: new over old; ratios where both have one, else times.\n\n" + comparison(changes))
        )
    found.append(
        (
            "Rotations",
            "time, GB/s read + written, share of the reference loop's speed.\n\n" + side_by_side(files, noise),
        )
    )
    for i, f in enumerate(files, 1):
        if f.matching("cache/.*"):
            text = [tables.caches(f, markdown=True), tables.startup(f)]
            found.append((f"Caches: {f.label}", "\n\n".join(filter(None, text))))
        if any(name.startswith("peer/") for name in f.rows):
            found.append((f"Peers: {f.label}", tables.peers_note(f) + "\n\n" + tables.peers(f, markdown=True)))
        pictures = save_pictures(f, out.with_name(f"{out.name}-{i}"))
        if pictures:
            found.append((f"Plots: {f.label}", pictures))
    return [*found, ("Noisy results", noisy(files, noise)), ("Skipped or void", skipped(files))]


def as_markdown(parts: list[tuple[str, str]]) -> str:
    return "# roperot benchmarks\n\n" + "\n\n".join(f"## {title}\n\n{text}" for title, text in parts) + "\n"


def as_html(text: str, folder: Path) -> str:
    """One file: the pictures beside the Markdown become part of the page."""

    def embed(match: re.Match) -> str:
        return f'src="data:image/png;base64,{base64.b64encode((folder / match[1]).read_bytes()).decode()}"'

    body = re.sub(r'src="([^"]+\.png)"', embed, markdown.markdown(text, extensions=["tables"]))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>roperot benchmarks</title>\n'
        f"<style>{STYLE}</style>\n<body>\n{body}\n</body></html>\n"
    )


def pictures(file: Results, page: Path, names: list[str]) -> list[str]:
    """Markdown of the plots that bench.sh left beside the file, as seen from the page."""
    stem = Path(file.path).resolve().with_suffix("")
    paths = {name: stem.with_name(f"{stem.name}-{name}.png") for name in names}
    return [
        f"![{PICTURES[name]}]({Path(os.path.relpath(path, page.resolve().parent)).as_posix()})"
        for name, path in paths.items()
        if path.exists()
    ]


def shares(file: Results, page: Path) -> str:
    return "\n\n".join([tables.shares(file), *pictures(file, page, ["speed"])])


def main_tables(file: Results, page: Path) -> str:
    parts = [
        f"{file.cpu}, best ISA {file.context.get('isa', '?')}, commit {file.commit}, "
        f"{file.context.get('date', '?')[:10]}. Time per call, GB/s read + written, share of the sweep's speed.",
        tables.rotations(file, markdown=True),
    ]
    if file.matching("cache/.*"):
        parts.append("Decoding 16 sequences (f32, 32 + 8 heads x 128) with each cos/sin cache:")
        parts.append(tables.caches(file, markdown=True))
    if tables.startup(file):
        parts.append(tables.startup(file))
    if any(name.startswith("peer/") for name in file.rows):
        parts.append(tables.peers_note(file))
        parts.append(tables.peers(file, markdown=True))
    return "\n\n".join([*parts, *pictures(file, page, list(PICTURES))])


def fill(page: Path, file: Results) -> None:
    """Between whichever of the marks the page has."""
    text, filled = page.read_text(), 0
    for mark, table in (("results", main_tables), ("shares", shares)):
        before, begin, rest = text.partition(f"<!-- {mark} -->\n")
        _, end, after = rest.partition(f"<!-- /{mark} -->\n")
        if begin and end:
            text, filled = f"{before}{begin}\n{table(file, page)}\n\n{end}{after}", filled + 1
    if not filled:
        raise results.BadFileError(f"{page}: no lines <!-- results --> or <!-- shares --> with their ends")
    page.write_text(text)


def write_pages(files: list[Results], changes: list[compare.Change] | None, chosen: argparse.Namespace) -> None:
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    text = as_markdown(sections(files, changes, chosen.noise, chosen.out))
    page = as_html(text, chosen.out.parent)
    for suffix, content in ((".md", text), (".html", page)):
        path = chosen.out.with_name(chosen.out.name + suffix)
        path.write_text(content)
        print(path)
    for path in chosen.fill:
        fill(path, files[0])
        print(path)


def judge(changes: list[compare.Change], floor: float | None) -> int:
    """Prints the verdicts; 1 if a ratio fell below the floor."""
    verdicts = [c.verdict for c in changes]
    print(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("faster", "slower", "same")))
    failed = gate_failures(changes, floor) if floor is not None else []
    for c in failed:
        print(f"report.py: {c.name}: {c.metric} fell from {c.old:.3f} to {c.new:.3f}", file=sys.stderr)
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    chosen = command_line(arguments)
    options.need_package("report.py", missing)
    try:
        files = [results.load(path) for path in chosen.files]
        changes = compare.changes(*files) if chosen.compare else None
        write_pages(files, changes, chosen)
    except results.BadFileError as error:
        options.fail("report.py", error)
    except OSError as error:
        options.fail("report.py", f"{error.filename or chosen.out}: {error.strerror}")
    return 0 if changes is None else judge(changes, chosen.gate)


if __name__ == "__main__":
    sys.exit(main())
