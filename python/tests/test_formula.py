"""Property tests: every rotation equals NumPy's formula bit for bit, given the library's cos and sin."""

from __future__ import annotations

import hashlib
import threading
import time

import numpy as np
import pytest
from conftest import DTYPES, assert_same_bits, rotate, values, views
from hypothesis import given
from hypothesis import strategies as st

import roperot

PAIRINGS = ("half", "interleaved")


@st.composite
def geometries(draw):
    head_dim = draw(st.integers(2, 150))
    rotary_dim = 2 * draw(st.integers(1, head_dim // 2))
    offset = 2 * draw(st.integers(0, (head_dim - rotary_dim) // 2))
    return head_dim, rotary_dim, offset


@st.composite
def positions_of(draw, batch, seq):
    """What a caller may pass, and the [batch, seq] integers that it means."""
    kind = draw(st.sampled_from(["none", "int", "seq", "batch"]))
    if kind == "none":
        return None, np.broadcast_to(np.arange(seq), (batch, seq))
    if kind == "int":
        first = draw(st.integers(0, 2**31 - 64))
        return first, np.broadcast_to(first + np.arange(seq), (batch, seq))
    dtype = draw(st.sampled_from([np.int32, np.int64, np.uint16]))
    limit = 65536 if dtype == np.uint16 else 2**31
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = rng.integers(0, limit, (seq,) if kind == "seq" else (batch, seq)).astype(dtype)
    if kind == "batch" and draw(st.booleans()):
        ids = np.asfortranarray(ids)
    return ids, np.broadcast_to(ids, (batch, seq)).astype(np.int64)


@given(data=st.data(), geometry=geometries(), dtype=st.sampled_from(DTYPES), isa=st.sampled_from(roperot.isas()),
       pairing=st.sampled_from(PAIRINGS), inverse=st.booleans())  # fmt: skip
def test_apply_equals_numpy(data, geometry, dtype, isa, pairing, inverse):
    head_dim, rotary_dim, offset = geometry
    batch, seq, heads = (data.draw(st.integers(1, 4)) for _ in range(3))
    x = data.draw(views((batch, seq, heads, head_dim), dtype))
    positions, meant = data.draw(positions_of(batch, seq))
    pairing_out = data.draw(st.sampled_from([None, *PAIRINGS]))
    rope = roperot.Rope(
        head_dim, rotary_dim=rotary_dim, rotary_offset=offset, pairing=pairing, pairing_out=pairing_out, isa=isa
    )
    cos, sin = rope.cos_sin(meant)
    expected = rotate(
        x, cos, sin, rotary_dim=rotary_dim, offset=offset, pairing=pairing, pairing_out=pairing_out, inverse=inverse
    )
    before = x.copy()
    assert_same_bits(rope.apply(x, positions, inverse=inverse), expected)
    assert_same_bits(x, before)
    if (pairing_out or pairing) == pairing:
        rope.apply_(x, positions=positions, inverse=inverse)
        assert_same_bits(x, expected)


@given(data=st.data(), dtype=st.sampled_from(DTYPES), layout=st.sampled_from(["bshd", "bhsd", "thd"]))
def test_layouts_and_two_tensors(data, dtype, layout):
    batch, seq = (
        (1, data.draw(st.integers(0, 5))) if layout == "thd" else data.draw(st.tuples(*[st.integers(0, 4)] * 2))
    )
    rope = roperot.Rope(16)
    tensors, expected = [], []
    for heads in data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4))):
        x = data.draw(views((batch, seq, heads, 16), dtype))
        cos, sin = rope.cos_sin(np.broadcast_to(5 + np.arange(seq), (batch, seq)))
        expected.append(rotate(x, cos, sin, rotary_dim=16))
        tensors.append(x)
    given_views = [x.transpose(0, 2, 1, 3) if layout == "bhsd" else x[0] if layout == "thd" else x for x in tensors]
    rope.apply_(*given_views, positions=5, layout=layout)
    for x, y in zip(tensors, expected):
        assert_same_bits(x, y)


@given(rows=st.lists(st.integers(0, 6), min_size=1, max_size=5), data=st.data())
def test_ragged_sequences_start_over(rows, data):
    ends = np.concatenate([[0], np.cumsum(rows)]).astype(data.draw(st.sampled_from([np.int32, np.int64])))
    starts = np.array([data.draw(st.integers(0, 1000)) for _ in rows])
    rope = roperot.Rope(8)
    x = values(np.random.default_rng(1), (int(ends[-1]), 3, 8), np.dtype(np.float32))
    ids = np.concatenate([start + np.arange(n) for start, n in zip(starts, rows)]).astype(np.int64)
    assert_same_bits(rope.apply(x, starts, layout="thd", cu_seqlens=ends), rope.apply(x, ids))
    from_zero = np.concatenate([np.arange(n) for n in rows]).astype(np.int64)
    assert_same_bits(rope.apply(x, layout="thd", cu_seqlens=list(map(int, ends))), rope.apply(x, from_zero))
    assert_same_bits(rope.apply(x, 9, layout="thd", cu_seqlens=ends), rope.apply(x, from_zero + 9))


def test_conversion_while_rotating(rng):
    rope = roperot.Rope(32)
    x = rng.standard_normal((5, 2, 32)).astype(np.float32)
    narrow = np.empty((5, 2, 32), np.float16)
    assert rope.apply(x, 3, out=narrow) is narrow
    assert_same_bits(narrow, rope.apply(x, 3).astype(np.float16))


def test_out_may_be_the_input(rng):
    rope = roperot.Rope(32)
    x = rng.standard_normal((5, 2, 32)).astype(np.float32)
    expected = rope.apply(x, 3)
    rope.apply(x, 3, out=x)
    assert_same_bits(x, expected)


def test_real_coordinates_continue_the_integers(rng):
    rope = roperot.Rope(16)
    x = rng.standard_normal((4, 2, 16)).astype(np.float32)
    assert_same_bits(rope.apply(x, coordinates=np.arange(4.0)), rope.apply(x, np.arange(4)))
    between = rope.apply(x, coordinates=np.full(4, 2.5, np.float32))
    angle = 2.5 * rope.inv_freq
    cos, sin = (f(angle).astype(np.float32)[None, :].repeat(4, 0) for f in (np.cos, np.sin))
    np.testing.assert_allclose(between, rotate(x[None], cos[None], sin[None], rotary_dim=16)[0], atol=1e-6)


def test_cos_and_sin_are_those_of_numpy():
    rope = roperot.Rope(64, base=500000.0)
    at = np.array([0, 1, 17, 4095])
    cos, sin = rope.cos_sin(at)
    angle = at[:, None] * 500000.0 ** (-np.arange(32) / 32)
    np.testing.assert_allclose(cos, np.cos(angle), atol=6e-8)
    np.testing.assert_allclose(sin, np.sin(angle), atol=6e-8)


def test_shift_moves_a_cache(rng):
    rope = roperot.Rope(64, attention_factor=1.5)
    k = rng.standard_normal((6, 2, 64)).astype(np.float32)
    for delta in (40, -30, np.array([1, -2, 3, -4, 5, 0])):
        cache = rope.apply(k, 100)
        rope.shift_(cache, delta)
        ids = 100 + np.arange(6) + delta
        np.testing.assert_allclose(cache, rope.apply(k, ids), atol=2e-6)


def test_threads_share_a_rope(rng):
    rope = roperot.Rope(64)
    x = rng.standard_normal((64, 8, 64)).astype(np.float32)
    expected = [rope.apply(x, first) for first in range(8)]
    failures = []

    def work(first):
        for _ in range(50):
            if not np.array_equal(rope.apply(x, first), expected[first]):
                failures.append(first)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_interpreter_is_free_while_the_library_works(rng):
    """Another thread must run during one long call; this holds on a single core too, unlike a speed-up."""
    rope = roperot.Rope(128, isa="scalar")
    x = rng.standard_normal((40000, 8, 128)).astype(np.float32)
    stop, ticks = threading.Event(), []

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    started = time.perf_counter()
    rope.apply_(x)
    ended = time.perf_counter()
    stop.set()
    thread.join()
    assert sum(started < t < ended for t in ticks) >= 3, f"{ended - started:.3f} s without a tick"


def test_two_threads_are_faster_than_one():
    """ctypes releases the GIL: two threads are done before the processor time of their work has passed.

    Processor time over time is at most 1 if they take turns, however busy the machine is. Hashing, which releases the
    GIL as well, tells whether a second core was there at all.
    """
    rope = roperot.Rope(128, isa="scalar")
    arrays, data = [np.ones((1024, 8, 128), np.float32) for _ in range(2)], bytes(1 << 23)

    def rotate(part):
        for _ in range(40):
            rope.apply_(arrays[part])

    def digest(part):
        hashlib.sha256(data)

    def speedup(work):
        threads = [threading.Thread(target=work, args=(part,)) for part in range(2)]
        started, used = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (time.process_time() - used) / (time.perf_counter() - started)

    free = 0
    for _ in range(60):
        if speedup(rotate) > 1.3:
            return
        free += speedup(digest) > 1.3
    if free < 5:
        pytest.skip(f"a second core was free in {free} of 60 rounds only")
    pytest.fail(f"threads took turns, while a second core was free in {free} of 60 rounds")


@pytest.mark.parametrize("isa", roperot.isas())
def test_relative_position(isa, rng):
    rope = roperot.Rope(128, isa=isa)
    q, k = (rng.standard_normal((1, 1, 128)).astype(np.float32) for _ in range(2))
    products = [float((rope.apply(q, n + 5) * rope.apply(k, n)).sum()) for n in (0, 10, 100000)]
    np.testing.assert_allclose(products, products[0], atol=1e-4)
