"""The Rope class beyond rotating: what it says about itself, tables, scalings, sections, what it refuses."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest
from conftest import DTYPES, assert_same_bits

import roperot
from roperot import Rope, Scaling, Sections

X = np.random.default_rng(3).standard_normal((5, 2, 16)).astype(np.float32)


def default(dim, base=10000.0):
    return base ** (-np.arange(0, dim, 2) / dim)


def test_module_names():
    assert "scalar" in roperot.isas()
    assert roperot.best_isa() in roperot.isas()
    found = roperot.info()
    assert found["isas"]["scalar"] == "usable"
    assert found["version"] == roperot.__version__
    assert roperot.__version__.count(".") == 2


def test_info_and_repr():
    rope = Rope(96, rotary_dim=24, rotary_offset=8, pairing="interleaved", max_positions=64, cache="full", isa="scalar")
    found = rope.info()
    wanted = {"head_dim": 96, "rotary_dim": 24, "rotary_offset": 8, "pairs": 12, "isa": "scalar", "cache": "full",
              "max_positions": 64, "pairing": "interleaved", "pairing_out": "interleaved", "angles": "exact",
              "bounds": "error", "attention_factor": 1.0, "axes": 1, "axis": None}  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert found["cache_bytes"] >= 64 * 12 * 8
    assert "scalar" in found["kernels"]["float32"]
    text = repr(rope)
    for part in ("96", "rotary_dim=24", "rotary_offset=8", "'interleaved'", "max_positions=64", "isa='scalar'"):
        assert part in text


def test_inv_freq_is_a_copy():
    rope = Rope(16)
    np.testing.assert_allclose(rope.inv_freq, default(16), rtol=1e-15)
    rope.inv_freq[:] = 0
    assert rope.inv_freq[0] == 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"head_dim": 0}, ValueError, "head_dim"),
        ({"head_dim": 7}, ValueError, "rotary_dim|odd"),
        ({"head_dim": "128"}, TypeError, "head_dim"),
        ({"head_dim": 2**40}, ValueError, "int32"),
        ({"head_dim": 8, "rotary_dim": 0}, ValueError, "rotary_dim"),
        ({"head_dim": 8, "rotary_dim": 10}, ValueError, "10"),
        ({"head_dim": 8, "rotary_dim": 3}, ValueError, "3"),
        ({"head_dim": 8, "rotary_offset": -2}, ValueError, "-2"),
        ({"head_dim": 8, "pairing": "neox"}, ValueError, "'half', 'interleaved'"),
        ({"head_dim": 8, "base": 0.0}, ValueError, "base"),
        ({"head_dim": 8, "base": float("nan")}, ValueError, "base"),
        ({"head_dim": 8, "attention_factor": -1.0}, ValueError, "attention_factor"),
        ({"head_dim": 8, "isa": "avx1024"}, ValueError, "avx1024"),
        ({"head_dim": 8, "cache": "borrowed"}, ValueError, "cache"),
        ({"head_dim": 8, "cache": "full"}, ValueError, "max_positions"),
        ({"head_dim": 8, "angles": "f32"}, ValueError, "(?i)f32"),
        ({"head_dim": 8, "angles": "f64"}, ValueError, "angles"),
        ({"head_dim": 8, "bounds": "wrap"}, ValueError, "bounds"),
        ({"head_dim": 8, "max_positions": -1}, ValueError, "max_positions"),
        ({"head_dim": 8, "inv_freq": [1.0]}, ValueError, r"inv_freq has shape \(1,\)"),
        ({"head_dim": 8, "inv_freq": [1.0] * 4, "scaling": {"rope_type": "default"}}, ValueError, "only one"),
        ({"head_dim": 8, "inv_freq": [1.0, 2.0, 3.0, np.inf]}, ValueError, "inf"),
        ({"head_dim": 8, "scaling": {"rope_type": "quux"}}, ValueError, "quux"),
        ({"head_dim": 8, "scaling": {"rope_type": ["yarn"]}}, ValueError, r"\['yarn'\] is unknown"),
        ({"head_dim": 8, "scaling": {"rope_type": "linear", "factr": 2.0}}, ValueError, "factr"),
        ({"head_dim": 8, "scaling": {"rope_type": "linear", "rope_theta": 2.0}}, ValueError, "base="),
        ({"head_dim": 8, "scaling": {"rope_type": "linear", "factor": -2.0}}, ValueError, "factor"),
        ({"head_dim": 8, "scaling": 4}, TypeError, "scaling"),
        ({"head_dim": 8, "sections": [1, 2, 2]}, ValueError, "5|4"),
        ({"head_dim": 8, "sections": []}, ValueError, "1 to 4"),
        ({"head_dim": 8, "sections": {"axis": [0, 0, 9, 0]}}, ValueError, "axis"),
        ({"head_dim": 8, "sections": {"kinds": 1}}, ValueError, "kinds"),
        ({"head_dim": True}, TypeError, "head_dim.*True"),
        ({"head_dim": 8, "base": "1e4"}, TypeError, "base.*'1e4'"),
        ({"head_dim": 8, "base": None}, TypeError, "base"),
        ({"head_dim": 8, "base": True}, TypeError, "base.*True"),
        ({"head_dim": 8, "attention_factor": "x"}, TypeError, "attention_factor"),
        ({"head_dim": 8, "inv_freq": np.ones((2, 2))}, ValueError, r"inv_freq has shape \(2, 2\)"),
        ({"head_dim": 8, "inv_freq": np.ones(4) * 1j}, TypeError, "inv_freq.*complex"),
        ({"head_dim": 8, "scaling": {"rope_type": "linear"}}, ValueError, "'linear' needs factor"),
        ({"head_dim": 8, "scaling": {"rope_type": "ntk"}}, ValueError, "'ntk' needs factor or alpha"),
        ({"head_dim": 8, "scaling": {"rope_type": "linear", "factor": "two"}}, TypeError, "factor.*'two'"),
        ({"head_dim": 8, "scaling": Scaling("yarn", factor=2.0, original_length=9.5)}, TypeError, "original_length"),
        ({"head_dim": 8, "sections": "abc"}, TypeError, "sections"),
        ({"head_dim": 8, "sections": 4}, TypeError, "sections"),
        ({"head_dim": 8, "sections": [2.5, 1.5]}, TypeError, r"sections\[0\].*2.5"),
    ],
)  # fmt: skip
def test_refused(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        Rope(**arguments)


def test_bounds():
    assert_same_bits(Rope(16, max_positions=8, bounds="identity").apply(X, 6)[2:], X[2:])
    clamped = Rope(16, max_positions=8, bounds="clamp").apply(X, 6)
    assert_same_bits(clamped[1:], Rope(16).apply(X[1:], np.full(4, 7)))
    with pytest.raises(ValueError, match="8"):
        Rope(16, max_positions=8).apply(X, 6)


def test_caches_and_max_positions_give_the_same_bits():
    expected = Rope(16).apply(X, 1000)
    for arguments in ({"max_positions": 2000}, {"cache": "factored", "max_positions": 1005},
                      {"cache": "full", "max_positions": 1005}):  # fmt: skip
        assert_same_bits(Rope(16, **arguments).apply(X, 1000), expected)


def test_attention_factor_scales_rotated_channels_only():
    rope = Rope(16, rotary_dim=8, attention_factor=2.0)
    y = rope.apply(X)
    assert_same_bits(y[0, :, :8], 2 * X[0, :, :8])
    assert_same_bits(y[..., 8:], X[..., 8:])


def test_f32_angles_are_those_of_float32_products():
    rope = Rope(16, angles="f32", max_positions=100000)
    at = np.array([0, 1, 99999])
    theta = at.astype(np.float32)[:, None] * rope.inv_freq.astype(np.float32)
    np.testing.assert_allclose(rope.cos_sin(at)[0], np.cos(theta.astype(np.float64)), atol=6e-8)
    assert np.abs(rope.cos_sin(at)[0] - Rope(16).cos_sin(at)[0]).max() > 1e-5


# ---- tables


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_table_layouts(dtype):
    rope = Rope(16)
    at = np.array([[3, 1000], [7, 5]])
    cos, sin = rope.cos_sin(at, dtype=dtype.name)
    assert cos.shape == (2, 2, 8)
    assert cos.dtype == dtype
    for name in ("full", "hf"):
        for whole, half in zip(rope.cos_sin(at, layout=name, dtype=dtype), (cos, sin)):
            assert_same_bits(whole, np.concatenate([half, half], -1))
    for whole, half in zip(rope.cos_sin(at, layout="gptj", dtype=dtype), (cos, sin)):
        assert_same_bits(whole, np.repeat(half, 2, -1))
    assert_same_bits(rope.cos_sin(at, layout="vllm", dtype=dtype), np.concatenate([cos, sin], -1))
    assert_same_bits(rope.cos_sin(at, layout="ipex", dtype=dtype), np.concatenate([sin, cos], -1))
    assert_same_bits(rope.cos_sin(at, layout="chatglm", dtype=dtype), np.stack([cos, sin], -1))


def test_cos_sin_shapes():
    rope = Rope(16, sections=[2, 3, 3])
    assert rope.cos_sin(5)[0].shape == (1, 8)
    assert rope.cos_sin([1, 2])[0].shape == (2, 8)
    assert rope.cos_sin(np.zeros((3, 4, 5), np.int64))[0].shape == (4, 5, 8)
    assert rope.cos_sin(None, coordinates=np.zeros((4, 5)))[0].shape == (4, 5, 8)
    assert rope.cos_sin([])[0].shape == (0, 8)
    with pytest.raises(ValueError, match="layout"):
        rope.cos_sin(0, layout="nope")
    with pytest.raises(TypeError, match="dtype"):
        rope.cos_sin(0, dtype="float64")
    with pytest.raises(ValueError, match="coordinates replace"):
        rope.cos_sin(0, coordinates=[1.0])


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_borrowed_tables_rotate_as_their_origin(pairing):
    rope = Rope(16, pairing=pairing)
    expected = rope.apply(X, 7)
    at = np.arange(12)
    full = rope.cos_sin(at, layout="hf" if pairing == "half" else "gptj")
    packed = rope.cos_sin(at, layout="chatglm")
    tables = [rope.cos_sin(at), full, (rope.cos_sin(at, layout="vllm"),), (packed[..., 0], packed[..., 1]),
              tuple(np.asfortranarray(t) for t in rope.cos_sin(at))]  # fmt: skip
    for table in tables:
        borrowed = Rope.from_tables(16, *table, pairing=pairing)
        assert_same_bits(borrowed.apply(X, 7), expected)
        assert borrowed.inv_freq is None
        assert borrowed.info()["cache"] == "borrowed"
    with pytest.raises(ValueError, match="12"):
        borrowed.apply(X, 8)


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_tables_with_rows_per_head(pairing):
    """[positions, heads, width], in any strides and layout, is a Rope per head."""
    heads = X.shape[-2]
    ropes = [Rope(16, pairing=pairing, base=10.0 + h) for h in range(heads)]
    expected = np.concatenate([rope.apply(X[..., h : h + 1, :], 7) for h, rope in enumerate(ropes)], axis=-2)
    cos, sin = (np.stack(t, axis=1) for t in zip(*(rope.cos_sin(np.arange(12)) for rope in ropes)))
    packed = np.stack([rope.cos_sin(np.arange(12), layout="vllm") for rope in ropes])
    outside = tuple(np.stack(t).swapaxes(0, 1) for t in zip(*(rope.cos_sin(np.arange(12)) for rope in ropes)))
    for table in ((cos, sin), (packed.swapaxes(0, 1),), outside, (cos[:, ::-1][:, ::-1], sin)):
        rope = Rope.from_tables(16, *table, pairing=pairing)
        assert_same_bits(rope.apply(X, 7), expected)
        assert rope.info()["heads"] == heads
        assert_same_bits(pickle.loads(pickle.dumps(rope)).apply(X, 7), expected)
        for layout in ("separate", "hf", "vllm", "chatglm"):
            again = rope.cos_sin(np.arange(12), layout=layout)
            single = [r.cos_sin(np.arange(12), layout=layout) for r in ropes]
            for h in range(heads):
                for all_heads, one in zip(*(x if type(x) is tuple else (x,) for x in (again, single[h]))):
                    assert_same_bits(np.ascontiguousarray(all_heads[:, h]), one)
    with pytest.raises(ValueError, match=rf"heads\) is {heads + 1}; it must be the {heads} of the Rope's table"):
        rope.apply(np.zeros((3, heads + 1, 16), np.float32))
    with pytest.raises(ValueError, match="no heads"):
        Rope.from_tables(16, cos[:, :0], sin[:, :0])


def test_borrowed_tables_are_kept_alive():
    rope = Rope(16)
    expected = rope.apply(X)
    borrowed = Rope.from_tables(16, *(t.copy() for t in rope.cos_sin(np.arange(8))))
    junk = [np.full((8, 8), np.nan, np.float32) for _ in range(100)]
    assert_same_bits(borrowed.apply(X), expected)
    del junk


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (lambda c, s: (16, c), "columns"),
        (lambda c, s: (16, c, s[:-1]), "one shape"),
        (lambda c, s: (16, c, s.astype(np.float16)), "one dtype"),
        (lambda c, s: (16, c[0], s[0]), "1 axes"),
        (lambda c, s: (32, c, s), "columns"),
        (lambda c, s: (16, c, np.asfortranarray(s)), "strides"),
    ],
)
def test_tables_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Rope.from_tables(*arguments(*Rope(16).cos_sin(np.arange(4))))


# ---- scalings and sections


def test_scaling_rules_reach_the_library():
    base = default(16)
    np.testing.assert_allclose(Rope(16, scaling={"rope_type": "linear", "factor": 4}).inv_freq, base / 4)
    np.testing.assert_allclose(Rope(16, scaling={"type": "linear", "factor": 4}).inv_freq, base / 4)
    np.testing.assert_allclose(Rope(16, scaling=Scaling("raw", factors=tuple(base[::-1]))).inv_freq, base[::-1])
    np.testing.assert_allclose(Rope(16, scaling=Scaling("periods", factors=tuple(1 / base))).inv_freq, base)
    ntk = Rope(16, scaling={"rope_type": "ntk", "alpha": 8.0}).inv_freq
    np.testing.assert_allclose(ntk, default(16, 10000.0 * 8.0 ** (16 / 14)))
    yarn = Rope(16, scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64})
    assert yarn.attention_factor == pytest.approx(0.1 * np.log(4.0) + 1)
    assert (
        Rope(16, scaling=Scaling("yarn", factor=4.0, original_length=64), attention_factor=1.0).attention_factor == 1.0
    )


LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8, "factor": 4.0,
            "original_max_position_embeddings": 64}  # fmt: skip


def test_longrope_chooses_by_length():
    scaling = LONGROPE
    np.testing.assert_allclose(Rope(16, scaling=scaling).inv_freq, default(16))
    np.testing.assert_allclose(Rope(16, scaling={**scaling, "seq_len": 64}).inv_freq, default(16))
    np.testing.assert_allclose(Rope(16, scaling={**scaling, "seq_len": 65}).inv_freq, default(16) / 2)
    su = {"rope_type": "su", "factors": [4.0] * 8, "factor": 1.0, "original_max_position_embeddings": 64}
    np.testing.assert_allclose(Rope(16, scaling=su).inv_freq, default(16) / 4)


def test_sections_choose_the_axis():
    ids = np.arange(3)[:, None, None] * 100 + np.arange(5)
    rope = Rope(16, sections=(2, 3, 3))
    assert rope.info()["axis"] == [0, 0, 1, 1, 1, 2, 2, 2]
    plain = [Rope(16).apply(X, row[0]) for row in ids]
    expected = X.copy()
    for j, axis in enumerate([0, 0, 1, 1, 1, 2, 2, 2]):
        expected[..., [j, j + 8]] = plain[axis][..., [j, j + 8]]
    assert_same_bits(rope.apply(X, ids), expected)
    assert Rope(16, sections=Sections((3, 3, 2), "interleaved")).info()["axis"] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert Rope(16, sections={"axis": [0, 1] * 4}).info()["axis"] == [0, 1] * 4


def test_axial_sections_restart_their_frequencies():
    rope = Rope(16, sections={"section": [4, 4], "kind": "axial"})
    np.testing.assert_allclose(rope.inv_freq, np.tile(default(8), 2))


def test_mixed_frequencies():
    """inv_freq [axes, pairs]: cos and sin of the sum over the axes of p_a w[a, j]."""
    rng = np.random.default_rng(3)
    w = rng.uniform(-1, 1, (2, 8))
    at = rng.integers(0, 32, (2, 1, 12))
    rope = Rope(16, inv_freq=w, attention_factor=1.25)
    angles = np.einsum("abt,aj->btj", at, w)
    for got, want in zip(rope.cos_sin(at), (np.cos(angles), np.sin(angles))):
        np.testing.assert_allclose(got, 1.25 * want, rtol=0, atol=1e-7)
    x = rng.standard_normal((1, 12, 3, 16)).astype(np.float32)
    table = Rope.from_tables(16, *(t[0] for t in rope.cos_sin(at)))
    assert_same_bits(rope.apply(x, at), table.apply(x, np.arange(12)))
    np.testing.assert_array_equal(rope.inv_freq, w)
    assert (rope.info()["cache"], rope.info()["axes"], rope.info()["axis"]) == ("none", 2, None)
    assert "axes=2" in repr(rope)
    for clone in (pickle.loads(pickle.dumps(rope)), copy.deepcopy(rope)):
        assert_same_bits(clone.apply(x, at), rope.apply(x, at))
    assert_same_bits(Rope(16, inv_freq=w[:1]).apply(x, 5), Rope(16, inv_freq=w[0]).apply(x, 5))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inv_freq": np.ones((2, 7))}, r"\(2, 7\); with two axes it must be \[1 .. 4 axes, 8\]"),
        ({"inv_freq": np.ones((5, 8))}, r"1 .. 4 axes"),
        ({"inv_freq": np.ones((2, 8)), "sections": [4, 4]}, "sections"),
        ({"inv_freq": np.ones((2, 8)), "scaling": {"rope_type": "linear", "factor": 2}}, "only one"),
        ({"inv_freq": np.ones((2, 8)), "cache": "full", "max_positions": 9}, "mixed frequencies"),
        ({"inv_freq": np.ones((2, 8)), "angles": "f32", "max_positions": 9}, "mixed frequencies"),
        ({"inv_freq": np.ones((2, 2, 4))}, "shape"),
    ],
)
def test_mixed_frequencies_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Rope(16, **arguments)


# ---- copies


def test_pickle_and_deepcopy():
    rope = Rope(16, pairing="interleaved", base=500.0, attention_factor=1.25)
    borrowed = Rope.from_tables(16, *rope.cos_sin(np.arange(9)), pairing="interleaved")
    for original in (rope, borrowed):
        for clone in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
            assert_same_bits(clone.apply(X, 2), original.apply(X, 2))


def test_ggml_reads_any_section_list():
    """A list that wraps around: each section of the second round starts its frequencies again."""
    vision = {"section": [3, 2, 0, 0], "kind": "ggml_vision"}
    factors = tuple(1.0 + 0.25 * j for j in range(10))
    scaling = roperot.Scaling("yarn_ggml", ext_factor=0.0, freq_scale=0.5, factors=factors)
    rope = roperot.Rope(20, scaling=scaling, sections=vision)
    exponent = np.array([0, 1, 2, 0, 1] * 2)
    np.testing.assert_allclose(rope.inv_freq, 0.5 * 1e4 ** (-2 * exponent / 10) / np.array(factors), rtol=1e-14)
    with pytest.raises(ValueError, match="sections add up to 0; for GGML_MROPE at least 1"):
        roperot.Rope(20, sections={"section": [0, 0, 0, 0], "kind": "ggml_mrope"})
    with pytest.raises(ValueError, match="frequency_index"):
        roperot.Rope(4, scaling=roperot.Scaling(frequency_index=(0, 2**33)))
    with pytest.raises(ValueError, match=r"frequency_index\[1\] is 4; it must be in 0..3"):
        roperot.Rope(4, scaling=roperot.Scaling(frequency_index=(0, 4)))


def test_sentences_name_the_arguments_of_python():
    rope, q = Rope(16), np.ones((4, 2, 16), np.float32)
    for call, start in ((lambda: rope.apply_(q, np.ones((3, 2, 16), np.float32)), "k "),
                        (lambda: rope.apply_(np.ones((4, 2, 8), np.float32)), "q"),
                        (lambda: Rope(7), "head_dim "),
                        (lambda: rope.apply(q, out=q[::-1]), "")):  # fmt: skip
        with pytest.raises(ValueError) as refused:
            call()
        assert str(refused.value).startswith(start)
        assert not re.search(r"config\.|src\[|dst\[", str(refused.value))


@pytest.mark.parametrize("inverse", [False, True])
def test_prepared_calls(rng, inverse):
    rope = Rope(16)
    q, k = rng.standard_normal((2, 4, 16)).astype(np.float32), rng.standard_normal((2, 2, 16)).astype(np.float32)
    call = rope.prepare(q, k, inverse=inverse)
    for position in (0, 7, np.int64(9)):
        expected = [rope.apply(x, int(position), inverse=inverse) for x in (q, k)]
        call(position)
        for x, y in zip((q, k), expected):
            assert_same_bits(x, y)
    before = q.copy()
    for position, error in ((-1, ValueError), (2**63, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="position"):
            call(position)
    assert_same_bits(q, before)
    for wrong in (None, [1.0], "q"):
        with pytest.raises(TypeError, match="q must be"):
            rope.prepare(wrong)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_eager_arithmetic_is_pytorchs(dtype):
    """transformers' formula, operation by operation in 16 bits, with the same cos and sin."""
    torch = pytest.importorskip("torch")
    kind = getattr(torch, dtype)
    torch.manual_seed(5)
    x = torch.randn(9, 3, 64).to(kind)
    angles = torch.arange(9.0)[:, None] * (10000.0 ** (-torch.arange(32.0) / 32))
    cos, sin = angles.cos().to(kind), angles.sin().to(kind)
    rope = roperot.Rope.from_tables(64, cos.float().numpy(), sin.float().numpy(), arithmetic="eager")
    wide_cos, wide_sin = (torch.cat((t, t), -1)[:, None] for t in (cos, sin))
    want = x * wide_cos + torch.cat((-x[..., 32:], x[..., :32]), -1) * wide_sin
    found = rope.apply(x)
    assert torch.equal(found.view(torch.int16), want.view(torch.int16))
    once = roperot.Rope.from_tables(64, cos.float().numpy(), sin.float().numpy()).apply(x)
    assert not torch.equal(once, want), "else the test tells nothing"


