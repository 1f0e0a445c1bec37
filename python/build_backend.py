"""meson-python's build backend, whose wheels are tagged py3-none: the package calls its library by ctypes.

meson-python takes whatever is installed beside Python code for an extension module and names the one interpreter it was
built with. Nothing here is compiled against Python, so one wheel per platform serves them all.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mesonpy
from mesonpy import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]


def build_wheel(
    wheel_directory: str, config_settings: dict[str, str] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel as meson-python does, then name it for every Python 3; returns its file name (PEP 517)."""
    built = Path(wheel_directory) / mesonpy.build_wheel(wheel_directory, config_settings, metadata_directory)
    tags = ["--python-tag", "py3", "--abi-tag", "none", "--remove"]
    done = subprocess.run([sys.executable, "-m", "wheel", "tags", *tags, built], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().split()[-1]
