"""Replace the rotary embedding of transformers models; this module must not know model names or how to rotate."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from roperot import _arrays as arrays
from roperot import _norms as norms
from roperot import _serial as serial
from roperot._ask import aside, made_up
from roperot._operator import Form, Rows, borrow, cos_sin, transformed
from roperot._rope import Rope


class Patch:
    """What ``patch_transformers`` replaced; ``undo()``, or the end of a ``with`` block, puts it back.

    Attributes
    ----------
    calls : int
        How many rotations have gone through roperot. In a compiled graph they are counted while it is traced, perhaps
        more than once, and not when it runs.
    norms : int
        How many norms of queries and keys have been taken in the same call as their rotation.
    """

    def __init__(self, angles: str, arithmetic: str) -> None:
        self.angles, self.arithmetic = angles, arithmetic
        self.calls = self.norms = 0
        self._name = serial.name(self)
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
    """A patched forward. Copies of its module, deep or pickled, are not patched: they get the original."""

    def __init__(self, call: Callable[..., Any], original: Callable[..., Any]) -> None:
        functools.update_wrapper(self, original)
        self._call, self._original, self._roperot = call, original, True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._original, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        module = getattr(self._original, "__self__", None)
        if module is None:
            raise TypeError("undo() the patch before you pickle this model: its forward is no method of its class")
        return getattr, (module, self._original.__name__)


class _ExactTable(Tensor):
    """A buffer of exact cos and sin that stands for a model's own; copies of the model, deep or pickled, get that."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment, unused-ignore]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._original, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._original.__reduce_ex__(protocol)  # type: ignore[no-untyped-call, unused-ignore]

    _original: Tensor

    @staticmethod
    def of(rows: Tensor, original: Tensor) -> _ExactTable:
        """Make a buffer as torch.nn.Buffer does, which would make a plain tensor of this class."""
        table = rows.as_subclass(_ExactTable)
        table._original = original
        table.persistent = False  # type: ignore[attr-defined]
        table._is_buffer = True  # type: ignore[attr-defined]
        return table


# ---- functions that rotate by cos and sin

_FORMS: tuple[Form, ...] = tuple(
    (pairing, pairing_out, columns, place)
    for place in ("start", "end")
    for pairing, pairing_out in (("half", "half"), ("interleaved", "interleaved"), ("interleaved", "half"))
    for columns in ("halves", "repeat", "half")
)


class _Way(NamedTuple):
    """How a function rotates heads of one size and dtype."""

    form: Form
    layout: str  # of functions that have no unsqueeze_dim
    dtype: torch.dtype  # of the result
    eager: str | None  # the arithmetic that gives the function's own bits in that dtype; None if there is none
    memory: torch.memory_format  # of the result: what reads it may compute in another order if it lies otherwise


class _Call(NamedTuple):
    """What a call of a rotation function is given, by name."""

    q: Tensor
    k: Tensor | None
    cos: Tensor
    sin: Tensor
    unsqueeze_dim: int | None


def _on_cpu(x: Any) -> bool:
    return type(x) is norms.Heads or (isinstance(x, Tensor) and x.device.type == "cpu")


