"""Rope.run, Norm, Pages and rerotate against NumPy's arithmetic, torch's modules and the chain of their parts."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import roperot

ml_dtypes = pytest.importorskip("ml_dtypes")
BF16 = ml_dtypes.bfloat16
E4M3 = ml_dtypes.float8_e4m3fn
RNG = np.random.default_rng(11)
DIM, HEADS, KV, TOKENS = 48, 4, 2, 7


def tensor(heads=HEADS, dtype=np.float32, tokens=TOKENS, dim=DIM, batch=()):
    return RNG.standard_normal((*batch, tokens, heads, dim)).astype(dtype)


def lane_sum(values):
    """The sum of the library's contract: 16 lanes in order, folded 8, 4, 2, 1, all in float32."""
    lanes = np.zeros((*values.shape[:-1], 16), np.float32)
    for i in range(0, values.shape[-1], 16):
        part = values[..., i : i + 16]
        lanes[..., : part.shape[-1]] += part
    for n in (8, 4, 2, 1):
        lanes = lanes[..., :n] + lanes[..., n : 2 * n]
    return lanes[..., 0]


def normed(x, weight, *, eps, rounding="none", unit_offset=False, bias=None, kind="rms", all_heads=False):
    """The norm of the contract in float32, rounded where `rounding` says."""
    dtype, one = x.dtype, np.float32(1)
    wide = x.astype(np.float32)
    count = np.float32(wide.shape[-1])
    if kind == "layer":
        wide = wide - (lane_sum(wide) / count)[..., None]
    sums = lane_sum(wide * wide)
    if all_heads:
        total = np.zeros(sums.shape[:-1], np.float32)
        for head in range(sums.shape[-1]):
            total += sums[..., head]
        sums, count = np.repeat(total[..., None], sums.shape[-1], -1), count * np.float32(x.shape[-2])
    root = one / np.sqrt(sums / count + np.float32(eps))
    n = wide * root[..., None]
    if rounding == "twice":
        n = n.astype(dtype).astype(np.float32)
    w = np.ones(x.shape[-1], np.float32) if weight is None else weight.astype(np.float32)
    if all_heads and w.size != x.shape[-1]:
        w = w.reshape(x.shape[-2:])
    n = n * (one + w if unit_offset else w)
    if bias is not None:
        n = n + bias.astype(np.float32)
    return n if rounding == "none" else n.astype(dtype).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16])
@pytest.mark.parametrize("rounding", ["none", "once", "twice"])
@pytest.mark.parametrize("extra", [{}, {"unit_offset": True}, {"kind": "layer"}, {"all_heads": True}, {"dim": 42}])
def test_norm_then_rotation_is_the_chain(dtype, rounding, extra):
    extra = dict(extra)
    dim = extra.pop("dim", DIM)
    rope = roperot.Rope(dim)
    q = tensor(dtype=dtype, dim=dim)
    weight = RNG.standard_normal(HEADS * dim if extra.get("all_heads") else dim).astype(np.float32)
    bias = RNG.standard_normal(dim).astype(np.float32) if extra.get("kind") == "layer" else None
    want = rope.apply(np.ascontiguousarray(normed(q, weight, eps=1e-5, rounding=rounding, bias=bias, **extra)), 5)
    rope.run(q, positions=5, q_norm=roperot.Norm(weight, eps=1e-5, rounding=rounding, bias=bias, **extra))
    assert np.array_equal(q.view(np.uint8), want.astype(dtype).view(np.uint8))


def test_norm_after_the_rotation():
    rope, q = roperot.Rope(DIM), tensor(dtype=BF16)
    weight = RNG.standard_normal(DIM).astype(BF16)
    turned = rope.apply(q, 2)
    want = normed(turned, weight, eps=1e-6, rounding="twice").astype(BF16)
    rope.run(q, positions=2, q_norm=roperot.Norm(weight, rounding="twice", after=True))
    assert np.array_equal(q.view(np.uint16), want.view(np.uint16))


