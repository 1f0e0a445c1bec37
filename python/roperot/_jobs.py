"""Norms, paged caches and the jobs of one call over them; this module must not know how a plan is made."""

from __future__ import annotations

import ctypes
import json
import re
import sys
from ctypes import POINTER, byref, c_double, c_float, c_int32, c_int64, c_uint32, c_void_p
from typing import Any, Literal, NamedTuple

import numpy as np

from roperot import _arrays as arrays
from roperot import _library as c
from roperot._positions import set_deltas, set_positions
from roperot._scaling import boolean, number

E4M3, I8, Q8_0 = 4, 5, 6
KINDS = {"rms": 1, "layer": 2}
ROUNDINGS = {"none": 0, "once": 1, "twice": 2}
UNIT_OFFSET, AFTER, ALL_HEADS = 1, 2, 4
SCALINGS = {"static": 0, "dynamic": 1}
UNROTATED, SKIP = 1, 2
_BLOCK, _BLOCK_BYTES = 32, 34  # of Q8_0


class NormStruct(c._Sized):
    """``roperot_norm``."""

    _fields_ = [  # noqa: RUF012 (ctypes wants a plain list)
        ("size", c_uint32),
        ("kind", c_int32),
        ("rounding", c_int32),
        ("flags", c_int32),
        ("epsilon", c_double),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("weight_dtype", c_int32),
        ("reserved", c_int32),
    ]


class PagesStruct(c._Sized):
    """``roperot_pages``."""

    _fields_ = [  # noqa: RUF012 (ctypes wants a plain list)
        ("size", c_uint32),
        ("dtype", c_int32),
        ("data", c_void_p),
        ("pages", c_int64),
        ("page_tokens", c_int64),
        ("page_stride", c_int64),
        ("token_stride", c_int64),
        ("head_stride", c_int64),
        ("channel_stride", c_int64),
        ("tile", c_int32),
        ("slot_type", c_int32),
        ("slots", c_void_p),
        ("slot_batch_stride", c_int64),
        ("slot_token_stride", c_int64),
        ("scaling", c_int32),
        ("scale_reserved", c_int32),
        ("scale_floor", c_float),
        ("scale", c_void_p),
        ("scale_page_stride", c_int64),
        ("scale_token_stride", c_int64),
        ("scale_head_stride", c_int64),
    ]


class JobStruct(c._Sized):
    """``roperot_job``."""

    _fields_ = [  # noqa: RUF012 (ctypes wants a plain list)
        ("size", c_uint32),
        ("flags", c_uint32),
        ("src", POINTER(c.TensorStruct)),
        ("dst", POINTER(c.TensorStruct)),
        ("norm", POINTER(NormStruct)),
        ("from_", POINTER(PagesStruct)),
        ("to", POINTER(PagesStruct)),
        ("factor", c_void_p),
        ("factor_batch_stride", c_int64),
        ("factor_token_stride", c_int64),
        ("batch", c_int64),
        ("tokens", c_int64),
        ("heads", c_int64),
        ("dim", c_int64),
    ]


def _detached(x: Any) -> Any:
    """A model's parameter without its gradient, which nothing here records."""
    return x.detach() if arrays.is_tensor(x) else x


