"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_same_bits

import roperot
from roperot.__main__ import main

FOUND = {  # before a fixture changes the folder
    "PYTHONPATH": str(Path(roperot.__file__).resolve().parents[1]),
    "ROPEROT_LIBRARY": str(Path(str(roperot.info()["library"])).resolve()),
}

CONFIG = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "rope_theta": 500000.0}


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    np.save("q.npy", rng.standard_normal((5, 4, 16)).astype(np.float32))
    np.savez("pair.npz", a=np.zeros(3), b=np.zeros(3))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "deep.json").write_text("[" * 100000)
    (tmp_path / "inf.json").write_text(json.dumps(CONFIG | {"rope_theta": float("inf")}))
    (tmp_path / "huge.json").write_text(json.dumps(CONFIG | {"rope_theta": 10**400}))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "q.npy").read_bytes()[:-100])
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("structured.npy", np.zeros(4, [("a", "f4"), ("b", "f4")]))
    np.save("strings.npy", np.array(["abc"]))
    np.save("nan.npy", np.full(5, np.nan))
    np.save("flat.npy", np.ones(16, np.float32))
    shapes = {
        "vast": "(10**12, 4, 16)",
        "beyond": "(2**70, 4, 16)",
        "wrapped": "(2**62, 4, 16)",
        "negative": "(-5, 4, 16)",
    }
    for name, shape in shapes.items():
        _header(f"{name}.npy", f"{{'descr': '<f4', 'fortran_order': False, 'shape': {eval(shape)}}}")
    _header("open.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 4, 16")
    _header("nested.npy", "(" * 2000)
    _header("signs.npy", "-" * 9000 + "1")
    return tmp_path


def _header(path, text):
    """A .npy file of 64 bytes behind any header."""
    header = text.encode("latin-1")
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    Path(path).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))


def test_info(capsys, folder):
    assert main(["info", "--config", "config.json"]) == 0
    shown = capsys.readouterr().out
    assert roperot.__version__ in shown
    assert "scalar   usable" in shown
    assert "rotary_dim" in shown


def test_rotate(folder):
    q = np.load("q.npy")
    assert main("rotate q.npy --config config.json --positions 7: --out q_rot.npy".split()) == 0
    assert_same_bits(np.load("q_rot.npy"), roperot.Rope(16, base=500000.0).apply(q, 7))
    assert main("rotate q_rot.npy --config config.json --positions 7:12 --inverse --out back.npy".split()) == 0
    np.testing.assert_allclose(np.load("back.npy"), q, atol=1e-6)
    assert main("rotate q.npy --positions 4,3,2,1,0 --pairing interleaved --rotary-dim 8".split()) == 0
    expected = roperot.Rope(16, rotary_dim=8, pairing="interleaved").apply(q, [4, 3, 2, 1, 0])
    assert_same_bits(np.load("q_rotated.npy"), expected)
    np.save("ids.npy", np.arange(5) * 3)
    assert main("rotate q.npy --positions ids.npy --angles f32".split()) == 0
    expected = roperot.Rope(16, angles="f32", max_positions=13).apply(q, np.arange(5) * 3)
    assert_same_bits(np.load("q_rotated.npy"), expected)


@pytest.mark.parametrize("ids", ["0:0", "ids.npy"])
def test_no_tokens_are_rotated_by_no_positions(folder, ids):
    np.save("ids.npy", np.array([]))
    np.save("none.npy", np.ones((0, 4, 16), np.float32))
    for angles in ("exact", "f32"):
        assert main(f"rotate none.npy --positions {ids} --angles {angles}".split()) == 0
        assert np.load("none_rotated.npy").shape == (0, 4, 16)


def test_a_file_in_fortran_order(folder):
    q = np.load("q.npy")
    np.save("f.npy", np.asfortranarray(q))
    assert main("rotate f.npy --positions 3:".split()) == 0
    assert_same_bits(np.load("f_rotated.npy"), roperot.Rope(16).apply(q, 3))


def test_info_shows_what_it_can_under_an_unusable_isa(folder):
    line = [sys.executable, "-m", "roperot", "info", "--config", "config.json", "--isa", "scalar"]
    environment = os.environ | {"ROPEROT_ISA": "mmx", **FOUND}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "scalar   usable" in done.stdout
    assert "rotary_dim" in done.stdout
    assert done.stderr.startswith("roperot: ROPEROT_ISA='mmx'")


def test_tables(folder):
    rope = roperot.Rope(16, base=500000.0)
    assert main("tables --config config.json --max 32 --layout vllm --dtype f16 --out t.npy".split()) == 0
    assert_same_bits(np.load("t.npy"), rope.cos_sin(np.arange(32), layout="vllm", dtype="f16"))
    assert main("tables --config config.json --max 32 --out t.npz".split()) == 0
    with np.load("t.npz") as pair:
        assert_same_bits(pair["cos"], rope.cos_sin(np.arange(32))[0])
        assert_same_bits(pair["sin"], rope.cos_sin(np.arange(32))[1])


