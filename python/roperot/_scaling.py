"""Scaling rules and section lists as Python values that fill the library's structs; no formula may be written here."""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Iterable, Mapping, Sequence
from ctypes import byref, c_double, c_int32, c_uint8
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from roperot import _arrays as arrays
from roperot import _library as c

KINDS = {
    "default": 0,
    "linear": 1,
    "ntk": 2,
    "ntk_fixed": 3,
    "ntk_mixed": 4,
    "dynamic": 5,
    "yarn": 6,
    "yarn_ggml": 7,
    "llama3": 8,
    "longrope": 9,
    "proportional": 10,
    "factors": 11,
    "raw": 12,
    "periods": 13,
}
_ALIASES = {"su": "longrope", "mrope": "default"}

# Fields of a Hugging Face dictionary -> fields of Scaling.
_FIELDS = {
    "factor": "factor",
    "attention_factor": "attention_factor",
    "original_max_position_embeddings": "original_length",
    "max_position_embeddings": "original_length",
    "seq_len": "length",
    "extrapolation_factor": "ext_factor",
    "alpha": "factor",
}
_ALLOWED = {
    "default": (),
    "linear": ("factor",),
    "ntk": ("factor", "alpha"),
    "ntk_fixed": ("factor",),
    "ntk_mixed": ("factor", "mixed_b"),
    "dynamic": ("factor", "max_position_embeddings", "original_length", "length", "seq_len"),
    "yarn": (
        "factor",
        "original_max_position_embeddings",
        "original_length",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "truncate",
        "extrapolation_factor",
        "ext_factor",
        "attn_factor",
    ),
    "yarn_ggml": (
        "original_max_position_embeddings",
        "original_length",
        "beta_fast",
        "beta_slow",
        "ext_factor",
        "attn_factor",
        "freq_scale",
        "factors",
    ),
    "llama3": (
        "factor",
        "original_max_position_embeddings",
        "original_length",
        "low_freq_factor",
        "high_freq_factor",
    ),
    "longrope": (
        "factor",
        "original_max_position_embeddings",
        "original_length",
        "factors",
        "short_factor",
        "long_factor",
        "seq_len",
        "length",
    ),
    "proportional": ("factor", "partial_rotary_factor"),
    "factors": ("factor", "factors"),
    "raw": ("factors",),
    "periods": ("factors",),
}
# Without these a rule would silently stretch nothing; what else is missing the library finds.
_REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "linear": (("factor",),),
    "ntk": (("factor", "alpha"),),
    "ntk_fixed": (("factor",),),
    "ntk_mixed": (("factor",),),
    "dynamic": (("factor",),),
    "yarn": (("factor",),),
    "llama3": (("factor",), ("low_freq_factor",), ("high_freq_factor",)),
    "longrope": (("factor", "attention_factor"),),
}


def boolean(value: Any, name: str) -> bool:
    """``value`` if it is True or False; "no" and [0] are true, and mean nothing."""
    if type(value) is not bool and not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def number(value: Any, name: str) -> float:
    """``value`` as a float, or a TypeError that names the argument: text is not read as a number.

    A tensor that autograd follows is a ValueError: a float has no gradient.
    """
    if arrays.is_tensor(value):
        arrays.refuse_gradient(value, name, instead="")
    if isinstance(value, bool) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise TypeError(f"{name} must be a number, not {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is a whole number beyond what a float64 can hold") from None
    except (TypeError, ValueError):  # an array with axes
        raise TypeError(f"{name} must be a number, not {value!r}") from None


def integer(value: Any, name: str) -> int:
    """``value`` as an int; TypeError for what is none, True and 2.0 included, be they Python's or a tensor's."""
    if not isinstance(value, bool) and not str(getattr(value, "dtype", "")).endswith("bool"):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} must be an integer, not {value!r}")


def int64(value: Any, name: str) -> int:
    """``integer`` that fits the library's."""
    result = integer(value, name)
    if not -(2**63) <= result < 2**63:
        raise ValueError(f"{name} = {result if abs(result) < 10**40 else '...'} is beyond int64")
    return result


def int32(value: Any, name: str) -> int:
    """``integer`` that fits the library's int."""
    result = int64(value, name)
    if not -(2**31) <= result < 2**31:
        raise ValueError(f"{name} = {result} is beyond int32")
    return result


def _copied(values: Any, name: str) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of numbers, not {values!r}")
    return tuple(x.item() if hasattr(x, "item") else x for x in values)


