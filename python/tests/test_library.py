"""Finding the library: what an import says when there is none, or the wrong one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import roperot
from roperot import _library

PACKAGE = Path(roperot.__file__).resolve().parent


def import_with(library, *, package=PACKAGE.parent, code="import roperot; print(roperot.__version__)", **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ROPEROT", "LD_LIBRARY"))}
    environment |= {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    if library is not None:
        environment["ROPEROT_LIBRARY"] = str(library)
    return subprocess.run([sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True)


def build(tmp_path, source):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "fake.c").write_text(source)
    target = tmp_path / "libroperot.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", target, tmp_path / "fake.c"], check=True)
    return target


def test_an_explicit_path_is_used():
    done = import_with(_library.path if os.sep in _library.path else None)
    assert done.stdout.strip() == roperot.__version__, done.stderr


def test_a_missing_library_says_where_it_looked(tmp_path):
    done = import_with(tmp_path / "none.so")
    assert done.returncode != 0
    assert "ImportError" in done.stderr
    assert f"ROPEROT_LIBRARY: {tmp_path / 'none.so'}: no such file" in done.stderr


def test_without_a_choice_every_place_is_listed(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "roperot", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    done = import_with(None, package=tmp_path)
    if done.returncode == 0:
        pytest.skip("the system has an installed libroperot")
    assert f"beside the package: {tmp_path / 'roperot' / 'libroperot.so'}: no such file" in done.stderr
    assert "the system's loader: libroperot.so.0" in done.stderr


def test_beside_the_package_comes_first(tmp_path):
    if os.sep not in _library.path:
        pytest.skip("the library came from the system's loader")
    shutil.copytree(PACKAGE, tmp_path / "roperot", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(_library.path, tmp_path / "roperot" / "libroperot.so")
    done = import_with(None, package=tmp_path, code="import roperot; print(roperot.info()['library'])")
    assert done.stdout.strip() == str(tmp_path / "roperot" / "libroperot.so"), done.stderr


def tree_with_a_build(tmp_path, folder, *, header):
    """A copy of the package in tmp_path/folder, beside a build/ that has the library; what an import there loads."""
    if os.sep not in _library.path:
        pytest.skip("the library came from the system's loader")
    shutil.copytree(PACKAGE, tmp_path / folder / "roperot", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tmp_path / "build").mkdir()
    shutil.copy(_library.path, tmp_path / "build" / "libroperot.so")
    if header:
        (tmp_path / "include" / "roperot").mkdir(parents=True)
        (tmp_path / "include" / "roperot" / "roperot.h").touch()
    done = import_with(None, package=tmp_path / folder, code="import roperot; print(roperot.info()['library'])")
    return done.stdout.strip() + done.stderr


def test_a_checkout_uses_its_own_build(tmp_path):
    loaded = tree_with_a_build(tmp_path, "python", header=True)
    assert loaded == str(tmp_path / "build" / "libroperot.so")


@pytest.mark.parametrize(("folder", "header"), [("site-packages", True), ("python", False)])
def test_an_installed_copy_ignores_a_build_beside_it(tmp_path, folder, header):
    assert str(tmp_path / "build") not in tree_with_a_build(tmp_path, folder, header=header)


def test_another_library_is_refused(tmp_path):
    done = import_with(build(tmp_path, "int nothing;"))
    assert "ImportError" in done.stderr
    assert "not this version of roperot" in done.stderr


@pytest.mark.parametrize("version", [(1, 0, 0), (0, 0, 9)])
def test_a_wrong_version_is_refused(tmp_path, version):
    functions = "".join(f"unsigned {name}(void) {{ return VERSION; }}\n" for name in _library._PROTOTYPES)
    number = version[0] << 16 | version[1] << 8 | version[2]
    done = import_with(build(tmp_path, f"#define VERSION {number}u\n{functions}"))
    assert "ImportError" in done.stderr
    assert f"it is version {version[0]}.{version[1]}.{version[2]}" in done.stderr


def test_an_unusable_isa_in_the_environment():
    attempt = "for f in (roperot.best_isa, lambda: roperot.Rope(8)):\n  try: f()\n  except ValueError as e: print(e)"
    code = f"import roperot\n{attempt}"
    done = import_with(_library.path if os.sep in _library.path else None, code=code, ROPEROT_ISA="quux")
    assert len(done.stdout.splitlines()) == 2, done.stderr
    assert all("ROPEROT_ISA" in line for line in done.stdout.splitlines())


def test_structs_are_as_large_as_their_members():
    import ctypes

    if ctypes.sizeof(ctypes.c_void_p) == 8:
        assert ctypes.sizeof(_library.TensorStruct) == 88
