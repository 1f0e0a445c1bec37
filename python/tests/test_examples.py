"""The examples run, and what the README shows is what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {
    "numpy_arrays": [],
    "torch_autograd": ["torch"],
    "patch_transformers": ["torch", "transformers"],
    "onnxruntime_tables": ["onnx", "onnxruntime"],
    "paged_numpy": [],
    "paged_torch": ["torch"],
}


def test_every_example_is_tested():
    assert {path.stem for path in (ROOT / "examples" / "python").glob("*.py")} == set(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_example_runs(name):
    for module in NEEDS[name]:
        pytest.importorskip(module)
    done = subprocess.run([sys.executable, ROOT / "examples" / "python" / f"{name}.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def blocks(language):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_readme_shows_the_first_program():
    """examples/first.c is compiled and run by the C tests; the README must show the same text."""
    program = (ROOT / "examples" / "first.c").read_text(encoding="utf-8")
    assert any(block in program for block in blocks("c"))


def test_readme_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = blocks("python")
    assert shown
    for block in shown:
        if "torch" in block:
            pytest.importorskip("torch")
            pytest.importorskip("transformers")
        exec(compile(block, "README.md", "exec"), {})