@dataclass(frozen=True)
class Scaling:
    """One rule that turns ``base`` into frequencies and an attention factor: ``roperot_scaling``.

    Members that a kind does not mention are not read; docs/schemes.md has every formula with its source.

    Attributes
    ----------
    kind : str
        "default", "linear", "ntk", "ntk_fixed", "ntk_mixed", "dynamic", "yarn" (as in transformers), "yarn_ggml",
        "llama3", "longrope", "proportional", "factors", "raw" or "periods".
    factor : float
        How many times longer the context becomes.
    attention_factor : float
        Multiplies cos and sin; 0 is what the kind defines.
    original_length, length : int
        The length of pretraining, and for "dynamic" the present one, in positions.
    factors : tuple of float
        One value per pair: longrope's chosen factors, ggml's freq_factors, the frequencies ("raw") or the periods.
    frequency_index : tuple of int
        The exponent of each pair, where it is not the pair's own number: axial maps restart it.
    exponent_dim : int
        What exponents are divided by, where it is not rotary_dim.
    """

    kind: str = "default"
    factor: float = 1.0
    attention_factor: float = 0.0
    original_length: int = 0
    length: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 0.0
    mscale_all_dim: float = 0.0
    ext_factor: float = 1.0
    attn_factor: float = 1.0
    freq_scale: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    mixed_b: float = 0.625
    partial_rotary_factor: float = 1.0
    factors: tuple[float, ...] = ()
    truncate: bool = True
    frequency_index: tuple[int, ...] = ()
    exponent_dim: int = 0

    def __post_init__(self) -> None:
        for name in ("factors", "frequency_index"):  # a list or an array of the caller may change
            object.__setattr__(self, name, _copied(getattr(self, name), f"scaling's {name}"))

    @classmethod
    def of(cls, value: Mapping[str, Any] | Scaling) -> Scaling:
        """A Scaling, or the Scaling that a dictionary in Hugging Face's spelling describes.

        Parameters
        ----------
        value : dict or Scaling
            ``{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}`` and the like. For
            "longrope", ``seq_len`` chooses between ``short_factor`` (the default) and ``long_factor``.

        Raises
        ------
        ValueError
            For an unknown rope_type, a field that its rule does not have, and one that it lacks.
        """
        if isinstance(value, Scaling):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(f"scaling must be a dictionary or a roperot.Scaling, not {type(value).__name__}")
        given = dict(value)
        name = given.pop("rope_type", None) or given.get("type") or "default"
        given.pop("type", None)
        kind = _ALIASES.get(name, name) if isinstance(name, str) else None
        if kind not in KINDS:
            raise ValueError(f"rope_type {name!r} is unknown; known are {', '.join([*KINDS, *_ALIASES])}")
        given = {field: entry for field, entry in given.items() if entry is not None}
        allowed = (*_ALLOWED[kind], "attention_factor")
        for field in given:
            if field not in allowed:
                known = ", ".join(allowed)
                raise ValueError(f"rope_type {name!r} has no field {field!r}; it has {known}{_hint(field)}")
        for choices in _REQUIRED.get(kind, ()):
            if not any(field in given for field in choices):
                raise ValueError(f"rope_type {name!r} needs {' or '.join(choices)}")
        if kind == "longrope":
            given["factors"] = _longrope_factors(given)
        if "factors" in given:
            if isinstance(given["factors"], (str, bytes)) or not isinstance(given["factors"], Iterable):
                raise TypeError(
                    f"rope_type {name!r} needs factors that are a list of numbers, not {given['factors']!r}"
                )
            given["factors"] = tuple(number(entry, "factors") for entry in given["factors"])
        return cls(kind=kind, **{_FIELDS.get(field, field): entry for field, entry in given.items()})

    def struct(self) -> c.ScalingStruct:
        """The C struct; it owns its array of factors."""
        members: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        members["kind"] = c.enum(self.kind, KINDS, "kind")
        members["truncate"] = boolean(self.truncate, "scaling's truncate")
        factors, index = members.pop("factors"), members.pop("frequency_index")
        for field in members.keys() - {"kind", "truncate"}:
            whole = field in ("original_length", "length", "exponent_dim")
            members[field] = (_whole if whole else number)(members[field], f"scaling's {field}")
        if factors:
            members["factors"] = ctypes.cast((c_double * len(factors))(*factors), ctypes.POINTER(c_double))
            members["factor_count"] = len(factors)
        if index:
            exponents = [integer(i, "scaling's frequency_index") for i in index]
            if not all(0 <= i < 2**31 for i in exponents):
                raise ValueError("scaling's frequency_index must be numbers from 0 to exponent_dim - 1")
            members["frequency_index"] = ctypes.cast((c_int32 * len(index))(*exponents), ctypes.POINTER(c_int32))
            members["frequency_count"] = len(index)
        return c.ScalingStruct(**members)