def test_norm_is_torchs_within_its_roundings():
    """Sums of 128 positive squares differ by the roundings on the way: 12 of ours (8 terms of a lane, 4 folds) and at
    most 16 of torch's, each 2^-24; the root halves that, and the root, division and two products add 4 on each side:
    22 * 2^-24 of the result."""
    torch = pytest.importorskip("torch")
    x = RNG.standard_normal((64, 3, 128)).astype(np.float32)
    weight = RNG.standard_normal(128).astype(np.float32)
    want = torch.nn.functional.rms_norm(torch.from_numpy(x), (128,), torch.from_numpy(weight), 1e-6).numpy()
    found = x.copy()
    roperot.Rope(128).run(v=found, v_norm=roperot.Norm(weight))
    assert np.all(np.abs(found - want) <= 22 * 2.0**-24 * np.abs(want))


@pytest.mark.parametrize("layout", ["NHD", "HND"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16])
def test_keys_and_values_go_to_their_slots(layout, dtype):
    rope = roperot.Rope(DIM)
    q, k, v = tensor(dtype=dtype), tensor(KV, dtype), tensor(KV, dtype)
    shape = (3, 4, KV, DIM) if layout == "NHD" else (3, KV, 4, DIM)
    caches = np.zeros(shape, BF16), np.zeros(shape, BF16)
    pages = [roperot.Pages(cache, layout=layout) for cache in caches]
    slots = np.array([5, -1, 0, 11, 3, 8, 2])
    before, want_q, want_k = k.copy(), rope.apply(q, 9), np.zeros(k.shape, BF16)
    if dtype is np.float32:
        rope.apply(k, 9, out=want_k)
    else:
        want_k = rope.apply(k, 9).astype(np.float32).astype(BF16)
        wide = k.astype(np.float32)
        rope.apply_(wide, positions=9)
        want_k = wide.astype(BF16)
    rope.run(q, k, v, 9, k_pages=pages[0], v_pages=pages[1], slots=slots)
    assert np.array_equal(q.view(np.uint8), want_q.view(np.uint8))
    assert np.array_equal(k.view(np.uint8), before.view(np.uint8)), "stored only"
    for cache, want in zip(caches, (want_k, v.astype(np.float32).astype(BF16))):
        rows = cache if layout == "NHD" else cache.transpose(0, 2, 1, 3)
        rows = rows.reshape(12, KV, DIM)
        for token, slot in enumerate(slots):
            if slot >= 0:
                assert np.array_equal(rows[slot].view(np.uint16), want[token].view(np.uint16))
        assert not rows[[1, 4, 6, 7, 9, 10]].any()


def stored(dtype_of_source, **pages):
    """Random keys, their rotation rounded to their dtype, and the pages that run made of them."""
    rope, k = roperot.Rope(64), tensor(KV, dtype_of_source, dim=64)
    made = roperot.Pages(**pages)
    rope.run(k=k, positions=3, k_pages=made, slots=np.arange(TOKENS, dtype=np.int32))
    return rope.apply(k, 3).astype(np.float32), made


@pytest.mark.parametrize("dtype", [np.float32, BF16])
def test_static_float8(dtype):
    data = np.zeros((2, 4, KV, 64), E4M3)
    scale = np.array([0.5, 0.01], np.float32)
    want, _ = stored(dtype, data=data, scaling="static", scale=scale)
    values = np.clip(want * (np.float32(1) / scale)[:, None], -448, 448).astype(E4M3)
    assert np.array_equal(data.reshape(8, KV, 64)[:TOKENS].view(np.uint8), values.view(np.uint8))


@pytest.mark.parametrize("scale", [0.5, np.float32(0.5), np.array(0.5), [0.5, 0.5]])
def test_a_static_scale_may_be_one_number(scale):
    data = np.zeros((2, 4, KV, 64), np.int8)
    want, _ = stored(np.float32, data=data, scale=scale)
    assert np.array_equal(data.reshape(8, KV, 64)[:TOKENS], np.clip(np.rint(want * np.float32(2)), -127, 127))


