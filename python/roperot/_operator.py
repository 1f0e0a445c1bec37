"""The rotation as differentiable operators of PyTorch; this module must not know transformers."""

from __future__ import annotations

import itertools
import json
import secrets
import weakref
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor

from roperot import _arrays as arrays
from roperot import _jobs as jobs
from roperot import _onnx as onnx
from roperot import _serial as serial
from roperot._jobs import Norm
from roperot._rope import Rope
from roperot._scaling import Scaling, Sections, boolean

# Operators carry text, not objects: a Rope travels as the recipe that builds it, so that a saved program rotates by the
# same Rope in every process. Borrowed tables have no recipe. They travel as a name that no other process can have, and
# that is never given twice, so that no graph can meet another Rope under it.
_ropes: weakref.WeakValueDictionary[str, Rope] = weakref.WeakValueDictionary()
_rebuilt: dict[str, Rope] = {}  # those of loaded programs, which nobody else holds
_process = secrets.token_hex(8)
_numbers = itertools.count(1)


def _key(rope: Rope) -> str:
    return str(_key_of(rope._name))


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _key_of(name: str) -> str:
    rope = serial.named(name)
    key = rope.__dict__.get("_torch_key")
    if key is None:
        borrowed = "cos" in rope._recipe
        key = f"tables {_process} {next(_numbers)}" if borrowed else json.dumps(rope._recipe, default=asdict)
        rope.__dict__["_torch_key"] = key
    _ropes.setdefault(key, rope)
    return str(key)


def _rope_of(key: str) -> Rope:
    rope = _ropes.get(key) or _rebuilt.get(key)
    if rope is None:
        if key.startswith("tables "):
            raise RuntimeError(
                "the Rope of this graph borrowed tables and no longer exists, or exists in another process only: keep "
                "it as long as the graph, or build it from a base or inv_freq, which programs can carry"
            )
        recipe = json.loads(key)
        kinds: dict[str, Any] = {"scaling": Scaling, "sections": Sections}
        for name, kind in kinds.items():
            if recipe[name] is not None:
                members = {field: tuple(v) if isinstance(v, list) else v for field, v in recipe[name].items()}
                recipe[name] = kind(**members)
        rope = _rebuilt[key] = Rope(**recipe)
    return rope


def forward_mode() -> bool:
    """Whether tensors may carry tangents now."""
    return getattr(forward_ad, "_current_level", 0) >= 0  # cheap, and private


def _refuse_tangents(*tensors: Tensor | None) -> None:
    """An operator without a forward-mode rule drops tangents, and a derivative of zero would pass for the truth."""
    if not forward_mode():
        return
    for x in tensors:
        if x is not None and forward_ad.unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call, unused-ignore]
            raise NotImplementedError(
                "roperot.torch.rotary has no forward-mode derivative: use the backward pass, "
                "or rotate the tangent like the tensor itself"
            )


@torch.library.custom_op("roperot::rotate", mutates_args=(), device_types="cpu")
def _rotate(x: Tensor, rope: str, first: int, positions: Tensor | None, inverse: bool, layout: str) -> Tensor:
    _refuse_tangents(x)
    return _call(_rope_of(rope), x, first, positions, inverse, layout)


@_rotate.register_fake
def _(x: Tensor, rope: str, first: int, positions: Tensor | None, inverse: bool, layout: str) -> Tensor:
    if torch.onnx.is_in_onnx_export():
        onnx.refuse_operator(x, _rope_of(rope), first, positions, layout)
    return torch.empty_like(x)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, rope, first, positions, inverse, layout = inputs
    ctx.rope = _ropes.get(rope)  # keeps it alive until the backward pass
    ctx.save_for_backward(positions)  # saved, not held: writing to them before the backward pass is an error then
    ctx.rest = (rope, first, inverse, layout)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (positions,) = ctx.saved_tensors
    rope, first, inverse, layout = ctx.rest
    # The last axis of a gradient may be strided or broadcast; the library rotates contiguous heads only.
    return _rotate(grad.contiguous(), rope, first, positions, not inverse, layout), None, None, None, None, None


