"""The Rope class: a plan of libroperot and the calls that use it; this module must not compute a rotation itself."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, byref
from typing import Any, Literal

import numpy as np

from roperot import _arrays as arrays
from roperot import _jobs as jobs
from roperot import _library as c
from roperot import _serial as serial
from roperot import _tables as tables
from roperot._config import geometry, set_frequencies
from roperot._frame import Frame, failure_of
from roperot._positions import is_scalar, set_deltas, set_ids, set_positions
from roperot._scaling import Scaling, Sections, boolean, int32, int64, number

Layout = Literal["bshd", "bhsd", "thd"]
TableLayout = Literal["separate", "onnx", "full", "hf", "repeat", "gptj", "vllm", "ipex", "chatglm"]

# Without argument types ctypes passes prepared references as they are, which halves the cost of a call. Only Frame's
# own objects are passed, so nothing is left to check.
_apply: Any = c.lib["roperot_apply"]

_FRAMES = 3  # how many shapes a Rope remembers


class Rope:
    """Rotary position embedding of one attention geometry: built once, shared by all layers and threads.

    Pair j of a head, (x0, x1), at position p becomes

        y0 = x0 cos(p w_j) - x1 sin(p w_j),   y1 = x0 sin(p w_j) + x1 cos(p w_j),   w_j = base ** (-2j / rotary_dim)

    Parameters
    ----------
    head_dim : int
        Channels of one head.
    rotary_dim : int, optional
        How many of them are rotated (even); all by default. The others pass through unchanged.
    rotary_offset : int
        The first rotated channel (even).
    pairing : {"half", "interleaved"}
        Pairs are (j, j + rotary_dim/2) (Llama in Hugging Face, NeoX) or (2j, 2j + 1) (GPT-J, Llama as Meta wrote it).
    pairing_out : {"half", "interleaved"}, optional
        The pairing of what ``apply`` writes; the same by default. DeepSeek-style models read "interleaved" and write
        "half".
    base : float
        ``rope_theta``.
    scaling : dict or Scaling, optional
        How the frequencies are stretched: a Hugging Face ``rope_scaling`` dictionary or a ``Scaling``.
    sections : dict, sequence of int or Sections, optional
        Which position axis drives which pair (M-RoPE, vision); plain numbers are contiguous M-RoPE sections.
    inv_freq : array of float, optional
        The frequencies themselves, ``[rotary_dim / 2]`` radians per position; replaces ``base`` and ``scaling``.
        ``[axes, rotary_dim / 2]`` are mixed: pair j turns by the sum over the axes of p_a w[a, j] (RoPE-Mixed).
    attention_factor : float, optional
        Multiplies cos and sin; by default what ``scaling`` says, or 1.
    angles : {"exact", "f32"}
        cos and sin of the exact product, or of the float32 product that PyTorch computes. "f32" needs
        ``max_positions``.
    cache : {"full", "factored"}, optional
        One row per position, or small tables that reach every position below 2**31. The library chooses by default.
    max_positions : int
        Positions are valid in [0, max_positions); 0 means 2**31.
    bounds : {"error", "identity", "clamp"}
        What happens to a position outside: ValueError, the token is copied unrotated, or the nearest valid position.
    arithmetic : {"f32", "eager"}
        "f32": 16-bit tensors are rotated in float32 and rounded once. "eager": cos, sin, each product and the sum are
        rounded to the tensor's dtype, which are the bits of PyTorch's own operations; float32 is the same in both.
    isa : str, optional
        One of ``roperot.isas()``; the fastest by default.

    Raises
    ------
    ValueError, TypeError
        With the library's sentence: the argument, its value, what is allowed.

    Examples
    --------
    >>> import numpy as np, roperot
    >>> rope = roperot.Rope(128, base=500000.0)
    >>> q = np.ones((1, 32, 128), np.float32)
    >>> k = np.ones((1, 8, 128), np.float32)
    >>> rope.apply_(q, k, positions=17)
    """

    def __init__(
        self,
        head_dim: int,
        *,
        rotary_dim: int | None = None,
        rotary_offset: int = 0,
        pairing: Literal["half", "interleaved"] = "half",
        pairing_out: Literal["half", "interleaved"] | None = None,
        base: float = 10000.0,
        scaling: Mapping[str, Any] | Scaling | None = None,
        sections: Mapping[str, Any] | Sequence[int] | Sections | None = None,
        inv_freq: Any = None,
        attention_factor: float | None = None,
        angles: Literal["exact", "f32"] = "exact",
        cache: Literal["full", "factored"] | None = None,
        max_positions: int = 0,
        bounds: Literal["error", "identity", "clamp"] = "error",
        arithmetic: Literal["f32", "eager"] = "f32",
        isa: str | None = None,
    ) -> None:
        # Copies, or values that cannot change: what becomes of the caller's arrays and dictionaries is not our affair.
        arrays.refuse_recording(inv_freq)
        scaling = None if scaling is None else Scaling.of(scaling)
        sections = None if sections is None else Sections.of(sections)
        inv_freq = None if inv_freq is None else arrays.reals(inv_freq, "inv_freq").astype(np.float64).tolist()
        head_dim, rotary_offset = int32(head_dim, "head_dim"), int32(rotary_offset, "rotary_offset")
        rotary_dim = None if rotary_dim is None else int32(rotary_dim, "rotary_dim")
        max_positions, base = int64(max_positions, "max_positions"), number(base, "base")
        attention_factor = None if attention_factor is None else number(attention_factor, "attention_factor")
        self._recipe = _without(locals(), "self", "__class__")
        config = geometry(head_dim, rotary_dim, rotary_offset, pairing, pairing_out, max_positions, bounds, isa)
        config.base = base
        config.attention_factor = 1.0 if attention_factor is None else attention_factor
        config.angles = c.enum(angles, c.ANGLES, "angles")
        config.arithmetic = c.enum(arithmetic, c.ARITHMETICS, "arithmetic")
        config.cache = c.enum(cache, {name: c.CACHES[name] for name in (None, "full", "factored")}, "cache")
        set_frequencies(config, scaling, sections, inv_freq, attention_factor)
        self._create(config, None)

    @classmethod
    def from_tables(
        cls,
        head_dim: int,
        cos: Any,
        sin: Any = None,
        *,
        rotary_dim: int | None = None,
        rotary_offset: int = 0,
        pairing: Literal["half", "interleaved"] = "half",
        pairing_out: Literal["half", "interleaved"] | None = None,
        sections: Mapping[str, Any] | Sequence[int] | Sections | None = None,
        attention_factor: float = 1.0,
        full: Literal["halves", "repeat"] | None = None,
        max_positions: int = 0,
        bounds: Literal["error", "identity", "clamp"] = "error",
        arithmetic: Literal["f32", "eager"] = "f32",
        isa: str | None = None,
    ) -> Rope:
        """Borrow existing cos and sin arrays: float32 ones are used in place, so they must not change afterwards.

        Parameters
        ----------
        head_dim, rotary_dim, rotary_offset, pairing, pairing_out, sections, bounds, arithmetic, isa
            As for ``Rope``.
        max_positions : int
            At most the rows of the tables, which is the default (0).
        cos, sin : array
            ``[positions, rotary_dim / 2]``, or full width ``[positions, rotary_dim]``; float32, float16 or bfloat16.
            Without ``sin``, ``cos`` is one cos||sin array ``[positions, rotary_dim]`` (vLLM, FlashInfer). With rows
            of its own for each head (LTX-2) ``[positions, heads, ...]``: all that is rotated has as many heads then.
        attention_factor : float
            Multiplies the tables' values.
        full : {"halves", "repeat"}, optional
            How a full-width table repeats each value: c0..cn c0..cn (Hugging Face) or c0 c0 c1 c1 (GPT-J). By default
            as the pairing suggests.

        Raises
        ------
        ValueError, TypeError
            If the tables do not fit each other or the geometry.
        """
        arrays.refuse_recording(cos, sin)
        return cls._from_tables(**_without(locals(), "cls"))

    @classmethod
    def _from_tables(cls, **given: Any) -> Rope:
        """``from_tables`` with all of its arguments, for operators, which graphs do record."""
        if given["sections"] is not None:
            given["sections"] = Sections.of(given["sections"])
        self = cls.__new__(cls)
        for name in ("head_dim", "rotary_dim", "rotary_offset", "max_positions"):
            given[name] = None if given[name] is None else int64(given[name], name)
        given["attention_factor"] = number(given["attention_factor"], "attention_factor")
        self._recipe = dict(given)
        names = ("head_dim", "rotary_dim", "rotary_offset", "pairing", "pairing_out", "max_positions", "bounds", "isa")
        config = geometry(*(given[name] for name in names))
        config.base, config.attention_factor = 1.0, given["attention_factor"]
        config.arithmetic = c.enum(given["arithmetic"], c.ARITHMETICS, "arithmetic")
        config.cache = c.CACHES["borrowed"]
        set_frequencies(config, None, given["sections"], None, given["attention_factor"])
        rotary_dim = config.rotary_dim or config.head_dim
        table, keep = tables.borrow(given["cos"], given["sin"], rotary_dim, given["pairing"], given["full"])
        config.table = ctypes.pointer(table)
        self._create(config, [table, keep])
        return self

    @classmethod
    def from_hf(
        cls, config: Any, *, seq_len: int | None = None, layer_type: str | None = None, **overrides: Any
    ) -> Rope:
        """The rotary embedding of a Hugging Face model, as transformers itself computes it.

        Parameters
        ----------
        config : dict, path or transformers configuration
            The model's ``config.json``, read, to be read, or as an object.
        seq_len : int, optional
            The length that "dynamic" and "longrope" scaling are meant for; transformers' own start value by default.
        layer_type : str, optional
            Which of several rotary embeddings, for models that have one per layer type.
        **overrides
            Any keyword of ``Rope``, which then replaces what the configuration says.

        Raises
        ------
        ValueError
            For a rope_type or a field that is not understood; the sentence names it.
        """
        from roperot._hf import arguments

        return cls(**(arguments(config, seq_len=seq_len, layer_type=layer_type) | overrides))

    def _create(self, config: c.ConfigStruct, keep: Any) -> None:
        plan = POINTER(c.PlanStruct)()
        c.check(c.lib.roperot_plan_create(byref(config), byref(plan)))
        self._keep, self._name = keep, serial.name(self)
        self._heads = int(config.table.contents.heads) if config.table else 0
        self._plan = byref(plan.contents)
        weakref.finalize(self, c.lib.roperot_plan_destroy, plan).atexit = False  # other threads may still rotate then
        self._frames: list[Frame] = []
        info = c.PlanInfoStruct()
        c.check(c.lib.roperot_plan_describe(self._plan, byref(info)))
        self._info = info

    def _take_frame(self, x: Any) -> Frame:
        """A frame for one call of one thread, if possible one that described an array like x before.

        Shapes often take turns, such as q and k in calls of their own. Other threads take frames meanwhile: pop and
        remove are atomic, and fail if a frame is gone.
        """
        frames = self._frames
        try:
            shape = getattr(x, "shape", None)
            frame = frames.pop()
            if frame.src_slots[0].shape == shape:
                return frame
            frames.append(frame)
            for other in frames[:-1]:
                if other.src_slots[0].shape == shape:
                    frames.remove(other)
                    return other
            return frames.pop(0) if len(frames) >= _FRAMES else Frame()
        except (IndexError, ValueError, RuntimeError):  # RuntimeError: a nested tensor has no shape
            return Frame()

    # ---- rotating

    def apply_(
        self,
        q: Any,
        k: Any = None,
        positions: Any = None,
        inverse: bool = False,
        *,
        coordinates: Any = None,
        layout: Layout = "bshd",
        cu_seqlens: Any = None,
    ) -> None:
        """Rotate q, and k with it, in place.

        Parameters
        ----------
        q, k : array
            ``[seq, heads, head_dim]`` or ``[batch, seq, heads, head_dim]`` (see ``layout``); float32, float16 or
            bfloat16; NumPy, PyTorch on the CPU, or ``__dlpack__``. Any strides, last axis contiguous. Their numbers
            of heads and their dtypes may differ.
        positions : int or array of int, optional
            The first position (token t is at positions + t; None is 0), or ``[seq]``, ``[batch, seq]`` or
            ``[axes, batch, seq]``.
        inverse : bool
            Rotate backwards: the transpose, which is also the backward pass. It reads `pairing_out` and writes
            `pairing`.
        coordinates : array of float, optional
            Real positions instead, in the same shapes.
        layout : {"bshd", "bhsd", "thd"}
            The order of the axes: batch, seq, heads, dim; batch, heads, seq, dim; or tokens, heads, dim.
        cu_seqlens : array of int, optional
            ``[sequences + 1]`` ends of ragged sequences along the tokens of a batch of one; ``positions`` is then the
            start of all (int) or of each (``[sequences]``) of them.

        Raises
        ------
        TypeError, ValueError
            Nothing has been written then.
        """
        if type(q) is not np.ndarray or (k is not None and type(k) is not np.ndarray):
            arrays.refuse_recording(q, k)
        frame = self._take_frame(q)
        try:
            first, second = frame.src_slots
            first.bind(q, layout, "q", True)
            if k is not None:
                _bind_k(second, k, layout, positions)
            struct = frame.positions
            keep = None
            if coordinates is None and cu_seqlens is None and (positions is None or type(positions) is int):
                offset = positions or 0
                if not -(2**63) <= offset < 2**63:
                    raise ValueError(f"positions = {offset} is beyond int64")
                struct.kind, struct.axes, struct.offset = c.OFFSET, 1, offset
            else:
                arrays.refuse_recording(positions, coordinates, cu_seqlens)
                shape = first.struct.shape
                keep = set_positions(struct, positions, coordinates, cu_seqlens, shape[0], shape[1])
            options = frame.inverse if inverse is not False and boolean(inverse, "inverse") else frame.forward
            status = _apply(self._plan, frame.positions_ref, frame.src, None, 1 if k is None else 2, options)
            del keep
            if status:
                raise failure_of(status, (q, k), ("q", "k"))
            if type(q) is not np.ndarray or (k is not None and type(k) is not np.ndarray):
                arrays.written(q, k)
        finally:
            frame.release()
            self._frames.append(frame)

    def prepare(
        self, q: Any, k: Any = None, *, inverse: bool = False, layout: Layout = "bshd"
    ) -> Callable[[int], None]:
        """``apply_`` on the same arrays again and again, as a decode loop does, for a third of what each call costs.

        Parameters
        ----------
        q, k, inverse, layout
            As for ``apply_``; NumPy arrays or PyTorch tensors, whose memory stays where it is.

        Returns
        -------
        callable
            ``call(position)`` rotates what q and k hold then, in place; token t is at position + t. It keeps q and k
            alive, and serves one thread at a time: prepare one for each.

        Raises
        ------
        TypeError, ValueError
            As ``apply_`` does; the callable, too, and nothing has been written then.
        """
        arrays.refuse_recording(q, k)
        for x, name in ((q, "q"), (k, "k")):
            if not (isinstance(x, np.ndarray) or arrays.is_tensor(x) or (x is None and name == "k")):
                raise TypeError(f"{name} must be a NumPy array or a PyTorch tensor, not {type(x).__name__}")
        frame = Frame()
        given = (q,) if k is None else (q, k)
        for slot, x, name in zip(frame.src_slots, given, ("q", "k")):
            slot.bind(x, layout, name, True)
        tensors = [x for x in given if arrays.is_tensor(x)]
        numpy_arrays = [x for x in given if isinstance(x, np.ndarray)]
        held = frame, given, [x.untyped_storage() for x in tensors], [x.data_ptr() for x in tensors]
        struct, plan, positions, src = frame.positions, self._plan, frame.positions_ref, frame.src
        options = frame.inverse if inverse is not False and boolean(inverse, "inverse") else frame.forward
        count, low, high = len(given), -(2**63), 2**63

        def call(position: int) -> None:
            if type(position) is not int or not low <= position < high:
                position = int64(position, "position")
            if tensors:
                _check_tensors(tensors, held[3])
            for x in numpy_arrays:
                if not x.flags.writeable:
                    raise ValueError("a prepared array has become read-only")
            struct.offset = position
            status = _apply(plan, positions, src, None, count, options)
            if status:
                raise failure_of(status, given, ("q", "k"))
            if tensors:
                arrays.written(*tensors)

        call.rope = self  # type: ignore[attr-defined]
        return call

    def apply(
        self,
        x: Any,
        positions: Any = None,
        inverse: bool = False,
        out: Any = None,
        *,
        coordinates: Any = None,
        layout: Layout = "bshd",
        cu_seqlens: Any = None,
    ) -> Any:
        """Rotate x into a new array.

        Parameters
        ----------
        x, positions, coordinates, inverse, layout, cu_seqlens
            As for ``apply_``; x may be read-only.
        out : array, optional
            Where to write, shaped as x. Its dtype may differ from x's if one of the two is float32.

        Returns
        -------
        array
            ``out``, or a new contiguous array of x's kind, shape and dtype.

        Raises
        ------
        TypeError, ValueError
            Nothing has been written then.
        """
        arrays.refuse_recording(x, out, positions, coordinates, cu_seqlens)
        if out is None:
            out = arrays.empty_like(x, "x")
        self._apply_into((x,), (out,), ("x",), positions, inverse, layout, coordinates, cu_seqlens)
        return out

    def _apply_into(
        self,
        sources: tuple[Any, ...],
        targets: tuple[Any, ...],
        names: tuple[str, ...],
        positions: Any,
        inverse: bool,
        layout: Any,
        coordinates: Any = None,
        cu_seqlens: Any = None,
    ) -> None:
        """Rotate one or two sources of the same tokens into targets, in one call of the library."""
        frame = self._take_frame(sources[0])
        try:
            for source, target, x, out, name in zip(frame.src_slots, frame.dst_slots, sources, targets, names):
                source.bind(x, layout, name, False)
                target.bind(out, layout, "out", True)
                if source.struct.shape[:] != target.struct.shape[:]:
                    shapes = f"{target.struct.shape[:]}, {name} {source.struct.shape[:]}"
                    raise ValueError(f"out has the shape {shapes} as [batch, seq, heads, dim]")
            shape = frame.src_slots[0].struct.shape
            keep = set_positions(frame.positions, positions, coordinates, cu_seqlens, shape[0], shape[1])
            options = frame.inverse if inverse is not False and boolean(inverse, "inverse") else frame.forward
            status = _apply(self._plan, frame.positions_ref, frame.src, frame.dst, len(sources), options)
            del keep
            if status:
                raise failure_of(status, (*sources, *targets), (*names, *(["out"] * len(targets))))
            arrays.written(*targets)
        finally:
            frame.release()
            self._frames.append(frame)

    def shift_(self, k: Any, delta: Any, *, layout: Layout = "bshd") -> None:
        """Move an already rotated key cache by ``delta`` positions, in place.

        The rotation by delta is pure: the attention factor is not applied again.

        Parameters
        ----------
        k : array
            As for ``apply_``.
        delta : int or array of int
            How far, negative for towards the start: for all tokens, or ``[seq]``, ``[batch, seq]`` or
            ``[axes, batch, seq]``.

        Raises
        ------
        TypeError, ValueError
            Nothing has been written then.
        """
        arrays.refuse_recording(k, delta)
        slot = arrays.Slot(c.TensorStruct())
        slot.bind(k, layout, "k", True)
        batch, tokens = slot.struct.shape[0], slot.struct.shape[1]
        positions = c.PositionsStruct()
        keep = set_deltas(positions, delta, batch, tokens)
        options = c.OptionsStruct(token_end=c.TOKEN_END, flags=c.PURE_ROTATION | c.SIGNED_POSITIONS)
        status = _apply(self._plan, byref(positions), byref(slot.struct), None, 1, byref(options))
        del keep
        if status:
            raise failure_of(status, (k,), ("k",))
        arrays.written(k)

    # ---- a layer in one call

    def run(
        self,
        q: Any = None,
        k: Any = None,
        v: Any = None,
        positions: Any = None,
        *,
        q_norm: jobs.Norm | None = None,
        k_norm: jobs.Norm | None = None,
        v_norm: jobs.Norm | None = None,
        q_out: Any = None,
        k_out: Any = None,
        v_out: Any = None,
        k_pages: jobs.Pages | None = None,
        v_pages: jobs.Pages | None = None,
        slots: Any = None,
        factor: Any = None,
        skip: bool = False,
        layout: Layout = "bshd",
        cu_seqlens: Any = None,
        inverse: bool = False,
    ) -> None:
        """Normalise, rotate and store q, k and v of a layer in one pass over memory.

        Each of them goes through its norm, the rotation (not v), and into its ``_out`` array and its pages. Where
        neither is given it is changed in place; with pages alone it is stored only. The result is that of the steps
        one after the other, bit for bit.

        Parameters
        ----------
        q, k, v : array, optional
            As for ``apply_``; they share batch and tokens. Heads of v may have another size.
        positions, layout, cu_seqlens
            As for ``apply_``.
        q_norm, k_norm, v_norm : Norm, optional
            Before the rotation, or after it as the norm says.
        q_out, k_out, v_out : array, optional
            Where to write, of the same shape, in float32, float16 or bfloat16.
        k_pages, v_pages : Pages, optional
            The caches that keys and values are stored in.
        slots : array of int, optional
            ``[batch, seq]``, or ``[seq]`` for a batch of one, int32 or int64: where in the pages each token goes. A
            negative one is not stored.
        factor : float or array of float, optional
            ``[seq]`` or ``[batch, seq]``: multiplies q after the rotation (attention temperature).
        skip : bool
            Leave tokens with a negative slot alone: k and v, if they have pages, are not written, nor are their
            ``_out`` arrays. q has no pages and is always computed.
        inverse : bool
            Rotate backwards; not with a norm.

        Raises
        ------
        TypeError, ValueError
            Nothing has been written then.
        """
        memory = [x for part in (q_norm, k_norm, v_norm, k_pages, v_pages) for x in jobs.memory_of(part)]
        arrays.refuse_recording(q, k, v, q_out, k_out, v_out, positions, slots, factor, cu_seqlens, *memory)
        given = {"q": (q, q_norm, q_out, None), "k": (k, k_norm, k_out, k_pages), "v": (v, v_norm, v_out, v_pages)}
        jobs.run(self._plan, given, positions, slots, factor, skip, layout, cu_seqlens, inverse)

    def rerotate(self, pages: jobs.Pages, delta: Any, slots: Any, to_slots: Any = None) -> None:
        """Turn keys in a paged cache by ``delta`` positions, in place or on their way to other slots.

        Quantised keys are read in float32, turned and quantised again; the attention factor is not applied again.

        Parameters
        ----------
        pages : Pages
            The cache.
        delta : int or array of int
            How far: one number, or ``[n]``, one per slot; negative for towards the start.
        slots, to_slots : array of int
            ``[n]``: where the keys are, and where they go (by default where they are). What is negative is left alone.
            No key may go to a slot that another one comes from, and no slot is written twice.

        Raises
        ------
        TypeError, ValueError
            Nothing has been written then.
        """
        arrays.refuse_recording(delta, slots, to_slots, *jobs.memory_of(pages))
        jobs.rerotate(self._plan, pages, delta, slots, to_slots)

    # ---- looking

    def cos_sin(
        self, positions: Any, *, coordinates: Any = None, layout: TableLayout = "separate", dtype: Any = "float32"
    ) -> Any:
        """cos and sin (times the attention factor) of the given positions, as this plan uses them.

        Parameters
        ----------
        positions : int or array of int
            ``[...seq]``: ``[seq]``, ``[batch, seq]`` or ``[axes, batch, seq]``; an int is one position.
        coordinates : array of float, optional
            Real positions instead (then ``positions`` is None).
        layout : str
            "separate" or "onnx": cos and sin, each ``[..., rotary_dim / 2]``. "full" or "hf": each ``[...,
            rotary_dim]``, halves repeated. "repeat" or "gptj": each ``[..., rotary_dim]``, every value twice.
            "vllm": one array ``[..., rotary_dim]``, cos||sin. "ipex": sin||cos. "chatglm": one array
            ``[..., rotary_dim / 2, 2]`` of (cos, sin).
        dtype : str or dtype
            "float32", "float16" or "bfloat16" (needs ml_dtypes).

        Returns
        -------
        tuple of numpy.ndarray, or numpy.ndarray
            Two arrays, or the one that the layout describes; ``[..., heads, ...]`` if the Rope's own tables are so.
        """
        arrays.refuse_recording(positions, coordinates)
        return self._tables_of(positions, coordinates=coordinates, layout=layout, dtype=dtype)

    def _tables_of(
        self, positions: Any, *, coordinates: Any = None, layout: TableLayout = "separate", dtype: Any = "float32"
    ) -> Any:
        """``cos_sin`` for operators, which graphs do record."""
        if coordinates is not None:
            if positions is not None:
                raise ValueError("coordinates replace positions: pass None for positions")
            grid = arrays.reals(coordinates, "coordinates")
        else:
            ids = [int64(positions, "positions")] if is_scalar(positions) else positions
            grid = arrays.integers(ids, "positions")
        code = arrays.dtype_code(dtype)
        return self._cos_sin(grid, layout, code, arrays.numpy_dtype(code))

    def _cos_sin(self, grid: np.ndarray[Any, Any], layout: str, code: int, dtype: np.dtype[Any]) -> Any:
        """``cos_sin`` into arrays of any NumPy dtype that is as wide as the roperot_dtype ``code``."""
        lead = grid.shape[1:] if grid.ndim == 3 else grid.shape
        batch, tokens = (1, *lead)[-2:] if lead else (1, 1)
        struct = c.PositionsStruct()
        set_ids(struct, grid, "positions", batch, tokens)
        result, table = tables.table_for(layout, code, dtype, lead, self._info.pairs, self._heads)
        c.check(c.lib.roperot_cos_sin(self._plan, byref(struct), batch, tokens, byref(table)))
        return result

    @property
    def inv_freq(self) -> np.ndarray[Any, Any] | None:
        """The frequencies, float64 ``[rotary_dim / 2]`` in radians per position; None for borrowed tables.

        Mixed ones are ``[axes, rotary_dim / 2]``.
        """
        info = self._info
        if not info.inv_freq:
            return None
        mixed = info.cache == c.CACHES["none"]
        return np.ctypeslib.as_array(info.inv_freq, (info.axes, info.pairs) if mixed else (info.pairs,)).copy()

    @property
    def attention_factor(self) -> float:
        """What multiplies cos and sin."""
        return float(self._info.attention_factor)

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return int(self._info.head_dim)

    @property
    def rotary_dim(self) -> int:
        """Rotated channels of one head."""
        return int(self._info.rotary_dim)

    def info(self) -> dict[str, Any]:
        """What the plan resolved to: no default remains.

        Returns
        -------
        dict
            ``isa``, geometry, ``pairing``, ``angles``, ``cache``, ``cache_bytes``, ``bounds``, ``max_positions``,
            ``arithmetic``, ``attention_factor``, ``axis`` (per pair, or None), ``heads`` (of tables with rows per head,
            or None) and ``kernels`` by dtype.
        """
        info = self._info
        axis = [info.axis[j] for j in range(info.pairs)] if info.axis else None
        numbers = ("head_dim", "rotary_dim", "rotary_offset", "pairs", "axes", "max_positions", "cache_bytes")
        return {
            "isa": c.text(c.lib.roperot_isa_name(info.isa)),
            **{name: int(getattr(info, name)) for name in numbers},
            "attention_factor": float(info.attention_factor),
            "pairing": _name(c.PAIRINGS, info.pairing),
            "pairing_out": _name(c.PAIRINGS, info.pairing_out),
            "angles": _name(c.ANGLES, info.angles),
            "cache": _name(c.CACHES, info.cache),
            "bounds": _name(c.BOUNDS, info.bounds),
            "arithmetic": _name(c.ARITHMETICS, info.arithmetic),
            "axis": axis,
            "heads": self._heads or None,
            "kernels": {name: c.text(c.lib.roperot_plan_kernel(self._plan, i, i)) for i, name in c.DTYPE_NAMES.items()},
        }

    def __repr__(self) -> str:
        info = self.info()
        parts = [str(info["head_dim"])]
        if info["rotary_dim"] != info["head_dim"]:
            parts.append(f"rotary_dim={info['rotary_dim']}")
        if info["rotary_offset"]:
            parts.append(f"rotary_offset={info['rotary_offset']}")
        parts.append(f"pairing={info['pairing']!r}")
        if info["pairing_out"] != info["pairing"]:
            parts.append(f"pairing_out={info['pairing_out']!r}")
        if self._info.inv_freq:
            parts.append(f"inv_freq=[{self._info.inv_freq[0]:g} .. {self._info.inv_freq[info['pairs'] - 1]:.3g}]")
        if info["attention_factor"] != 1.0:
            parts.append(f"attention_factor={info['attention_factor']:.6g}")
        if info["axes"] > 1:
            parts.append(f"axes={info['axes']}")
        if info["angles"] != "exact":
            parts.append(f"angles={info['angles']!r}")
        if info["arithmetic"] != "f32":
            parts.append(f"arithmetic={info['arithmetic']!r}")
        parts += [f"cache={info['cache']!r}", f"max_positions={info['max_positions']}", f"isa={info['isa']!r}"]
        return f"Rope({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._recipe)


def _bind_k(slot: arrays.Slot, k: Any, layout: str, positions: Any) -> None:
    try:
        slot.bind(k, layout, "k", True)
    except TypeError as error:
        if positions is not None:
            raise
        raise TypeError(f"{error} (positions without k go by name: positions=...)") from None


def _check_tensors(tensors: list[Any], pointers: list[int]) -> None:
    arrays.refuse_recording(*tensors)
    for x, pointer in zip(tensors, pointers):
        if x.requires_grad:
            arrays.refuse_gradient(x, "a prepared tensor")
        if x.data_ptr() != pointer:
            raise ValueError("a prepared tensor has moved to other memory: prepare the call again")


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _rebuild(cls: type[Rope], recipe: dict[str, Any]) -> Rope:
    return cls.from_tables(**recipe) if "cos" in recipe else cls(**recipe)


def _name(names: Mapping[Any, int], number: int) -> str:
    return next(str(name) for name, value in names.items() if value == number and name is not None)
