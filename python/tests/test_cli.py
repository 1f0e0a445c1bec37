"""The command line, run as a user runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import assert_same_bits

import roperot
from roperot.__main__ import main

CONFIG = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "rope_theta": 500000.0}


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    np.save("q.npy", rng.standard_normal((5, 4, 16)).astype(np.float32))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


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
    x = np.load("q.npy").astype(ml_dtypes.bfloat16)
    np.save("x.npy", x)
    assert main("rotate x.npy --config config.json".split()) == 0
    assert_same_bits(np.load("x_rotated.npy").view(ml_dtypes.bfloat16), rope.apply(x))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("rotate none.npy", "none.npy"),
        ("rotate q.npy --config none.json", "none.json"),
        ("rotate q.npy --rotary-dim 20", "20"),
        ("rotate q.npy --positions 2000000000,1,2,3,3000000000", "3000000000"),
        ("tables --max 8", "--config"),
        ("tables --max 8 --head-dim 16 --out t.npy", "npz"),
    ],
)
def test_failures_are_one_sentence(folder, capsys, line, sentence):
    assert main(line.split()) == 1
    message = capsys.readouterr().err
    assert message.startswith("roperot: ")
    assert sentence in message
    assert "Traceback" not in message


@pytest.mark.parametrize("line", ["", "rotate", "rotate q.npy --positions soon", "tables"])
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
