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
from roperot._scaling import boolean


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
    weight, bias = (None if w is None else w.detach() for w in (weight, bias))
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

_OUTS = ("q_out", "k_out", "v_out")
_MEMORY = ("k_data", "k_scale", "k_static_scale", "v_data", "v_scale", "v_static_scale")
_WEIGHTS = ("q_weight", "q_bias", "k_weight", "k_bias", "v_weight", "v_bias")
_TENSORS = ("q", "k", "v", *_OUTS, *_MEMORY, *_WEIGHTS, "slots", "factor", "positions", "cu_seqlens")
_TEXTS = ("q_norm", "k_norm", "v_norm", "k_pages", "v_pages", "rope")
_ARGUMENTS = (*_TENSORS, *_TEXTS, "first", "skip", "inverse", "layout")
_WRITTEN = (*_OUTS, "k_data", "k_scale", "v_data", "v_scale")  # a static scale is read only


def _schema() -> str:
    tensors = [f"Tensor(a{i}!)? {name}" if name in _WRITTEN else f"Tensor? {name}" for i, name in enumerate(_TENSORS)]
    texts = [f"str {name}" for name in _TEXTS]
    return f"({', '.join(tensors + texts)}, SymInt first, bool skip, bool inverse, str layout) -> ()"


@torch.library.custom_op("roperot::run", mutates_args=_WRITTEN, device_types="cpu", schema=_schema())
def _run(*given: Any) -> None:
    """What is changed in place is given as ``_out`` alone; what a graph reads, it must not write under another name."""
    at = dict(zip(_ARGUMENTS, given))
    parts = {name: _job_of(at, name) for name in ("q", "k", "v")}
    first, plan = at["first"] if at["positions"] is None else at["positions"], _rope_of(at["rope"])._plan
    jobs.run(plan, parts, first, *(at[n] for n in ("slots", "factor", "skip", "layout", "cu_seqlens", "inverse")))


def _job_of(at: dict[str, Any], name: str) -> tuple[Any, ...]:
    """(array, norm, out, pages) of q, k or v out of the operator's arguments."""
    x, out, norm, pages = at[name], at[f"{name}_out"], None, None
    if x is None:
        x, out = out, None
    if at[f"{name}_norm"]:
        norm = Norm(at[f"{name}_weight"], bias=at[f"{name}_bias"], **json.loads(at[f"{name}_norm"]))
    if at.get(f"{name}_pages"):
        scale = at[f"{name}_scale"] if at[f"{name}_static_scale"] is None else at[f"{name}_static_scale"]
        pages = Pages(at[f"{name}_data"], scale=scale, **json.loads(at[f"{name}_pages"]))
    return x, norm, out, pages


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
    skip, inverse = boolean(skip, "skip"), boolean(inverse, "inverse")
    sources, outs, norms, pages = (q, k, v), (q_out, k_out, v_out), (q_norm, k_norm, v_norm), (k_pages, v_pages)
    _check_kinds(sources, outs, norms, pages, rope)
    memory, weights = [t for p in pages for t in _memory_of(p)], [w for n in norms for w in _weights_of(n)]
    operands = dict(zip(_TENSORS, (*sources, *outs, *memory, *weights, slots, factor, positions, cu_seqlens)))
    tensors = {name: t for name, t in operands.items() if isinstance(t, Tensor)}
    if not torch.compiler.is_compiling():
        _refuse_transforms(*tensors.values(), name="run")
    plain = all(type(t) is Tensor or type(t) is torch.nn.Parameter for t in tensors.values())
    if plain and not torch.compiler.is_compiling() and not arrays.recording():
        named: Any = dict(zip((*_OUTS, *_TEXTS[:5]), (*outs, *norms, *pages)))
        more: Any = {"slots": slots, "factor": factor, "skip": skip, "layout": layout, "cu_seqlens": cu_seqlens}
        rope.run(q, k, v, positions, **named, **more, inverse=inverse)
        return
    for name, t in tensors.items():
        arrays.refuse_gradient(t, _spoken(name))
    texts = ["" if part is None else part._text for part in (*norms, *pages)]
    _record(operands, [*texts, _key(rope)], skip, inverse, layout)


def _record(operands: dict[str, Any], texts: list[str], skip: bool, inverse: bool, layout: str) -> None:
    """``run`` as the operator, for whoever records this call."""
    if torch.onnx.is_in_onnx_export():
        raise NotImplementedError("roperot.torch.run has no ONNX form: ONNX knows no operator that writes its inputs")
    positions, factor = operands["positions"], operands["factor"]
    _check_recorded(positions, operands["slots"], factor, operands["cu_seqlens"])
    for name in ("q", "k", "v"):
        if operands[f"{name}_out"] is None and operands.get(f"{name}_data") is None:  # in place
            operands[name], operands[f"{name}_out"] = None, operands[name]
    if isinstance(factor, (int, float)):
        operands["factor"] = torch.tensor(factor, dtype=torch.float64, device="cpu")
    first = 0 if positions is None or isinstance(positions, Tensor) else positions
    operands["positions"] = positions if isinstance(positions, Tensor) else None
    _run(*operands.values(), *texts, first, skip, inverse, layout)


def _spoken(operand: str) -> str:
    """The operator's name of a tensor as callers of ``run`` know it."""
    part, _, field = operand.partition("_")
    if operand in _MEMORY:
        return f"{part}_pages.{'scale' if field.endswith('scale') else field}"
    return f"{part}_norm.{field}" if operand in _WEIGHTS else operand


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


def _memory_of(pages: Pages | None) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The data, the dynamic scale and the static one."""
    if pages is None:
        return None, None, None
    if not isinstance(pages.data, Tensor):
        raise TypeError("pages of roperot.torch.run hold tensors; Rope.run takes other arrays")
    return (pages.data, pages.scale, None) if pages._dynamic else (pages.data, None, pages.scale)
