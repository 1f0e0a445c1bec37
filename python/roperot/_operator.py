"""The rotation as a differentiable operator of PyTorch; this module must not know transformers."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor

from roperot._rope import Rope

# Operators carry numbers, not objects: a Rope travels as its handle, and this is where it is found again. Handles are
# counted, never reused, so that a compiled graph cannot meet another Rope under an old number.
_ropes: weakref.WeakValueDictionary[int, Rope] = weakref.WeakValueDictionary()
_handles = itertools.count(1)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _handle(rope: Rope) -> int:
    handle = rope.__dict__.get("_torch_handle")
    if handle is None:
        handle = rope.__dict__["_torch_handle"] = next(_handles)
        _ropes[handle] = rope
    return int(handle)


def _rope_of(handle: int) -> Rope:
    rope = _ropes.get(handle)
    if rope is None:
        raise RuntimeError("the Rope of this graph no longer exists; keep it as long as the compiled function")
    return rope


def _refuse_tangents(*tensors: Tensor | None) -> None:
    """An operator without a forward-mode rule drops tangents, and a derivative of zero would pass for the truth."""
    if getattr(forward_ad, "_current_level", 0) < 0:  # cheap, and private
        return
    for x in tensors:
        if x is not None and forward_ad.unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call, unused-ignore]
            raise NotImplementedError(
                "roperot.torch.rotary has no forward-mode derivative: use the backward pass, "
                "or rotate the tangent like the tensor itself"
            )


@torch.library.custom_op("roperot::rotate", mutates_args=(), device_types="cpu")
def _rotate(x: Tensor, handle: int, first: int, positions: Tensor | None, inverse: bool, layout: str) -> Tensor:
    _refuse_tangents(x)
    return _call(_rope_of(handle), x, first, positions, inverse, layout)


@_rotate.register_fake
def _(x: Tensor, handle: int, first: int, positions: Tensor | None, inverse: bool, layout: str) -> Tensor:
    return torch.empty_like(x)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, handle, first, positions, inverse, layout = inputs
    ctx.rope = _ropes.get(handle)  # keeps it alive until the backward pass
    ctx.rest = (handle, first, positions, inverse, layout)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    handle, first, positions, inverse, layout = ctx.rest
    # The last axis of a gradient may be strided or broadcast; the library rotates contiguous heads only.
    return _rotate(grad.contiguous(), handle, first, positions, not inverse, layout), None, None, None, None, None


_rotate.register_autograd(_backward, setup_context=_setup_context)


def _call(rope: Rope, x: Tensor, first: int, positions: Tensor | None, inverse: bool, layout: Any) -> Tensor:
    out = torch.empty_like(x)
    rope.apply(x.detach(), first if positions is None else positions, inverse=inverse, out=out, layout=layout)
    return out


def _call_pair(
    rope: Rope, q: Tensor, k: Tensor, first: int, positions: Tensor | None, inverse: bool, layout: Any
) -> tuple[Tensor, Tensor]:
    """``_call`` of both at once: half the bookkeeping of a decode step."""
    outs = torch.empty_like(q), torch.empty_like(k)
    at = first if positions is None else positions
    rope._apply_into((q.detach(), k.detach()), outs, ("q", "k"), at, inverse, layout)
    return outs


def _same_tokens(q: Tensor, k: Tensor, layout: str) -> bool:
    if layout == "bhsd":
        return q.ndim == k.ndim and q.shape[:-3] == k.shape[:-3] and q.shape[-2:-1] == k.shape[-2:-1]
    return q.shape[:-2] == k.shape[:-2]


def _needs_graph(q: Tensor, k: Tensor | None) -> bool:
    """Whether somebody records this call; if not, the dispatcher would only cost time."""
    if torch.compiler.is_compiling() or type(q) is not Tensor or (k is not None and type(k) is not Tensor):
        return True
    return torch.is_grad_enabled() and (q.requires_grad or (k is not None and k.requires_grad))


def _check(q: Any, k: Any, rope: Any, positions: Any) -> None:
    _check_tensor(q, "q")
    if k is not None:
        _check_tensor(k, "k")
    if not isinstance(rope, Rope):
        raise TypeError(f"rope must be a roperot.Rope, not {type(rope).__name__}")
    if positions is None or type(positions) is int:
        return
    if isinstance(positions, bool) or not isinstance(positions, (int, Tensor)):
        raise TypeError(f"positions must be an int or a tensor of int, not {positions!r}")


def _check_tensor(x: Any, name: str) -> None:
    if type(x) is not Tensor and not isinstance(x, Tensor):  # the exact type is cheaper to ask for
        raise TypeError(f"{name} must be a torch.Tensor, not {type(x).__name__}; Rope.apply takes other arrays")


def _refuse_transforms(q: Tensor, k: Tensor | None, positions: Any) -> None:
    """Refuse what has no rule here, with a sentence instead of an error from inside PyTorch."""
    _refuse_tangents(q, k)
    if torch._C._functorch.peek_interpreter_stack() is None:
        return
    given = [t for t in (q, k, positions) if isinstance(t, Tensor)]
    # Within grad even new tensors are wrapped, within vmap only what is mapped.
    if any(torch._C._functorch.is_functorch_wrapped_tensor(t) for t in (*given, torch.empty_like(q))):
        raise NotImplementedError(
            "roperot.torch.rotary works under none of the transforms of torch.func (vmap, grad, jvp ...): "
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
    """Rotate q and k into new tensors, with a gradient: the backward pass is the inverse rotation.

    Parameters
    ----------
    q, k : torch.Tensor
        CPU tensors ``[batch, seq, heads, head_dim]`` or ``[seq, heads, head_dim]`` (see ``layout``); float32, float16
        or bfloat16; last axis contiguous. k may be None.
    rope : Rope
        What to rotate by. It must outlive a compiled graph.
    positions : int or torch.Tensor of int, optional
        The first position (None is 0), or ``[seq]``, ``[batch, seq]`` or ``[axes, batch, seq]``.
    inverse : bool
        Rotate backwards.
    layout : {"bshd", "bhsd", "thd"}
        The order of the axes.

    Returns
    -------
    torch.Tensor or tuple of two
        q alone if k is None, else q and k; torch.compile keeps the call as one node of its graph.

    Raises
    ------
    TypeError, ValueError
        As ``Rope.apply`` does.
    NotImplementedError
        Under forward-mode differentiation and the transforms of ``torch.func``.
    """
    _check(q, k, rope, positions)
    if not torch.compiler.is_compiling():
        _refuse_transforms(q, k, positions)
    first = positions if isinstance(positions, int) else 0
    ids = positions if isinstance(positions, Tensor) else None
    if not _needs_graph(q, k):
        if k is not None and _same_tokens(q, k, layout):
            return _call_pair(rope, q, k, first, ids, inverse, layout)
        rotated = _call(rope, q, first, ids, inverse, layout)
        return rotated if k is None else (rotated, _call(rope, k, first, ids, inverse, layout))
    handle = _handle(rope)
    rotated = _rotate(q, handle, first, ids, inverse, layout)
    return rotated if k is None else (rotated, _rotate(k, handle, first, ids, inverse, layout))
