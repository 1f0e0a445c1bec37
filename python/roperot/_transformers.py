"""Replace the rotary embedding of transformers models; this module must not know model names or how to rotate."""

from __future__ import annotations

import copy
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from roperot._operator import rotary
from roperot._rope import Rope


class Patch:
    """What ``patch_transformers`` replaced; ``undo()``, or the end of a ``with`` block, puts it back.

    Attributes
    ----------
    calls : int
        How many rotations have gone through roperot.
    """

    def __init__(self, angles: str) -> None:
        self.angles = angles
        self.calls = 0
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner.name``, remembering what was there."""
        own = name in vars(owner) or name in vars(owner).get("_buffers", {})
        before = getattr(owner, name)
        self.on_undo(lambda: setattr(owner, name, before) if own else delattr(owner, name))
        setattr(owner, name, value)

    def on_undo(self, action: Callable[[], None]) -> None:
        """Run ``action`` when the patch is undone."""
        self._undo.append(action)

    def undo(self) -> None:
        """Put everything back, last replacement first; a second call does nothing."""
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> Patch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.undo()


class _Forward:
    """A patched forward. Deep copies of its module are not patched: they get the original, bound to the copy."""

    def __init__(self, call: Callable[..., Any], original: Callable[..., Any]) -> None:
        functools.update_wrapper(self, original)
        self._call, self._original, self._roperot = call, original, True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._original, memo)


class _Rows:
    """The cos and sin rows of one forward pass, and the Ropes that borrow them; travels as an attribute of cos."""

    def __init__(self, patch: Patch, cos: Tensor, sin: Tensor, probe: tuple[Tensor, Tensor]) -> None:
        self.patch, self.probe = patch, probe
        self.batch, self.width = (cos.shape[0] if cos.ndim == 3 else 1), cos.shape[-1]
        self.cos, self.sin = (t.reshape(-1, self.width) for t in (cos, sin))
        self.positions: Tensor | int = 0
        if self.batch > 1:
            self.positions = torch.arange(self.cos.shape[0]).reshape(self.batch, -1)
        self._ropes: dict[Any, Rope] = {}

    def rope(self, form: _Form, head_dim: int) -> Rope:
        key = (form, head_dim)
        if key not in self._ropes:
            self._ropes[key] = _borrow(form, head_dim, self.cos, self.sin)
        return self._ropes[key]


# How a function rotates: pairing, pairing_out, whether the tables have full width, how that repeats, at the end or not.
_Form = tuple[str, str, bool, str, bool]
_FORMS: tuple[_Form, ...] = tuple(
    (pairing, pairing_out, full, repeat, at_end)
    for at_end in (False, True)
    for pairing, pairing_out in (("half", "half"), ("interleaved", "interleaved"), ("interleaved", "half"))
    for full, repeat in ((True, "halves"), (True, "repeat"), (False, "halves"))
)


def _borrow(form: _Form, head_dim: int, cos: Tensor, sin: Tensor) -> Rope:
    pairing, pairing_out, full, repeat, at_end = form
    rotary_dim = cos.shape[-1] * (1 if full else 2)
    return Rope.from_tables(
        head_dim,
        cos,
        sin,
        rotary_dim=rotary_dim,
        rotary_offset=head_dim - rotary_dim if at_end else 0,
        pairing=pairing,  # type: ignore[arg-type]
        pairing_out=pairing_out,  # type: ignore[arg-type]
        full=repeat if full else None,  # type: ignore[arg-type]
    )


def _classify(rotate: Callable[[Tensor, Tensor, Tensor], Tensor], probe: tuple[Tensor, Tensor], head_dim: int) -> _Form:
    """Find the form whose result equals the model's own function on made-up heads, bit for bit.

    Asking the function is safer than a list of model names: it holds for every model and version of transformers.
    """
    cos, sin = (t.float() for t in probe)
    x = torch.randn(1, 2, cos.shape[1], head_dim, generator=torch.Generator().manual_seed(1))
    expected = rotate(x, cos, sin)
    for form in _FORMS:
        if cos.shape[-1] * (1 if form[2] else 2) > head_dim:
            continue
        try:
            rope = _borrow(form, head_dim, cos.reshape(-1, cos.shape[-1]), sin.reshape(-1, sin.shape[-1]))
        except ValueError:
            continue
        if torch.equal(rope.apply(x, layout="bhsd"), expected):
            return form
    raise NotImplementedError("this model rotates in a way that roperot does not know; patch.undo() restores the model")


def _patched_apply(original: Callable[..., Any]) -> Callable[..., Any]:
    """apply_rotary_pos_emb(q, k, cos, sin, ...), and the one-tensor version apply_rotary_pos_emb(x, cos, sin, ...)."""
    forms: dict[tuple[int, int], _Form] = {}

    def apply(*args: Any, **kwargs: Any) -> Any:
        bound = _arguments(args, kwargs)
        rows = getattr(bound.get("cos"), "_roperot", None)
        if rows is None:
            return original(*args, **kwargs)
        tensors = [bound[name] for name in ("q", "k", "x") if bound.get(name) is not None]
        key = (tensors[0].shape[-1], rows.width)
        if key not in forms:
            single = "x" in bound

            def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Any:
                return original(x, cos, sin) if single else original(x, x, cos, sin)[0]

            forms[key] = _classify(rotate, rows.probe, key[0])
        layout = "bhsd" if bound.get("unsqueeze_dim", 1) == 1 else "bshd"
        rope = rows.rope(forms[key], key[0])
        rows.patch.calls += 1
        q, *k = (_dense(t) for t in tensors)
        return rotary(q, k[0] if k else None, rope, rows.positions, layout=layout)

    return apply


def _dense(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Name the positional arguments: with two tensors before cos, or with one."""
    tensors = sum(isinstance(value, Tensor) for value in args)
    names = (
        ("x", "cos", "sin")
        if tensors + sum(n in kwargs for n in ("q", "k", "cos", "sin")) == 3
        else ("q", "k", "cos", "sin")
    )
    bound = dict(zip(names, args)) | kwargs
    rest = args[len(names) :]
    if rest:
        bound.setdefault("unsqueeze_dim", rest[-1])
    return bound


