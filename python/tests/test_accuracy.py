"""docs/accuracy.md against the script that makes its tables: figures of another library, or of another day, fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import roperot

pytest.importorskip("mpmath")
pytest.importorskip("ml_dtypes")
ROOT = Path(__file__).resolve().parents[2]


def test_the_page_has_the_tables_that_the_script_prints():
    environment = {**os.environ, "ROPEROT_LIBRARY": str(roperot.info()["library"])}
    script = [sys.executable, str(ROOT / "scripts" / "accuracy.py")]
    printed = subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout
    tables = [table.strip() for table in printed.split("\n\n") if table.strip()]
    assert len(tables) == 3
    page = (ROOT / "docs" / "accuracy.md").read_text()
    for table in tables:
        assert table in page, f"run scripts/accuracy.py --fill docs/accuracy.md; now it says\n{table}"
