"""Arguments of Rope as ``roperot_config``; this module must not know arrays that are rotated."""

from __future__ import annotations

from ctypes import byref, c_double, c_uint8
from dataclasses import replace
from typing import Any

import numpy as np

from roperot import _arrays as arrays
from roperot import _library as c
from roperot._scaling import Scaling, Sections, int32, int64


def _isa_number(isa: str | None) -> int:
    return 0 if isa is None else c.enum(isa, c.isa_names(), "isa")


def geometry(
    head_dim: Any,
    rotary_dim: Any,
    rotary_offset: Any,
    pairing: Any,
    pairing_out: Any,
    max_positions: Any,
    bounds: Any,
    isa: str | None,
) -> c.ConfigStruct:
    return c.ConfigStruct(
        head_dim=int32(head_dim, "head_dim"),
        rotary_dim=0 if rotary_dim is None else _rotary_dim(rotary_dim),
        rotary_offset=int32(rotary_offset, "rotary_offset"),
        pairing=c.enum(pairing, c.PAIRINGS, "pairing"),
        pairing_out=0 if pairing_out is None else c.enum(pairing_out, c.PAIRINGS, "pairing_out"),
        axes=1,
        max_positions=int64(max_positions, "max_positions"),
        bounds=c.enum(bounds, c.BOUNDS, "bounds"),
        isa=_isa_number(isa),
    )


def _rotary_dim(value: Any) -> int:
    channels = int32(value, "rotary_dim")
    if channels == 0:
        raise ValueError("rotary_dim = 0 rotates nothing; it must be even and at least 2, or None for all of head_dim")
    return channels


def set_frequencies(
    config: c.ConfigStruct, scaling: Any, sections: Any, inv_freq: Any, attention_factor: float | None
) -> None:
    """Fill inv_freq, attention_factor and axis of the config where the defaults do not do."""
    pairs = (config.rotary_dim or config.head_dim) // 2
    order: list[int] | None = None
    if sections is not None:
        chosen_sections = Sections.of(sections)
        axis, order, config.axes = chosen_sections.axis_map(pairs)
        config.axis, config.pairs = (c_uint8 * pairs)(*axis), pairs
    if config.cache == c.CACHES["borrowed"]:
        return
    if inv_freq is not None:
        if scaling is not None:
            raise ValueError("inv_freq replaces scaling: give only one of them")
        values = arrays.reals(inv_freq, "inv_freq")
        if values.ndim == 2:
            _set_mixed(config, sections, values, pairs)
            return
        if values.shape != (pairs,):
            raise ValueError(f"inv_freq has shape {values.shape}; it must be [rotary_dim / 2] = [{pairs}]")
        frequencies = values.astype(np.float64).tolist()
        order = None
    elif scaling is not None or order is not None:
        chosen = None if scaling is None else Scaling.of(scaling)
        if order is not None and chosen_sections.kind == "ggml_vision":
            # ggml's n_dims is half the head here, and its factors and its ramp go by pair.
            chosen = replace(chosen or Scaling(), frequency_index=tuple(order), exponent_dim=pairs)
            order = None
        # Where frequencies restart per section, the exponent's denominator is the channels of the longest section.
        distinct = pairs if order is None else max(order) + 1
        frequencies, factor = frequencies_of(chosen, 2 * distinct, config.base)
        config.attention_factor = factor if attention_factor is None else attention_factor
    else:
        return
    if order is not None:
        frequencies = [frequencies[i] for i in order]
    config.inv_freq, config.pairs = (c_double * pairs)(*frequencies), pairs


def _set_mixed(config: c.ConfigStruct, sections: Any, values: np.ndarray[Any, Any], pairs: int) -> None:
    """Frequencies [axes, pairs]: every pair turns by all axes."""
    if sections is not None:
        raise ValueError("inv_freq [axes, pairs] mixes the axes of every pair, so that there are no sections")
    if values.shape[1] != pairs or not 1 <= values.shape[0] <= 4:
        raise ValueError(f"inv_freq has shape {values.shape}; with two axes it must be [1 .. 4 axes, {pairs}]")
    config.axes, config.pairs, config.frequencies = values.shape[0], pairs, c.MIXED
    config.inv_freq = (c_double * values.size)(*values.astype(np.float64).ravel().tolist())


def frequencies_of(scaling: Scaling | None, rotary_dim: int, base: float) -> tuple[list[float], float]:
    """``roperot_frequencies``: the frequencies of a scaling rule and its attention factor."""
    pairs = rotary_dim // 2
    out, factor = (c_double * pairs)(), c_double()
    struct = None if scaling is None else byref(scaling.struct())
    c.check(c.lib.roperot_frequencies(struct, rotary_dim, base, out, pairs, byref(factor)))
    return list(out), factor.value
