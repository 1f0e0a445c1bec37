"""The rotation as ONNX says it, a RotaryEmbedding node (opset 23) with tables; nothing is computed here."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from roperot._rope import Rope

_MOST_ROWS = 1 << 20  # of tables that a program carries: 512 MiB for 64 pairs


def _refuse(reason: str) -> None:
    raise NotImplementedError(f"roperot.torch.rotary cannot be exported to ONNX: {reason}")


def check(x: Tensor, rope: Rope, first: int, ids: Tensor | None, layout: str) -> None:
    """Refuse what ONNX cannot say.

    Raises
    ------
    NotImplementedError
        With the reason, and what to do.
    """
    info = rope.info()
    if torch._C._get_tracing_state() is not None:
        _refuse("the exporter of TorchScript knows no RotaryEmbedding node; use dynamo=True and opset_version=23")
    if not hasattr(getattr(torch.onnx, "ops", None), "rotary_embedding"):
        _refuse("this PyTorch has no torch.onnx.ops.rotary_embedding; 2.8 has it")
    if info["axes"] > 1:
        _refuse("a RotaryEmbedding node has one position for each token, and this Rope has sections")
    if info["bounds"] == "identity":
        _refuse("bounds='identity' has no form there; use 'clamp' or 'error'")
    if rope._recipe.get("arithmetic") == "eager" and x.dtype != torch.float32:
        _refuse("arithmetic='eager' has no form there in 16 bits, which runtimes round as they like")
    if getattr(rope._recipe.get("cos"), "ndim", 2) == 3:
        _refuse("tables with rows for each head have no form there")
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise TypeError(f"x has dtype {x.dtype}; float32, float16 and bfloat16 are rotated")
    most = _positions(x, info, first, ids, layout)[1]
    if most > _MOST_ROWS:
        _refuse(f"its table would have {most} rows; build the Rope with max_positions= of at most {_MOST_ROWS}")


def refuse_operator(x: Tensor, rope: Rope, first: int, ids: Tensor | None, layout: str) -> None:
    """Say why an operator that was recorded before, or elsewhere, has no translation."""
    check(x, rope, first, ids, layout)
    _refuse("this program holds the operator already; give torch.onnx.export the module itself")


def _positions(x: Tensor, info: dict[str, Any], first: int, ids: Tensor | None, layout: str) -> tuple[int, int]:
    """The first position that may come, and the one behind the last."""
    tokens = x.shape[-2] if layout == "bhsd" else x.shape[-3]
    return (first, first + tokens) if ids is None and isinstance(tokens, int) else (0, info["max_positions"])


def rotated(x: Tensor, rope: Rope, first: int, ids: Tensor | None, inverse: bool, layout: str) -> Tensor:
    """``rotary`` of one tensor in operators that ONNX has; 16-bit heads are rotated in float32 and rounded once."""
    check(x, rope, first, ids, layout)
    info = rope.info()
    start, most = _positions(x, info, first, ids, layout)
    cos, sin = (torch.from_numpy(table) for table in rope.cos_sin(np.arange(start, most)))
    if ids is None:
        ids = torch.arange(x.shape[-2] if layout == "bhsd" else x.shape[-3], dtype=torch.int64, device=x.device)
        ids = ids + (first - start)
    ids = ids.to(torch.int64).reshape(-1, ids.shape[-1])
    if info["bounds"] == "clamp":
        ids = ids.clamp(0, most - 1)
    sin = -sin if inverse else sin
    read, written = (info["pairing_out"], info["pairing"]) if inverse else (info["pairing"], info["pairing_out"])
    offset, size = info["rotary_offset"], info["rotary_dim"]
    heads = x.float()
    part = heads[..., offset : offset + size]
    y = _node(part, cos, sin, ids, read == "interleaved", layout)
    if written != read:
        columns = (size // 2, 2) if written == "half" else (2, size // 2)
        y = y.reshape(*y.shape[:-1], *columns).transpose(-1, -2).flatten(-2)
    if size < x.shape[-1]:
        y = torch.cat([heads[..., :offset], y, heads[..., offset + size :]], -1)
    return y.to(x.dtype)


def _node(x: Tensor, cos: Tensor, sin: Tensor, ids: Tensor, interleaved: bool, layout: str) -> Tensor:
    """The node on heads that are rotated whole: [batch, heads, seq, dim], or [batch, seq, heads * dim]."""
    batched = x if x.ndim == 4 else x.unsqueeze(0)
    ids = ids.expand(batched.shape[0], -1)
    count = batched.shape[1 if layout == "bhsd" else 2]
    given = batched if layout == "bhsd" else batched.flatten(2)
    turned: Tensor = torch.onnx.ops.rotary_embedding(
        given, cos, sin, ids, interleaved=interleaved, num_heads=count if layout != "bhsd" else 0
    )
    return turned.reshape(x.shape)
