"""The numbers and layouts that the package repeats from roperot.h, judged by a C compiler that reads that header."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from roperot import _jobs, _parallel, _scaling, _tables
from roperot import _library as c

INCLUDE = Path(__file__).resolve().parents[2] / "include"

STRUCTS = {
    "roperot_tensor": c.TensorStruct,
    "roperot_positions": c.PositionsStruct,
    "roperot_table": c.TableStruct,
    "roperot_config": c.ConfigStruct,
    "roperot_plan_info": c.PlanInfoStruct,
    "roperot_options": c.OptionsStruct,
    "roperot_scaling": c.ScalingStruct,
    "roperot_sections": c.SectionsStruct,
    "roperot_shard": c.ShardStruct,
    "roperot_norm": _jobs.NormStruct,
    "roperot_pages": _jobs.PagesStruct,
    "roperot_job": _jobs.JobStruct,
}
DTYPES = {"F32": c.F32, "F16": c.F16, "BF16": c.BF16, "E4M3": _jobs.E4M3, "I8": _jobs.I8, "Q8_0": _jobs.Q8_0}
POSITIONS = {"OFFSET": c.OFFSET, "IDS": c.IDS, "STARTS": c.STARTS, "RAGGED": c.RAGGED}
TYPES = {"I32": c.I32, "I64": c.I64, "F32": c.REAL32, "F64": c.REAL64}
FLAGS = {"INVERSE": c.INVERSE, "PURE_ROTATION": c.PURE_ROTATION, "SIGNED_POSITIONS": c.SIGNED_POSITIONS}
STATUS = {"OK": c.OK, "ERROR_DTYPE": c.ERROR_DTYPE, "ERROR_MEMORY": c.ERROR_MEMORY}
WIDTHS = {"HALF": _tables._HALF, "FULL_HALVES": _tables._FULL_HALVES, "FULL_REPEAT": _tables._FULL_REPEAT}
VERSION = {"VERSION_MAJOR": c.VERSION_MAJOR, "VERSION_MINOR": c.VERSION_MINOR}
NORM_FLAGS = {"UNIT_OFFSET": _jobs.UNIT_OFFSET, "AFTER": _jobs.AFTER, "ALL_HEADS": _jobs.ALL_HEADS}


def upper(names, **spelled):
    """Python's names as the header's: ``None`` means a default that another name has, too."""
    return {spelled.get(name, name.upper()): number for name, number in names.items() if name is not None}


ENUMS = {
    "": DTYPES | FLAGS | STATUS | VERSION,
    "POSITIONS_": POSITIONS | TYPES,
    "TABLE_": WIDTHS,
    "PAIR_": upper(c.PAIRINGS),
    "ANGLES_": upper(c.ANGLES),
    "CACHE_": upper(c.CACHES),
    "BOUNDS_": upper(c.BOUNDS),
    "ARITHMETIC_": upper(c.ARITHMETICS),
    "FREQUENCIES_": {"PER_PAIR": c.PER_PAIR, "MIXED": c.MIXED},
    "ISA_": upper(c.isa_names()),
    "SCALING_": upper(_scaling.KINDS, dynamic="DYNAMIC_NTK"),
    "SECTIONS_": upper(_scaling.SECTION_KINDS),
    "SHARD_": upper(_parallel.SCHEMES),
    "NORM_": upper(_jobs.KINDS) | {f"ROUND_{k}": n for k, n in upper(_jobs.ROUNDINGS).items()} | NORM_FLAGS,
    "SCALE_": upper(_jobs.SCALINGS),
    "JOB_": {"UNROTATED": _jobs.UNROTATED, "SKIP": _jobs.SKIP},
}


def program():
    """A C program that prints, as JSON, what the header makes of every name above."""
    numbers = [f"ROPEROT_{prefix}{name}" for prefix, names in ENUMS.items() for name in names]
    # `from` is a word of Python, but not of C.
    fields = [(struct, field.rstrip("_")) for struct, python in STRUCTS.items() for field, _ in python._fields_]
    lines = [f'printf("\\"{name}\\": %lld,\\n", (long long){name});' for name in numbers]
    lines += [f'printf("\\"{s}.{f}\\": %zu,\\n", offsetof({s}, {f}));' for s, f in fields]
    lines += [f'printf("\\"{name}\\": %zu,\\n", sizeof({name}));' for name in STRUCTS]
    body = "\n".join(lines)
    return (
        "#include <roperot/roperot.h>\n#include <stdio.h>\n"
        f'int main(void)\n{{\nputs("{{");\n{body}\nputs("\\"end\\": 0}}");\nreturn 0;\n}}\n'
    )


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not INCLUDE.is_dir():
        pytest.skip("no C compiler, or not in a checkout")
    folder = tmp_path_factory.mktemp("abi")
    (folder / "abi.c").write_text(program())
    subprocess.run([compiler, "-I", INCLUDE, "-o", folder / "abi", folder / "abi.c"], check=True)
    return json.loads(subprocess.run([folder / "abi"], check=True, capture_output=True, text=True).stdout)


def test_numbers(header):
    found = {f"ROPEROT_{prefix}{name}": number for prefix, names in ENUMS.items() for name, number in names.items()}
    assert found == {name: header[name] for name in found}


@pytest.mark.parametrize("name", STRUCTS)
def test_layouts(header, name):
    struct = STRUCTS[name]
    found = {f"{name}.{field.rstrip('_')}": getattr(struct, field).offset for field, _ in struct._fields_}
    assert found == {key: header[key] for key in found}
    assert ctypes.sizeof(struct) == header[name]
