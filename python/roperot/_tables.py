"""cos and sin tables in the layouts of other runtimes, made or borrowed; this module must not know plans."""

from __future__ import annotations

from typing import Any

import numpy as np

from roperot import _arrays as arrays
from roperot import _library as c

_HALF, _FULL_HALVES, _FULL_REPEAT = 0, 1, 2
_WIDTHS = {"separate": _HALF, "onnx": _HALF, "full": _FULL_HALVES, "hf": _FULL_HALVES}
_WIDTHS |= {"repeat": _FULL_REPEAT, "gptj": _FULL_REPEAT}
_PACKED = ("vllm", "ipex", "chatglm")
LAYOUTS = (*_WIDTHS, *_PACKED)


def table_for(
    layout: str, code: int, dtype: np.dtype[Any], lead: tuple[int, ...], pairs: int, heads: int
) -> tuple[Any, c.TableStruct]:
    """A new table in a layout of ``Rope.cos_sin``, and the struct that says where its values go.

    ``code`` is the elements' roperot_dtype, ``dtype`` what the arrays call it; ``heads`` 0: a row serves all heads.
    """
    rows = int(np.prod(lead, dtype=np.int64))
    table = c.TableStruct(dtype=code, rows=rows, element_stride=1, heads=heads)
    if heads:
        lead = (*lead, heads)
    size = dtype.itemsize
    if layout in _WIDTHS:
        table.width = _WIDTHS[layout]
        width = pairs * (1 if table.width == _HALF else 2)
        cos, sin = np.empty((*lead, width), dtype), np.empty((*lead, width), dtype)
        table.cos, table.sin = arrays.address(cos), arrays.address(sin)
        _set_strides(table, width)
        return (cos, sin), table
    if layout not in _PACKED:
        raise ValueError(f"layout must be one of {', '.join(map(repr, LAYOUTS))}, not {layout!r}")
    out = np.empty((*lead, pairs, 2) if layout == "chatglm" else (*lead, 2 * pairs), dtype)
    first, step = arrays.address(out), size if layout == "chatglm" else pairs * size
    cos_at, sin_at = (first + step, first) if layout == "ipex" else (first, first + step)
    table.cos, table.sin = cos_at, sin_at
    _set_strides(table, 2 * pairs)
    table.element_stride = 2 if layout == "chatglm" else 1
    return out, table


def _set_strides(table: c.TableStruct, row: int) -> None:
    """Of rows of so many elements one after the other, those of a position's heads first."""
    table.row_stride = row * max(table.heads, 1)
    table.head_stride = row if table.heads else 0


def borrow(cos: Any, sin: Any, rotary_dim: int, pairing: str, full: str | None) -> tuple[c.TableStruct, Any]:
    """The table struct of a caller's arrays, and what must live as long as the plan."""
    cos_raw = _table_raw(cos, "cos")
    pairs, width = rotary_dim // 2, cos_raw.shape[-1]
    if sin is None:
        if width != rotary_dim:
            raise ValueError(f"a cos||sin table has rotary_dim = {rotary_dim} columns, not {width}; pass rotary_dim")
        step = pairs * cos_raw.strides[-1] * (4 if cos_raw.code == c.F32 else 2)
        sin_raw = cos_raw._replace(pointer=cos_raw.pointer + step)
        kind = _HALF
    else:
        sin_raw = _table_raw(sin, "sin")
        if (sin_raw.shape, sin_raw.code) != (cos_raw.shape, cos_raw.code):
            raise ValueError(f"cos {cos_raw.shape} and sin {sin_raw.shape} must have one shape and one dtype")
        if sin_raw.strides != cos_raw.strides:
            raise ValueError("cos and sin must have the same strides; copy them with numpy.ascontiguousarray")
        if width not in (pairs, rotary_dim):
            raise ValueError(f"cos has {width} columns; rotary_dim = {rotary_dim} allows {pairs} or {rotary_dim}")
        kind = _HALF if width == pairs else _full_kind(full, pairing)
    table = c.TableStruct(dtype=cos_raw.code, cos=cos_raw.pointer, sin=sin_raw.pointer, rows=cos_raw.shape[0])
    table.row_stride, table.element_stride, table.width = cos_raw.strides[0], cos_raw.strides[-1], kind
    if len(cos_raw.shape) == 3:
        table.heads, table.head_stride = cos_raw.shape[1], cos_raw.strides[1]
        if not table.heads:
            raise ValueError(f"cos {cos_raw.shape} has no heads: [positions, width] serves all of them")
    held = cos_raw.keep, sin_raw.keep
    # A tensor may be given other memory (x.data = ...), which would free what the table points to.
    return table, (held, [x.untyped_storage() for x in held if arrays.is_tensor(x)])


def _table_raw(x: Any, name: str) -> arrays.Raw:
    view = arrays.raw(x, name)
    if len(view.shape) not in (2, 3):
        axes = "two, [positions, width], or three, [positions, heads, width]"
        raise ValueError(f"{name} has {len(view.shape)} axes, a table has {axes}")
    return view


def _full_kind(full: str | None, pairing: str) -> int:
    if full is None:
        full = "halves" if pairing == "half" else "repeat"
    return c.enum(full, {"halves": _FULL_HALVES, "repeat": _FULL_REPEAT}, "full")
