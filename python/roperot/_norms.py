"""Norms of a model's queries and keys that wait for the rotation; this module must not know model names or rotate."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.modules import module as nn_module

from roperot import _arrays as arrays
from roperot._ask import aside, made_up
from roperot._jobs import Norm
from roperot._operator import forward_mode, transformed
from roperot._rope import Rope

_NAMES = re.compile(r"(q|k|query|key)_(layer_?)?norm")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _hooks_of_all_modules() -> bool:
    """What PyTorch asks itself in a function that 2.5 to 2.7 do not have."""
    hooks = (
        "_global_backward_pre_hooks",
        "_global_backward_hooks",
        "_global_forward_pre_hooks",
        "_global_forward_hooks",
    )
    return any(getattr(nn_module, name) for name in hooks)


_any_global_hook: Any = getattr(nn_module, "_has_any_global_hook", _hooks_of_all_modules)


def modules_of(model: Any) -> Iterator[Any]:
    """The norms of queries and keys: found by the names that attention modules give them, each once."""
    seen = set()
    for parent in model.modules():
        for name, module in parent.named_children():
            if _NAMES.fullmatch(name) and id(module) not in seen and is_plain(module):
                seen.add(id(module))
                yield module


def is_plain(module: Any) -> bool:
    """Whether a module computes what its class in transformers or torch.nn says, from a weight and a bias alone.

    Subclasses of others, quantised or parametrised weights, hooks and replaced forwards may do anything.
    """
    kind = type(module)
    if not (kind.__module__.startswith("transformers.models.") or kind in (torch.nn.LayerNorm, torch.nn.RMSNorm)):
        return False
    if any(getattr(module, hooks) for hooks in _HOOKS) or _any_global_hook():
        return False
    if module._modules or module._buffers or not set(module._parameters) <= {"weight", "bias"}:
        return False
    return all(x is None or _is_plain_weight(x) for x in module._parameters.values())


def _is_plain_weight(x: Tensor) -> bool:
    plain = type(x) in (torch.nn.Parameter, Tensor) and x.device.type == "cpu" and x.layout is torch.strided
    return plain and x.dtype in DTYPES and x.is_contiguous()


def _state(module: Any) -> dict[str, Any]:
    return {name: x for name, x in vars(module).items() if not name.startswith("_") and name != "forward"}


def _holds(members: dict[str, Any], state: dict[str, Any]) -> bool:
    return all(members.get(name) == value for name, value in state.items())


class Waiting:
    """A norm module of a patched model, and the ``Norm`` that gives its results, found by asking a copy of it."""

    def __init__(self, module: Any) -> None:
        self.module, self.original = module, module.forward
        self.useful = True  # until its result was needed before a rotation
        self._known: dict[Any, Norm | None] = {}
        self._asked: Any = None

    def waits(self, x: Any) -> bool:
        """Whether the norm of x may wait: nobody records or differentiates this call, and the module is unchanged."""
        if not self.useful or type(x) is not Tensor or torch.compiler.is_compiling() or x.ndim not in (3, 4):
            return False
        if x.device.type != "cpu" or x.dtype not in DTYPES or x.stride(-1) != 1 or x.is_neg():
            return False
        if arrays.recording() or transformed(x) or forward_mode() or torch.is_autocast_enabled("cpu"):
            return False
        if not is_plain(self.module):
            return False
        weights = self.module._parameters.values()
        return not (
            torch.is_grad_enabled() and (x.requires_grad or any(w is not None and w.requires_grad for w in weights))
        )

    def norm(self, heads: int, dim: int, all_heads: bool, dtype: torch.dtype) -> Norm | None:
        """What normalises heads like these as the module does, with its weights of now; None if nothing does."""
        members, weights = vars(self.module), self.module._parameters
        weight, bias = weights.get("weight"), weights.get("bias")
        asked = self._asked
        if asked is None or asked[:3] != (len(members), id(weight), id(bias)) or not _holds(members, asked[3]):
            self._known, self._asked = {}, (len(members), id(weight), id(bias), _state(self.module))
        key = (heads if all_heads else 0, dim, dtype, None if weight is None else weight.dtype)
        if key not in self._known:
            recipe = aside(lambda: _learn(self.module, heads if all_heads else 2, dim, all_heads, dtype))
            self._known[key] = None if recipe is None else Norm(weight, bias=bias, all_heads=all_heads, **recipe)
        return self._known[key]


# ---- asking a module how it computes

_ROWS = 32
_RELATIVE = 2.0**-18  # of float32: the sums of torch have another order than those of roperot
_UNEQUAL = (
    0.02  # the share of 16-bit numbers that the order may move over a boundary; another rounding moves 10 times more
)


def _learn(module: Any, heads: int, dim: int, all_heads: bool, dtype: torch.dtype) -> dict[str, Any] | None:
    """The arguments of the ``Norm`` whose results are those of a module, but for the order of its sums."""
    twin = copy.deepcopy(module)
    for seed, weight in enumerate(w for w in twin._parameters.values() if w is not None):
        weight.copy_(made_up(tuple(weight.shape), 10 + seed))
    x = made_up((_ROWS, heads, dim), 3)
    x[_ROWS // 2 :] *= 2.0**-9  # so that epsilon matters
    x = x.to(dtype)
    try:
        expected = twin(x.reshape(1, _ROWS, -1) if all_heads else x[None])
    except Exception:  # it takes other arguments, or heads of another size
        return None
    if not isinstance(expected, Tensor) or expected.dtype != dtype or expected.numel() != x.numel():
        return None
    expected = expected.reshape(x.shape)
    scored = [(_unlike(twin, recipe, x, expected, all_heads), i) for i, recipe in enumerate(_recipes(twin))]
    least = min(scored, default=(1.0, 0))
    return _recipes(twin)[least[1]] if least[0] < _UNEQUAL else None


def _recipes(module: Any) -> list[dict[str, Any]]:
    numbers = [value for value in _state(module).values() if type(value) is float and 0 <= value < 1]
    offsets = (False, True) if module._parameters.get("weight") is not None else (False,)
    names = ("eps", "kind", "rounding", "unit_offset")
    choices = itertools.product(dict.fromkeys(numbers), ("rms", "layer"), ("twice", "once"), offsets)
    return [dict(zip(names, choice)) for choice in choices]


def _unlike(module: Any, recipe: dict[str, Any], x: Tensor, expected: Tensor, all_heads: bool) -> float:
    """The share of numbers that a recipe gives otherwise than the module; 1 if one is off by more than a rounding."""
    weight, bias = (module._parameters.get(name) for name in ("weight", "bias"))
    found = torch.empty_like(x)
    try:
        norm = Norm(weight, bias=bias, all_heads=all_heads, **recipe)
        Rope(2).run(v=x, v_norm=norm, v_out=found)
    except (TypeError, ValueError):  # a bias for rms, weights of two dtypes
        return 1.0
    scale = expected.float().abs()
    if recipe["kind"] == "layer":  # its terms cancel
        scale = scale.amax(-1, keepdim=True) + 1
    bound = _RELATIVE if x.dtype == torch.float32 else 2 * torch.finfo(x.dtype).eps
    error = (found.float() - expected.float()).abs()
    if not bool((error <= bound * scale + torch.finfo(x.dtype).tiny).all()):
        return 1.0
    return 0.0 if x.dtype == torch.float32 else float((found != expected).float().mean())


# ---- heads whose norm waits


class _Root:
    """What a norm was asked for, and its result once somebody needed it."""

    def __init__(self, waiting: Waiting, x: Tensor) -> None:
        self.waiting, self.x = waiting, x
        self.version = _version(x)
        self._value: Tensor | None = None

    @property
    def untouched(self) -> bool:
        return self._value is None and self.version == _version(self.x)

    def value(self) -> Tensor:
        if self._value is None:
            if self.version != _version(self.x):
                raise RuntimeError(
                    "queries or keys were written to after their norm was taken and before it was used: "
                    "patch.undo() restores the model"
                )
            self.waiting.useful = False
            self._value = self.waiting.original(self.x)
        return self._value


def _version(x: Tensor) -> int:
    return 0 if x.is_inference() else x._version


class Opened(NamedTuple):
    """Heads before their norm, and the norm."""

    x: Tensor
    norm: Norm


class Heads(Tensor):
    """Normalised heads whose norm waits for a rotation: whatever else is done with them, but views, takes it first.

    They have no memory: what does not ask them in Python meets the result in ``__torch_dispatch__``.
    """

    _root: _Root
    seen: Tensor  # the view of the root's x
    _views: tuple[tuple[Any, Any, Any], ...]
    _split: bool  # whether the normalised axis has become two
    _made: Tensor | None

    @staticmethod
    def of(waiting: Waiting, x: Tensor) -> Heads:
        """The norm of x."""
        return Heads._make(_Root(waiting, x), x, (), False)

    @staticmethod
    def _make(root: _Root, x: Tensor, views: Any, split: bool) -> Heads:
        self: Heads = Tensor._make_wrapper_subclass(
            Heads, x.shape, strides=x.stride(), storage_offset=x.storage_offset(), dtype=x.dtype, device=x.device
        )
        self._root, self.seen, self._views, self._split, self._made = root, x, views, split, None
        return self

    def made(self) -> Tensor:
        """The result of the norm, seen as these heads are."""
        if self._made is None:
            value = self._root.value()
            for function, args, kwargs in self._views:
                value = function(value, *args, **kwargs)
            self._made = value
        return self._made

    def opened(self, heads_axis: int) -> Opened | None:
        """What is to be normalised and rotated at once; None if that is not all there is to it."""
        root, x = self._root, self.seen
        dim, size = int(x.shape[-1]), int(root.x.shape[-1])
        heads = int(x.shape[heads_axis])
        if not root.untouched or x.stride(-1) != 1:
            return None
        if self._split and (heads * dim != size or (heads > 1 and x.stride(heads_axis) != dim)):
            return None
        norm = root.waiting.norm(heads, dim, self._split, x.dtype)
        return None if norm is None else Opened(x, norm)

    def _viewed(self, function: Any, args: Any, kwargs: Any) -> Heads | None:
        """The heads seen otherwise, the normalised axis last or split into heads; None for another view."""
        x = self.seen
        y = function(x, *args, **kwargs)
        if y.dtype != x.dtype:
            return None
        if function in _TRANSPOSE:
            axes = [a % x.ndim for a in (*args, *kwargs.values())]
            return None if x.ndim - 1 in axes else self._seen(y, function, args, kwargs, self._split)
        if y.shape == x.shape or (not self._split and y.shape[-1] == x.shape[-1]):
            return self._seen(y, function, args, kwargs, self._split)
        split = not self._split and y.shape[:-2] == x.shape[:-1] and y.shape[-2] * y.shape[-1] == x.shape[-1]
        return self._seen(y, function, args, kwargs, True) if split else None

    def _seen(self, y: Tensor, function: Any, args: Any, kwargs: Any, split: bool) -> Heads:
        return Heads._make(self._root, y, (*self._views, (function, args, kwargs)), split)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _ASKING:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if func in _VIEWS and args and type(args[0]) is Heads and args[0]._root.untouched:
            viewed = args[0]._viewed(func, args[1:], kwargs)
            if viewed is not None:
                return viewed
        return func(*_made(args), **_made(kwargs))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return func(*_made(args), **_made(kwargs or {}))


_TRANSPOSE = {Tensor.transpose, torch.transpose}
_VIEWS = {*_TRANSPOSE, Tensor.view, Tensor.reshape, torch.reshape}
_ASKING = {getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "layout", "requires_grad")}
_ASKING |= {Tensor.size, Tensor.dim, Tensor.stride, Tensor.numel, Tensor.is_contiguous, Tensor.is_floating_point}


def _made(x: Any) -> Any:
    """Arguments with the results of norms in place of heads that wait for them."""
    if type(x) is Heads:
        return x.made()
    if isinstance(x, dict):
        return {key: _made(value) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(_made(value) for value in x)
    return x
