"""What the tests share: NumPy's own rotation, and arrays with awkward strides; it must not use roperot to expect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

settings.register_profile("default", deadline=None, max_examples=150, print_blob=True)
settings.load_profile("default")

try:
    import ml_dtypes

    DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
except ImportError:
    DTYPES = [np.dtype(np.float32), np.dtype(np.float16)]


def rotate(x, cos, sin, *, rotary_dim, offset=0, pairing="half", pairing_out=None, inverse=False):
    """The textbook formula in NumPy's float32 on [batch, seq, heads, dim], rounded once to x's dtype.

    The inverse is the transpose: it reads pairing_out and writes pairing.
    """
    pairs = rotary_dim // 2
    wide = x.astype(np.float32)
    sin = -sin if inverse else sin
    c, s = ((t if t.ndim == 3 else t[None])[:, :, None, :] for t in (cos, sin))
    sides = {
        "half": (slice(offset, offset + pairs), slice(offset + pairs, offset + rotary_dim)),
        "interleaved": (slice(offset, offset + rotary_dim, 2), slice(offset + 1, offset + rotary_dim, 2)),
    }
    ways = [pairing, pairing_out or pairing]
    read, written = reversed(ways) if inverse else ways
    x0, x1 = (wide[..., side] for side in sides[read])
    out = x.copy()
    first, second = sides[written]
    out[..., first] = (x0 * c - x1 * s).astype(x.dtype)
    out[..., second] = (x0 * s + x1 * c).astype(x.dtype)
    return out


def bits(x):
    """The array's bytes as integers, so that -0.0 and 0.0 differ."""
    return np.ascontiguousarray(x).view({2: np.uint16, 4: np.uint32}[x.dtype.itemsize])


def assert_same_bits(actual, expected):
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(bits(actual), bits(expected))


def values(rng, shape, dtype):
    """Normal values with a few zeros and denormals among them."""
    x = rng.standard_normal(shape).astype(np.float32)
    x[rng.random(shape) < 0.05] = -0.0
    x[rng.random(shape) < 0.05] *= np.float32(1e-40)
    return x.astype(dtype)


@st.composite
def views(draw, shape, dtype):
    """An array [batch, seq, heads, dim] whose batch, seq and head axes may be padded, reversed or permuted."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    order = draw(st.permutations([0, 1, 2]))
    steps = [draw(st.sampled_from([1, 1, 2, -1])) for _ in range(3)]
    pad = draw(st.integers(0, 3))
    large = [shape[i] * abs(steps[i]) for i in order] + [shape[3] + pad]
    base = values(rng, large, dtype)
    view = base[..., pad:].transpose(*np.argsort(order), 3)
    view = view[tuple(slice(None, None, step) for step in steps)]
    assert view.shape == tuple(shape)
    return view


@pytest.fixture
def rng():
    return np.random.default_rng(7)