def test_eager_arithmetic_is_kept_by_copies():
    rope = pickle.loads(pickle.dumps(roperot.Rope(64, arithmetic="eager")))
    x = np.linspace(-2, 2, 5 * 64).astype(np.float16).reshape(5, 1, 64)
    assert not np.array_equal(rope.apply(x, 100), roperot.Rope(64).apply(x, 100))
    with pytest.raises(ValueError, match="'f32', 'eager'"):
        roperot.Rope(64, arithmetic="bf16")


def test_arithmetic_is_shown():
    for rope in (Rope(16, arithmetic="eager"), Rope.from_tables(16, *Rope(16).cos_sin(range(5)), arithmetic="eager")):
        assert rope.info()["arithmetic"] == "eager"
        assert "arithmetic='eager'" in repr(rope)
    assert Rope(16).info()["arithmetic"] == "f32"
    assert "arithmetic" not in repr(Rope(16))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda r, x: r.apply(x, np.zeros((3, 1, 5), int)), "positions have 3 axes; there must be 1"),
        (lambda r, x: r.apply(x, [[1], [2, 3]]), "positions must be rectangular"),
        (lambda r, x: r.apply(x, np.zeros((3, 5), int)), "ids of several axes are [axes, batch, seq]"),
        (lambda r, x: r.apply_(x, 17), "positions without k go by name: positions=..."),
        (lambda r, x: r.apply_(x, inverse="no"), "inverse must be True or False, not 'no'"),
        (lambda r, x: r.apply(x, inverse=1), "inverse must be True or False, not 1"),
        (lambda r, x: r.prepare(x, inverse=[1]), "inverse must be True or False, not [1]"),
        (lambda r, x: r.run(x, inverse="no"), "inverse must be True or False, not 'no'"),
        (lambda r, x: r.run(x, inverse=True, q_norm=roperot.Norm()), "q has a norm and inverse is True"),
        (lambda r, x: r.run(x, q_norm=roperot.Norm(bias=np.ones(16, np.float32))), "only a norm of kind 'layer'"),
        (lambda r, x: r.run(x, q_norm=roperot.Norm(unit_offset=True)), "q_norm.weight is None"),
        (lambda r, x: r.run(x, factor=True), "factor must be a number or one for each token, not True"),
        (lambda r, x: r.run(x, slots=np.arange(5)), "neither k_pages nor v_pages is given"),
        (lambda r, x: r.run(x, skip=True), "neither k_pages nor v_pages is given"),
        (lambda r, x: r.apply(x[:, :, :8].copy()), "x's last axis is 8; it must be the Rope's head_dim, 16"),
        (lambda r, x: r.apply(x, cu_seqlens=[0, 4], layout="thd"), "cu_seqlens ends at 4"),
        (lambda r, x: Rope(16, rotary_dim=3), "rotary_dim is 3; it must be even and at least 2"),
        (
            lambda r, x: Rope(16, pairing_out="interleaved").apply_(x),
            "q is rotated in place; another pairing_out needs",
        ),
        (
            lambda r, x: Rope(16, scaling={**LONGROPE, "seq_len": "long"}),
            "scaling's seq_len must be an integer, not 'long'",
        ),
        (
            lambda r, x: Rope(16, scaling={**LONGROPE, "original_max_position_embeddings": [4]}),
            "scaling's original_max_position_embeddings must be an integer, not [4]",
        ),
        (
            lambda r, x: Rope(16, scaling={"rope_type": "yarn", "factor": 2.0, "truncate": "no"}),
            "scaling's truncate must be True or False, not 'no'",
        ),
        (lambda r, x: Rope(16, angles="f32"), "max_positions is missing; angles='f32' must be told how many positions"),
        (
            lambda r, x: Rope(16, angles="f32", cache="factored", max_positions=5),
            "cache is 'factored' with angles='f32'",
        ),
        (lambda r, x: Rope(16, cache="full", max_positions=2**31), "a 'full' cache would take"),
        (lambda r, x: Rope(16, isa="rvv" if "neon" in roperot.isas() else "neon"), "': not built in; it must be None"),
    ],
)
def test_messages_speak_python(call, sentence):
    with pytest.raises((TypeError, ValueError, MemoryError), match=re.escape(sentence)):
        call(Rope(16), np.ones((5, 4, 16), np.float32))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_one_start_for_all_sequences(kind):
    """Its stride is 0, which the library takes for packed starts: it would read behind the one number."""
    starts = np.broadcast_to(np.array([5]), (3,))
    if kind == "torch":
        starts = pytest.importorskip("torch").tensor([5]).expand(3)
    x = np.random.default_rng(1).standard_normal((8, 2, 16)).astype(np.float32)
    ends = [0, 3, 6, 8]
    want = Rope(16).apply(x, [5, 5, 5], cu_seqlens=ends, layout="thd")
    np.testing.assert_array_equal(Rope(16).apply(x, starts, cu_seqlens=ends, layout="thd"), want)


def test_another_dtype_is_named():
    x = np.ones((5, 4, 16), np.float16)
    out = np.zeros(x.shape, pytest.importorskip("ml_dtypes").bfloat16)
    with pytest.raises(TypeError, match=r"^out's dtype is bfloat16 and its source's float16; they must be the same"):
        Rope(16).apply(x, out=out)
