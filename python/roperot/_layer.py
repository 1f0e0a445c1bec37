"""Norm and rotation, with a gradient, and ``Rope.run`` as operators of PyTorch; this module must not know models."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
import torch.utils.dlpack
from torch import Tensor

from roperot import _arrays as arrays
from roperot import _jobs as jobs
from roperot._jobs import Norm, Pages
from roperot._operator import (
    _check,
    _key,
    _refuse_tangents,
    _refuse_transforms,
    _rope_of,
    _ropes,
    _rotate,
    _same_tokens,
    needs_graph,
)
from roperot._operator import rotary as _rotary
from roperot._rope import Rope


def as_tensor(x: Any) -> Tensor:
    """An array as a tensor over the same memory."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray) and x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else torch.utils.dlpack.from_dlpack(x)


# ---- norm and rotation of one tensor into a new one, with a gradient


@torch.library.custom_op("roperot::norm_rotate", mutates_args=(), device_types="cpu")
def _norm_rotate(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    norm: str,
    rope: str,
    first: int,
    positions: Tensor | None,
    layout: str,
) -> Tensor:
    _refuse_tangents(x, weight, bias)
    out = torch.empty_like(x)
    given = {"q": (x.detach(), Norm(weight, bias=bias, **json.loads(norm)), out, None)}
    jobs.run(_rope_of(rope)._plan, given, first if positions is None else positions, layout=layout)
    return out


@_norm_rotate.register_fake
def _(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    norm: str,
    rope: str,
    first: int,
    positions: Tensor | None,
    layout: str,
) -> Tensor:
    return torch.empty_like(x)


