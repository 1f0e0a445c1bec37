"""Positions in every form that a caller may give them, as ``roperot_positions``; this module must not know plans."""

from __future__ import annotations

from typing import Any

import numpy as np

from roperot import _arrays as arrays
from roperot import _library as c
from roperot._scaling import int64


def is_scalar(positions: Any) -> bool:
    return (
        positions is None or isinstance(positions, int) or (hasattr(positions, "__index__") and _rank(positions) == 0)
    )


def _rank(x: Any) -> int:
    return int(getattr(x, "ndim", 0))


def _first(positions: Any) -> int:
    """The first position that a scalar means; ``positions or 0`` would take False and 0.0 for one, too."""
    return 0 if positions is None else int64(positions, "positions")


def _set_offset(struct: c.PositionsStruct, offset: int) -> None:
    struct.kind, struct.axes, struct.offset, struct.ids, struct.cu_seqlens = c.OFFSET, 1, offset, None, None


def _grid(array: np.ndarray[Any, Any], name: str, batch: int, tokens: int) -> tuple[int, tuple[int, int, int]]:
    """Axes, and the strides of axis, batch and token in elements, of ids [seq], [batch, seq] or [axes, batch, seq]."""
    if array.shape == (tokens,):
        return 1, (0, 0, array.strides[0] // array.itemsize)
    if array.ndim not in (1, 2, 3):
        raise ValueError(f"{name} has {array.ndim} axes; [seq], [batch, seq] and [axes, batch, seq] are understood")
    view = array.reshape((1,) * (3 - array.ndim) + array.shape) if array.ndim < 3 else array
    axes, rows, columns = view.shape
    if columns != tokens or rows not in (1, batch):
        hint = "; ids of several axes are [axes, batch, seq], as positions[:, None]" if array.ndim == 2 else ""
        raise ValueError(
            f"{name} has shape {array.shape}, which does not fit {batch} sequences of {tokens} tokens"
            + (hint if columns == tokens else "")
        )
    steps = [stride // array.itemsize for stride in view.strides]
    return axes, (steps[0] if axes > 1 else 0, steps[1] if rows > 1 else 0, steps[2])


def set_ids(struct: c.PositionsStruct, array: np.ndarray[Any, Any], name: str, batch: int, tokens: int) -> None:
    axes, steps = _grid(array, name, batch, tokens)
    struct.kind, struct.type, struct.axes, struct.offset = c.IDS, arrays.type_code(array), axes, 0
    struct.axis_stride, struct.batch_stride, struct.token_stride = steps
    struct.ids, struct.cu_seqlens = arrays.address(array), None


def _set_ragged(struct: c.PositionsStruct, positions: Any, cu_seqlens: Any, tokens: int) -> list[Any]:
    ends = arrays.integers(cu_seqlens, "cu_seqlens")
    if ends.ndim != 1 or len(ends) < 1 or (len(ends) == 1 and tokens):
        raise ValueError("cu_seqlens must have the shape [sequences + 1]: 0, the end of each sequence, ..., all tokens")
    ends = np.ascontiguousarray(ends)
    struct.kind, struct.axes, struct.offset, struct.ids = c.RAGGED, 1, 0, None
    struct.cu_seqlens, struct.cu_type, struct.sequences = arrays.address(ends), arrays.type_code(ends), len(ends) - 1
    if is_scalar(positions):
        struct.offset = _first(positions)
        return [ends]
    starts = np.ascontiguousarray(arrays.integers(positions, "positions"))  # a stride of 0 would mean packed
    if starts.shape != (len(ends) - 1,):
        raise ValueError(
            f"with cu_seqlens, positions holds one start per sequence: {len(ends) - 1}, not {starts.shape}"
        )
    struct.ids, struct.type = arrays.address(starts), arrays.type_code(starts)
    struct.batch_stride = starts.strides[0] // starts.itemsize
    return [ends, starts]


def set_positions(
    struct: c.PositionsStruct, positions: Any, coordinates: Any, cu_seqlens: Any, batch: int, tokens: int
) -> Any:
    """Fill the struct from what a caller may give; returns what must outlive the call."""
    if coordinates is not None:
        if positions is not None or cu_seqlens is not None:
            raise ValueError("coordinates replace positions and cu_seqlens: give only one of them")
        array = arrays.reals(coordinates, "coordinates")
        set_ids(struct, array, "coordinates", batch, tokens)
        return array
    if cu_seqlens is not None:
        return _set_ragged(struct, positions, cu_seqlens, tokens)
    if is_scalar(positions):
        _set_offset(struct, _first(positions))
        return None
    array = arrays.integers(positions, "positions")
    set_ids(struct, array, "positions", batch, tokens)
    return array


def set_deltas(struct: c.PositionsStruct, delta: Any, batch: int, tokens: int) -> np.ndarray[Any, Any]:
    """Ids that are deltas: one for all tokens, or ids as above; returns what must outlive the call."""
    array = arrays.integers(np.int64(int64(delta, "delta")) if is_scalar(delta) else delta, "delta")
    # One number for all is an array whose strides are zero; OFFSET would mean delta + t.
    array = np.broadcast_to(array, array.shape if array.ndim else (tokens,))
    set_ids(struct, array, "delta", batch, tokens)
    return array
