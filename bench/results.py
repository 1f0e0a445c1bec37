# SPDX-License-Identifier: MIT
"""Reads Google Benchmark's JSON files; it must not know how results are shown."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path

TO_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
NOT_COUNTERS = {
    "family_index",
    "per_family_instance_index",
    "repetitions",
    "repetition_index",
    "threads",
    "iterations",
    "real_time",
    "cpu_time",
}
RATIOS = ("sweep_ratio", "copy_ratio")  # shares of a loop's speed: higher is better, and the machine's mood cancels
OF_REFERENCE = (*RATIOS, "ratio_min")  # what a void run does not have
VOID = "the run is void"  # how older files say it, as an error
FORMS = {  # of the names that somebody takes apart
    "rotate": "rotate/<dtype>/<pairing>/<isa>/<shape>",
    "reference": "reference/<loop>/<isa>/<number>KiB/<number>t",
    "growth": "growth/<dtype>/<pairing>/<isa>/<axis>-<number>",
    "cache": "cache/<kind>/(4k|128k|1m)/(warm|cold)",
    "cold": "cold/<dtype>/<pairing>/<isa>/(full|factored)-(offset|ids|signed|layer|bare)-(96MiB|12MiB|hot)",
    "step": "step/<who>/<dtype>/<pairing>",
    "chain": "chain/<who>/<dtype>/<pairing>/<shape>",
    "peer": "peer/<who>/<dtype>/<pairing>/<shape>",
}
NEEDED = {"cache": ("ns_per_token", "build_ms", "cache_bytes")}  # counters, where no table can do without
CONTEXT = {
    "cpu": str,
    "machine": str,
    "commit": str,
    "isa": str,
    "isas_missing": str,
    "date": str,
    "roperot": str,
    "main_shapes": str,
    "stopped": str,
    "caches": list,
    "peers": dict,
}
KINDS = {str: "a string", list: "a list", dict: "an object"}
CACHE = {"type": str, "level": int, "size": int}
HUGE = 1e290  # times 1e9 it is still a float


class BadFileError(ValueError):
    """One sentence that begins with the file's path."""


@dataclass
class Row:
    """One benchmark of one file: its repetitions, or the reason why there are none."""

    name: str
    error: str = ""
    repetitions: list[dict[str, float]] = field(default_factory=list)  # counters of each, "ns" among them

    @property
    def void(self) -> bool:
        """Timed, but the loop that it is held against was not this machine's limit: there is no ratio."""
        return VOID in self.error or (self.ratio is None and any(self.samples("void")))

    def samples(self, counter: str) -> list[float]:
        return [r[counter] for r in self.repetitions if counter in r]

    def value(self, counter: str) -> float | None:
        samples = self.samples(counter)
        return statistics.median(samples) if samples else None

    @property
    def ratio(self) -> tuple[str, float] | None:
        """The share of a reference loop's speed, by whichever name it has here."""
        for counter in RATIOS:
            value = self.value(counter)
            if value is not None:
                return counter, value
        return None

    @property
    def noise(self) -> float:
        """Quartile distance over median: within a run, or over repetitions where that is larger."""
        within = self.value("spread") or 0.0
        ns = self.samples("ns")
        if len(ns) < 4:
            return within
        low, _, high = statistics.quantiles(ns, n=4)
        return max(within, (high - low) / statistics.median(ns))


@dataclass
class Results:
    """One file. rows keeps the order of the run."""

    path: str
    context: dict
    rows: dict[str, Row]

    @property
    def cpu(self) -> str:
        """With family and model where the file has them: two generations of one brand share a name."""
        name = self.context.get("cpu", "unknown CPU")
        numbers = re.match(r"(\d+)-(\d+)-\d+-l1", self.context.get("machine", ""))
        return f"{name} (family {numbers[1]}, model {numbers[2]})" if numbers else name

    @property
    def commit(self) -> str:
        return self.context.get("commit", "unknown")

    @property
    def label(self) -> str:
        return f"{self.cpu} ({Path(self.path).stem})"

    @property
    def best_isa(self) -> str:
        return self.context.get("isa", "?")

    @property
    def main_shapes(self) -> list[str]:
        """As roperot-bench has them; files without that have them first, before their variants."""
        named = self.context.get("main_shapes", "").split()
        rotated = (name.split("/")[4] for name in self.rows if name.startswith("rotate/"))
        return named or list(dict.fromkeys(shape for shape in rotated if "-" not in shape and shape != "front"))

    def best(self, dtype: str, pairing: str, shape: str) -> Row | None:
        """The rotation by the best ISA; None if it was not measured."""
        row = self.rows.get(f"rotate/{dtype}/{pairing}/{self.best_isa}/{shape}")
        return row if row is not None and row.repetitions else None

    def matching(self, pattern: str) -> list[Row]:
        """Rows whose whole name matches and that did not fail."""
        expression = re.compile(pattern)
        return [r for r in self.rows.values() if not r.error and expression.fullmatch(r.name)]

    def value(self, name: str, counter: str) -> float | None:
        row = self.rows.get(name)
        return None if row is None or row.error else row.value(counter)


def shapes_of(context: dict) -> dict[str, list[int]]:
    """Name -> tokens, heads, kv_heads, dim, position, out of the context that roperot-bench writes."""
    described = (shape.split() for shape in context["shapes"].split(", "))
    shapes = {name: [int(number) for number in numbers] for name, *numbers in described}
    return {name: shapes[name] for name in context["main_shapes"].split()}