def test_bfloat16_tables_and_arrays(folder):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rope = roperot.Rope(16, base=500000.0)
    assert main("tables --config config.json --max 8 --layout vllm --dtype bf16 --out t.npy".split()) == 0
    stored = np.load("t.npy").view(ml_dtypes.bfloat16)
    assert_same_bits(stored, rope.cos_sin(np.arange(8), layout="vllm", dtype="bf16"))
    assert np.load("t.npy").dtype == "V2"  # the bits alone, which NumPy's format can say
    x = np.load("q.npy").astype(ml_dtypes.bfloat16)
    np.save("x.npy", x)
    assert main("rotate x.npy --config config.json".split()) == 0
    assert_same_bits(np.load("x_rotated.npy").view(ml_dtypes.bfloat16), rope.apply(x))


def test_bfloat16_needs_no_ml_dtypes(folder, monkeypatch):
    """The issue's own command, after a plain pip install."""
    rope = roperot.Rope(16, base=500000.0)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # importing it now fails
    assert main("tables --config config.json --max 8 --layout vllm --dtype bf16 --out cos_sin.npy".split()) == 0
    table = np.load("cos_sin.npy").view(np.uint16).astype(np.uint32) << 16
    np.testing.assert_allclose(table.view(np.float32), rope.cos_sin(np.arange(8), layout="vllm"), atol=2**-9)
    x = (np.load("q.npy").view(np.uint32) >> 16).astype(np.uint16)
    np.save("x.npy", x.view("V2"))
    assert main("rotate x.npy --config config.json --positions 3: --out y.npy".split()) == 0
    y = np.load("y.npy")
    assert (y.dtype, y.shape) == ("V2", x.shape)
    found, wide = ((t.astype(np.uint32) << 16).view(np.float32) for t in (y.view(np.uint16), x))
    np.testing.assert_allclose(found, rope.apply(wide, 3), rtol=2**-8, atol=1e-6)


def test_what_is_printed_is_where_it_went(folder, capsys):
    for line, name in (("rotate q.npy --out a", "a.npy"), ("tables --head-dim 16 --max 4 --out b", "b.npz"),
                       ("tables --head-dim 16 --max 4 --layout vllm --out c.d", "c.d.npy")):  # fmt: skip
        assert main(line.split()) == 0
        assert f"-> {name}\n" in capsys.readouterr().out
        assert (folder / name).is_file()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("rotate config.json", "config.json is not a .npy file"),
        ("rotate q.npy --config q.npy", "q.npy is not a configuration"),
        ("rotate q.npy --positions none.npy", "none.npy"),
        ("rotate pair.npz --head-dim 16", "pair.npz is not a .npy file"),
        ("rotate none.npy", "none.npy"),
        ("rotate q.npy --config none.json", "none.json"),
        ("rotate q.npy --rotary-dim 20", "20"),
        ("rotate q.npy --positions 2000000000,1,2,3,3000000000", "3000000000"),
        ("tables --max 8", "--config"),
        ("tables --max 8 --head-dim 16 --out t.npy", "npz"),
        ("tables --max 8 --head-dim 16 --layout vllm --out t.npz", "'vllm' is one array: name an .npy file, not t.npz"),
        ("rotate q.npy --head-dim 0", "head_dim is 0"),
        ("tables --max 8 --head-dim 0", "head_dim is 0"),
        ("rotate cut.npy", "cut.npy is cut short"),
        ("rotate objects.npy", "objects.npy holds Python objects"),
        ("rotate structured.npy", "structured.npy holds structured elements (a, b)"),
        ("rotate strings.npy", "strings.npy holds elements of dtype <U3"),
        ("rotate q.npy --positions nan.npy", "positions hold NaN"),
        ("rotate q.npy --positions strings.npy", "strings.npy holds elements of dtype <U3"),
        ("rotate q.npy --config deep.json", "deep.json is not a configuration: its JSON is nested too deeply"),
        ("rotate q.npy --config inf.json", "rope_theta"),
        ("rotate q.npy --config huge.json", "rope_theta is a whole number beyond"),
        ("rotate q.npy --out .", "--out . is a folder"),
        ("tables --head-dim 16 --max 4 --out .", "--out . is a folder"),
        ("rotate q.npy --out /dev/full", "--out /dev/full is no ordinary file"),
        ("rotate q.npy --out missing/q.npy", "missing"),
        ("rotate q.npy --layer-type foo", "--layer-type means nothing without --config"),
        ("rotate q.npy --config config.json --layer-type foo", "'foo' means nothing here"),
        ("rotate q.npy --seq-len 5", "--seq-len means nothing without --config"),
        ("rotate q.npy --config config.json --seq-len -5", "seq_len = -5"),
        ("rotate q.npy --coordinates nan.npy --positions 3:", "give only one"),
        ("rotate q.npy --coordinates nan.npy --positions 1,2,3,4,5", "give only one"),
        ("rotate vast.npy", "vast.npy is cut short"),
        ("rotate beyond.npy", "beyond.npy is cut short"),
        ("rotate wrapped.npy", "wrapped.npy is cut short"),
        ("rotate negative.npy", "negative.npy is cut short"),
        ("rotate open.npy", "open.npy is not a .npy file"),
        ("rotate nested.npy", "nested.npy is not a .npy file"),
        ("rotate signs.npy", "signs.npy is not a .npy file"),
        ("rotate flat.npy", "flat.npy has 1 axes"),
        ("rotate q.npy --positions 0:100000000000", "0:100000000000 are 100000000000, more than any axis"),
        ("rotate q.npy --out missing/", "--out missing/ is a folder"),
        ("rotate q.npy --out q.npy/x", "q.npy/x.npy could not be written: Not a directory"),
    ],
)
def test_failures_are_one_sentence(folder, capsys, line, sentence):
    assert main(line.split()) == 1
    message = capsys.readouterr().err
    assert message.startswith("roperot: ")
    assert sentence in message
    assert "Traceback" not in message


