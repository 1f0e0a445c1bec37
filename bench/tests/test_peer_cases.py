# SPDX-License-Identifier: MIT
"""Whether the oracle that peers are held to is right; no peer is needed."""

from __future__ import annotations

import numpy
import pytest

cases = pytest.importorskip("peer_cases", reason="needs ml_dtypes")


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_the_oracle_is_a_complex_product(pairing):
    case = cases.Case("f32", pairing, "decode", 3, 2, 1, 8, 5)
    for x, y in zip(case.tensors(), cases.oracle(case), strict=False):
        first, second = (x[..., :4], x[..., 4:]) if pairing == "half" else (x[..., 0::2], x[..., 1::2])
        turn = numpy.exp(1j * numpy.outer(numpy.arange(5, 8), cases.BASE ** (-numpy.arange(4) / 4)))[:, None, :]
        z = (first + 1j * second.astype(float)) * turn
        parts = [z.real, z.imag]
        wanted = numpy.concatenate(parts, -1) if pairing == "half" else numpy.stack(parts, -1).reshape(y.shape)
        assert numpy.allclose(y, wanted, rtol=0, atol=1e-12)