_rotate.register_autograd(_backward, setup_context=_setup_context)


def _call(
    rope: Rope,
    x: Tensor,
    first: int,
    positions: Tensor | None,
    inverse: bool,
    layout: Any,
    memory: torch.memory_format = torch.preserve_format,
) -> Tensor:
    out = torch.empty_like(x, memory_format=memory)
    at = first if positions is None else positions
    rope._apply_into((x.detach(),), (out,), ("x",), at, inverse, layout)
    return out


def _call_pair(
    rope: Rope,
    q: Tensor,
    k: Tensor,
    first: int,
    positions: Tensor | None,
    inverse: bool,
    layout: Any,
    memory: torch.memory_format = torch.preserve_format,
) -> tuple[Tensor, Tensor]:
    """``_call`` of both at once: half the bookkeeping of a decode step."""
    outs = torch.empty_like(q, memory_format=memory), torch.empty_like(k, memory_format=memory)
    at = first if positions is None else positions
    rope._apply_into((q.detach(), k.detach()), outs, ("q", "k"), at, inverse, layout)
    return outs


def _same_tokens(q: Tensor, k: Tensor, layout: str) -> bool:
    if layout == "bhsd":
        return q.ndim == k.ndim and q.shape[:-3] == k.shape[:-3] and q.shape[-2:-1] == k.shape[-2:-1]
    return q.shape[:-2] == k.shape[:-2]


def needs_graph(q: Tensor, k: Tensor | None) -> bool:
    """Whether somebody records this call; if not, the dispatcher would only cost time."""
    if torch.compiler.is_compiling() or type(q) is not Tensor or (k is not None and type(k) is not Tensor):
        return True
    return arrays.recording() or (torch.is_grad_enabled() and (q.requires_grad or (k is not None and k.requires_grad)))


def transformed(*given: Any) -> bool:
    """Whether a transform of torch.func (vmap, grad, jvp ...) is at work on one of these tensors."""
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is None:
        return False
    tensors = [t for t in given if isinstance(t, Tensor)]
    # Within grad even new tensors are wrapped, within vmap only what is mapped.
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return any(wrapped(t) for t in (*tensors, *(torch.empty_like(t) for t in tensors[:1])))


def _check(q: Any, k: Any, rope: Any, positions: Any, inverse: Any) -> None:
    _check_tensor(q, "q")
    if k is not None:
        _check_tensor(k, "k")
    if not isinstance(rope, Rope):
        raise TypeError(f"rope must be a roperot.Rope, not {type(rope).__name__}")
    boolean(inverse, "inverse")
    if positions is None or type(positions) is int:
        return
    if isinstance(positions, bool) or not isinstance(positions, (int, torch.SymInt, Tensor)):
        raise TypeError(f"positions must be an int or a tensor of int, not {positions!r}")


def _check_tensor(x: Any, name: str) -> None:
    if type(x) is not Tensor and not isinstance(x, Tensor):  # the exact type is cheaper to ask for
        raise TypeError(f"{name} must be a torch.Tensor, not {type(x).__name__}; Rope.apply takes other arrays")


def _refuse_transforms(*given: Any, name: str = "rotary") -> None:
    """Refuse what has no rule here, with a sentence instead of an error from inside PyTorch."""
    _refuse_tangents(*(t for t in given if isinstance(t, Tensor)))
    if transformed(*given):
        raise NotImplementedError(
            f"roperot.torch.{name} works under none of the transforms of torch.func (vmap, grad, jvp ...): "
            "pass a whole batch instead of vmap, and use torch.autograd for derivatives"
        )


