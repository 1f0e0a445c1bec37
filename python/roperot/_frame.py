"""The C structs of calls in flight, and why a call failed; this module must not know plans."""

from __future__ import annotations

from ctypes import byref
from typing import Any

import numpy as np

from roperot import _arrays as arrays
from roperot import _library as c


class Frame:
    """The C structs of one call in flight, kept and reused because building them costs more than rotating a token."""

    __slots__ = ("dst", "dst_slots", "forward", "inverse", "positions", "positions_ref", "src", "src_slots")

    def __init__(self) -> None:
        src, dst = (c.TensorStruct * 2)(), (c.TensorStruct * 2)()
        self.src_slots = (arrays.Slot(src[0]), arrays.Slot(src[1]))
        self.dst_slots = (arrays.Slot(dst[0]), arrays.Slot(dst[1]))
        self.positions = c.PositionsStruct(axes=1)
        self.src, self.dst, self.positions_ref = byref(src), byref(dst), byref(self.positions)
        self.forward = byref(c.OptionsStruct(token_end=c.TOKEN_END))
        self.inverse = byref(c.OptionsStruct(token_end=c.TOKEN_END, flags=c.INVERSE))

    def release(self) -> None:
        """Let go of what a call had to hold."""
        self.src_slots[0].keep = self.src_slots[1].keep = self.dst_slots[0].keep = None


def failure_of(status: int, given: tuple[Any, ...], names: tuple[str, ...]) -> Exception:
    """Why a call failed: an unaligned array if there is one, which nothing looked for before, or the library's word."""
    sources = len(given) - names.count("out")
    spoken = {f"src[{i}]": name for i, name in enumerate(names[:sources])}
    spoken |= {f"dst[{i}]": name for i, name in enumerate(names[sources:] or names)}
    failure = c.failure(status, spoken)
    for x, name in zip(given, names):
        if isinstance(x, np.ndarray) and not x.flags.aligned:
            return ValueError(f"{name} does not start at a multiple of its {x.itemsize}-byte elements; use x.copy()")
    return failure
