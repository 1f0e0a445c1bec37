# SPDX-License-Identifier: MIT
"""Merges result files of several CPUs into one Markdown and one self-contained HTML page; it must not measure.

python bench/report.py a.json b.json ...       all files, side by side
python bench/report.py --compare old.json new.json    and how the second differs from the first (two commits)
python bench/report.py --compare old new              of folders: their files are runs of one program

--fill PAGE refreshes what stands between marks there, of whichever it has: `<!-- summary -->` .. `<!-- /summary -->`
the machines side by side; `results` the tables of each machine, with the plots that lie beside the files; `peers` every
peer of every file that has any, and `speeds` a short table of peers with one plot, of the newest such file.

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
        "--noise", type=float, default=tables.NOISY, help="flag results with a larger spread (default %(default)s)"
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


def cache_list(file: Results) -> str:
    return " ".join(
        f"L{c['level']}{c['type'][0].lower() if c['level'] == 1 else ''} {c['size'] >> 10} KiB"
        for c in file.context.get("caches", [])
        if c["type"] != "Instruction"
    )


def machines(files: list[Results]) -> str:
    body = [
        [
            f"{i}. {f.cpu}",
            f.context.get("machine", "?"),
            f.best_isa,
            cache_list(f),
            f.context.get("date", "?")[:16],
            f.commit,
            f.context.get("roperot", "?"),
        ]
        for i, f in enumerate(files, 1)
    ]
    heads = ["machine", "family, model, caches", "best ISA", "caches", "date", "commit", "library"]
    return tables.grid(heads, body, markdown=True)


def summary(files: list[Results]) -> str:
    """What a reader wants to know first: which machine is faster where, and whether to believe it."""
    parts = [
        "\n".join(f"{i}. **{f.cpu}**, best ISA {f.best_isa}, {cache_list(f)}" for i, f in enumerate(files, 1)),
    ]
    if len(files) > 1:
        shapes = dict.fromkeys(shape for f in files for shape in f.main_shapes)
        parts.append(tables.overall(files))
        parts.append("\n".join(filter(None, (tables.wins_at(shape, files) for shape in shapes))))
    parts += [
        "Times per call, one thread, each machine with its best ISA. share: of the speed of a sweep that only loads, "
        "multiplies and stores the same bytes; noise: distance of the quartiles over the median"
        + (f"; closer than {tables.SAME - 1:.0%} is equal." if len(files) > 1 else "."),
        tables.face_to_face(files),
        "\n".join(f"- machine {i}: {tables.health(f)}" for i, f in enumerate(files, 1)),
    ]
    return "\n\n".join(filter(None, parts))


def every_shape(files: list[Results], noise: float) -> str:
    """Rows by shape, dtype, pairing and ISA; for each machine time, GB/s, share and noise in columns of their own."""
    names = sorted({n for f in files for n in f.rows if n.startswith("rotate/")}, key=shape_order)
    body = []
    for name in names:
        line = [text for f in files for text in tables.cells(f.rows.get(name))]
        flagged = any(row.noise > noise for f in files if (row := f.rows.get(name)) is not None and row.repetitions)
        body.append([name.removeprefix("rotate/") + (" (noisy)" if flagged else ""), *line])
    heads = [f"{i}: {head}" for i in range(1, len(files) + 1) for head in tables.HEADS]
    return tables.grid(["rotate/", *heads], body, markdown=True)


def shape_order(name: str) -> list:
    """By shape first, then by dtype, pairing and ISA: what one wants to compare stands together."""
    _, dtype, pairing, isa, shape = name.split("/")
    return [natural(shape), dtype, pairing, isa]


def noisy(files: list[Results], noise: float) -> str:
    lines = [
        f"- {f.label}: `{row.name}` spreads by {row.noise:.0%}"
        for f in files
        for row in f.rows.values()
        if not row.error and tables.is_noisy(row, noise)
    ]
    return "\n".join(lines) or f"No result spreads by more than {noise:.0%}."


def void(files: list[Results]) -> str:
    lines = [f"- {f.label}: `{r.name}`" for f in files for r in f.rows.values() if r.void]
    return "\n".join(lines) or "None."


def failed(files: list[Results]) -> str:
    return "\n".join(f"- {f.label}: {sentence}" for f in files for sentence in tables.failures(f)) or "None."


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


def after_data(file: Results) -> str:
    """Cold calls, whole steps and jobs; empty if there are none."""
    parts = []
    if tables.cold(file):
        parts.append(
            "One decode call of q and k (best ISA, q and k themselves warm) after so much other data has been read; "
            "`of loop` is its time over that of the ten-line loop, which makes cos and sin in the call."
        )
        parts.append(tables.cold(file, markdown=True))
    if tables.steps(file):
        parts.append("A whole decode step: 28 layers' calls, 10 MiB of other data read before each of them.")
        parts.append(tables.steps(file, markdown=True))
    if tables.layers(file):
        parts.append(
            "A layer's RMSNorm of q and k, rotation, and k and v into the cache (32 + 8 + 8 heads x 128, hot): one call "
            "of roperot_run, separate calls for each step, and PyTorch with transformers' functions."
        )
        parts.append(tables.layers(file, markdown=True))
    return "\n\n".join(parts)


def of_one(i: int, file: Results, out: Path) -> list[tuple[str, str]]:
    """What is shown of each machine for itself."""
    found = []
    if after_data(file):
        found.append((f"Cold, in a decode step, and jobs: machine {i}", after_data(file)))
    if file.matching("cache/.*"):
        text = [tables.caches(file, markdown=True), tables.startup(file)]
        found.append((f"Caches: machine {i}", "\n\n".join(filter(None, text))))
    if tables.has_peers(file):
        found.append((f"Peers: machine {i}", tables.peers_note(file) + "\n\n" + tables.peers(file, markdown=True)))
    pictures = save_pictures(file, out.with_name(f"{out.name}-{i}"))
    if pictures:
        found.append((f"Plots: machine {i}", pictures))
    return found


def sections(
    files: list[Results], changes: list[compare.Change] | None, noise: float, out: Path
) -> list[tuple[str, str]]:
    found = [("Summary", summary(files))]
    if changes is not None:
        found.append(
            ("Comparison", "speed: new over old; ratios where both have one, else times.\n\n" + comparison(changes))
        )
    for i, f in enumerate(files, 1):
        found += of_one(i, f, out)
    found += [("Machines", machines(files)), ("All rotations", every_shape(files, noise))]
    return [*found, ("Noisy results", noisy(files, noise)), ("Void", void(files)), ("Failed", failed(files))]


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


def with_peers(files: list[Results]) -> Results | None:
    return max((f for f in files if tables.has_peers(f)), key=lambda f: f.context.get("date", ""), default=None)


def summary_part(files: list[Results], page: Path) -> str:
    return summary(files)


def speeds_part(files: list[Results], page: Path) -> str:
    file = with_peers(files)
    if file is None:
        return "No file has peers."
    when = f"{file.context['date'][:10]}, commit {file.commit}"
    machine = f"Measured on one core of {file.cpu} ({file.best_isa}; {cache_list(file)}), {when}."
    return "\n\n".join([tables.speeds(file), machine, *pictures(file, page, ["peers"])])


def peers_part(files: list[Results], page: Path) -> str:
    parts = [
        f"## {file.label}\n\n{tables.peers_note(file)}\n\n{tables.peers(file, markdown=True)}"
        for file in files
        if tables.has_peers(file)
    ]
    return "\n\n".join(parts) or "No file has peers."


def results_part(files: list[Results], page: Path) -> str:
    parts = []
    for file in files:
        parts += [
            f"## {file.cpu}",
            f"Best ISA {file.best_isa}, commit {file.commit}, {file.context.get('date', '?')[:10]}. The best ISA's "
            "share of the sweep's speed, half-split / interleaved pairs, and then each ISA:",
            tables.shares(file),
            tables.rotations(file, markdown=True),
        ]
        if after_data(file):
            parts.append(after_data(file))
        if file.matching("cache/.*"):
            parts.append("Decoding 16 sequences (f32, 32 + 8 heads x 128) with each cos/sin cache:")
            parts.append(tables.caches(file, markdown=True))
        parts += [tables.startup(file), *pictures(file, page, list(PICTURES))]
    return "\n\n".join(filter(None, parts))


PARTS = {"summary": summary_part, "results": results_part, "peers": peers_part, "speeds": speeds_part}


def fill(page: Path, files: list[Results]) -> None:
    """Between whichever of the marks the page has."""
    text, filled = page.read_text(), 0
    for mark, part in PARTS.items():
        before, begin, rest = text.partition(f"<!-- {mark} -->\n")
        _, end, after = rest.partition(f"<!-- /{mark} -->\n")
        if begin and end:
            text, filled = f"{before}{begin}\n{part(files, page)}\n\n{end}{after}", filled + 1
    if not filled:
        names = ", ".join(f"<!-- {mark} -->" for mark in PARTS)
        raise results.BadFileError(f"{page}: no lines {names} with their ends")
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
        fill(path, files)
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