@pytest.mark.parametrize("line", ["", "rotate", "rotate q.npy --positions soon", "tables", "tables --max 0",
                                  "rotate q.npy --positions 0:9223372036854775808", "rotate q.npy --positions 1,2:3",
                                  "rotate q.npy --positions 99999999999999999999",
                                  "tables --head-dim 16 --max 99999999999"])  # fmt: skip
def test_usage_errors(folder, capsys, line):
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2


@pytest.mark.parametrize("line", ["--help", "rotate --help", "tables --help", "info --help"])
def test_help_has_examples(folder, capsys, line):
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 0
    assert "python -m roperot" in capsys.readouterr().out


def test_other_machines_byte_order_is_converted(folder):
    q = np.load("q.npy")
    np.save("big.npy", q.astype(">f4"))
    np.save("ids.npy", np.arange(5, dtype=">i8"))
    assert main("rotate big.npy --positions ids.npy".split()) == 0
    assert_same_bits(np.load("big_rotated.npy"), roperot.Rope(16).apply(q))


def test_coordinates(folder):
    at = np.arange(5) / 3
    np.save("at.npy", at)
    assert main("rotate q.npy --coordinates at.npy".split()) == 0
    assert_same_bits(np.load("q_rotated.npy"), roperot.Rope(16).apply(np.load("q.npy"), coordinates=at))


def test_coordinates_with_the_angles_of_pytorch(folder):
    at = np.arange(5) / 3
    np.save("at.npy", at)
    assert main("rotate q.npy --coordinates at.npy --angles f32".split()) == 0
    rope = roperot.Rope(16, angles="f32", max_positions=1)
    assert_same_bits(np.load("q_rotated.npy"), rope.apply(np.load("q.npy"), coordinates=at))


def test_a_link_stays_a_link(folder):
    os.mkdir("store")
    os.symlink("store/y.npy", "y.npy")
    assert main("rotate q.npy --out y.npy".split()) == 0
    assert os.path.islink("y.npy")
    assert os.listdir("store") == ["y.npy"]
    assert_same_bits(np.load("store/y.npy"), roperot.Rope(16).apply(np.load("q.npy")))


def test_input_may_be_the_output(folder):
    q = np.load("q.npy")
    os.chmod("q.npy", 0o640)
    assert main("rotate q.npy --out q.npy".split()) == 0
    assert_same_bits(np.load("q.npy"), roperot.Rope(16).apply(q))
    assert os.stat("q.npy").st_mode & 0o777 == 0o640


STOPPED = """
import os, signal, sys
import numpy as np
from roperot.__main__ import main
def save(file, x):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    raise SystemExit("the signal was ignored")
np.save = save
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and hands that on
sys.exit(main(["rotate", "q.npy", "--out", "q.npy"]))
"""


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_loses_nothing(folder, signal):
    """The signal comes while the file is written, over its own input."""
    before = (folder / "q.npy").read_bytes(), sorted(os.listdir())
    line = [sys.executable, "-c", STOPPED, signal]
    done = subprocess.run(line, env=os.environ | FOUND, capture_output=True, text=True, check=False)
    assert done.returncode in (129, 130, 143)
    assert "Traceback" not in done.stderr
    assert ((folder / "q.npy").read_bytes(), sorted(os.listdir())) == before


def test_a_full_disk_loses_nothing(folder, capsys, monkeypatch):
    def save(file, x):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    before = (folder / "q.npy").read_bytes(), sorted(os.listdir())
    monkeypatch.setattr(np, "save", save)
    assert main("rotate q.npy --out q.npy".split()) == 1
    assert capsys.readouterr().err == "roperot: q.npy could not be written: No space left on device\n"
    assert ((folder / "q.npy").read_bytes(), sorted(os.listdir())) == before


LIMITED = """
import resource, sys
from roperot.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("line", ["rotate q.npy --out q.npy", "tables --head-dim 16 --max 99 --out q.npz"])
def test_a_file_that_cannot_be_written_whole_is_not_left_in_part(folder, line):
    """The system's own refusal in the middle of a file."""
    before = (folder / "q.npy").read_bytes(), sorted(os.listdir())
    command = [sys.executable, "-c", LIMITED, *line.split()]
    done = subprocess.run(command, env=os.environ | FOUND, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"roperot: {line.split()[-1]} could not be written: File too large\n"
    assert ((folder / "q.npy").read_bytes(), sorted(os.listdir())) == before