class Norm:
    """A norm over the channels of each head, or of all heads of a token, as one job takes it.

    Parameters
    ----------
    weight : array, optional
        ``[head_dim]``, or ``[heads * head_dim]`` (``[heads, head_dim]``) with ``all_heads``; float32, float16 or
        bfloat16, contiguous. It is used where it is, so it must not change its place. None means 1.
    eps : float
        Added to the mean of squares, or to the variance.
    kind : {"rms", "layer"}
        x / sqrt(mean(x^2) + eps), or (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps).
    rounding : {"none", "once", "twice"}
        Where values are rounded to the dtype of what is normalised: not before the rotation (ggml, vLLM's CUDA
        kernels), after the weight (vLLM and SGLang on CPUs), or before and after it (transformers).
    unit_offset : bool
        The weight is 1 + ``weight`` (Gemma).
    after : bool
        The norm follows the rotation (Llama 4, Hunyuan).
    all_heads : bool
        One root for all heads of a token (OLMo-2, MiniMax-M2, Wan).
    bias : array, optional
        Added last, for "layer" only; as ``weight``.
    """

    def __init__(
        self,
        weight: Any = None,
        *,
        eps: float = 1e-6,
        kind: Literal["rms", "layer"] = "rms",
        rounding: Literal["none", "once", "twice"] = "none",
        unit_offset: bool = False,
        after: bool = False,
        all_heads: bool = False,
        bias: Any = None,
    ) -> None:
        self.weight, self.bias, self.all_heads = weight, bias, boolean(all_heads, "all_heads")
        unit_offset, after = boolean(unit_offset, "unit_offset"), boolean(after, "after")
        flags = UNIT_OFFSET * unit_offset | AFTER * after | ALL_HEADS * self.all_heads
        kinds = c.enum(kind, KINDS, "kind"), c.enum(rounding, ROUNDINGS, "rounding")
        self._recipe = {"eps": number(eps, "eps"), "kind": kind, "rounding": rounding}
        self._recipe |= {"unit_offset": unit_offset, "after": after, "all_heads": self.all_heads}
        self._fixed = {"kind": kinds[0], "rounding": kinds[1], "flags": flags, "epsilon": number(eps, "eps")}
        self._seen: Any = None
        self._text = json.dumps(self._recipe)  # as operators of PyTorch carry it
        self._struct(None, None, "norm")  # says now what is wrong with the arrays

    def _struct(self, heads: int | None, dim: int | None, name: str) -> NormStruct:
        """The struct for heads of a given size: the library reads as many weights as there are channels."""
        struct = NormStruct(weight_dtype=c.F32, **self._fixed)
        codes = set()
        for field, x in (("weight", self.weight), ("bias", self.bias)):
            if x is None:
                continue
            view = arrays.raw(_detached(x), f"{name}.{field}")
            if 0 in view.shape:
                raise ValueError(f"{name}.{field} has shape {view.shape} and no values")
            if view.strides != arrays.contiguous(view.shape):
                raise ValueError(f"{name}.{field} has strides {view.strides}; it must be contiguous")
            size = int(np.prod(view.shape, dtype=np.int64))
            if heads is not None and dim is not None:
                wanted = heads * dim if self.all_heads else dim
                if size != wanted:
                    of = f"heads * head_dim = {heads} * {dim}" if self.all_heads else f"head_dim = {dim}"
                    raise ValueError(f"{name}.{field} has {size} values; it must have {of}")
            setattr(struct, field, view.pointer)
            struct.weight_dtype = view.code
            codes.add(view.code)
        if len(codes) > 1:
            raise TypeError(f"{name}.weight and {name}.bias must have one dtype")
        return struct

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "all_heads" and "_text" in vars(self):
            raise AttributeError("Norm.all_heads cannot be replaced: make the Norm anew")
        super().__setattr__(name, value)

    def _pointer(self, heads: int, dim: int, name: str) -> Any:
        """A pointer to the struct for such heads, made anew only where its arrays have moved or changed their dtype."""
        seen = (heads, dim, *(None if x is None else (x.data_ptr(), x.dtype) for x in (self.weight, self.bias)))
        held = self._seen  # read once: another thread may replace it
        if held is None or held[0] != seen:
            held = self._seen = (seen, ctypes.pointer(self._struct(heads, dim, name)))
        return held[1]

    def __repr__(self) -> str:
        parts = [f"{key}={value!r}" for key, value in self._recipe.items()]
        return f"Norm({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_norm, (self.weight, self.bias, self._recipe)


def _rebuild_norm(weight: Any, bias: Any, recipe: dict[str, Any]) -> Norm:
    return Norm(weight, bias=bias, **recipe)


class _Memory(NamedTuple):
    """Where the elements of pages are, with strides in elements."""

    pointer: int
    kind: str
    itemsize: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    readonly: bool


_TORCH_KINDS = {
    "torch.float32": ("float32", 4),
    "torch.float16": ("float16", 2),
    "torch.bfloat16": ("bfloat16", 2),
    "torch.float8_e4m3fn": ("float8_e4m3fn", 1),
    "torch.int8": ("int8", 1),
    "torch.uint8": ("uint8", 1),
}


