"""PyTorch: the rotation as a differentiable operator, and transformers models that use it; it computes nothing itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from roperot._rope import Rope

# Operators carry numbers, not objects: a Rope travels as its handle, and this is where it is found again.
_ropes: weakref.WeakValueDictionary[int, Rope] = weakref.WeakValueDictionary()


def _handle(rope: Rope) -> int:
    handle = id(rope)
    _ropes[handle] = rope
    return handle


def _rope_of(handle: int) -> Rope:
    rope = _ropes.get(handle)
    if rope is None:
        raise RuntimeError("the Rope of this graph no longer exists; keep it as long as the compiled function")
    return rope


@torch.library.custom_op("roperot::rotate", mutates_args=(), device_types="cpu")
def _rotate(x: Tensor, handle: int, first: int, positions: Tensor | None, inverse: bool, layout: str) -> Tensor:
    out = torch.empty_like(x)
    _rope_of(handle).apply(
        x.detach(), first if positions is None else positions, inverse=inverse, out=out, layout=_layout(layout)
    )
    return out


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


def _layout(name: str) -> Any:
    return name


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
    """
    handle = _handle(rope)
    first = positions if isinstance(positions, int) else 0
    ids = positions if isinstance(positions, Tensor) else None
    if ids is None and positions is not None and not isinstance(positions, int):
        raise TypeError(f"positions must be an int or a tensor of int, not {type(positions).__name__}")
    rotated = _rotate(q, handle, first, ids, inverse, layout)
    return rotated if k is None else (rotated, _rotate(k, handle, first, ids, inverse, layout))


# ---- transformers


class Patch:
    """What ``patch_transformers`` replaced; ``undo()``, or the end of a ``with`` block, puts it back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self.modules: list[str] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner.name``, remembering what was there."""
        own = name in vars(owner)
        before = getattr(owner, name)
        self._undo.append(lambda: setattr(owner, name, before) if own else delattr(owner, name))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back, last replacement first; a second call does nothing."""
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> Patch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.undo()
