"""What arrays are taken, and the sentences for those that are not."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from conftest import assert_same_bits

import roperot
from roperot import _arrays

ROPE = roperot.Rope(8)


def good(*shape):
    return np.ones(shape or (3, 2, 8), np.float32)


class Exporter:
    """An array that only DLPack can see."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnGpu(Exporter):
    def __dlpack_device__(self):
        return (2, 0)


def unaligned():
    return np.zeros(3 * 2 * 8 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(3, 2, 8)


def read_only():
    x = good()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: good().astype(np.float64), TypeError, "float64.*astype"),
        (lambda: good().astype(np.int32), TypeError, "int32"),
        (lambda: good().astype(np.dtype(np.float32).newbyteorder()), TypeError, "newbyteorder"),
        (unaligned, ValueError, r"q does not start at a multiple of its 4-byte elements; use x.copy\(\)"),
        (lambda: np.ma.masked_array(good()), TypeError, "mask"),
        (lambda: [[1.0]], TypeError, "list.*asarray"),
        (lambda: good(3, 2, 16).view(np.uint8)[..., ::4].copy().view("V2"), TypeError, "bfloat16.*view"),
        (lambda: good(8), ValueError, "1 axes.*reshape"),
        (lambda: good(3, 8), ValueError, "2 axes"),
        (lambda: good(1, 1, 3, 2, 8), ValueError, "5 axes"),
        (lambda: good(3, 2, 16)[..., ::2], ValueError, "stride of 2.*ascontiguousarray"),
        (read_only, ValueError, "read-only.*copy"),
        (lambda: good(3, 2, 6), ValueError, "6"),
        (lambda: OnGpu(good()), TypeError, "CPU"),
        (lambda: np.broadcast_to(good(1, 1, 8), (3, 2, 8)).copy(order="F"), ValueError, "stride"),
    ],
)
def test_refused(make, error, sentence):
    x = make()
    with pytest.raises(error, match=sentence):
        ROPE.apply_(x)


def test_self_overlap_is_refused_and_nothing_is_written():
    base = good(1, 2, 8)
    x = np.lib.stride_tricks.as_strided(base, (3, 2, 8), (0, 32, 4), writeable=True)
    with pytest.raises(ValueError):
        ROPE.apply_(x, positions=1)
    np.testing.assert_array_equal(base, 1)


@pytest.mark.parametrize(
    ("positions", "error"),
    [
        (-1, ValueError),
        (2**31, ValueError),
        (2**70, ValueError),
        (1.5, TypeError),
        ("now", TypeError),
        ([0.0, 1.0, 2.0], TypeError),
        ([0, 1], ValueError),
        ([[0, 1, 2]] * 2, ValueError),
        (np.zeros((1, 1, 1, 3), np.int64), ValueError),
        (np.array([0, 2**63, 0], np.uint64), ValueError),
        (np.array([0, 1, -1]), ValueError),
        (True, TypeError),
        (False, TypeError),
        (0.0, TypeError),
        (np.array(0.0), TypeError),
        (np.array(False), TypeError),
        (np.False_, TypeError),
        ([True, False, True], TypeError),
    ],
)
def test_positions_refused_and_nothing_is_written(positions, error):
    x = good()
    with pytest.raises(error):
        ROPE.apply_(x, positions=positions)
    np.testing.assert_array_equal(x, 1)


@pytest.mark.parametrize("start", [False, 0.0, np.array(0.0), np.array(False)])
def test_the_start_of_ragged_sequences_is_an_integer(start):
    with pytest.raises(TypeError, match="positions"):
        ROPE.apply(good(), start, layout="thd", cu_seqlens=[0, 1, 3])
    with pytest.raises(TypeError, match="delta"):
        ROPE.shift_(good(), start)
    with pytest.raises(TypeError, match="positions"):
        ROPE.cos_sin(start)


def test_unaligned_arrays_are_named():
    for call, name in (
        (lambda: ROPE.apply_(good(), unaligned()), "k"),
        (lambda: ROPE.apply(unaligned()), "x"),
        (lambda: ROPE.apply(good(), out=unaligned()), "out"),
        (lambda: ROPE.shift_(unaligned(), 1), "k"),
    ):
        with pytest.raises(ValueError, match=f"^{name} does not start"):
            call()


