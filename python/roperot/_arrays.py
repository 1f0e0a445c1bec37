"""Read NumPy arrays, PyTorch tensors and DLPack exporters as raw views; this module must not know plans."""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple, cast

import numpy as np

from roperot import _library as c

_NUMPY_CODES: dict[np.dtype[Any], int] = {np.dtype(np.float32): c.F32, np.dtype(np.float16): c.F16}
_INTEGER_CODES: dict[np.dtype[Any], int] = {np.dtype(np.int32): c.I32, np.dtype(np.int64): c.I64}
_REAL_CODES: dict[np.dtype[Any], int] = {np.dtype(np.float32): c.REAL32, np.dtype(np.float64): c.REAL64}
_LAYOUTS = {"bshd": "[batch,] seq, heads, dim", "bhsd": "[batch,] heads, seq, dim", "thd": "tokens, heads, dim"}


class Raw(NamedTuple):
    """Where an array's elements are: strides in elements, ``code`` a roperot_dtype."""

    pointer: int
    code: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    readonly: bool
    keep: Any


# ---- DLPack: the two published layouts of what a capsule points at -------------------------------------------------


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class _DLVersioned(ctypes.Structure):
    _fields_ = [
        ("major", c_uint32),
        ("minor", c_uint32),
        ("manager", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("tensor", _DLTensor),
    ]


_DL_CODES = {(2, 32): c.F32, (2, 16): c.F16, (4, 16): c.BF16}
_DL_READONLY = 1
_DL_CPU = 1
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
_capsule_valid = ctypes.pythonapi.PyCapsule_IsValid
_capsule_valid.restype, _capsule_valid.argtypes = c_int32, [ctypes.py_object, c_char_p]


def _raw_dlpack(x: Any, name: str) -> Raw:
    if x.__dlpack_device__()[0] != _DL_CPU:
        raise TypeError(f"{name} is not in CPU memory: roperot rotates CPU arrays only; copy it to the CPU first")
    try:
        capsule = x.__dlpack__(max_version=(1, 0))
    except TypeError:  # an exporter from before versioned capsules
        capsule = x.__dlpack__()
    # The capsule keeps its name, so it frees the export itself when it is collected: nothing is consumed here.
    if _capsule_valid(capsule, b"dltensor_versioned"):
        versioned = _DLVersioned.from_address(_capsule_pointer(capsule, b"dltensor_versioned"))
        tensor, readonly = versioned.tensor, bool(versioned.flags & _DL_READONLY)
    else:
        tensor, readonly = _DLTensor.from_address(_capsule_pointer(capsule, b"dltensor")), False
    code = _DL_CODES.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
    if code is None:
        raise TypeError(f"{name} has a DLPack element type that is none of float32, float16, bfloat16; convert it")
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = tuple(tensor.strides[i] for i in range(tensor.ndim)) if tensor.strides else contiguous(shape)
    return Raw((tensor.data or 0) + tensor.byte_offset, code, shape, strides, readonly, capsule)


# ---- NumPy

# Where an array object holds the address of its elements: first behind the head of every object, by NumPy's C ABI
# (PyArrayObject_fields of ndarraytypes.h, the same in NumPy 1 and 2). __array_interface__ tells it, too, in the time of
# several rotated tokens, because it builds a dict of everything else.
_DATA = object.__basicsize__
_word_at = ctypes.c_size_t.from_address


def _address_of_interface(array: np.ndarray[Any, Any]) -> int:
    return cast(int, array.__array_interface__["data"][0])


def _address_of_object(array: np.ndarray[Any, Any]) -> int:
    return _word_at(id(array) + _DATA).value


def _objects_can_be_read() -> bool:
    """Whether this interpreter's arrays lie as CPython's do."""
    if sys.implementation.name != "cpython":
        return False
    samples: list[np.ndarray[Any, Any]] = [
        np.empty(0, np.float16),
        np.ones((3, 5), np.float32)[1:, ::2],
        np.arange(7)[3:],
    ]
    return all(_address_of_object(sample) == _address_of_interface(sample) for sample in samples)


address = _address_of_object if _objects_can_be_read() else _address_of_interface  # where element 0 of an array is


def numpy_code(dtype: np.dtype[Any], name: str) -> int:
    """The roperot_dtype of a NumPy dtype; bfloat16 is known by name, so that ml_dtypes stays optional."""
    code = _NUMPY_CODES.get(dtype)
    if code is not None:
        return code
    if dtype.name == "bfloat16" and dtype.itemsize == 2:
        return c.BF16
    if not dtype.isnative:
        raise TypeError(
            f"{name} has dtype {dtype}, the byte order of other machines: "
            'convert it, for example x.astype(x.dtype.newbyteorder("="))'
        )
    if dtype == np.float64:
        raise TypeError(
            f"{name} is float64; float32, float16 and bfloat16 are supported: convert it, as x.astype(numpy.float32)"
        )
    if dtype.kind == "V" and dtype.itemsize == 2:
        raise TypeError(f"{name} has dtype {dtype}, as bfloat16 has after numpy.load: use x.view(ml_dtypes.bfloat16)")
    raise TypeError(f"{name} has dtype {dtype}; float32, float16 and bfloat16 (ml_dtypes) are supported")


def numpy_dtype(code: int) -> np.dtype[Any]:
    """The NumPy dtype of a roperot_dtype; bfloat16 needs ml_dtypes."""
    if code != c.BF16:
        return np.dtype(c.DTYPE_NAMES[code])
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError("a bfloat16 NumPy array needs the ml_dtypes package: pip install ml_dtypes") from None
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def dtype_code(dtype: Any) -> int:
    """The roperot_dtype of "float32", "f16", numpy.float16, torch.bfloat16, ..."""
    names = {"f32": c.F32, "f16": c.F16, "bf16": c.BF16} | {name: code for code, name in c.DTYPE_NAMES.items()}
    name = str(dtype).removeprefix("torch.") if not isinstance(dtype, type) else dtype.__name__
    if name not in names:
        raise TypeError(f"dtype must be float32, float16 or bfloat16, not {dtype!r}")
    return names[name]


def refuse_masked(x: Any, name: str) -> None:
    """Refuse a masked array, whose mask nothing here would see."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; its mask would be ignored: pass x.data or x.filled(...)")


def _raw_numpy(x: np.ndarray[Any, Any], name: str) -> Raw:
    refuse_masked(x, name)
    code, size = numpy_code(x.dtype, name), x.dtype.itemsize
    if any(stride % size for stride in x.strides):
        raise ValueError(f"{name} has strides {x.strides} that are no multiples of its {size}-byte elements; copy it")
    strides = tuple(stride // size for stride in x.strides)
    return Raw(address(x), code, x.shape, strides, not x.flags.writeable, x)


# ---- PyTorch


_tensor_type: Any = None


def torch_type() -> Any:
    """``torch.Tensor`` if the caller has imported torch, else None: a tensor cannot exist before that."""
    global _tensor_type
    if _tensor_type is None:
        _tensor_type = getattr(sys.modules.get("torch"), "Tensor", None)
    return _tensor_type


def is_tensor(x: Any) -> bool:
    """True for a PyTorch tensor."""
    tensor = torch_type()
    return tensor is not None and isinstance(x, tensor)


def recording() -> bool:
    """Whether a dispatch mode or tracer of PyTorch follows this thread: what it does not see, its graph lacks."""
    torch = sys.modules["torch"]
    if torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state() is not None:
        return True
    return bool(torch._ops._len_torch_dispatch_stack_pre_dispatch())


def refuse_recording(*given: Any) -> None:
    """Refuse tensors while a graph is recorded: it would hold the memory of the example in place of the rotation."""
    if any(is_tensor(x) for x in given) and recording():
        raise TypeError(
            "the methods of Rope work on memory, which a tracer (torch.jit.trace, make_fx, torch.export ...) does not "
            "see: call roperot.torch.rotary there"
        )


def written(*given: Any) -> None:
    """Tell autograd which tensors were written: it refuses a backward pass that needs what they held before."""
    tensor = torch_type()
    if tensor is None:
        return
    tensors = [x for x in given if isinstance(x, tensor) and not x.is_inference()]
    if tensors:
        sys.modules["torch"]._C._increment_version(tensors)


_TORCH_CODES = {"torch.float32": c.F32, "torch.float16": c.F16, "torch.bfloat16": c.BF16}


def _raw_torch(x: Any, name: str) -> Raw:
    if x.device.type != "cpu":
        raise TypeError(f"{name} is on {x.device}: roperot rotates CPU tensors only; use x.cpu() first")
    code = _TORCH_CODES.get(str(x.dtype))
    if code is None:
        raise TypeError(f"{name} has dtype {x.dtype}; float32, float16 and bfloat16 are rotated: use x.float() first")
    pointer = tensor_memory(x, name)
    refuse_gradient(x, name)
    return Raw(pointer, code, tuple(x.shape), x.stride(), False, x)


_ROTARY = "call roperot.torch.rotary (it takes q_norm and k_norm), "


def refuse_gradient(x: Any, name: str, instead: str = _ROTARY) -> None:
    """Refuse a tensor that autograd follows now; ``instead`` says what records its gradient, if anything does."""
    if x.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise ValueError(
            f"{name} requires a gradient, which is not recorded here: {instead}use x.detach(), or run under "
            "torch.no_grad()"
        )


def tensor_memory(x: Any, name: str) -> int:
    """The address of a CPU tensor's first element, if its elements are what lies in its memory."""
    if x.is_nested:
        raise TypeError(f"{name} is a nested tensor; pass its values with layout 'thd' and cu_seqlens")
    if x.layout is not sys.modules["torch"].strided or x.is_neg():
        raise TypeError(f"{name} is a sparse or lazily negated tensor; use x.to_dense() or x.resolve_neg() first")
    if hasattr(x, "fake_mode"):
        raise TypeError(f"{name} is a fake tensor without memory: inside torch.compile use roperot.torch.rotary")
    if type(x).__torch_dispatch__ is not torch_type().__torch_dispatch__:
        raise TypeError(f"{name} is a {type(x).__name__}, which has no memory of its own; pass a plain tensor")
    try:
        pointer = int(x.data_ptr())
    except RuntimeError as error:  # torch.vmap and other transforms
        raise TypeError(f"{name} has no memory of its own ({str(error).splitlines()[0]})") from None
    if not pointer and x.numel():
        raise ValueError(f"{name} has lost its memory: its storage was resized to nothing, or a transform hides it")
    return pointer


def bfloat16_bytes(x: np.ndarray[Any, Any]) -> Raw:
    """A NumPy array of two-byte elements seen as bfloat16, which needs no ml_dtypes."""
    return _raw_numpy(x.view(np.float16), "x")._replace(code=c.BF16, keep=x)


def raw(x: Any, name: str) -> Raw:
    """Look at any supported array without copying it.

    Parameters
    ----------
    x : numpy.ndarray, torch.Tensor, object with ``__dlpack__`` or Raw
        float32, float16 or bfloat16, in CPU memory.
    name : str
        The argument's name, for the sentences of errors.

    Raises
    ------
    TypeError
        For another kind of object, dtype or device.
    ValueError
        For strides that are no whole elements, or a tensor whose gradient would be lost.
    """
    if isinstance(x, np.ndarray):
        return _raw_numpy(x, name)
    if is_tensor(x):
        return _raw_torch(x, name)
    if isinstance(x, Raw):
        return x
    if hasattr(x, "__dlpack__"):
        return _raw_dlpack(x, name)
    kind = type(x).__name__
    raise TypeError(f"{name} must be a NumPy array, a PyTorch tensor or have __dlpack__, not {kind}; use numpy.asarray")


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of a C-contiguous array."""
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * max(shape[i + 1], 1)
    return tuple(strides)


# ---- tensors of a call


def _to_bshd(values: tuple[int, ...], layout: str, missing: int) -> tuple[int, ...]:
    """Shape or strides of ``layout`` as [batch, token, head, dim]; three axes lack the batch, that gets ``missing``."""
    if len(values) == 3:
        values = (missing, *values)
    return (values[0], values[2], values[1], values[3]) if layout == "bhsd" else values


class Slot:
    """One reusable ``roperot_tensor``: describing the same shape again costs a comparison."""

    __slots__ = ("dtype", "keep", "layout", "shape", "strides", "struct")

    def __init__(self, struct: c.TensorStruct) -> None:
        self.struct = struct
        self.shape: Any = None
        self.strides: Any = None
        self.dtype: Any = None
        self.layout = ""
        self.keep: Any = None

    def bind(self, x: Any, layout: str, name: str, write: bool) -> None:
        """Point the struct at ``x``. Raises as ``raw`` does, and for ranks, strides and read-only arrays."""
        if type(x) is np.ndarray:
            if self.dtype is x.dtype and x.shape == self.shape and x.strides == self.strides and layout == self.layout:
                self.struct.data = address(x)
                if write and not x.flags.writeable:
                    raise ValueError(f"{name} is read-only; pass a writable copy (x.copy())")
                return
            strides = x.strides
        elif type(x) is torch_type():
            try:
                strides = x.stride()
            except RuntimeError:  # a nested tensor has none: the long way has the sentence
                self._describe(x, layout, name, write)
                return
            same = self.dtype is x.dtype and x.shape == self.shape and strides == self.strides and layout == self.layout
            if same and x.is_cpu and not x.requires_grad and not x.is_neg():
                try:
                    self.struct.data = x.data_ptr()
                except RuntimeError:  # a transform's: the long way has the sentence
                    self._describe(x, layout, name, write)
                return
        else:
            self._describe(x, layout, name, write)
            return
        self._describe(x, layout, name, write)
        self.shape, self.strides, self.dtype, self.layout = x.shape, strides, x.dtype, layout

    def _describe(self, x: Any, layout: str, name: str, write: bool) -> None:
        self.dtype = None  # until this has succeeded the struct matches nothing
        view = raw(x, name)
        if not isinstance(layout, str) or layout not in _LAYOUTS:
            raise ValueError(f"layout must be one of 'bshd', 'bhsd', 'thd', not {layout!r}")
        ranks = (3,) if layout == "thd" else (3, 4)
        if len(view.shape) not in ranks:
            raise ValueError(
                f"{name} has {len(view.shape)} axes, layout {layout!r} means {_LAYOUTS[layout]}: reshape it, "
                "for example x.reshape(seq, heads, head_dim)"
            )
        if write and view.readonly:
            raise ValueError(f"{name} is read-only; pass a writable copy (x.copy())")
        # An array without elements has no memory to stride over, and NumPy reports zeros for it.
        strides = contiguous(view.shape) if 0 in view.shape else view.strides
        if strides[-1] != 1 and view.shape[-1] > 1:
            raise ValueError(
                f"the last axis of {name} has a stride of {strides[-1]} elements, it must be contiguous: "
                "use numpy.ascontiguousarray(x) or x.contiguous()"
            )
        struct = self.struct
        struct.data, struct.dtype, self.keep = view.pointer, view.code, view.keep
        struct.shape[:] = _to_bshd(view.shape, layout, 1)
        struct.stride[:] = (*_to_bshd(strides, layout, 0)[:3], 1)
        if isinstance(x, np.ndarray) or is_tensor(x):
            self.keep = None  # the caller holds it for the whole call; only a capsule would be lost


def empty_like(x: Any, name: str) -> Any:
    """A new contiguous array of x's shape and dtype: a tensor for a tensor, else a NumPy array."""
    if is_tensor(x):
        torch = sys.modules["torch"]
        return torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if isinstance(x, np.ndarray):
        return np.empty(x.shape, x.dtype)
    view = raw(x, name)
    return np.empty(view.shape, numpy_dtype(view.code))


# ---- positions


def integers(x: Any, name: str) -> np.ndarray[Any, Any]:
    """``x`` as an aligned int32 or int64 array, without a copy where it is one already.

    Raises
    ------
    TypeError
        If the elements are not integers.
    """
    if type(x) is np.ndarray and x.dtype in _INTEGER_CODES and x.flags.c_contiguous and x.flags.aligned:
        return x
    array = _to_numpy(x, name)
    if array.size == 0 and array.dtype.kind == "f" and isinstance(x, (list, tuple)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        hint = "; real coordinates go into coordinates=" if name == "positions" else ""
        raise TypeError(f"{name} must be integers, not {array.dtype}{hint}")
    if array.dtype == np.uint64 and array.size and int(array.max()) > c.TOKEN_END:
        raise ValueError(f"{name} holds {int(array.max())}, which is beyond int64")
    return _plain(array, _INTEGER_CODES, np.int64)


def reals(x: Any, name: str) -> np.ndarray[Any, Any]:
    """``x`` as an aligned float32 or float64 array; other numbers become float64.

    Raises
    ------
    TypeError
        If the elements are no real numbers.
    ValueError
        For a tensor whose gradient would be lost.
    """
    if is_tensor(x):
        refuse_gradient(x, name, instead="")
    array = _to_numpy(x, name)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, not {array.dtype}")
    return _plain(array, _REAL_CODES, np.float64)


def _to_numpy(x: Any, name: str) -> np.ndarray[Any, Any]:
    if is_tensor(x):
        if x.device.type != "cpu":
            raise TypeError(f"{name} is on {x.device}; use {name}.cpu() first")
        x = x.detach()
        tensor_memory(x, name)
        if x.is_floating_point() and x.element_size() < 4:
            x = x.float()  # NumPy knows no bfloat16
        return cast("np.ndarray[Any, Any]", x.numpy())
    refuse_masked(x, name)
    if not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__"):
        if x.__dlpack_device__()[0] != _DL_CPU:
            raise TypeError(f"{name} is not in CPU memory; copy it to the CPU first")
        return np.from_dlpack(x)
    try:
        return np.asarray(x)
    except ValueError:  # NumPy's sentence speaks of elements and sequences
        raise ValueError(f"{name} must be rectangular: its rows have different lengths") from None


def _plain(array: np.ndarray[Any, Any], codes: dict[np.dtype[Any], int], wide: Any) -> np.ndarray[Any, Any]:
    size = array.dtype.itemsize
    if array.dtype in codes and array.flags.aligned and not any(stride % size for stride in array.strides):
        return array
    return array.astype(wide)


def type_code(array: np.ndarray[Any, Any]) -> int:
    """The roperot_positions type of what ``integers`` or ``reals`` returned."""
    codes = _INTEGER_CODES if array.dtype.kind == "i" else _REAL_CODES
    return codes[array.dtype]