def _setup_norm(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, norm, rope, first, positions, layout = inputs
    ctx.rope = _ropes.get(rope)  # keeps it alive until the backward pass
    ctx.save_for_backward(x, weight, bias, positions)
    ctx.rest = (norm, rope, first, layout)


def _backward_norm(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    """Through a rounding the gradient passes as it is; what is in between is float32."""
    x, weight, bias, positions = ctx.saved_tensors
    norm, rope, first, layout = ctx.rest
    recipe = json.loads(norm)

    def turned(heads: Tensor, inverse: bool) -> Tensor:
        rotated: Tensor = _rotate(heads.contiguous(), rope, first, positions, inverse, layout)
        return rotated

    dy = grad.float()
    if recipe["after"]:
        normed = turned(x.float() if recipe["rounding"] == "none" else x, False)
        dx, dweight, dbias = _norm_gradient(normed.float(), weight, bias, dy, recipe, layout)
        dx = turned(dx, True)
    else:
        dx, dweight, dbias = _norm_gradient(x.float(), weight, bias, turned(dy, True), recipe, layout)
    return dx.to(x.dtype), dweight, dbias, None, None, None, None, None


def _norm_gradient(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, dy: Tensor, recipe: dict[str, Any], layout: str
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The gradients of y = n w + b, n = (x - m) r, by x, weight and bias."""
    heads = -3 if layout == "bhsd" else -2
    axes = [heads, -1] if recipe["all_heads"] else [-1]
    shape = [x.shape[a] if a - x.ndim in axes else 1 for a in range(x.ndim)]
    if recipe["kind"] == "layer":
        x = x - x.mean(axes, keepdim=True)
    r = torch.rsqrt(x.square().mean(axes, keepdim=True) + recipe["eps"])
    n, dn = x * r, dy
    if weight is not None:
        dn = dy * (weight.float().reshape(shape) + (1.0 if recipe["unit_offset"] else 0.0))
    dx = dn - n * (dn * n).mean(axes, keepdim=True)
    if recipe["kind"] == "layer":
        dx = dx - dn.mean(axes, keepdim=True)

    def summed(terms: Tensor, of: Tensor | None) -> Tensor | None:
        return None if of is None else terms.sum_to_size(shape).reshape(of.shape).to(of.dtype)

    return r * dx, summed(dy * n, weight), summed(dy, bias)


_norm_rotate.register_autograd(_backward_norm, setup_context=_setup_norm)


def rotary(
    q: Tensor,
    k: Tensor | None,
    rope: Rope,
    positions: Tensor | int | None = None,
    *,
    inverse: bool = False,
    layout: str = "bshd",
    q_norm: Norm | None = None,
    k_norm: Norm | None = None,
) -> Any:
    """Rotate q and k into new tensors, with a gradient: the backward pass is the inverse rotation.

    Parameters
    ----------
    q, k : torch.Tensor
        CPU tensors ``[batch, seq, heads, head_dim]`` or ``[seq, heads, head_dim]`` (see ``layout``); float32, float16
        or bfloat16; last axis contiguous. k may be None.
    rope : Rope
        What to rotate by. Graphs and saved programs carry the recipe that builds it. One that borrows tables has none:
        it must outlive the graph and cannot go to another process.
    positions : int or torch.Tensor of int, optional
        The first position (None is 0), or ``[seq]``, ``[batch, seq]`` or ``[axes, batch, seq]``.
    inverse : bool
        Rotate backwards; not with a norm.
    layout : {"bshd", "bhsd", "thd"}
        The order of the axes.
    q_norm, k_norm : Norm, optional
        The norm before the rotation, or after it as the norm says, in the same pass. x, the weight and the bias have
        gradients; they pass through the norm's roundings as through a cast.

    Returns
    -------
    torch.Tensor or tuple of two
        q alone if k is None, else q and k; torch.compile, torch.export, torch.jit.trace and make_fx keep each as one
        node of their graph.

    Raises
    ------
    TypeError, ValueError
        As ``Rope.apply`` and ``Rope.run`` do.
    NotImplementedError
        Under forward-mode differentiation and the transforms of ``torch.func``, and in an ONNX export of what ONNX
        cannot say.
    """
    if q_norm is None and k_norm is None:
        return _rotary(q, k, rope, positions, inverse=inverse, layout=layout)
    _check(q, k, rope, positions, inverse)
    for norm, name in ((q_norm, "q_norm"), (k_norm, "k_norm")):
        if norm is not None and not isinstance(norm, Norm):
            raise TypeError(f"{name} must be a roperot.Norm, not {type(norm).__name__}")
    if k is None and k_norm is not None:
        raise ValueError("k_norm is given, but k is not")
    if inverse:
        raise ValueError("inverse is True with a norm, which has no inverse: rotate backwards without it")
    weights = [as_tensor(w) for n in (q_norm, k_norm) if n is not None for w in (n.weight, n.bias) if w is not None]
    if not torch.compiler.is_compiling():
        _refuse_transforms(q, k, positions, *weights)
    first = 0 if positions is None or isinstance(positions, Tensor) else positions
    ids = positions if isinstance(positions, Tensor) else None
    heads = [(q, q_norm)] if k is None else [(q, q_norm), (k, k_norm)]
    if needs_graph(q, k) or (torch.is_grad_enabled() and any(w.requires_grad for w in weights)):
        rotated = [_recorded(x, norm, rope, first, ids, layout) for x, norm in heads]
    else:
        together = [heads] if k is not None and _same_tokens(q, k, layout) else [[one] for one in heads]
        rotated = [y for part in together for y in _normed(part, rope, first if ids is None else ids, layout)]
    return rotated[0] if k is None else tuple(rotated)


def _recorded(x: Tensor, norm: Norm | None, rope: Rope, first: int, ids: Tensor | None, layout: str) -> Tensor:
    if torch.onnx.is_in_onnx_export():
        raise NotImplementedError(
            "roperot.torch.rotary with a norm has no ONNX form: export the norm as the module that it was, and rotary "
            "without q_norm and k_norm"
        )
    recorded: Tensor
    if norm is None:
        recorded = _rotate(x, _key(rope), first, ids, False, layout)
    else:
        recorded = _norm_rotate(x, *_weights_of(norm), norm._text, _key(rope), first, ids, layout)
    return recorded


def _normed(heads: list[tuple[Tensor, Norm | None]], rope: Rope, positions: Any, layout: str) -> list[Tensor]:
    outs = [torch.empty_like(x) for x, _ in heads]
    given = {name: (x.detach(), norm, out, None) for name, (x, norm), out in zip("qk", heads, outs)}
    jobs.run(rope._plan, given, positions, layout=layout)
    return outs


# ---- a layer in one call, which writes

_WRITTEN = ("q_out", "k_out", "v_out", "k_data", "k_scale", "v_data", "v_scale")


def _norm_of(text: str, weight: Tensor | None, bias: Tensor | None) -> Norm | None:
    return Norm(weight, bias=bias, **json.loads(text)) if text else None


def _pages_of(text: str, data: Tensor | None, scale: Tensor | None) -> Pages | None:
    if not text:
        return None
    given = json.loads(text)
    return Pages(data, **(given if scale is None else given | {"scale": scale}))


def _job(src: Tensor | None, out: Tensor | None, norm: Norm | None, pages: Pages | None) -> tuple[Any, ...]:
    """Without a source, what is written is rotated in place."""
    return (out, norm, None, pages) if src is None else (src, norm, out, pages)


@torch.library.custom_op("roperot::run", mutates_args=_WRITTEN, device_types="cpu")
def _run(
    q: Tensor | None,
    k: Tensor | None,
    v: Tensor | None,
    q_out: Tensor | None,
    k_out: Tensor | None,
    v_out: Tensor | None,
    k_data: Tensor | None,
    k_scale: Tensor | None,
    v_data: Tensor | None,
    v_scale: Tensor | None,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    v_weight: Tensor | None,
    v_bias: Tensor | None,
    slots: Tensor | None,
    factor: Tensor | None,
    positions: Tensor | None,
    cu_seqlens: Tensor | None,
    q_norm: str,
    k_norm: str,
    v_norm: str,
    k_pages: str,
    v_pages: str,
    rope: str,
    first: int,
    skip: bool,
    inverse: bool,
    layout: str,
) -> None:
    """What is changed in place is given as ``_out`` alone; what a graph reads, it must not write under another name."""
    given = {
        "q": _job(q, q_out, _norm_of(q_norm, q_weight, q_bias), None),
        "k": _job(k, k_out, _norm_of(k_norm, k_weight, k_bias), _pages_of(k_pages, k_data, k_scale)),
        "v": _job(v, v_out, _norm_of(v_norm, v_weight, v_bias), _pages_of(v_pages, v_data, v_scale)),
    }
    at = first if positions is None else positions
    jobs.run(_rope_of(rope)._plan, given, at, slots, factor, skip, layout, cu_seqlens, inverse)


@_run.register_fake
def _(*given: Any, **named: Any) -> None:
    return None


def run(
    q: Tensor | None,
    k: Tensor | None,
    v: Tensor | None,
    rope: Rope,
    positions: Tensor | int | None = None,
    *,
    q_norm: Norm | None = None,
    k_norm: Norm | None = None,
    v_norm: Norm | None = None,
    q_out: Tensor | None = None,
    k_out: Tensor | None = None,
    v_out: Tensor | None = None,
    k_pages: Pages | None = None,
    v_pages: Pages | None = None,
    slots: Tensor | None = None,
    factor: Tensor | float | None = None,
    skip: bool = False,
    layout: str = "bshd",
    cu_seqlens: Tensor | None = None,
    inverse: bool = False,
) -> None:
    """``Rope.run`` on tensors, as an operator that says what it writes: ``torch.ops.roperot.run``.

    torch.compile, torch.export, torch.jit.trace and make_fx record it. It has no gradient: ``rotary`` with norms has.

    Parameters
    ----------
    q, k, v, positions, q_norm, k_norm, v_norm, q_out, k_out, v_out, k_pages, v_pages, slots, factor, skip, layout, \
cu_seqlens, inverse
        As for ``Rope.run``; arrays are tensors, also in norms and pages.
    rope : Rope
        As for ``rotary``.

    Raises
    ------
    TypeError, ValueError
        As ``Rope.run`` does, and if a gradient would be lost.
    NotImplementedError
        Under forward-mode differentiation and the transforms of ``torch.func``, and in an ONNX export.
    """
    sources, outs, norms = (q, k, v), (q_out, k_out, v_out), (q_norm, k_norm, v_norm)
    pages = (k_pages, v_pages)
    _check_kinds(sources, outs, norms, pages, rope)
    weights = [None if n is None else w for n in norms for w in _weights_of(n)]
    memory = [t for p in pages for t in _memory_of(p)]
    tensors = [t for t in (*sources, *outs, *weights, *memory, slots, factor, positions) if isinstance(t, Tensor)]
    if not torch.compiler.is_compiling():
        _refuse_transforms(*tensors, name="run")
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        raise ValueError(
            "a tensor or weight requires a gradient, which run does not record: call roperot.torch.rotary with q_norm "
            "and k_norm, or run under torch.no_grad()"
        )
    plain = all(type(t) is Tensor or type(t) is torch.nn.Parameter for t in tensors)
    if plain and not torch.compiler.is_compiling() and not arrays.recording():
        named = {"q_norm": q_norm, "k_norm": k_norm, "v_norm": v_norm, "q_out": q_out, "k_out": k_out, "v_out": v_out}
        more: Any = {"k_pages": k_pages, "v_pages": v_pages, "slots": slots, "factor": factor, "skip": skip}
        rope.run(q, k, v, positions, **named, **more, layout=layout, cu_seqlens=cu_seqlens, inverse=inverse)  # type: ignore[arg-type]
        return
    if torch.onnx.is_in_onnx_export():
        raise NotImplementedError("roperot.torch.run has no ONNX form: ONNX knows no operator that writes its inputs")
    _check_recorded(positions, slots, factor, cu_seqlens)
    stored = (None, *pages)
    in_place = [x is not None and out is None and p is None for x, out, p in zip(sources, outs, stored)]
    _run(
        *(None if here else x for x, here in zip(sources, in_place)),
        *(x if here else out for x, out, here in zip(sources, outs, in_place)),
        *memory,
        *weights,
        slots,
        torch.tensor(factor, dtype=torch.float64, device="cpu") if isinstance(factor, (int, float)) else factor,
        positions if isinstance(positions, Tensor) else None,
        cu_seqlens,
        *("" if n is None else n._text for n in norms),
        *("" if p is None else p._text for p in pages),
        _key(rope),
        0 if positions is None or isinstance(positions, Tensor) else positions,
        skip,
        inverse,
        layout,
    )


def _check_recorded(positions: Any, slots: Any, factor: Any, cu_seqlens: Any) -> None:
    """Refuse what a graph cannot hold, but ``Rope.run`` takes."""
    for name, x, kinds in (
        ("positions", positions, (Tensor, int, torch.SymInt)),
        ("slots", slots, (Tensor,)),
        ("factor", factor, (Tensor, int, float)),
        ("cu_seqlens", cu_seqlens, (Tensor,)),
    ):
        if x is not None and (isinstance(x, bool) or not isinstance(x, kinds)):
            numbers = " or a number" if int in kinds else ""
            raise TypeError(f"{name} must be a tensor{numbers} where a graph is recorded, not {type(x).__name__}")


def _check_kinds(sources: Any, outs: Any, norms: Any, pages: Any, rope: Any) -> None:
    """Refuse what is of another kind, before anybody asks for its members."""
    if not isinstance(rope, Rope):
        raise TypeError(f"rope must be a roperot.Rope, not {type(rope).__name__}")
    kinds: Any = (
        [(x, name, Tensor) for x, name in zip(sources, ("q", "k", "v"))]
        + [(x, name, Tensor) for x, name in zip(outs, ("q_out", "k_out", "v_out"))]
        + [(x, name, Norm) for x, name in zip(norms, ("q_norm", "k_norm", "v_norm"))]
        + [(x, name, Pages) for x, name in zip(pages, ("k_pages", "v_pages"))]
    )
    for x, name, kind in kinds:
        if x is not None and not isinstance(x, kind):
            wanted = "torch.Tensor" if kind is Tensor else f"roperot.{kind.__name__}"
            raise TypeError(f"{name} must be a {wanted}, not {type(x).__name__}; Rope.run takes other arrays")


def _weights_of(norm: Norm | None) -> tuple[Tensor | None, Tensor | None]:
    given = (None, None) if norm is None else (norm.weight, norm.bias)
    return tuple(None if w is None else as_tensor(w) for w in given)  # type: ignore[return-value]


def _memory_of(pages: Pages | None) -> tuple[Tensor | None, Tensor | None]:
    if pages is None:
        return None, None
    if not isinstance(pages.data, Tensor):
        raise TypeError("pages of roperot.torch.run hold tensors; Rope.run takes other arrays")
    return pages.data, pages.scale if isinstance(pages.scale, Tensor) else None