@pytest.mark.parametrize("layout", ["NHD", "HND"])
def test_dynamic_int8(layout):
    data = np.zeros((2, 4, KV, 64) if layout == "NHD" else (2, KV, 4, 64), np.int8)
    want, pages = stored(np.float32, data=data, scaling="dynamic", layout=layout, scale_floor=1e-6)
    scale = np.maximum(np.abs(want).max(-1) / np.float32(127), np.float32(1e-6))
    codes = np.clip(np.rint(want * (np.float32(1) / scale)[..., None]), -127, 127).astype(np.int8)
    rows = data if layout == "NHD" else data.transpose(0, 2, 1, 3)
    made = pages.scale if layout == "NHD" else pages.scale.transpose(0, 2, 1)
    assert np.array_equal(rows.reshape(8, KV, 64)[:TOKENS], codes)
    assert np.array_equal(made.reshape(8, KV)[:TOKENS], scale)


def test_q8_0_is_ggmls_reference():
    data = np.zeros((2, 4, KV, 2 * 34), np.uint8)
    want, _ = stored(np.float32, data=data, dtype="q8_0")
    blocks = want.reshape(TOKENS, KV, 2, 32)
    d = np.abs(blocks).max(-1) / np.float32(127)
    x = blocks * (np.float32(1) / d)[..., None]
    codes = (np.sign(x) * np.floor(np.abs(x) + np.float32(0.5))).astype(np.int8)
    found = data.reshape(8, KV, 2, 34)[:TOKENS]
    assert np.array_equal(np.ascontiguousarray(found[..., :2]).view(np.float16)[..., 0], d.astype(np.float16))
    assert np.array_equal(np.ascontiguousarray(found[..., 2:]).view(np.int8), codes)