def rotary(
    q: Tensor,
    k: Tensor | None,
    rope: Rope,
    positions: Tensor | int | None = None,
    *,
    inverse: bool = False,
    layout: str = "bshd",
) -> Any:
    """Rotate q and k into new tensors, as ``roperot.torch.rotary`` does without norms."""
    _check(q, k, rope, positions, inverse)
    if not torch.compiler.is_compiling():
        _refuse_transforms(q, k, positions)
    first = 0 if positions is None or isinstance(positions, Tensor) else positions
    ids = positions if isinstance(positions, Tensor) else None
    if not needs_graph(q, k):
        if k is not None and _same_tokens(q, k, layout):
            return _call_pair(rope, q, k, first, ids, inverse, layout)
        rotated = _call(rope, q, first, ids, inverse, layout)
        return rotated if k is None else (rotated, _call(rope, k, first, ids, inverse, layout))
    if torch.onnx.is_in_onnx_export():
        turned = [onnx.rotated(x, rope, first, ids, inverse, layout) for x in (q, k) if x is not None]
        return turned[0] if k is None else tuple(turned)
    key = _key(rope)
    backwards = bool(inverse)  # NumPy's bools are none of the schema's
    rotated = _rotate(q, key, first, ids, backwards, layout)
    return rotated if k is None else (rotated, _rotate(k, key, first, ids, backwards, layout))


# ---- rotation by the rows of cos and sin that a model makes itself

# How a function rotates: pairing, pairing_out, how many columns of the tables a pair has and how they repeat ("half",
# "halves", "repeat"), and whether the rotated channels are the last ones ("end") or the first ("start").
Form = tuple[str, str, str, str]


def borrow(form: Form, arithmetic: str, head_dim: int, cos: Tensor, sin: Tensor) -> Rope:
    """The Rope that rotates heads of head_dim by tables [rows, width] in the way of ``form``."""
    pairing, pairing_out, columns, place = form
    rotary_dim = cos.shape[-1] * (2 if columns == "half" else 1)
    return Rope._from_tables(
        head_dim=head_dim,
        cos=cos,
        sin=sin,
        rotary_dim=rotary_dim,
        rotary_offset=head_dim - rotary_dim if place == "end" else 0,
        pairing=pairing,
        pairing_out=pairing_out,
        sections=None,
        attention_factor=1.0,
        full=None if columns == "half" else columns,
        max_positions=0,
        bounds="error",
        arithmetic=arithmetic,
        isa=None,
    )


class Rows:
    """The cos and sin rows [batch, seq, width] of one forward pass, and the Ropes that borrow them."""

    def __init__(self, cos: Tensor, sin: Tensor) -> None:
        self.batch, self.tokens, self.width = (1, *cos.shape)[-3:]
        self.cos, self.sin = cos, sin
        self._ropes: dict[tuple[Form, str, int], Rope] = {}
        self._positions: Tensor | None = None

    def rotate(
        self, q: Tensor, k: Tensor | None, form: Form, arithmetic: str, layout: str, memory: torch.memory_format
    ) -> Any:
        """As ``rotary``, by row t of the batch's own rows, or of the only ones; the results lie as ``memory`` says."""
        if needs_graph(q, k):
            if memory is torch.contiguous_format:
                q, k = q.contiguous(), None if k is None else k.contiguous()
            text = " ".join((*form, arithmetic))
            rotated = _rotate_rows(q, self.cos, self.sin, text, False, layout)
            return rotated if k is None else (rotated, _rotate_rows(k, self.cos, self.sin, text, False, layout))
        rope = self._rope(form, arithmetic, q.shape[-1])
        if k is not None and k.shape[-1] == q.shape[-1]:
            return _call_pair(rope, q, k, 0, self._positions, False, layout, memory)
        rotated = _call(rope, q, 0, self._positions, False, layout, memory)
        return rotated if k is None else (rotated, self.rotate(k, None, form, arithmetic, layout, memory))

    def run(
        self,
        heads: Sequence[tuple[Tensor, Norm | None]],
        dtype: torch.dtype,
        form: Form,
        arithmetic: str,
        layout: Any,
        memory: torch.memory_format,
    ) -> tuple[Tensor, ...]:
        """``rotate`` of one or two tensors that nobody records, into ``dtype``; some are normalised on the way."""
        rope = self._rope(form, arithmetic, heads[0][0].shape[-1])
        outs = tuple(torch.empty_like(x, dtype=dtype, memory_format=memory) for x, _ in heads)
        jobs.run_normed(rope._plan, heads, outs, 0 if self._positions is None else self._positions, layout)
        return outs

    def _rope(self, form: Form, arithmetic: str, head_dim: int) -> Rope:
        key = (form, arithmetic, head_dim)
        if key not in self._ropes:
            self._ropes[key] = borrow(*key, *(t.reshape(-1, self.width) for t in (self.cos, self.sin)))
        if self.batch > 1 and self._positions is None:
            self._positions = row_numbers(self.batch, self.tokens)
        return self._ropes[key]


