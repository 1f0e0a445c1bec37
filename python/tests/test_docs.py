"""The Python, C and commands of docs/python.md and docs/jobs.md, run or compiled on inputs such as the pages mean."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import roperot
from roperot import _library as library

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "scripts" / "blocks.py").is_file():
    pytest.skip("not in a checkout", allow_module_level=True)
pytest.importorskip("markdown_it")
SPEC = importlib.util.spec_from_file_location("blocks", ROOT / "scripts" / "blocks.py")
blocks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(blocks)

FOUND = [block for page in ("docs/python.md", "docs/jobs.md") for block in blocks.blocks_of(ROOT / page)]


CONFIG = {"model_type": "llama", "hidden_size": 256, "num_attention_heads": 4, "rope_theta": 1e4}


class Weighted:
    """What the pages call ``q_norm``: a module of a model."""

    weight = np.linspace(0.5, 2, 64, dtype=np.float32)


def world():
    """Four heads of 64 at 3000 positions, two of k and v, and a cache of each."""
    rng = np.random.default_rng(3)
    q, k, v = (rng.standard_normal((3000, heads, 64)).astype(np.float32) for heads in (4, 2, 2))
    return {
        "np": np, "roperot": roperot, "rope": roperot.Rope(64), "q": q, "k": k, "v": v, "q_norm": Weighted,
        "positions": np.arange(3000), "slots": np.arange(3000), "eps": 1e-6, "weight_of_my_heads": Weighted.weight,
        "caches": [np.zeros((188, 16, 2, 64), np.float32) for _ in range(2)],
        "all_gather": lambda sums: sums,
    }  # fmt: skip


PYTHON = [pytest.param(b.content, id=f"{b.page.name}:{b.line}") for b in FOUND if b.language == "python"]


@pytest.mark.parametrize("block", PYTHON)
def test_python(block):
    names = world()
    before = names["q"].copy()
    # What stands behind `...` is what other ranks hold.
    exec(block.replace("sums = ...  # ", "sums = ").replace(", [tokens, all heads]", ""), names)
    assert not np.array_equal(names["q"], before)
    assert np.isfinite(names["q"]).all()


C_WORLD = """
#include <roperot/roperot.h>

int report(const char *sentence);
int block(const roperot_plan *plan, roperot_positions positions, roperot_tensor q, roperot_tensor k, roperot_tensor v,
          const void *q_weight, const void *k_weight, void *k_cache, void *v_cache, const int64_t *slot_mapping,
          int64_t blocks);
int block(const roperot_plan *plan, roperot_positions positions, roperot_tensor q, roperot_tensor k, roperot_tensor v,
          const void *q_weight, const void *k_weight, void *k_cache, void *v_cache, const int64_t *slot_mapping,
          int64_t blocks)
{
%s
    return 0;
}

int turn(const roperot_plan *plan, roperot_pages keys, int64_t lines, const int64_t *old_slots,
         const int64_t *new_slots, const int64_t *deltas);
int turn(const roperot_plan *plan, roperot_pages keys, int64_t lines, const int64_t *old_slots,
         const int64_t *new_slots, const int64_t *deltas)
{
%s
    return 0;
}
"""


def test_c(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    code = [block.content for block in FOUND if block.language == "c"]
    (tmp_path / "blocks.c").write_text(C_WORLD % tuple(code))
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", "-c", "blocks.c"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_line(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    np.save(tmp_path / "q.npy", np.ones((7, 4, 64), np.float32))
    (block,) = (b.content for b in FOUND if b.language == "sh" and "-m roperot" in b.content)
    script = block.replace("python -m", f"{shlex.quote(sys.executable)} -m")
    done = subprocess.run(["sh", "-eu", "-c", script], check=False, cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(roperot.__file__).parents[1]),
                               "ROPEROT_LIBRARY": str(Path(library.path).resolve())})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "cos_sin.npy").shape == (131072, 64)
    assert np.load(tmp_path / "q_rot.npy").shape == (7, 4, 64)