def is_number(value: object) -> bool:
    """Finite; JSON's true and Python's NaN are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -HUGE < value < HUGE


def counters_of(entry: dict) -> dict[str, float]:
    counters = {k: float(v) for k, v in entry.items() if is_number(v) and k not in NOT_COUNTERS}
    counters.setdefault("ns", entry["real_time"] * TO_NS[entry.get("time_unit", "ns")])
    if counters.get("void", 0.0) > 0.0:
        counters = {k: v for k, v in counters.items() if k not in OF_REFERENCE}
    return counters


def name_of(entry: dict) -> object:
    return entry.get("run_name", entry.get("name"))


def group_of(entry: dict) -> str:
    return name_of(entry).split("/", 1)[0]


def name_complaint(entry: object) -> str:
    """What is wrong with the name of one of the benchmarks; empty if nothing is."""
    if not isinstance(entry, dict):
        return "is not an object"
    name = name_of(entry)
    if not all(isinstance(text, str) and text for text in (name, entry.get("name"))):
        return "has no name"
    form = FORMS.get(group_of(entry), "")
    expression = form.replace("<number>", "[0-9]+")
    if form and not re.fullmatch(re.sub("<[a-z]+>", "[^/]+", expression), name):
        return f"is named {name}, not {form}"
    return ""


def figures_complaint(entry: dict) -> str:
    """What is wrong with the times and counters of a benchmark that ran; empty if nothing is."""
    if not is_number(entry.get("real_time")):
        return "has no real_time, which must be a number"
    if entry.get("time_unit", "ns") not in list(TO_NS):
        return f"has the time_unit {entry['time_unit']}, not one of {', '.join(TO_NS)}"
    counters = counters_of(entry)
    missing = [c for c in NEEDED.get(group_of(entry), ()) if c not in counters]
    if missing:
        return f"has no {missing[0]}, which must be a number"
    for counter in ("ns", *RATIOS):
        if counters.get(counter, 1.0) <= 0.0:
            return f"has {counters[counter]:g} as {'its time' if counter == 'ns' else counter}, which must be above 0"
    return ""


def complaint(entry: object) -> str:
    wrong = name_complaint(entry)
    return wrong or ("" if entry.get("error_occurred") or is_aggregate(entry) else figures_complaint(entry))


def context_complaint(context: object) -> str:
    if not isinstance(context, dict):
        return '"context" must be an object'
    for key, kind in CONTEXT.items():
        if not isinstance(context.get(key, kind()), kind):
            return f'"{key}" of "context" must be {KINDS[kind]}'
    for cache in context.get("caches", []):
        typed = isinstance(cache, dict) and all(isinstance(cache.get(k), kind) for k, kind in CACHE.items())
        if not typed or not cache["type"]:
            return 'each of the "caches" of "context" must have a type (a string), a level and a size (whole numbers)'
    return ""


def document_complaint(document: object) -> str:
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        return 'not a file of Google Benchmark: an object with a list "benchmarks" is wanted'
    wrong = context_complaint(document.get("context", {}))
    if wrong:
        return wrong
    complaints = ((i, complaint(entry)) for i, entry in enumerate(document["benchmarks"], 1))
    return next((f"benchmark {i} {wrong}" for i, wrong in complaints if wrong), "")


def is_aggregate(entry: dict) -> bool:
    return entry.get("run_type") == "aggregate"


def parse(document: dict, path: str) -> Results:
    rows: dict[str, Row] = {}
    for entry in document["benchmarks"]:
        if is_aggregate(entry):
            continue
        row = rows.setdefault(name_of(entry), Row(name_of(entry)))
        if entry.get("error_occurred"):
            row.error = str(entry.get("error_message") or "failed")
        else:
            row.repetitions.append(counters_of(entry))
    return Results(path, document.get("context", {}), rows)


def complete(text: str) -> dict:
    """The document of a run that never closed its file, up to the last whole benchmark. Raises ValueError."""
    head, mark, rows = text.partition('"benchmarks": [')
    if not mark:
        raise ValueError
    end = rows.rfind("\n    }")
    whole = rows[: end + len("\n    }")] if end >= 0 else ""
    document = json.loads(f"{head}{mark}{whole}]}}")
    document.get("context", {}).setdefault("stopped", "the run was ended from outside")
    return document


def parsed(text: str) -> dict:
    try:
        return json.loads(text)
    except ValueError as error:
        try:
            return complete(text)
        except ValueError:
            raise error from None


def read(path: str | Path) -> dict:
    """The checked document. Raises BadFileError."""
    try:
        document = parsed(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFileError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"{path}: not JSON: {error}") from error
    wrong = document_complaint(document)
    if wrong:
        raise BadFileError(f"{path}: {wrong}")
    return document


def write(path: str | Path, document: dict) -> None:
    """All of it or nothing: a file beside it takes its place."""
    path = Path(path)
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def load_runs(folder: Path) -> Results:
    """Runs of one program, in processes of their own, as repetitions: they see what one process cannot."""
    runs = [load(path) for path in sorted(folder.glob("*.json"))]
    if not runs:
        raise BadFileError(f"{folder}: a folder without a file of results (*.json)")
    whole = Results(str(folder), runs[0].context, {})
    for name, row in ((name, row) for run in runs for name, row in run.rows.items()):
        joined = whole.rows.setdefault(name, Row(name))
        joined.error = joined.error or row.error
        joined.repetitions += row.repetitions
    return whole


def load(path: str | Path) -> Results:
    """A file of results, or a folder with the files of several runs. Raises BadFileError."""
    return load_runs(Path(path)) if Path(path).is_dir() else parse(read(path), str(path))


def natural(name: str) -> list:
    """Sorts d64 before d256."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