# ---- modules that make cos and sin from positions


def _frequencies(module: Any, layer_type: str | None) -> tuple[Any, float]:
    prefix = "" if layer_type is None else f"{layer_type}_"
    frequencies = getattr(module, f"{prefix}inv_freq")
    return frequencies.double().tolist(), float(getattr(module, f"{prefix}attention_scaling", 1.0))


class _Exact:
    """Exact cos and sin from a module's own frequencies, rebuilt only when those change (dynamic, longrope)."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self._made: dict[Any, tuple[Any, Rope]] = {}

    def __call__(self, like: Tensor, positions: Tensor, layer_type: str | None) -> tuple[Tensor, Tensor]:
        """cos and sin in float32, in the width and repetition that ``like``, the module's own cos, has."""
        frequencies = _frequencies(self.module, layer_type)
        before, rope = self._made.get(layer_type, (None, None))
        if rope is None or before != frequencies:
            values, factor = frequencies
            rope = Rope(2 * len(values), inv_freq=values, attention_factor=factor)
            self._made[layer_type] = (frequencies, rope)
        pairs = rope.rotary_dim // 2
        if hasattr(self.module, "mrope_section"):
            # The axes' rows are mixed by the module itself, which knows its own scheme of sections.
            axes = positions.expand(3, -1, -1) if positions.ndim == 3 else positions[None].expand(3, -1, -1)
            flat = _cos_sin(rope, axes.reshape(3 * axes.shape[1], -1), "separate")
            shape = (3, axes.shape[1], axes.shape[2], pairs)
            mix = self.module.recomposition_frequencies
            cos, sin = (mix(torch.from_numpy(t).reshape(shape)) for t in flat)
            return cos, sin
        full = like.shape[-1] == 2 * pairs
        repeated = full and not torch.equal(like[..., :pairs], like[..., pairs:])
        tables = _cos_sin(rope, positions, "repeat" if repeated else "full" if full else "separate")
        cos, sin = (torch.from_numpy(t) for t in tables)
        return cos, sin


def _cos_sin(rope: Rope, positions: Tensor, layout: Any) -> Any:
    """The tables of whatever a module takes: left padding is often at -1, and some callers pass real positions."""
    if positions.is_floating_point() or bool((positions < 0).any()):
        return rope.cos_sin(None, coordinates=positions, layout=layout)
    return rope.cos_sin(positions, layout=layout)