def row_numbers(batch: int, tokens: int) -> Tensor:
    """[batch, tokens]: which row of flattened tables each token has."""
    return torch.arange(batch * tokens, device="cpu").reshape(batch, tokens)


@torch.library.custom_op("roperot::rotate_rows", mutates_args=(), device_types="cpu")
def _rotate_rows(x: Tensor, cos: Tensor, sin: Tensor, form: str, inverse: bool, layout: str) -> Tensor:
    _refuse_tangents(x)
    batch, tokens, width = (1, *cos.shape)[-3:]
    pairing, pairing_out, columns, place, arithmetic = form.split()
    rows = cos.reshape(-1, width), sin.reshape(-1, width)
    rope = borrow((pairing, pairing_out, columns, place), arithmetic, x.shape[-1], *rows)
    return _call(rope, x, 0, row_numbers(batch, tokens) if batch > 1 else None, inverse, layout)


@_rotate_rows.register_fake
def _(x: Tensor, cos: Tensor, sin: Tensor, form: str, inverse: bool, layout: str) -> Tensor:
    return torch.empty_like(x)


def _setup_rows(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, cos, sin, form, inverse, layout = inputs
    ctx.save_for_backward(cos, sin)
    ctx.rest = (form, inverse, layout)


def _backward_rows(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    form, inverse, layout = ctx.rest
    return _rotate_rows(grad.contiguous(), *ctx.saved_tensors, form, not inverse, layout), None, None, None, None, None


_rotate_rows.register_autograd(_backward_rows, setup_context=_setup_rows)


# ---- cos and sin of positions


def cos_sin(positions: Tensor, rope: Rope, layout: str) -> tuple[Tensor, Tensor]:
    """float32 cos and sin of positions [batch, seq] or [axes, batch, seq], in a layout of ``Rope.cos_sin``.

    Takes whatever models do: left padding is often at -1, and some callers pass real positions.
    """
    if needs_graph(positions, None):
        cos, sin = _cos_sin(positions, _key(rope), layout)
        return cos, sin
    return _tables(positions, rope, layout)


def _tables(positions: Tensor, rope: Rope, layout: Any) -> tuple[Tensor, Tensor]:
    real = positions.is_floating_point() or bool((positions < 0).any())
    given = {"positions": None, "coordinates": positions} if real else {"positions": positions}
    cos, sin = rope._tables_of(**given, layout=layout)
    return torch.from_numpy(cos), torch.from_numpy(sin)


@torch.library.custom_op("roperot::cos_sin", mutates_args=(), device_types="cpu")
def _cos_sin(positions: Tensor, rope: str, layout: str) -> tuple[Tensor, Tensor]:
    return _tables(positions, _rope_of(rope), layout)


@_cos_sin.register_fake
def _(positions: Tensor, rope: str, layout: str) -> tuple[Tensor, Tensor]:
    width = _rope_of(rope).rotary_dim // (2 if layout in ("separate", "onnx") else 1)
    shape = (*positions.shape[-2:], width)
    return tuple(torch.empty(shape, dtype=torch.float32, device=positions.device) for _ in range(2))  # type: ignore[return-value]