@pytest.mark.parametrize("cu_seqlens", [[0, 2], [0, 2, 1, 3], [1, 3], [0.0, 3.0], [[0, 3]], [], [0, 4]])
def test_cu_seqlens_refused(cu_seqlens):
    with pytest.raises((ValueError, TypeError)):
        ROPE.apply(good(), layout="thd", cu_seqlens=cu_seqlens)


@pytest.mark.parametrize("starts", [[0], [0, 1, 2], [[0, 1]]])
def test_there_is_one_start_per_sequence(starts):
    with pytest.raises(ValueError, match="one start per sequence"):
        ROPE.apply(good(), starts, layout="thd", cu_seqlens=[0, 1, 3])


def test_a_conversion_that_is_not_offered_is_a_type_error():
    rope = roperot.Rope(8, pairing_out="interleaved")
    with pytest.raises(TypeError, match="dtype"):
        rope.apply(good(), out=good().astype(np.float16))


@pytest.mark.parametrize("shape", [(0, 2, 8), (3, 0, 8), (0, 3, 2, 8), (2, 0, 2, 8)])
def test_empty_arrays_come_back_empty(shape):
    x = np.empty(shape, np.float32)
    assert ROPE.apply(x).shape == shape
    ROPE.apply_(x, x.copy(), positions=7)
    view = np.empty((*shape[:-1], 16), np.float32)[..., ::2]
    assert ROPE.apply(view).shape == shape


def test_dlpack_is_rotated_in_place_and_let_go():
    x = np.arange(48, dtype=np.float32).reshape(3, 2, 8)
    expected = ROPE.apply(x, 4)
    exporter = Exporter(x)
    assert_same_bits(ROPE.apply(exporter, 4), expected)
    ROPE.apply_(exporter, positions=4)
    assert_same_bits(x, expected)
    assert not any(slot.keep for frame in ROPE._frames for slot in (*frame.src_slots, *frame.dst_slots))


class Handmade:
    """A capsule of our own, with an offset and without strides, which NumPy's exporter never makes."""

    def __init__(self, array, offset):
        self.array, self.offset, self.shape = array, offset, (array.size - offset) // 16
        self.sizes = (ctypes.c_int64 * 3)(self.shape, 2, 8)
        self.struct = _arrays._DLTensor(
            data=array.ctypes.data, device_type=1, ndim=3, code=2, bits=32, lanes=1, byte_offset=4 * offset
        )
        self.struct.shape = ctypes.cast(self.sizes, ctypes.POINTER(ctypes.c_int64))

    def __dlpack__(self):
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self.struct), b"dltensor", None)

    def __dlpack_device__(self):
        return (1, 0)


def test_dlpack_offsets_and_absent_strides():
    x = np.arange(52, dtype=np.float32)
    expected = x.copy()
    expected[4:] = ROPE.apply(x[4:].reshape(3, 2, 8), 4).reshape(-1)
    ROPE.apply_(Handmade(x, 4), positions=4)
    assert_same_bits(x, expected)


def test_read_only_input_is_fine_out_of_place():
    assert_same_bits(ROPE.apply(read_only(), 2), ROPE.apply(good(), 2))


def test_out_must_fit():
    with pytest.raises(ValueError, match="shape"):
        ROPE.apply(good(), out=np.empty((4, 2, 8), np.float32))
    with pytest.raises(TypeError):
        ROPE.apply(good().astype(np.float16), out=good().astype(np.float64))


def test_the_same_rope_takes_changing_shapes_and_dtypes(rng):
    """A frame remembers its last array; nothing of it may leak into the next."""
    for _ in range(3):
        for shape in [(3, 2, 8), (2, 3, 2, 8), (5, 1, 8)]:
            for dtype in (np.float32, np.float16):
                x = rng.standard_normal(shape).astype(dtype)
                assert_same_bits(ROPE.apply(x, 3), roperot.Rope(8).apply(x, 3))
                frozen = x.copy()
                frozen.flags.writeable = False
                with pytest.raises(ValueError, match="read-only"):
                    ROPE.apply_(frozen)