def test_all_rounding_boundaries_of_float8():
    """Every float32 halfway between two float8 values, and its neighbours, by ml_dtypes' own conversion."""
    codes = np.arange(0, 0x7F, dtype=np.uint8).view(E4M3).astype(np.float32)
    middle = (codes[1:] + codes[:-1]) / 2
    around = [codes, middle, np.nextafter(middle, 0, dtype=np.float32), np.nextafter(middle, 999, dtype=np.float32)]
    values = np.concatenate([*around, [448, 464, 480, 1e30]]).astype(np.float32)
    values = np.concatenate([values, -values, [np.nan]]).astype(np.float32)
    values = np.resize(values, (len(values) + 63) // 64 * 64).reshape(-1, 1, 64)
    data = np.zeros((len(values), 1, 1, 64), E4M3)
    roperot.Rope(64).run(v=values, v_pages=roperot.Pages(data), slots=np.arange(len(values)))
    want = np.clip(values, -448, 448).astype(E4M3)
    found, want = data.reshape(values.shape).view(np.uint8), want.view(np.uint8)
    nan = np.isnan(values)
    assert np.array_equal(found[~nan], want[~nan])
    assert np.all(found[nan] == 0x7F)


def test_rerotate_moves_a_cache():
    rope, k = roperot.Rope(DIM, attention_factor=1.25), tensor(KV)
    cache = np.zeros((4, 4, KV, DIM), np.float32)
    pages = roperot.Pages(cache)
    slots = np.arange(TOKENS)
    rope.run(k=k, positions=10, k_pages=pages, slots=slots)
    delta = np.array([-3, 0, 2, 5, -10, 1, 4])
    want = rope.apply(k, 10)
    rope.shift_(want, delta)
    with pytest.raises(ValueError, match="slot 0 is in slots and in to_slots"):
        rope.rerotate(pages, delta, slots, to_slots=slots[::-1].copy())
    rope.rerotate(pages, delta, slots, to_slots=slots[::-1] + 8)
    assert np.array_equal(cache.reshape(16, KV, DIM)[8 : 8 + TOKENS][::-1], want)
    rope.rerotate(pages, delta, slots)
    assert np.array_equal(cache.reshape(16, KV, DIM)[:TOKENS], want)


@pytest.mark.parametrize(
    ("slots", "to_slots", "sentence"),
    [
        ([1, 2], [[2, 3]], r"to_slots has shape \(1, 2\); it must be \[2\]"),  # went unchecked, and 3 held what 1 had
        ([1, 2], [2, 3], "slot 2 is in slots and in to_slots"),
        ([1, 2], [5, 5], "slot 5 is in to_slots twice"),
        ([1, 3, 1], None, "slot 1 is in slots twice"),  # was turned twice
        ([1, 3, 1], [1, 4, 1], "slot 1 is in to_slots twice"),
    ],
)
def test_rerotate_refuses_slots_that_would_lose_a_key(slots, to_slots, sentence):
    cache = tensor(KV).repeat(2, 0)[:, None]
    pages, before = roperot.Pages(cache), cache.copy()
    with pytest.raises(ValueError, match=sentence):
        roperot.Rope(DIM).rerotate(pages, 3, slots, to_slots)
    assert np.array_equal(cache, before)


def test_rerotate_of_one_key_to_many_slots():
    """And what is negative, on either side, is left alone however often it comes."""
    rope, cache = roperot.Rope(DIM), tensor(KV).repeat(2, 0)[:, None]
    before = cache.copy()
    rope.rerotate(roperot.Pages(cache), [5, -2, 1, 1, 1], [1, 1, -1, -1, 2], [8, 9, 4, 4, -1])
    want = before[[1, 1], 0]
    rope.shift_(want, np.array([5, -2]))
    assert np.array_equal(cache[[8, 9], 0], want)
    assert np.array_equal(np.delete(cache, [8, 9], 0), np.delete(before, [8, 9], 0))


def test_factor_multiplies_q_alone():
    rope, q, k = roperot.Rope(DIM), tensor(batch=(2,)), tensor(KV, batch=(2,))
    factor = RNG.standard_normal((2, TOKENS)).astype(np.float32)
    want, want_k = rope.apply(q, 4) * factor[:, :, None, None], rope.apply(k, 4)
    rope.run(q, k, positions=4, factor=factor)
    assert np.array_equal(q, want)
    assert np.array_equal(k, want_k)


def test_skip_leaves_padding_alone():
    rope, k = roperot.Rope(DIM), tensor(KV)
    cache = roperot.Pages(np.zeros((2, 4, KV, DIM), np.float32))
    slots = np.array([0, 1, -1, 2, 3, 4, -1])
    for skip in (False, True):
        out = np.full_like(k, 7)
        rope.run(k=k, positions=1, k_out=out, k_pages=cache, slots=slots, skip=skip)
        assert bool((out[slots < 0] == 7).all()) is skip
        assert np.array_equal(out[slots >= 0], rope.apply(k, 1)[slots >= 0])


def test_torch_tensors_and_their_versions():
    torch = pytest.importorskip("torch")
    rope, k = roperot.Rope(64), torch.randn(TOKENS, KV, 64, dtype=torch.bfloat16)
    cache = torch.zeros(2, 4, KV, 64, dtype=torch.float8_e4m3fn)
    norm = roperot.Norm(torch.nn.Parameter(torch.rand(64)), rounding="twice")
    version = cache._version
    with torch.no_grad():
        rope.run(k=k, positions=torch.arange(TOKENS), k_norm=norm, k_pages=roperot.Pages(cache),
                 slots=torch.arange(TOKENS))  # fmt: skip
    assert cache._version > version
    assert cache.float().abs().sum() > 0


@pytest.mark.parametrize("wrong", ["no", "false", "0", 1, 0, None, [True]])
def test_flags_are_true_or_false(wrong):
    rope, k = roperot.Rope(DIM), tensor(KV)
    given = {"k": k, "k_pages": roperot.Pages(np.zeros((2, 4, KV, DIM), np.float32)), "slots": np.arange(TOKENS)}
    weight = np.ones(DIM, np.float32)
    calls = {name: lambda value, name=name: roperot.Norm(weight, **{name: value})
             for name in ("unit_offset", "after", "all_heads")}  # fmt: skip
    calls |= {name: lambda value, name=name: rope.run(**given, **{name: value}) for name in ("skip", "inverse")}
    for name, call in calls.items():
        with pytest.raises(TypeError, match=rf"^{name} must be True or False, not "):
            call(wrong)
        call(np.False_)
        call(np.True_)


def test_a_static_scale_is_read_where_it_is():
    scales = np.ones((KV, 2), np.float32)
    data, k = np.zeros((2, 4, KV, DIM), np.int8), tensor(KV)
    pages = roperot.Pages(data, scale=scales[:, 1])
    scales[:, 1] = 0.5, 0.25
    roperot.Rope(DIM).run(k=k, k_pages=pages, slots=np.arange(TOKENS))
    want = np.clip(np.rint(roperot.Rope(DIM).apply(k) * np.float32([2, 4])[:, None]), -127, 127)
    assert np.array_equal(data.reshape(8, KV, DIM)[:TOKENS], want)
    scales.flags.writeable = False  # it is not written
    frozen = roperot.Pages(data, scale=scales[:, 1])
    roperot.Rope(DIM).run(k=k, k_pages=frozen, slots=np.arange(TOKENS))


def test_overlaps_are_told_in_the_callers_words():
    rope, both = roperot.Rope(DIM), tensor(6)
    with pytest.raises(ValueError, match=r"^q and k overlap, and the first is written; they must be apart$"):
        rope.run(both[:, :4], both[:, 2:])
    with pytest.raises(ValueError, match=r"^k_out and q overlap, and the first is written; they must be apart$"):
        rope.run(both[:, :4], tensor(2), q_out=tensor(4), k_out=both[:, 2:4])
    with pytest.raises(ValueError, match=r"^q_out and q overlap, .* they must be apart, or the same view$"):
        rope.run(both[:, :4], q_out=both[:, 2:])


def test_norms_can_be_pickled():
    norm = roperot.Norm(np.arange(4, dtype=np.float32), eps=1e-3, rounding="once", unit_offset=True)
    again = pickle.loads(pickle.dumps(norm))
    assert repr(again) == repr(norm)
    assert np.array_equal(again.weight, norm.weight)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("given", [{"scaling": "dynamic", "scale_floor": 1e-3}, {"scale": 0.5}, {"scale": [0.5, 2.0]}])
def test_copies_of_pages_are_pages_of_the_copied_arrays(again, given):
    """They pointed to the arrays of the first, and every call with them was refused."""
    rope, k = roperot.Rope(DIM), tensor(KV)
    pages = roperot.Pages(np.zeros((4, KV, 2, DIM), np.int8), layout="HND", **given)
    copied = again(pages)
    assert (copied.data is pages.data) is (again is copy.copy)
    for one in (pages, copied):
        rope.run(k=k, positions=3, k_pages=one, slots=np.arange(TOKENS))
    assert pages.data.any()
    assert np.array_equal(copied.data, pages.data)
    assert np.array_equal(copied.scale, pages.scale)


Q, K = tensor(), tensor(KV)
CACHE = np.zeros((2, 4, KV, DIM), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda r: r.run(), ValueError, "nothing to do"),
        (lambda r: r.run(Q, q_norm=roperot.Norm(np.ones(DIM - 1, np.float32))), ValueError, "q_norm.weight has 47"),
        (lambda r: r.run(Q, q_norm=roperot.Norm(eps=-1)), ValueError, r"q_norm.epsilon is -1"),
        (lambda r: r.run(Q, q_norm=roperot.Norm(unit_offset=True)), ValueError, "q_norm.weight is None"),
        (lambda r: r.run(Q, q_norm=roperot.Norm(), inverse=True), ValueError, "invers"),
        (lambda r: r.run(Q, q_norm=3), TypeError, "q_norm must be a roperot.Norm"),
        (lambda r: r.run(Q, k_norm=roperot.Norm()), ValueError, "k_norm is given, but k is not"),
        (lambda r: r.run(k=K, k_pages=roperot.Pages(CACHE)), ValueError, "slots"),
        (lambda r: r.run(k=K, k_pages=roperot.Pages(CACHE), slots=np.arange(6)), ValueError, "slots has shape"),
        (lambda r: r.run(k=K, k_pages=roperot.Pages(CACHE), slots=np.arange(7) + 2), ValueError, "the slot of token 6"),
        (lambda r: r.run(k=K, k_pages=roperot.Pages(CACHE[:, :, :1]), slots=np.arange(7)), ValueError, "1 heads x 48"),
        (
            lambda r: r.run(k=Q[None].repeat(2, 0)[:, :, :KV], k_pages=roperot.Pages(CACHE), slots=np.arange(7)),
            ValueError,
            r"slots has shape \(7,\); it must be \[2, 7\]",
        ),
        (lambda r: r.run(Q, K[1:]), ValueError, "k has batch 1 and 6 tokens"),
        (lambda r: r.run(Q, factor=np.ones(3)), ValueError, "factor has shape"),
        (lambda r: r.run(Q, factor=True), TypeError, "factor must be a number"),
        (lambda r: r.run(Q, factor=np.datetime64("2020")), TypeError, "factor must be real numbers, not datetime64"),
        (lambda r: r.run(Q, factor=np.bool_(True)), TypeError, "factor must be real numbers, not bool"),
        (lambda r: r.run(Q, factor=np.str_("2")), TypeError, "factor must be real numbers, not <U1"),
        (lambda r: r.run(Q, factor=np.complex64(2)), TypeError, "factor must be real numbers, not complex64"),
        (lambda r: roperot.Pages(np.zeros((1, 1, 1, 32), np.uint8)), TypeError, "'e4m3' or 'q8_0'"),
        (lambda r: roperot.Pages(np.zeros((1, 1, 32), np.float32)), ValueError, "3 axes"),
        (lambda r: roperot.Pages(np.zeros((1, 1, 1, 32), np.float64)), TypeError, "float64"),
        (lambda r: roperot.Pages(CACHE, scaling="dynamic"), ValueError, "float8_e4m3fn and int8"),
        (lambda r: roperot.Pages(CACHE, scale_floor=1e-6), ValueError, "scale_floor = 1e-06 is for pages with scaling"),
        (lambda r: roperot.Pages(CACHE, scale_floor="x"), TypeError, "scale_floor must be a number, not 'x'"),
        (lambda r: roperot.Pages(CACHE.astype(np.int8), scale_floor=1e-6), ValueError, "scaling='dynamic'"),
        (lambda r: roperot.Norm(kind="l2"), ValueError, "'rms', 'layer'"),
        (lambda r: roperot.Norm(eps=np.array([1e-6])), TypeError, r"^eps must be a number, not array\("),
        (lambda r: roperot.Norm(np.ones(0, np.float32)), ValueError, r"norm.weight has shape \(0,\) and no values"),
        (
            lambda r: r.run(k=K, k_pages=roperot.Pages(CACHE), slots=[[0], [1, 2]]),
            ValueError,
            "^slots must be rectangular",
        ),
        (lambda r: r.run(Q, layout=[]), ValueError, r"layout must be one of .*, not \[\]"),
        (lambda r: roperot.Pages(CACHE.astype(">f4")), TypeError, "data has dtype >f4, the byte order of other"),
        (lambda r: roperot.Pages(CACHE.astype(np.uint8), dtype=[]), TypeError, r"'e4m3' or 'q8_0', not \[\]"),
        (lambda r: roperot.Pages(CACHE.astype(np.int8), scaling=""), ValueError, "scaling must be one of .*, not ''"),
        (
            lambda r: roperot.Pages(CACHE.astype(np.int8), scaling=[]),
            ValueError,
            r"scaling must be one of .*, not \[\]",
        ),
        (
            lambda r: roperot.Pages(CACHE.astype(np.int8), scaling="dynamic", scale=1.0),
            TypeError,
            r"^scale is float; a dynamic scale must be a writable array of float32 \[2, 4, 2\]$",
        ),
        (
            lambda r: roperot.Pages(
                CACHE.astype(np.int8), scaling="dynamic", scale=np.broadcast_to(np.float32(1), (2, 4, 2))
            ),
            ValueError,
            r"^scale is read-only float32 \[2, 4, 2\]; a dynamic scale must be a writable",
        ),
    ],
)
def test_refusals(call, error, sentence):
    before = Q.copy(), K.copy(), CACHE.copy()
    with pytest.raises(error, match=sentence) as failure:
        call(roperot.Rope(DIM))
    assert "jobs" not in str(failure.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, (Q, K, CACHE)))