def _memory(x: Any, name: str) -> _Memory:
    arrays.refuse_masked(x, name)
    if isinstance(x, np.ndarray):
        size = x.dtype.itemsize
        if not x.dtype.isnative:
            raise TypeError(
                f"{name} has dtype {x.dtype}, the byte order of other machines: "
                'convert it, for example x.astype(x.dtype.newbyteorder("="))'
            )
        if any(stride % size for stride in x.strides):
            raise ValueError(f"{name} has strides {x.strides} that are no multiples of its {size}-byte elements")
        pointer, readonly = x.__array_interface__["data"]
        strides = tuple(stride // size for stride in x.strides)
        return _Memory(pointer, x.dtype.name, size, x.shape, strides, readonly)
    if arrays.is_tensor(x) and str(x.dtype) in _TORCH_KINDS and x.device.type == "cpu":
        pointer = arrays.tensor_memory(x, name)
        kind, size = _TORCH_KINDS[str(x.dtype)]
        return _Memory(pointer, kind, size, tuple(x.shape), x.stride(), False)
    if arrays.is_tensor(x) and x.device.type != "cpu":
        raise TypeError(f"{name} is on {x.device}: roperot works in CPU memory only; use x.cpu() first")
    kind = getattr(x, "dtype", type(x).__name__)
    raise TypeError(
        f"{name} is {kind}; it must be a NumPy array or CPU tensor of float32, float16, bfloat16, float8_e4m3fn, int8 "
        "or uint8"
    )


def _floats(x: Any, like: Any) -> Any:
    """float32 numbers where they are, or a copy of others, of the kind of an array: a tensor for a tensor."""
    torch = sys.modules["torch"] if arrays.is_tensor(like) else None
    if torch is not None and arrays.is_tensor(x) and x.dtype is torch.float32:
        return x  # as it is, so that a call sees whether it requires a gradient
    values = np.asarray(arrays.reals(x, "scale"), np.float32)
    if torch is None:
        return values
    return torch.from_numpy(values if values.flags.writeable else values.copy())


def _zeros(shape: tuple[int, ...], like: Any) -> Any:
    """float32 zeros of the kind of an array: a tensor for a tensor."""
    if arrays.is_tensor(like):
        torch = sys.modules["torch"]
        return torch.zeros(shape, dtype=torch.float32, device="cpu")
    return np.zeros(shape, np.float32)


_PAGE_CODES = {
    "float32": c.F32,
    "float16": c.F16,
    "bfloat16": c.BF16,
    "float8_e4m3fn": E4M3,
    "int8": I8,
}


class _Place(NamedTuple):
    """An array of pages, as it was when they were made."""

    field: str
    array: Any
    pointer: int
    shape: tuple[int, ...]
    written: bool


_DESCRIBED = {"data", "scale", "layout", "pages", "page_tokens", "heads", "head_dim"}


class Pages:
    """A paged cache of keys or values: where heads are stored, or come from.

    Slot s is token ``s % page_tokens`` of page ``s // page_tokens``.

    Parameters
    ----------
    data : array
        ``[pages, page_tokens, heads, head_dim]`` ("NHD") or ``[pages, heads, page_tokens, head_dim]`` ("HND"), with any
        strides: float32, float16, bfloat16, float8_e4m3fn (ml_dtypes or torch), int8, or uint8 with ``dtype``. Rows of
        "q8_0" have ``head_dim / 32 * 34`` bytes: blocks of a float16 scale and 32 int8, as in ggml.
    layout : {"NHD", "HND"}
        The order of ``data``'s axes, and of ``scale``'s.
    dtype : {"e4m3", "q8_0"}, optional
        What the bytes of a uint8 array are.
    scaling : {"static", "dynamic"}, optional
        For float8 and int8: the scale is given, or made for each token and head as it is stored. Static by default.
    scale : float or array of float32, optional
        Static: one number or ``[heads]``; None is 1. An array of float32 is used where it is, so that a scale that is
        loaded into it later counts; other numbers are copied into the attribute ``scale``, where they may be changed.
        Dynamic: ``[pages, page_tokens, heads]`` ("HND": ``[pages, heads, page_tokens]``), written with the values, read
        where values are; None makes such an array.
    scale_floor : float
        The least dynamic scale.
    """

    def __init__(
        self,
        data: Any,
        *,
        layout: Literal["NHD", "HND"] = "NHD",
        dtype: Literal["e4m3", "q8_0"] | None = None,
        scaling: Literal["static", "dynamic"] | None = None,
        scale: Any = None,
        scale_floor: float = 0.0,
    ) -> None:
        arrays.refuse_recording(data, scale)
        memory = _memory(data, "data")
        if layout not in ("NHD", "HND"):
            raise ValueError(f"layout must be 'NHD' or 'HND', not {layout!r}")
        if len(memory.shape) != 4:
            axes = "pages, page_tokens, heads, head_dim" if layout == "NHD" else "pages, heads, page_tokens, head_dim"
            raise ValueError(f"data has {len(memory.shape)} axes; layout {layout!r} means [{axes}]")
        self.data, self.layout = data, layout
        self._places = [_Place("data", data, memory.pointer, memory.shape, True)]
        self._code = self._dtype_code(memory.kind, dtype)
        order = (0, 1, 2, 3) if layout == "NHD" else (0, 2, 1, 3)
        pages, tokens, heads, dim = (memory.shape[i] for i in order)
        steps = [memory.strides[i] for i in order]
        if self._code == Q8_0:
            if (steps[3] != 1 and dim > 1) or dim % _BLOCK_BYTES:
                raise ValueError(f"rows of q8_0 are contiguous blocks of {_BLOCK_BYTES} bytes, not {dim} bytes")
            dim, steps[3] = dim // _BLOCK_BYTES * _BLOCK, 0
        self.pages, self.page_tokens, self.heads, self.head_dim = pages, tokens, heads, dim
        self._fixed: dict[str, Any] = dict(
            dtype=self._code, data=memory.pointer or None, pages=pages, page_tokens=tokens, page_stride=steps[0],
            token_stride=steps[1], head_stride=steps[2], channel_stride=steps[3],
        )  # fmt: skip
        floor = number(scale_floor, "scale_floor")
        self._set_scale(c.enum("static" if scaling is None else scaling, SCALINGS, "scaling"), scaling, scale, floor)
        given = {"layout": layout, "dtype": dtype, "scaling": scaling, "scale_floor": floor}
        self._text = json.dumps(given)  # as operators carry it, and the arrays beside it

    @staticmethod
    def _dtype_code(kind: str, dtype: str | None) -> int:
        if kind == "uint8":
            codes = {"e4m3": E4M3, "q8_0": Q8_0}
            if not isinstance(dtype, str) or dtype not in codes:
                raise TypeError(f"data is uint8; dtype must say what its bytes are, 'e4m3' or 'q8_0', not {dtype!r}")
            return codes[dtype]
        if kind not in _PAGE_CODES:
            raise TypeError(
                f"data has dtype {kind}; pages are float32, float16, bfloat16, float8_e4m3fn, int8 or uint8"
            )
        if dtype is not None and not (dtype == "e4m3" and kind == "float8_e4m3fn"):
            raise TypeError(f"dtype={dtype!r} is for uint8 arrays; data is {kind}")
        return _PAGE_CODES[kind]

    def _set_scale(self, code: int, scaling: str | None, scale: Any, floor: float) -> None:
        self.scale: Any = None
        self._dynamic = code == SCALINGS["dynamic"]
        if self._code not in (E4M3, I8) and (scaling is not None or scale is not None):
            raise ValueError("scaling and scale are for float8_e4m3fn and int8 pages")
        if floor and not self._dynamic:
            raise ValueError(f"scale_floor = {floor:g} is for pages with scaling='dynamic'")
        if self._code not in (E4M3, I8):
            return
        self._fixed |= {"scaling": code, "scale_floor": floor}
        if self._dynamic:
            self._set_dynamic_scale(scale)
        elif scale is not None:
            self.scale = _floats(scale, self.data)
            memory = _memory(self.scale, "scale")
            if memory.shape not in ((), (self.heads,)):
                raise ValueError(f"scale has shape {memory.shape}; a static one is a number or [heads = {self.heads}]")
            self._places.append(_Place("scale", self.scale, memory.pointer, memory.shape, False))
            self._fixed |= {"scale": memory.pointer, "scale_head_stride": sum(memory.strides)}

    def _set_dynamic_scale(self, scale: Any) -> None:
        order = (0, 1, 2) if self.layout == "NHD" else (0, 2, 1)
        sizes = (self.pages, self.page_tokens, self.heads)
        shape = tuple(sizes[i] for i in order)
        self.scale = _zeros(shape, self.data) if scale is None else scale
        wanted = f"a dynamic scale must be a writable array of float32 {list(shape)}"
        if not (isinstance(self.scale, np.ndarray) or arrays.is_tensor(self.scale)):
            raise TypeError(f"scale is {type(scale).__name__}; {wanted}")
        memory = _memory(self.scale, "scale")
        if memory.kind != "float32" or memory.shape != shape or memory.readonly:
            what = "read-only " if memory.readonly else ""
            raise ValueError(f"scale is {what}{memory.kind} {list(memory.shape)}; {wanted}")
        steps = tuple(memory.strides[i] for i in order)
        self._places.append(_Place("scale", self.scale, memory.pointer, shape, True))
        self._fixed |= {"scale": memory.pointer, "scale_page_stride": steps[0]}
        self._fixed |= {"scale_token_stride": steps[1], "scale_head_stride": steps[2]}

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _DESCRIBED and "_text" in vars(self):  # the library has been told; it would not notice
            self._refuse_other(name, value)
            self._places = [place._replace(array=value) if place.field == name else place for place in self._places]
        super().__setattr__(name, value)

    def _refuse_other(self, name: str, value: Any) -> None:
        """Refuse to replace a description, but for an array over the same memory, such as a buffer of a module."""
        place = next((place for place in self._places if place.field == name), None)
        if place is None or _memory(value, name) != _memory(place.array, name):
            instead = "make" if place is None else f"write into pages.{name}, or make"
            raise AttributeError(f"Pages.{name} cannot be replaced: {instead} Pages anew")

    def _check_memory(self, name: str, write: bool) -> None:
        """Refuse what has become of the arrays since they were described."""
        for field, x, pointer, shape, written in self._places:
            if isinstance(x, np.ndarray):
                now, readonly = arrays.address(x), not x.flags.writeable
            else:
                now, readonly = arrays.tensor_memory(x, f"{name}.{field}"), False
                arrays.refuse_gradient(x, f"{name}.{field}")
            if now != pointer or tuple(x.shape) != shape:
                raise ValueError(f"{name}.{field} has moved to other memory or another shape: make Pages of it anew")
            if write and written and readonly:
                raise ValueError(f"{name} is read-only")

    def _struct(self, slots: np.ndarray[Any, Any], steps: tuple[int, int]) -> PagesStruct:
        struct = PagesStruct(slot_type=arrays.type_code(slots), slots=arrays.address(slots), **self._fixed)
        struct.slot_batch_stride, struct.slot_token_stride = steps
        return struct

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies, deep or pickled, are pages of the copied arrays. NumPy arrays that share a buffer no longer do."""
        return _rebuild_pages, (type(self), self.data, self.scale, json.loads(self._text))

    def _written(self) -> tuple[Any, ...]:
        return (self.data, self.scale) if self._dynamic else (self.data,)

    def __repr__(self) -> str:
        name = {**c.DTYPE_NAMES, E4M3: "e4m3", I8: "int8", Q8_0: "q8_0"}[self._code]
        return f"Pages({self.pages} x {self.page_tokens} tokens, {self.heads} heads x {self.head_dim}, {name})"


def _rebuild_pages(kind: type[Pages], data: Any, scale: Any, recipe: dict[str, Any]) -> Pages:
    return kind(data, scale=scale, **recipe)


def memory_of(part: Any) -> tuple[Any, ...]:
    """The arrays of a norm or of pages."""
    if isinstance(part, Norm):
        return part.weight, part.bias
    return tuple(place.array for place in part._places) if isinstance(part, Pages) else ()


# ---- a call ----------------------------------------------------------------------------------------------------------


def _lines(x: Any, name: str, batch: int, tokens: int, read: Any) -> tuple[np.ndarray[Any, Any], tuple[int, int]]:
    """An array with one value per line, [seq] or [batch, seq], and its strides in elements."""
    array = read(x, name)
    if array.shape == (tokens,):
        return array, (0, array.strides[0] // array.itemsize)
    if array.shape == (batch, tokens) or (array.ndim == 2 and array.shape == (1, tokens)):
        row, step = (stride // array.itemsize for stride in array.strides)
        return array, (row if array.shape[0] > 1 else 0, step)
    raise ValueError(f"{name} has shape {array.shape}; it must be [{tokens}] or [{batch}, {tokens}]: [batch,] seq")


def _slot_lines(slots: Any, batch: int, tokens: int) -> tuple[np.ndarray[Any, Any], tuple[int, int]]:
    """As _lines, but rows of a batch do not share their slots: they would overwrite each other."""
    array = arrays.integers(slots, "slots")
    if batch > 1 and tokens and array.shape != (batch, tokens):
        raise ValueError(
            f"slots has shape {array.shape}; it must be [{batch}, {tokens}]: one for each token of each row"
        )
    return _lines(array, "slots", batch, tokens, arrays.integers)


def _factors(x: Any, name: str) -> np.ndarray[Any, Any]:
    return np.asarray(arrays.reals(x, name), np.float32)


class _Call:
    """The structs of one call, and what must outlive it."""

    def __init__(self) -> None:
        self.jobs: list[JobStruct] = []
        self.names: list[dict[str, str]] = []
        self.keep: list[Any] = []
        self.writes: list[Any] = []

    def tensor(self, x: Any, layout: str, name: str, write: bool) -> c.TensorStruct:
        slot = arrays.Slot(c.TensorStruct())
        slot.bind(x, layout, name, write)
        self.keep.append(slot)
        if write:
            self.writes.append(x)
        return slot.struct

    def add(self, job: JobStruct, names: dict[str, str]) -> None:
        self.jobs.append(job)
        self.names.append(names)

    def pages(self, pages: Pages, name: str, heads: int, dim: int, slots: Any, write: bool) -> Any:
        if not isinstance(pages, Pages):
            raise TypeError(f"{name} must be a roperot.Pages, not {type(pages).__name__}")
        if pages.heads != heads or pages.head_dim != dim:
            raise ValueError(f"{name} has {pages.heads} heads x {pages.head_dim}; what is stored has {heads} x {dim}")
        pages._check_memory(name, write)
        struct = pages._struct(*slots)
        self.keep += [pages, slots, struct]
        if write:
            self.writes += pages._written()
        return ctypes.pointer(struct)

    def run(self, plan: Any, positions: Any, flags: int) -> None:
        options = c.OptionsStruct(token_end=c.TOKEN_END, flags=flags)
        jobs = (JobStruct * len(self.jobs))(*self.jobs)
        status = c.lib.roperot_run(plan, positions, jobs, len(jobs), byref(options))
        if status:
            raise self._failure(status)
        arrays.written(*self.writes)

    def _failure(self, status: int) -> Exception:
        """The library's sentence with the arguments' names in place of its structs."""
        failure, among = c.failure(status), set()

        def spoken(match: re.Match[str]) -> str:
            among.add(match[1])
            names = self.names[int(match[1])]
            return names.get(match[2] or "", names[""])

        sentence = re.sub(r"jobs\[(\d+)\](?:\.(src|dst|norm|from|to)\b)?", spoken, str(failure))
        sentence = sentence.replace(", or the same view of one job", ", or the same view" if len(among) == 1 else "")
        return type(failure)(sentence)


def _names_of(name: str, in_place: bool) -> dict[str, str]:
    names = {"": name, "src": name, "dst": name if in_place else f"{name}_out"}
    return names | {"norm": f"{name}_norm", "to": f"{name}_pages", "from": "pages"}


def run(
    plan: Any,
    given: dict[str, tuple[Any, Any, Any, Any]],
    positions: Any,
    slots: Any = None,
    factor: Any = None,
    skip: bool = False,
    layout: str = "bshd",
    cu_seqlens: Any = None,
    inverse: bool = False,
) -> None:
    """``Rope.run`` for tensors by name: (array, norm, out, pages), of which q takes the factor and v is not rotated."""
    skip, inverse = boolean(skip, "skip"), boolean(inverse, "inverse")
    if (slots is not None or skip) and all(pages is None for *_, pages in given.values()):
        raise ValueError("slots and skip say where pages store, but neither k_pages nor v_pages is given")
    call, first = _Call(), None
    for name, (x, norm, out, pages) in given.items():
        if x is None:
            for kind, other in (("norm", norm), ("out", out), ("pages", pages)):
                if other is not None:
                    raise ValueError(f"{name}_{kind} is given, but {name} is not")
            continue
        job = _job_of(call, name, x, norm, out, pages, slots, layout)
        first = first or job.src.contents
        if pages is not None and skip:
            job.flags |= SKIP
        if factor is not None and name == "q":
            _multiply(call, job, factor, first.shape[0], first.shape[1])
        call.add(job, _names_of(name, out is None))
    if first is None:
        raise ValueError("nothing to do: at least one of q, k and v must be given")
    if factor is not None and given["q"][0] is None:
        raise ValueError("factor multiplies q, which is not given")
    at = c.PositionsStruct(axes=1)
    call.keep.append(set_positions(at, positions, None, cu_seqlens, first.shape[0], first.shape[1]))
    call.run(plan, byref(at), c.INVERSE if inverse else 0)


def _job_of(call: _Call, name: str, x: Any, norm: Any, out: Any, pages: Any, slots: Any, layout: str) -> JobStruct:
    """What becomes of q, k or v (which is not rotated); the call keeps what the struct points to."""
    in_place = out is None and pages is None
    src = call.tensor(x, layout, name, in_place)
    batch, tokens, heads, dim = src.shape[:]
    job = JobStruct(src=ctypes.pointer(src), factor_token_stride=1, flags=UNROTATED if name == "v" else 0)
    if in_place:
        job.dst = job.src
    elif out is not None:
        job.dst = ctypes.pointer(call.tensor(out, layout, f"{name}_out", True))
    if norm is not None:
        if not isinstance(norm, Norm):
            raise TypeError(f"{name}_norm must be a roperot.Norm, not {type(norm).__name__}")
        for field, w in (("weight", norm.weight), ("bias", norm.bias)):
            if arrays.is_tensor(w):
                arrays.refuse_gradient(w, f"{name}_norm.{field}")
        struct = norm._struct(heads, dim, f"{name}_norm")
        call.keep += [norm, struct]
        job.norm = ctypes.pointer(struct)
    if pages is not None:
        if slots is None:
            raise ValueError(f"{name}_pages is given, but slots, which say where each token goes, are not")
        lines = _slot_lines(slots, batch, tokens)
        job.to = call.pages(pages, f"{name}_pages", heads, dim, lines, True)
    return job


def _multiply(call: _Call, job: JobStruct, factor: Any, batch: int, tokens: int) -> None:
    """One factor for all tokens, or one for each."""
    if arrays.is_tensor(factor):
        arrays.refuse_gradient(factor, "factor")
        factor = factor.item() if factor.ndim == 0 else factor
    if isinstance(factor, bool):
        raise TypeError(f"factor must be a number or one for each token, not {factor}")
    values = np.full(tokens, factor, np.float32) if is_number(factor) else factor
    array, (row, step) = _lines(values, "factor", batch, tokens, _factors)
    call.keep.append(array)
    job.factor, job.factor_batch_stride, job.factor_token_stride = arrays.address(array), row, step


class _NormedFrame:
    """The structs of a call that rotates one or two tensors into others, used again and again."""

    def __init__(self) -> None:
        self.sources = [arrays.Slot(c.TensorStruct()) for _ in range(2)]
        self.targets = [arrays.Slot(c.TensorStruct()) for _ in range(2)]
        self.positions = c.PositionsStruct(axes=1)
        self.options = c.OptionsStruct(token_end=c.TOKEN_END)
        self.jobs = (JobStruct * 2)()
        for job, source, target in zip(self.jobs, self.sources, self.targets):
            job.size, job.factor_token_stride = ctypes.sizeof(JobStruct), 1
            job.src, job.dst = ctypes.pointer(source.struct), ctypes.pointer(target.struct)


_frames: list[_NormedFrame] = []  # pop and append are atomic, so that threads may take turns


def run_normed(plan: Any, heads: Any, outs: Any, positions: Any, layout: str) -> None:
    """``run`` of one or two (tensor, norm) of the same tokens into others, for a third of the bookkeeping."""
    try:
        frame = _frames.pop()
    except IndexError:
        frame = _NormedFrame()
    for job, source, target, (x, norm), out, name in zip(
        frame.jobs, frame.sources, frame.targets, heads, outs, ("q", "k")
    ):
        source.bind(x, layout, name, False)
        target.bind(out, layout, f"{name}_out", True)
        shape = source.struct.shape
        job.norm = None if norm is None else norm._pointer(shape[2], shape[3], f"{name}_norm")
    shape = frame.sources[0].struct.shape
    keep = set_positions(frame.positions, positions, None, None, shape[0], shape[1])
    status = c.lib.roperot_run(plan, byref(frame.positions), frame.jobs, len(heads), byref(frame.options))
    del keep
    if status:  # the long way again, for its sentence
        run(plan, {n: (x, norm, out, None) for n, (x, norm), out in zip("qk", heads, outs)}, positions, layout=layout)
        raise RuntimeError("a call failed and went well when it was repeated: its arguments changed meanwhile")
    arrays.written(*outs)
    _frames.append(frame)


def is_number(x: Any) -> bool:
    """A Python number, or an array with a single real number and no axes; truths, texts and dates are none."""
    if isinstance(x, (int, float)):
        return not isinstance(x, bool)
    plain = getattr(x, "shape", None) == () and not arrays.is_tensor(x)
    return plain and getattr(getattr(x, "dtype", None), "kind", "O") in "iufV"  # V: bfloat16 of ml_dtypes


def _refuse_twice(source: np.ndarray[Any, Any], target: np.ndarray[Any, Any], name: str) -> None:
    """A slot that is written twice would hold one of two keys, or a key that was turned twice."""
    written = np.sort(target[(source >= 0) & (target >= 0)])
    twice = written[1:][written[1:] == written[:-1]]
    if twice.size:
        raise ValueError(f"slot {int(twice[0])} is in {name} twice: each may be written once")


def _refuse_crossing(source: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> None:
    """A slot that is written before another line has read it would lose what it held."""
    moved = (source != target) & (source >= 0) & (target >= 0)
    both = np.intersect1d(target[moved], source[source >= 0])
    if both.size:
        raise ValueError(f"slot {int(both[0])} is in slots and in to_slots: move through slots that hold nothing")


def rerotate(plan: Any, pages: Any, delta: Any, slots: Any, to_slots: Any) -> None:
    """``Rope.rerotate``: the heads of some slots turned by deltas, stored where they came from or in other slots."""
    if not isinstance(pages, Pages):
        raise TypeError(f"pages must be a roperot.Pages, not {type(pages).__name__}")
    source = arrays.integers(slots, "slots")
    if source.ndim != 1:
        raise ValueError(f"slots has shape {source.shape}; it must be [n]")
    n = source.shape[0]
    call = _Call()
    lines = target = _lines(source, "slots", 1, n, arrays.integers)
    if to_slots is None:
        _refuse_twice(source, source, "slots")
    else:
        there = arrays.integers(to_slots, "to_slots")
        if there.shape != (n,):
            raise ValueError(f"to_slots has shape {there.shape}; it must be [{n}], as slots")
        _refuse_twice(source, there, "to_slots")
        _refuse_crossing(source, there)
        target = _lines(there, "to_slots", 1, n, arrays.integers)
    job = JobStruct(batch=1, tokens=n, heads=pages.heads, dim=pages.head_dim, factor_token_stride=1)
    job.from_ = call.pages(pages, "pages", pages.heads, pages.head_dim, lines, False)
    job.to = call.pages(pages, "pages", pages.heads, pages.head_dim, target, True)
    call.add(job, {"": "pages", "from": "pages", "to": "pages"})
    struct = c.PositionsStruct()
    call.keep.append(set_deltas(struct, delta, 1, n))
    call.run(plan, byref(struct), c.PURE_ROTATION | c.SIGNED_POSITIONS)