class _Rotation:
    """A model file's ``apply_rotary_pos_emb``, asked how it rotates instead of known by name.

    It takes heads, cos and sin under the names (q, k), x or tensor. What else it takes is understood or left to it.
    """

    def __init__(self, original: Callable[..., Any]) -> None:
        self.original = original
        names = inspect.signature(original).parameters
        # Plain dicts and tuples: Dynamo cannot always trace a Signature.
        self.defaults = {n: p.default for n, p in names.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        self.ordered = tuple(n for n in self.defaults if names[n].kind is not inspect.Parameter.KEYWORD_ONLY)
        self.required = tuple(n for n, default in self.defaults.items() if default is inspect.Parameter.empty)
        self.heads = next((n for n in (("q", "k"), ("x",), ("tensor",)) if set(n) <= set(names)), None)
        self.known = self.heads is not None and {"cos", "sin"} <= set(names)
        self.plain = (*(self.heads or ()), "cos", "sin")  # what most calls give, in that order
        rest = list(names.values())[len(self.plain) :]
        self.in_order = tuple(names)[: len(self.plain)] == self.plain and all(p.default is not p.empty for p in rest)
        self.unsqueeze_dim = getattr(names.get("unsqueeze_dim"), "default", None)
        self._ways: dict[Any, _Way] = {}
        self._name = serial.name(self)

    def understand(self, args: Any, kwargs: Any) -> _Call | None:
        """The call's arguments, or None if one says something that only the original knows."""
        if not self.known or self.heads is None:
            return None
        if self.in_order and not kwargs and len(args) == len(self.plain):
            given = dict(zip(self.plain, args))
        else:
            given = {**dict(zip(self.ordered, args)), **kwargs}
            if len(given) != len(args) + len(kwargs) or any(name not in self.defaults for name in kwargs):
                return None  # the original has the sentence
            if any(name not in given for name in (*self.plain, *self.required)):
                return None
        unsqueeze_dim = given.get("unsqueeze_dim", self.unsqueeze_dim)
        for name, value in given.items():
            plain = value is None or value is self.defaults[name]
            if name not in (*self.heads, "cos", "sin", "unsqueeze_dim") and not plain:
                return None
        if unsqueeze_dim not in (None, 1, 2) or isinstance(unsqueeze_dim, bool):
            return None
        heads = [given[name] for name in self.heads]
        if not all(_on_cpu(t) for t in (*heads, given["cos"], given["sin"])):
            return None
        return _Call(heads[0], heads[1] if len(heads) > 1 else None, given["cos"], given["sin"], unsqueeze_dim)

    def way(self, x: Tensor, cos: Tensor) -> _Way:
        """How heads like x are rotated by rows like cos.

        Raises
        ------
        NotImplementedError
            If no form gives the bits of the function itself.
        """
        key = (int(x.shape[-1]), int(cos.shape[-1]), x.dtype, cos.dtype)
        # Dynamo would guard what is known, and learning changes it.
        way = None if torch.compiler.is_compiling() else self._ways.get(key)
        if way is None:
            way = _learn_way(self._name, *key)
        return way

    def remember(self, key: Any, way: _Way) -> _Way:
        """Keep what was found out."""
        self._ways[key] = way
        return way

    def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> list[Tensor]:
        """The function itself, on one tensor of heads for all that it takes."""
        heads = dict.fromkeys(self.heads or (), x)
        found = self.original(**heads, cos=cos, sin=sin)
        return [found] if isinstance(found, Tensor) else list(found)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _learn_way(name: str, head_dim: int, width: int, dtype: torch.dtype, cos_dtype: torch.dtype) -> _Way:
    """Find the form whose result equals the function's own on made-up heads and rows, bit for bit.

    Asking the function is safer than a list of model names: it holds for every model and version of transformers.
    """
    rotation: _Rotation = serial.named(name)
    key = (head_dim, width, dtype, cos_dtype)
    if key in rotation._ways:
        return rotation._ways[key]
    found = aside(lambda: _classify(rotation, head_dim, width))
    if found is None:
        raise NotImplementedError(
            "this model rotates in a way that roperot does not know; patch.undo() restores the model"
        )
    form, layout = found
    way = aside(lambda: _in_dtype(rotation, form, layout, key))
    return rotation.remember(key, way)


def _in_dtype(rotation: _Rotation, form: Form, layout: Any, key: tuple[int, int, torch.dtype, torch.dtype]) -> _Way:
    """What becomes of the form in another dtype: that of the result, and where a 16-bit one is rounded on the way."""
    head_dim, width, dtype, cos_dtype = key
    x = made_up(_heads_shape(layout, head_dim), 1).to(dtype)
    cos, sin = (t.to(cos_dtype) for t in _tables(width)[form[2]])
    expected = rotation.rotate(x, cos, sin)
    x, names = x.to(expected[0].dtype), ("f32", "eager")
    eager = next((name for name in names if _equals(form, name, x, cos, sin, expected, layout)), None)
    turned = rotation.rotate(x.transpose(1, 2).contiguous().transpose(1, 2), cos, sin)[0]
    memory = torch.contiguous_format if turned.is_contiguous() else torch.preserve_format
    return _Way(form, layout, x.dtype, eager, memory)


_HEADS, _TOKENS = 2, 5  # made up; too few to rotate in the wrong order unseen


def _heads_shape(layout: str, head_dim: int) -> tuple[int, ...]:
    return (1, _HEADS, _TOKENS, head_dim) if layout == "bhsd" else (1, _TOKENS, _HEADS, head_dim)


def _tables(width: int) -> dict[str, Tensor]:
    """Made-up cos and sin [2, 1, tokens, width] by how their columns repeat."""
    rows = made_up((2, 1, _TOKENS, width), 2)
    if width % 2:
        return {"half": rows}
    half = rows[..., : width // 2]
    return {"half": rows, "halves": half.repeat(1, 1, 1, 2), "repeat": half.repeat_interleave(2, -1)}


def _classify(rotation: _Rotation, head_dim: int, width: int) -> tuple[Form, str] | None:
    """The form, and the layout that a function without unsqueeze_dim takes; None if there is none or more than one."""
    for layout in ("bhsd", "bshd"):
        x, found = made_up(_heads_shape(layout, head_dim), 1), set()
        for columns, (cos, sin) in _tables(width).items():
            try:
                expected = rotation.rotate(x, cos, sin)
            except Exception:  # rows of this width, or heads in this order, are not what it takes
                continue
            forms = [form for form in _FORMS if form[2] == columns]
            found |= {form for form in forms if _equals(form, "f32", x, cos, sin, expected, layout)}
        if found:
            return min(found, key=_FORMS.index), layout
    return None


def _equals(
    form: Form, arithmetic: str, x: Tensor, cos: Tensor, sin: Tensor, expected: list[Tensor], layout: Any
) -> bool:
    try:
        rope = borrow(form, arithmetic, x.shape[-1], *(t.reshape(-1, t.shape[-1]) for t in (cos, sin)))
    except ValueError:  # the heads are too small for rows of this width
        return False
    if x.dtype not in norms.DTYPES:
        return False
    rotated = rope.apply(x, layout=layout)
    return all(torch.equal(rotated, other) for other in expected)


class _Marked(NamedTuple):
    """Travels as an attribute of the cos that a patched module has made, and says what belongs to it."""

    patch: Patch
    rows: Rows
    sin: Tensor
    versions: tuple[int, int]


def _version(x: Tensor) -> int:
    return 0 if torch.compiler.is_compiling() or x.is_inference() else x._version


def _mark(patch: Patch, cos: Tensor, sin: Tensor, rows: Rows) -> None:
    cos._roperot = _Marked(patch, rows, sin, (_version(cos), _version(sin)))  # type: ignore[attr-defined]


def _marked(call: _Call) -> _Marked | None:
    """What our module said of this cos, if it still holds and the sin is the one that goes with it."""
    marked: _Marked | None = getattr(call.cos, "_roperot", None)
    if marked is None or marked.sin is not call.sin:
        return None
    return marked if marked.versions == (_version(call.cos), _version(call.sin)) else None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _count(patch: str) -> None:
    """Count a rotation. It runs while a graph is traced, not in it: Dynamo would guard the number, and compile anew."""
    serial.named(patch).calls += 1


def _patched_apply(original: Callable[..., Any]) -> Callable[..., Any]:
    """apply_rotary_pos_emb for patched models: by our rows where they are what it is given, else the original."""
    rotation = _Rotation(original)

    @functools.wraps(original)
    def apply(*args: Any, **kwargs: Any) -> Any:
        call = rotation.understand(args, kwargs)
        marked = None if call is None else _marked(call)
        if call is None or marked is None or transformed(call.q, call.k):
            return original(*args, **kwargs)
        rotated = _rotated(rotation, call, marked.rows, marked.patch)
        if rotated is None:
            return original(*args, **kwargs)
        _count(marked.patch._name)
        return rotated

    return apply


def _rotated(rotation: _Rotation, call: _Call, rows: Rows, patch: Patch) -> Any:
    """The rotation by roperot; None where tensors and rows fit in a way that the original may understand."""
    given = [call.q] if call.k is None else [call.q, call.k]
    seen = [x.seen if type(x) is norms.Heads else x for x in given]  # which is cheaper to ask for shapes
    way = rotation.way(seen[0], call.cos)
    arithmetic = way.eager if patch.arithmetic == "eager" else patch.arithmetic
    if arithmetic is None or way.dtype not in norms.DTYPES:
        return None
    layout = {None: way.layout, 1: "bhsd", 2: "bshd"}[call.unsqueeze_dim]
    for x in seen:
        if x.ndim != 4 or x.shape[2 if layout == "bhsd" else 1] != rows.tokens or rows.batch not in (1, x.shape[0]):
            return None
    if len(seen) > 1 and (seen[0].shape[-1] != seen[1].shape[-1] or seen[0].dtype != seen[1].dtype):
        return None
    opened = [x.opened(1 if layout == "bhsd" else 2) if type(x) is norms.Heads else None for x in given]
    if any(opened):
        patch.norms += sum(x is not None for x in opened)
        heads = [(_dense(_plain(x)), None) if o is None else (o.x, o.norm) for x, o in zip(given, opened)]
        rotated = rows.run(heads, way.dtype, way.form, arithmetic, layout, way.memory)
        return rotated[0] if call.k is None else rotated
    q, *k = (_dense(_plain(x).to(way.dtype)) for x in given)
    return rows.rotate(q, k[0] if k else None, way.form, arithmetic, layout, way.memory)


def _plain(x: Tensor) -> Tensor:
    return x.made() if type(x) is norms.Heads else x


def _dense(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


# ---- modules that make cos and sin from positions


class _Spectrum(NamedTuple):
    """What a module makes of positions: which frequency and which axis drive each pair, and how rows are laid out."""

    axes: int
    axis: tuple[int, ...]
    frequency: tuple[int, ...]  # into the module's own frequencies; -1: a pair that is not turned
    layout: str


def _frequencies(module: Any, layer_type: str | None) -> tuple[list[float], float]:
    prefix = "" if layer_type is None else f"{layer_type}_"
    frequencies = getattr(module, f"{prefix}inv_freq")
    return frequencies.double().tolist(), float(getattr(module, f"{prefix}attention_scaling", 1.0))


def _layer_types(module: Any) -> list[str | None]:
    names = [name for name, _ in module.named_buffers(recurse=False) if name.endswith("inv_freq")]
    types = [
        name.removesuffix("inv_freq").removesuffix("_") for name in names if not name.endswith("original_inv_freq")
    ]
    return [name or None for name in types]


def _ask(module: Any, positions: Tensor, layer_type: str | None) -> tuple[Tensor, Tensor] | None:
    """cos and sin [tokens, width] that a module makes of positions [axes, 1, tokens] (or [1, tokens] for one axis)."""
    arguments = {} if layer_type is None else {"layer_type": layer_type}
    try:
        cos, sin = module(torch.zeros(1, dtype=torch.float32, device="cpu"), positions, **arguments)
    except Exception:  # it takes fewer axes, or other arguments altogether
        return None
    right = cos.shape == sin.shape and cos.ndim == 3 and cos.shape[:2] == (1, positions.shape[-1])
    return (cos[0].double(), sin[0].double()) if right else None


def _spectrum(module: Any, layer_type: str | None) -> _Spectrum | None:
    """Ask a copy of a module: token a is at position 1 of axis a alone, the last one of all axes."""
    module = copy.deepcopy(module).to("cpu")
    for axes in (4, 3, 2, 1):
        unit = torch.eye(axes + 1, axes, dtype=torch.int64, device="cpu").T.contiguous()
        unit[:, axes] = 1
        answer = _ask(module, unit[:, None] if axes > 1 else unit, layer_type)
        if answer is not None:
            break
    else:
        return None
    frequencies, scale = _frequencies(module, layer_type)  # after the question, which may have changed them
    cos, sin = (t / scale for t in answer)
    pairs, layout = cos.shape[-1], "separate"
    if pairs % 2 == 0 and pairs != len(frequencies):
        half = pairs // 2
        if torch.equal(cos[:, :half], cos[:, half:]) and torch.equal(sin[:, :half], sin[:, half:]):
            cos, sin, layout = cos[:, :half], sin[:, :half], "full"
        elif torch.equal(cos[:, ::2], cos[:, 1::2]) and torch.equal(sin[:, ::2], sin[:, 1::2]):
            cos, sin, layout = cos[:, ::2], sin[:, ::2], "repeat"
    angles = torch.atan2(sin, cos)
    if float((torch.hypot(cos, sin) - 1).abs().max()) > 1e-5:
        return None
    return _match(angles, torch.tensor(frequencies, dtype=torch.float64, device="cpu"), axes, layout)


def _match(angles: Tensor, frequencies: Tensor, axes: int, layout: str) -> _Spectrum | None:
    """The frequency and the axis behind each angle; None if one is of no single frequency, or of several axes."""
    axis, index = [], []
    for pair in range(angles.shape[1]):
        driving = [a for a in range(axes) if float(angles[a, pair]) != 0.0]
        if len(driving) > 1:
            return None
        axis.append(driving[0] if driving else 0)
        if not driving:
            index.append(-1)
            continue
        turn = angles[driving[0], pair]
        error = ((frequencies - turn) / turn).abs()
        index.append(int(error.argmin()))
        if float(error.min()) > 1e-5:
            return None
    return _Spectrum(axes, tuple(axis), tuple(index), layout)


class _Exact:
    """Exact cos and sin from a module's own frequencies, rebuilt only when those change (dynamic, longrope)."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.spectra = {name: aside(functools.partial(_spectrum, module, name)) for name in _layer_types(module)}
        self._made: dict[Any, tuple[Any, Rope]] = {}
        for layer_type, spectrum in self.spectra.items():
            if spectrum is not None:
                self._rope(layer_type, spectrum, _frequencies(module, layer_type))

    def known(self) -> bool:
        """Whether there is a layer type whose angles are understood."""
        return any(spectrum is not None for spectrum in self.spectra.values())

    def __call__(self, positions: Tensor, layer_type: str | None) -> tuple[Tensor, Tensor] | None:
        """cos and sin in float32, laid out as the module's own; None if its angles are not understood."""
        spectrum = self.spectra.get(layer_type)
        if spectrum is None or positions.ndim not in (2, 3):
            return None
        rope = self._current(layer_type, spectrum)
        axes = rope._info.axes
        if positions.ndim == 3:
            if positions.shape[0] not in (1, spectrum.axes):
                return None
            positions = positions[0] if positions.shape[0] == 1 else positions[:axes]
            if axes == 1 and positions.ndim == 3:
                positions = positions[0]
        return cos_sin(positions, rope, spectrum.layout)

    def _current(self, layer_type: str | None, spectrum: _Spectrum) -> Rope:
        if not (torch.compiler.is_compiling() or arrays.recording() or self._is_fake(layer_type)):
            return self._rope(layer_type, spectrum, _frequencies(self.module, layer_type))
        kind = getattr(self.module, "rope_type", "default")
        kind = kind.get(layer_type) if isinstance(kind, dict) else kind
        if kind in ("dynamic", "longrope"):
            raise NotImplementedError(
                f"the frequencies of rope_type {kind!r} follow the length of the input, which a graph would fix: "
                "patch.undo() before it is recorded"
            )
        return self._made[layer_type][1]

    def _is_fake(self, layer_type: str | None) -> bool:
        prefix = "" if layer_type is None else f"{layer_type}_"
        return type(getattr(self.module, f"{prefix}inv_freq")) not in (Tensor, torch.nn.Buffer, torch.nn.Parameter)

    def _rope(self, layer_type: str | None, spectrum: _Spectrum, frequencies: tuple[list[float], float]) -> Rope:
        before, rope = self._made.get(layer_type, (None, None))
        if rope is None or before != frequencies:
            values = [0.0 if i < 0 else frequencies[0][i] for i in spectrum.frequency]
            sections = {"axis": spectrum.axis} if any(spectrum.axis) else None
            rope = Rope(2 * len(values), inv_freq=values, attention_factor=frequencies[1], sections=sections)
            self._made[layer_type] = (frequencies, rope)
        return rope


def _exports() -> bool:
    return not torch.compiler.is_dynamo_compiling() and arrays.recording() and torch.onnx.is_in_onnx_export()


def _patch_rotary(patch: Patch, module: Any, exact: _Exact | None) -> None:
    original = module.forward
    names = tuple(inspect.signature(original).parameters)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters()):
            return original(*args, **kwargs)  # learned frequencies: the operators have no gradient for tables
        with torch.no_grad():
            return rows_of(*args, **kwargs)

    def rows_of(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        if not (isinstance(made, tuple) and len(made) == 2 and all(isinstance(t, Tensor) for t in made)):
            return made
        cos, sin = made
        # The call above has accepted these arguments. Dynamo cannot always trace Signature.bind.
        given = {**dict(zip(names, args)), **kwargs}
        positions = given.get("position_ids")
        if cos.device.type != "cpu" or cos.ndim not in (2, 3) or not isinstance(positions, Tensor):
            return made
        if cos.dtype == torch.float64:  # what is rotated then is left to the model, too
            return made
        if transformed(cos, sin, positions) or _exports():  # the original functions do what torch.func and ONNX ask for
            return made
        rows = made
        if exact is not None:
            tables = exact(positions, given.get("layer_type"))
            if tables is None:
                return made
            rows, cos, sin = tables, *(t.to(cos.dtype) for t in tables)
        _mark(patch, cos, sin, Rows(cos, sin) if patch.arithmetic == "eager" else Rows(*rows))
        return cos, sin

    patch.replace(module, "forward", _Forward(forward, original))


def _patch_norm(patch: Patch, module: Any) -> None:
    waiting = norms.Waiting(module)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and waiting.waits(args[0]):
            return norms.Heads.of(waiting, args[0])
        return waiting.original(*args, **kwargs)

    patch.replace(module, "forward", _Forward(forward, waiting.original))


# ---- GPT-J and CodeGen: attention modules that gather from a sin||cos table of their own

_active = threading.local()


def _patch_gathering(patch: Patch, module: Any) -> None:
    table = module.embed_positions
    if patch.angles == "exact":
        rope = Rope(table.shape[1])
        rows = torch.from_numpy(rope.cos_sin(range(table.shape[0]), layout="ipex"))
        patch.replace(module, "embed_positions", _ExactTable.of(rows, table))
    original = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        outer, _active.patch = getattr(_active, "patch", None), patch  # models may be nested, each with its patch
        try:
            return original(*args, **kwargs)
        finally:
            _active.patch = outer

    patch.replace(module, "forward", _Forward(forward, original))


def _patched_gathered_apply(original: Callable[..., Any]) -> Callable[..., Any]:
    """apply_rotary_pos_emb(tensor, sin, cos) of models whose tables are plain tensors: by whatever rows it is given."""
    rotation = _Rotation(original)

    @functools.wraps(original)
    def apply(*args: Any, **kwargs: Any) -> Any:
        patch = getattr(_active, "patch", None)
        call = None if patch is None else rotation.understand(args, kwargs)
        if call is None or patch is None or transformed(call.q, call.cos) or _exports() or call.cos.ndim != 3:
            return original(*args, **kwargs)
        marked = _marked(call)
        rows = Rows(call.cos, call.sin) if marked is None else marked.rows
        if marked is None and not torch.compiler.is_compiling():  # Dynamo writes no attributes of tensors
            _mark(patch, call.cos, call.sin, rows)
        rotated = _rotated(rotation, call, rows, patch)
        if rotated is None:
            return original(*args, **kwargs)
        _count(patch._name)
        return rotated

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


def patch_transformers(model: Any, *, angles: str | None = None, arithmetic: str = "f32") -> Patch:
    """Make a transformers model rotate its queries and keys with roperot.

    Copies of a patched model, deep or pickled, are not patched; they may be patched by themselves. A rotation that is
    given anything but the cos and sin of its patched module (DeepSeek-V4 turns back by -sin), and everything under the
    transforms of ``torch.func``, is left to the model's own function.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A model whose modules make cos and sin from positions (Llama, Qwen, Phi, GPT-NeoX, Gemma, gpt-oss, M-RoPE ...),
        or GPT-J and CodeGen.
    angles : {"exact", "model"}
        cos and sin of the exact angles, from the model's own frequencies (the default); or the model's own cos and sin
        (the default with "eager"), which gives the very bits of the unpatched float32 model. With exact angles and
        "f32", norms of queries and keys are taken in the call of their rotation; their sums have roperot's order.
    arithmetic : {"f32", "eager"}
        16-bit heads are rotated in float32 and rounded once; or cos, sin, each product and the sum are rounded as
        the model rounds them, which with ``angles="model"`` gives the very bits of the unpatched model in bfloat16 and
        float16. A function that rounds otherwise is then left alone.

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
        If no rotary module's angles are understood ("exact"); from the first forward pass, if its attention rotates in
        a way that roperot does not know; when a graph is recorded of a model whose frequencies follow the length.
    """
    if arithmetic not in ("f32", "eager"):
        raise ValueError(f"arithmetic must be 'f32' or 'eager', not {arithmetic!r}")
    if angles is None:
        angles = "model" if arithmetic == "eager" else "exact"
    if angles not in ("exact", "model"):
        raise ValueError(f"angles must be 'exact' or 'model', not {angles!r}")
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a transformers model (a torch.nn.Module), not {type(model).__name__}")
    patch = Patch(angles, arithmetic)
    rotaries = [m for m in model.modules() if _is_rotary(m) and "Vision" not in type(m).__name__]
    gathering = [m for m in model.modules() if isinstance(getattr(m, "embed_positions", None), Tensor)]
    functions = list(_functions(model))
    if not functions or not (rotaries or gathering):
        raise ValueError(f"{type(model).__name__} has no rotary embedding that patch_transformers knows")
    if any(getattr(vars(m).get("forward"), "_roperot", False) for m in (*rotaries, *gathering)):
        raise ValueError(f"this {type(model).__name__} is patched already: undo() that patch first")
    if any(t.is_meta for m in (*rotaries, *gathering) for t in m.buffers(recurse=False)):
        raise ValueError(f"this {type(model).__name__} is on the meta device: load its weights before you patch it")
    exact = {m: _Exact(m) for m in rotaries} if angles == "exact" else {}
    if rotaries and exact and not any(e.known() for e in exact.values()):
        raise NotImplementedError(
            f"roperot does not understand the angles of {type(rotaries[0]).__name__}: use angles='model'"
        )
    for module in rotaries:
        _patch_rotary(patch, module, exact.get(module))
    for module in gathering:
        _patch_gathering(patch, module)
    if angles == "exact" and arithmetic == "f32":  # else the model's bits are asked for
        for module in norms.modules_of(model):
            _patch_norm(patch, module)
    for owner, name in functions:
        _replace_function(patch, owner, name, _patched_gathered_apply if gathering else _patched_apply)
    return patch
