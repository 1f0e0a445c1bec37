# SPDX-License-Identifier: MIT
"""The shapes at which roperot meets its peers, their values, and the right answers; it must not know a peer."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import ml_dtypes
import numpy

BASE = 500000.0
ROWS = 8192  # of the cos/sin tables of whoever takes tables
DTYPES = {"f32": numpy.float32, "f16": numpy.float16, "bf16": ml_dtypes.bfloat16}
# Absolute, for normal values of about 5 at most. 16 bits: tables in the tensor's dtype are somebody's right.
# f32: so are f32 angles, whose error is 2.4e-4 at position 4096.
TOLERANCE = {"f32": 3e-3, "f16": 2e-2, "bf16": 1.5e-1}


@dataclass(frozen=True)
class Case:
    dtype: str
    pairing: str
    shape: str
    tokens: int
    heads: int
    kv_heads: int  # 0: there is only q
    dim: int
    position: int

    def tiny(self) -> Case:
        return replace(self, shape="tiny", tokens=1, heads=1, kv_heads=min(self.kv_heads, 1), dim=16)

    @property
    def positions(self) -> numpy.ndarray:
        return numpy.arange(self.position, self.position + self.tokens, dtype=numpy.int64)

    def tensors(self) -> list[numpy.ndarray]:
        """q, and k if there is one: [tokens, heads, dim], fresh memory, the same values each time."""
        random = numpy.random.default_rng(20261123)
        counts = [self.heads, self.kv_heads] if self.kv_heads else [self.heads]
        return [
            random.standard_normal((self.tokens, n, self.dim), dtype=numpy.float32).astype(DTYPES[self.dtype])
            for n in counts
        ]


def cases(shapes: dict[str, list[int]], quick: bool) -> list[Case]:
    return [
        Case(dtype, pairing, shape, *numbers)
        for dtype in (["f32"] if quick else DTYPES)
        for pairing in ("half", "interleaved")
        for shape, numbers in shapes.items()
    ]


@functools.lru_cache(maxsize=8)
def angles(dim: int, rows: int = ROWS) -> numpy.ndarray:
    """[rows, dim / 2] in f64."""
    inverse = BASE ** (-numpy.arange(0, dim, 2) / dim)
    return numpy.outer(numpy.arange(rows), inverse)


def half_tables(case: Case) -> tuple[numpy.ndarray, numpy.ndarray]:
    """cos and sin of all rows, one value per pair, f32."""
    theta = angles(case.dim)
    return numpy.cos(theta).astype(numpy.float32), numpy.sin(theta).astype(numpy.float32)


EPSILON = 1e-6


def normed(case: Case) -> list[numpy.ndarray]:
    """The tensors after an RMSNorm whose weights are 1, in double precision."""
    wide = [x.astype(numpy.float64) for x in case.tensors()]
    return [x / numpy.sqrt(numpy.mean(x * x, axis=-1, keepdims=True) + EPSILON) for x in wide]


def oracle(case: Case, tensors: list[numpy.ndarray] | None = None) -> list[numpy.ndarray]:
    """The textbook formula in double precision, of the case's own tensors or of others."""
    theta = angles(case.dim)[case.positions][:, None, :]
    cos, sin = numpy.cos(theta), numpy.sin(theta)
    return [rotate(x.astype(numpy.float64), cos, sin, case.pairing) for x in tensors or case.tensors()]


def rotate(x: numpy.ndarray, cos: numpy.ndarray, sin: numpy.ndarray, pairing: str) -> numpy.ndarray:
    half = x.shape[-1] // 2
    first = numpy.s_[..., :half] if pairing == "half" else numpy.s_[..., 0::2]
    second = numpy.s_[..., half:] if pairing == "half" else numpy.s_[..., 1::2]
    y = numpy.empty_like(x)
    y[first] = x[first] * cos - x[second] * sin
    y[second] = x[first] * sin + x[second] * cos
    return y