@pytest.mark.parametrize("what", ["data", "scale"])
def test_pages_whose_memory_moved_are_refused(what):
    pages = roperot.Pages(np.zeros((4, 2, 1, 8), np.int8), scaling="dynamic")
    getattr(pages, what).resize((9, 2, 1, 8) if what == "data" else (900, 2, 1), refcheck=False)
    with pytest.raises(ValueError, match=rf"k_pages\.{what} has moved to other memory or another shape"):
        roperot.Rope(8).run(k=np.ones((2, 1, 8), np.float32), k_pages=pages, slots=[0, 1])


def test_pages_that_became_read_only_are_refused():
    pages = roperot.Pages(np.zeros((4, 2, 1, 8), np.float32))
    pages.data.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        roperot.Rope(8).run(k=np.ones((2, 1, 8), np.float32), k_pages=pages, slots=[0, 1])


def test_keys_and_values_in_turns_have_scales_in_turns():
    """One cache [blocks, 2, block, heads, dim], and its dynamic scales [blocks, 2, block, heads]."""
    rope, rng = roperot.Rope(8), np.random.default_rng(5)
    k, v = (rng.standard_normal((6, 2, 8)).astype(np.float32) for _ in range(2))
    slots = [9, 2, 0, 11, 4, 7]
    cache, scale = np.zeros((3, 2, 4, 2, 8), np.int8), np.zeros((3, 2, 4, 2), np.float32)
    both = [roperot.Pages(cache[:, i], scaling="dynamic", scale=scale[:, i]) for i in range(2)]
    rope.run(k=k, v=v, k_pages=both[0], v_pages=both[1], slots=slots)
    apart = [roperot.Pages(np.zeros((3, 4, 2, 8), np.int8), scaling="dynamic") for _ in range(2)]
    rope.run(k=k, v=v, k_pages=apart[0], v_pages=apart[1], slots=slots)
    for i, pages in enumerate(apart):
        np.testing.assert_array_equal(cache[:, i], pages.data)
        np.testing.assert_array_equal(scale[:, i], pages.scale)