def _whole(value: Any, name: str) -> int:
    """An int; configurations write lengths as 8192.0, too."""
    return int64(int(value) if isinstance(value, float) and value.is_integer() else value, name)


def _hint(field: str) -> str:
    other = {"rope_theta": "base=", "mrope_section": "sections=", "partial_rotary_factor": "rotary_dim="}.get(field)
    return f"; pass it as {other} or use Rope.from_hf" if other else ""


def _length(given: dict[str, Any], *names: str) -> int:
    """The length under the first of ``names`` that is given; 0 if none is."""
    name = next((name for name in names if name in given), None)
    return 0 if name is None else _whole(given[name], f"scaling's {name}")


def _longrope_factors(given: dict[str, Any]) -> Any:
    """Takes the fields that only choose out of ``given`` and returns the chosen array."""
    short, long = given.pop("short_factor", None), given.pop("long_factor", None)
    length = _length(given, "seq_len", "length")
    for name in ("seq_len", "length"):
        given.pop(name, None)
    if "factors" in given:
        return given["factors"]
    if short is None or long is None:
        raise ValueError("rope_type 'longrope' needs short_factor and long_factor, or factors: the chosen one of them")
    return long if length > _length(given, "original_max_position_embeddings", "original_length") else short


SECTION_KINDS = {
    "contiguous": 1,
    "interleaved": 2,
    "interleaved_ggml": 3,
    "axial": 4,
    "ernie": 5,
    "ggml_mrope": 6,
    "ggml_imrope": 7,
    "ggml_vision": 8,
}


@dataclass(frozen=True)
class Sections:
    """Which position axis drives which pair: ``roperot_sections``, or a raw map.

    Attributes
    ----------
    section : tuple of int
        How many pairs each axis drives; all together rotary_dim / 2, but for the three of ggml, which wrap around.
    kind : {"contiguous", "interleaved", "interleaved_ggml", "axial", "ernie", "ggml_mrope", "ggml_imrope", \
"ggml_vision"}
        Qwen2-VL, Qwen3-VL, ggml's IMROPE, 2-D vision (frequencies restart per section), Ernie-4.5-VL, and ggml's modes
        as its operator reads any list.
    axis : tuple of int
        A raw map instead, one axis (0..3) per pair.
    """

    section: tuple[int, ...] = ()
    kind: str = "contiguous"
    axis: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("section", "axis"):
            object.__setattr__(self, name, _copied(getattr(self, name), f"sections' {name}"))

    @classmethod
    def of(cls, value: Mapping[str, Any] | Sequence[int] | Sections) -> Sections:
        """A Sections, plain numbers (contiguous), ``{"section": [...], "kind": ...}`` or ``{"axis": [...]}``."""
        if isinstance(value, Sections):
            return value
        if isinstance(value, Mapping):
            unknown = set(value) - {"section", "kind", "axis"}
            if unknown:
                raise ValueError(f"sections has no field {sorted(unknown)[0]!r}; it has section, kind, axis")
            return cls(tuple(value.get("section", ())), value.get("kind", "contiguous"), tuple(value.get("axis", ())))
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise TypeError(f"sections must be numbers of pairs, a dictionary or a roperot.Sections, not {value!r}")
        return cls(tuple(value))

    def axis_map(self, pairs: int) -> tuple[list[int], list[int], int]:
        """The axis and the frequency index of every pair, and how many axes there are.

        Raises
        ------
        ValueError
            If the sections do not add up to ``pairs``.
        """
        if self.axis:
            if len(self.axis) != pairs or not all(0 <= a < 4 for a in self.axis):
                raise ValueError(f"sections.axis must hold {pairs} axes between 0 and 3, one per pair")
            return list(self.axis), list(range(pairs)), max(self.axis) + 1
        count = len(self.section)
        if not 1 <= count <= 4:
            raise ValueError(f"sections must be 1 to 4 numbers, not {count}")
        struct = c.SectionsStruct(kind=c.enum(self.kind, SECTION_KINDS, "kind"), count=count)
        for i, pairs_of_axis in enumerate(self.section):
            count_of_axis = integer(pairs_of_axis, f"sections[{i}]")
            if not 0 <= count_of_axis < 2**31:
                raise ValueError(f"sections[{i}] = {pairs_of_axis} must be between 0 and rotary_dim / 2")
            struct.section[i] = count_of_axis
        axis, index = (c_uint8 * pairs)(), (c_int32 * pairs)()
        c.check(c.lib.roperot_axis_map(byref(struct), pairs, axis, index))
        return list(axis), list(index), count
