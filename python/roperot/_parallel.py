"""Tokens and positions of one rank of context parallelism; the schemes are the library's, no rule is written here."""

from __future__ import annotations

from ctypes import byref, c_int64
from typing import Any

import numpy as np

from roperot import _arrays as arrays
from roperot import _library as c
from roperot._scaling import int32, int64

SCHEMES = {"contiguous": 0, "zigzag": 1, "round_robin": 2}
_SPELLINGS = {"zig-zag": "zigzag", "round-robin": "round_robin"}

Integers = np.ndarray[Any, np.dtype[np.int64]]


def context_parallel_positions(
    scheme: str,
    size: int,
    rank: int,
    cu_seqlens: Any = None,
    starts: Any = None,
    axes: int = 1,
    tokens: int | None = None,
) -> Integers:
    """The positions of the tokens that ``rank`` holds, in the order in which it holds them.

    Rotations depend on a token's position alone, so that N ranks that rotate their own tokens by these positions give
    the bits of one rank that rotates all of them.

    Parameters
    ----------
    scheme : {"contiguous", "zigzag", "round_robin"}
        Of each sequence one slice; the slices ``rank`` and ``2 * size - 1 - rank`` of ``2 * size`` (Megatron-LM,
        Transformer Engine, torch's head-tail); or every ``size``-th token of the packed stream (SGLang). "zig-zag" and
        "round-robin" are read, too. Lengths must be multiples of ``size``, of ``2 * size``, or anything.
    size, rank : int
        The ranks of the group, and which of them this is.
    cu_seqlens : array of int, optional
        ``[sequences + 1]``, the ends of all ranks' packed sequences from 0 on; None: one sequence of ``tokens``.
    starts : int or array of int, optional
        The position of each sequence's first token: ``[sequences]``, ``[axes, sequences]``, or one number for all.
        None: its place in the packed stream. ``starts=0`` counts each sequence from 0, as ``Rope.apply`` does with
        ``cu_seqlens``; within a sequence both have the same differences, which is all that attention sees.
    axes : int
        1 to 4 position axes, which count on together. Other ids of M-RoPE: take those of all tokens at
        ``context_parallel_tokens``.
    tokens : int, optional
        How many all ranks hold together; not needed with ``cu_seqlens``.

    Returns
    -------
    numpy.ndarray
        int64 ``[local]``, or ``[axes, local]`` if ``axes`` is more than 1.

    Raises
    ------
    ValueError
        For a length that the scheme cannot share out, and whatever else the library refuses.

    Examples
    --------
    >>> context_parallel_positions("zigzag", 2, 0, tokens=8)
    array([0, 1, 6, 7])
    >>> context_parallel_positions("zigzag", 2, 0, cu_seqlens=[0, 4, 8])
    array([0, 3, 4, 7])
    >>> context_parallel_positions("zigzag", 2, 0, cu_seqlens=[0, 4, 8], starts=0)
    array([0, 3, 0, 3])
    """
    return _shard(scheme, size, rank, cu_seqlens, starts, axes, tokens)[1]


def context_parallel_tokens(
    scheme: str, size: int, rank: int, cu_seqlens: Any = None, tokens: int | None = None
) -> Integers:
    """Where the tokens that ``rank`` holds are in the packed stream of all ranks.

    ``x[context_parallel_tokens(...)]`` is the rank's part of ``x``, and ``ids[:, context_parallel_tokens(...)]`` of
    M-RoPE's position ids, which must be picked together with their tokens. Parameters as in
    ``context_parallel_positions``.

    Returns
    -------
    numpy.ndarray
        int64 ``[local]``.
    """
    return _shard(scheme, size, rank, cu_seqlens, None, 1, tokens)[0]


def _list(value: Any, name: str) -> Integers:
    """Integers of any width and library as a packed int64 array."""
    return np.ascontiguousarray(arrays.integers(value, name), dtype=np.int64)


def _starts(value: Any, sequences: int, axes: int) -> tuple[Integers, int]:
    """The array and its stride from axis to axis."""
    array = _list(value, "starts")
    if np.ndim(value) == 0:
        array = np.full(sequences, array)
    if array.shape == (sequences,):
        return array, 0
    if array.shape == (axes, sequences):
        return array, sequences
    raise ValueError(f"starts has shape {array.shape}; it must be [sequences] = ({sequences},) or [axes, sequences]")


def _shard(
    scheme: str, size: int, rank: int, cu_seqlens: Any, starts: Any, axes: int, tokens: int | None
) -> tuple[Integers, Integers]:
    name = _SPELLINGS.get(scheme, scheme) if isinstance(scheme, str) else scheme
    struct = c.ShardStruct(kind=c.enum(name, SCHEMES, "scheme"), ranks=int32(size, "size"), rank=int32(rank, "rank"))
    struct.axes = int32(axes, "axes")
    if struct.axes < 1:
        raise ValueError(f"axes must be 1 to 4, not {axes}")
    if cu_seqlens is None and tokens is None:
        raise ValueError("give cu_seqlens, or tokens for one sequence")
    if tokens is not None:
        struct.tokens = int64(tokens, "tokens")
    sequences = 1
    if cu_seqlens is not None:
        ends = _list(cu_seqlens, "cu_seqlens")
        if ends.ndim != 1 or ends.size < 2:
            raise ValueError(f"cu_seqlens has shape {ends.shape}; it must be [sequences + 1] of at least one sequence")
        sequences = ends.size - 1
        struct.cu_seqlens, struct.cu_type, struct.sequences = ends.ctypes.data, c.I64, sequences
    if starts is not None:
        firsts, stride = _starts(starts, sequences, struct.axes)
        struct.starts, struct.start_type, struct.start_axis_stride = firsts.ctypes.data, c.I64, stride
    count = c_int64()
    c.check(c.lib.roperot_shard_positions(byref(struct), 0, None, None, 0, byref(count)))
    held = np.empty(count.value, np.int64)
    ids = np.empty((struct.axes, count.value), np.int64)
    c.check(
        c.lib.roperot_shard_positions(
            byref(struct), count.value, held.ctypes.data, ids.ctypes.data, count.value, byref(count)
        )
    )
    return held, ids if struct.axes > 1 else ids[0]