def test_no_tokens_of_a_batch_need_no_slots_of_it():
    pages = roperot.Pages(np.zeros((4, 2, 1, 8), np.float32))
    roperot.Rope(8).run(k=np.ones((2, 0, 1, 8), np.float32), k_pages=pages, slots=np.zeros(0, np.int64))
    assert not pages.data.any()


def test_a_copy_of_a_kind_of_pages_is_of_that_kind():
    class Cache(roperot.Pages):
        pass

    assert type(copy.deepcopy(Cache(np.zeros((4, 2, 1, 8), np.float32)))) is Cache


@pytest.mark.parametrize("name", ["data", "scale", "layout", "pages", "page_tokens", "heads", "head_dim"])
def test_what_describes_pages_cannot_be_replaced(name):
    """The library went on with the first arrays and numbers; more heads than there are were read beyond them."""
    pages = roperot.Pages(np.zeros((2, 4, KV, DIM), np.int8), scale=0.5)
    before = getattr(pages, name)
    with pytest.raises(AttributeError, match=rf"Pages\.{name} cannot be replaced: .*make Pages anew"):
        setattr(pages, name, copy.copy(before) if name in ("data", "scale") else before)
    assert getattr(pages, name) is before
    pages.own = 1


def test_an_array_over_the_same_memory_may_stand_for_it():
    pages = roperot.Pages(np.zeros((2, 4, KV, DIM), np.int8), scale=[0.5, 2.0])
    pages.data, pages.scale = data, scale = pages.data[:], pages.scale[:]
    roperot.Rope(DIM).run(k=K, k_pages=pages, slots=np.arange(TOKENS))
    assert data.any()
    assert pages.scale is scale
    assert copy.deepcopy(pages).scale is not scale


def test_all_heads_of_a_norm_cannot_be_replaced():
    """As False on a norm of all heads it passed weights for one, of which all were read."""
    norm = roperot.Norm(np.ones(KV * DIM, np.float32), all_heads=True)
    with pytest.raises(AttributeError, match=r"Norm\.all_heads cannot be replaced"):
        norm.all_heads = False
    norm.weight = np.ones(KV * DIM, np.float32)


def test_pages_on_another_device_are_told_so():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"^data is on meta: roperot works in CPU memory only"):
        roperot.Pages(torch.zeros(2, 4, KV, DIM, device="meta"))