def test_few_shapes_are_remembered(rng):
    """Shapes that take turns keep a frame each, and many shapes do not pile up frames."""
    rope = roperot.Rope(8)
    q, k = (rng.standard_normal((1, heads, 8)).astype(np.float32) for heads in (4, 2))
    for _ in range(3):
        for x in (q, k):
            assert_same_bits(rope.apply(x, 3), roperot.Rope(8).apply(x, 3))
    assert sorted(frame.src_slots[0].shape[1] for frame in rope._frames) == [2, 4]
    for heads in range(1, 20):
        x = rng.standard_normal((1, heads, 8)).astype(np.float32)
        assert_same_bits(rope.apply(x, 3), roperot.Rope(8).apply(x, 3))
        assert len(rope._frames) <= 3


def test_layout_is_part_of_what_is_remembered(rng):
    x = rng.standard_normal((2, 3, 3, 8)).astype(np.float32)
    rope = roperot.Rope(8)
    rope.apply(x, 1)
    assert_same_bits(rope.apply(x, 1, layout="bhsd"), rope.apply(x.swapaxes(1, 2), 1).swapaxes(1, 2))


def test_positions_on_another_device_are_refused():
    with pytest.raises(TypeError, match="positions is not in CPU memory"):
        ROPE.apply(good(), OnGpu(np.arange(3)))


def test_unknown_layout():
    with pytest.raises(ValueError, match="layout"):
        ROPE.apply(good(), layout="sbhd")


class _Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    "array",
    [
        np.empty(0, np.float16),
        np.arange(24, dtype=np.float32).reshape(2, 3, 4)[::-1, 1:, ::2],
        np.zeros((2, 2), np.float32)[np.newaxis].view(_Subclass),
        np.broadcast_to(np.float32(1), (3, 4)),
        np.frombuffer(b"\0" * 16, np.float16, offset=4),
    ],
    ids=["empty", "view", "subclass", "broadcast", "buffer"],
)
def test_the_address_read_from_an_object_is_that_of_its_interface(array):
    assert _arrays.address is _arrays._address_of_object  # CPython: the quick way is in use
    assert _arrays.address(array) == array.__array_interface__["data"][0]


def test_without_that_layout_addresses_come_from_the_interface(monkeypatch):
    assert _arrays._objects_can_be_read()
    monkeypatch.setattr(_arrays, "_DATA", _arrays._DATA + 8)
    assert not _arrays._objects_can_be_read()
    monkeypatch.setattr(_arrays, "address", _arrays._address_of_interface)
    q = np.ones((3, 2, 64), np.float32)
    roperot.Rope(64).apply_(q, positions=5)
    assert q[0, 0, 0] != 1.0


MASKED = np.ma.array([0, 1, 2], mask=[False, True, False])


@pytest.mark.parametrize(
    "use",
    [
        lambda: ROPE.apply(good(), MASKED),
        lambda: ROPE.apply(good(), coordinates=MASKED.astype(float)),
        lambda: ROPE.apply(good(), cu_seqlens=np.ma.array([0, 3])),
        lambda: ROPE.shift_(good(), MASKED),
        lambda: ROPE.cos_sin(MASKED),
        lambda: ROPE.run(good(), factor=MASKED.astype(np.float32)),
        lambda: ROPE.run(k=good(), k_pages=roperot.Pages(good(3, 1, 2, 8)), slots=MASKED),
        lambda: roperot.Pages(np.ma.ones((3, 1, 2, 8), np.float32)),
        lambda: roperot.Norm(np.ma.ones(8, np.float32)),
        lambda: roperot.Rope(6, inv_freq=MASKED.astype(float)),
        lambda: roperot.Rope.from_tables(8, np.ma.ones((3, 4), np.float32), good(3, 4)),
    ],
)
def test_no_mask_is_ignored(use):
    with pytest.raises(TypeError, match=r"masked array; its mask would be ignored"):
        use()


def test_a_prepared_array_that_became_read_only():
    q = good()
    call = ROPE.prepare(q)
    q.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        call(1)
    np.testing.assert_array_equal(q, good())