def _patch_rotary(patch: Patch, module: Any) -> None:
    original = module.forward
    exact = _Exact(module) if patch.angles == "exact" else None
    probes: dict[Any, tuple[Tensor, Tensor]] = {}

    def probe(x: Tensor, positions: Tensor, args: Any, kwargs: Any, layer_type: Any) -> tuple[Tensor, Tensor]:
        if layer_type not in probes:
            few = torch.arange(1, 6).expand(*positions.shape[:-2], 1, -1)
            # A copy answers: "dynamic" and "longrope" modules remember the longest sequence that they have seen.
            probes[layer_type] = copy.deepcopy(original)(x.float(), few, *args, **kwargs)
        return probes[layer_type]

    @torch.no_grad()
    def forward(x: Tensor, position_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        layer_type = kwargs.get("layer_type", args[0] if args else None)
        sample = probe(x, position_ids, args, kwargs, layer_type)
        cos, sin = original(x, position_ids, *args, **kwargs)
        rows = (cos, sin)
        if exact is not None:
            rows = exact(cos, position_ids, layer_type)
            cos, sin = (t.to(x.dtype) for t in rows)
        if x.device.type == "cpu":
            cos._roperot = _Rows(patch, *rows, sample)
        return cos, sin

    patch.replace(module, "forward", _Forward(forward, original))


# ---- GPT-J and CodeGen: attention modules that gather from a sin||cos table of their own

_active = threading.local()


def _patch_gathering(patch: Patch, module: Any) -> None:
    table = module.embed_positions
    if patch.angles == "exact":
        rope = Rope(table.shape[1])
        exact = rope.cos_sin(range(table.shape[0]), layout="ipex")
        patch.replace(module, "embed_positions", torch.nn.Buffer(torch.from_numpy(exact), persistent=False))
    original = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        _active.patch = patch
        try:
            return original(*args, **kwargs)
        finally:
            _active.patch = None

    patch.replace(module, "forward", _Forward(forward, original))


def _patched_gathered_apply(original: Callable[..., Any]) -> Callable[..., Any]:
    """apply_rotary_pos_emb(tensor, sin, cos) on [batch, seq, heads, dim] with half-width rows."""

    def apply(tensor: Tensor, sin: Tensor, cos: Tensor) -> Any:
        patch = getattr(_active, "patch", None)
        if patch is None:
            return original(tensor, sin, cos)
        rows = getattr(cos, "_roperot", None)
        if rows is None:
            rows = cos._roperot = _Rows(patch, cos, sin, (cos, sin))  # type: ignore[attr-defined]
        patch.calls += 1
        form = ("interleaved", "interleaved", False, "halves", False)
        return rotary(_dense(tensor), None, rows.rope(form, tensor.shape[-1]), rows.positions)

    return apply


# ---- the patch

# A rotation function belongs to a Python module, hence to all models of it: replaced for the first patch, put back
# after the last one, in whatever order they are undone. (original, number of patches) by module and name.
_replaced: dict[tuple[str, str], tuple[Any, int]] = {}
_replacing = threading.Lock()


def _replace_function(patch: Patch, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    key = (owner.__name__, name)
    with _replacing:
        original, patches = _replaced.get(key, (getattr(owner, name), 0))
        if not patches:
            setattr(owner, name, make(original))
        _replaced[key] = (original, patches + 1)
    patch.on_undo(lambda: _restore_function(owner, name))


def _restore_function(owner: Any, name: str) -> None:
    key = (owner.__name__, name)
    with _replacing:
        original, patches = _replaced.pop(key)
        if patches > 1:
            _replaced[key] = (original, patches - 1)
        else:
            setattr(owner, name, original)


def _functions(model: Any) -> Iterator[tuple[Any, str]]:
    """Every rotation function of the Python modules that the model's classes come from."""
    seen = set()
    for module in model.modules():
        owner = sys.modules[type(module).__module__]
        if owner.__name__ in seen or not owner.__name__.startswith("transformers."):
            continue
        seen.add(owner.__name__)
        for name in ("apply_rotary_pos_emb", "apply_rotary_pos_emb_interleave"):
            if name in vars(owner):
                yield owner, name


def _is_rotary(module: Any) -> bool:
    names = [name for name, _ in module.named_buffers(recurse=False)]
    return "RotaryEmbedding" in type(module).__name__ and any(name.endswith("inv_freq") for name in names)


def patch_transformers(model: Any, *, angles: str = "exact") -> Patch:
    """Make a transformers model rotate its queries and keys with roperot.

    Deep copies of a patched model are not patched; they may be patched by themselves. (Those of GPT-J and CodeGen keep
    the table of exact angles.)

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A model whose modules make cos and sin from positions (Llama, Qwen, Phi, GPT-NeoX, Gemma, gpt-oss, M-RoPE ...),
        or GPT-J and CodeGen.
    angles : {"exact", "model"}
        cos and sin of the exact angles, from the model's own frequencies; or the model's own cos and sin, which gives
        the very bits of the unpatched float32 model.

    Returns
    -------
    Patch
        ``patch.undo()`` restores the model; so does leaving a ``with`` block.

    Raises
    ------
    TypeError
        If the model is no ``torch.nn.Module``.
    ValueError
        If the model has no rotary embedding of a kind that is known here, or is patched already.
    NotImplementedError
        From the first forward pass, if its attention rotates in a way that roperot does not know.
    """
    if angles not in ("exact", "model"):
        raise ValueError(f"angles must be 'exact' or 'model', not {angles!r}")
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a transformers model (a torch.nn.Module), not {type(model).__name__}")
    patch = Patch(angles)
    rotaries = [m for m in model.modules() if _is_rotary(m) and "Vision" not in type(m).__name__]
    gathering = [m for m in model.modules() if isinstance(getattr(m, "embed_positions", None), Tensor)]
    functions = list(_functions(model))
    if not functions or not (rotaries or gathering):
        raise ValueError(f"{type(model).__name__} has no rotary embedding that patch_transformers knows")
    if any(getattr(vars(m).get("forward"), "_roperot", False) for m in (*rotaries, *gathering)):
        raise ValueError(f"this {type(model).__name__} is patched already: undo() that patch first")
    for module in rotaries:
        _patch_rotary(patch, module)
    for module in gathering:
        _patch_gathering(patch, module)
    for owner, name in functions:
        _replace_function(patch, owner, name, _patched_gathered_apply if gathering else _patched_apply)
    return patch
