"""Find, load and describe libroperot.so; this module must not know NumPy, PyTorch or what a Rope is."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_uint8, c_uint32, c_void_p
from pathlib import Path
from typing import Any

# The header this package was written against; a library of another major version, or an older minor one, is refused.
VERSION_MAJOR, VERSION_MINOR = 0, 1

F32, F16, BF16 = 1, 2, 3
DTYPE_NAMES = {F32: "float32", F16: "float16", BF16: "bfloat16"}
OFFSET, IDS, STARTS, RAGGED = 0, 1, 2, 3
I32, I64, REAL32, REAL64 = 1, 2, 3, 4
INVERSE, PURE_ROTATION, SIGNED_POSITIONS = 1, 2, 4
PAIRINGS = {"half": 1, "interleaved": 2}
ANGLES = {"exact": 0, "f32": 1}
CACHES = {None: 0, "auto": 0, "full": 1, "factored": 2, "borrowed": 3, "none": 4}
BOUNDS = {"error": 0, "identity": 1, "clamp": 2}
ARITHMETICS = {"f32": 0, "eager": 1}
PER_PAIR, MIXED = 0, 1
TOKEN_END = 2**63 - 1

OK, ERROR_DTYPE, ERROR_MEMORY = 0, 3, 7


class _Sized(ctypes.Structure):
    """A struct that opens with its own size, which every new object carries."""

    def __init__(self, **members: Any) -> None:
        super().__init__(size=ctypes.sizeof(type(self)), **members)


class TensorStruct(ctypes.Structure):
    """``roperot_tensor``: a view of [batch, token, head, dim], strides in elements."""

    _fields_ = [
        ("data", c_void_p),
        ("dtype", c_int32),
        ("flags", c_int32),
        ("shape", c_int64 * 4),
        ("stride", c_int64 * 4),
        ("reserved", c_void_p),
    ]


class PositionsStruct(_Sized):
    """``roperot_positions``."""

    _fields_ = [
        ("size", c_uint32),
        ("kind", c_int32),
        ("type", c_int32),
        ("axes", c_int32),
        ("offset", c_int64),
        ("ids", c_void_p),
        ("axis_stride", c_int64),
        ("batch_stride", c_int64),
        ("token_stride", c_int64),
        ("cu_seqlens", c_void_p),
        ("cu_type", c_int32),
        ("sequences", c_int32),
    ]


class TableStruct(_Sized):
    """``roperot_table``: somebody's cos and sin rows."""

    _fields_ = [
        ("size", c_uint32),
        ("dtype", c_int32),
        ("cos", c_void_p),
        ("sin", c_void_p),
        ("rows", c_int64),
        ("row_stride", c_int64),
        ("element_stride", c_int64),
        ("width", c_int32),
        ("reserved", c_int32),
        ("heads", c_int64),
        ("head_stride", c_int64),
    ]


class PlanStruct(ctypes.Structure):
    """``roperot_plan``: opaque."""


class ConfigStruct(_Sized):
    """``roperot_config``."""

    _fields_ = [
        ("size", c_uint32),
        ("head_dim", c_int32),
        ("rotary_dim", c_int32),
        ("rotary_offset", c_int32),
        ("pairing", c_int32),
        ("pairing_out", c_int32),
        ("pairs", c_int32),
        ("axes", c_int32),
        ("base", c_double),
        ("attention_factor", c_double),
        ("inv_freq", POINTER(c_double)),
        ("axis", POINTER(c_uint8)),
        ("angles", c_int32),
        ("cache", c_int32),
        ("max_positions", c_int64),
        ("table", POINTER(TableStruct)),
        ("bounds", c_int32),
        ("isa", c_int32),
        ("arithmetic", c_int32),
        ("frequencies", c_int32),
    ]


class PlanInfoStruct(_Sized):
    """``roperot_plan_info``."""

    _fields_ = [
        ("size", c_uint32),
        ("isa", c_int32),
        ("head_dim", c_int32),
        ("rotary_dim", c_int32),
        ("rotary_offset", c_int32),
        ("pairing", c_int32),
        ("pairing_out", c_int32),
        ("pairs", c_int32),
        ("axes", c_int32),
        ("angles", c_int32),
        ("cache", c_int32),
        ("bounds", c_int32),
        ("max_positions", c_int64),
        ("cache_bytes", c_int64),
        ("attention_factor", c_double),
        ("inv_freq", POINTER(c_double)),
        ("axis", POINTER(c_uint8)),
        ("arithmetic", c_int32),
        ("frequencies", c_int32),
        ("heads", c_int64),
    ]


class OptionsStruct(_Sized):
    """``roperot_options``; the executor members stay NULL, Python callers bring their own threads."""

    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("token_begin", c_int64),
        ("token_end", c_int64),
        ("parallel_for", c_void_p),
        ("ctx", c_void_p),
        ("threads", c_int32),
        ("reserved", c_int32),
        ("scratch", c_void_p),
        ("scratch_bytes", c_int64),
    ]


class ScalingStruct(_Sized):
    """``roperot_scaling``."""

    _fields_ = [
        ("size", c_uint32),
        ("kind", c_int32),
        ("factor", c_double),
        ("attention_factor", c_double),
        ("original_length", c_int64),
        ("length", c_int64),
        ("beta_fast", c_double),
        ("beta_slow", c_double),
        ("mscale", c_double),
        ("mscale_all_dim", c_double),
        ("ext_factor", c_double),
        ("attn_factor", c_double),
        ("freq_scale", c_double),
        ("low_freq_factor", c_double),
        ("high_freq_factor", c_double),
        ("mixed_b", c_double),
        ("partial_rotary_factor", c_double),
        ("factors", POINTER(c_double)),
        ("factor_count", c_int32),
        ("truncate", c_int32),
        ("frequency_index", POINTER(c_int32)),
        ("frequency_count", c_int32),
        ("exponent_dim", c_int32),
    ]


class SectionsStruct(_Sized):
    """``roperot_sections``."""

    _fields_ = [
        ("size", c_uint32),
        ("kind", c_int32),
        ("count", c_int32),
        ("section", c_int32 * 4),
        ("reserved", c_int32),
    ]


class ShardStruct(_Sized):
    """``roperot_shard``: a rank's part of a packed stream."""

    _fields_ = [
        ("size", c_uint32),
        ("kind", c_int32),
        ("ranks", c_int32),
        ("rank", c_int32),
        ("tokens", c_int64),
        ("cu_seqlens", c_void_p),
        ("cu_type", c_int32),
        ("sequences", c_int32),
        ("starts", c_void_p),
        ("start_type", c_int32),
        ("axes", c_int32),
        ("start_axis_stride", c_int64),
    ]


_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "roperot_version": (c_uint32, []),
    "roperot_build_info": (c_char_p, []),
    "roperot_status_name": (c_char_p, [c_int32]),
    "roperot_last_error": (c_char_p, []),
    "roperot_isa_name": (c_char_p, [c_int32]),
    "roperot_isa_usable": (c_int32, [c_int32]),
    "roperot_isa_reason": (c_char_p, [c_int32]),
    "roperot_isa_best": (c_int32, []),
    "roperot_frequencies": (
        c_int32,
        [POINTER(ScalingStruct), c_int32, c_double, POINTER(c_double), c_int32, POINTER(c_double)],
    ),
    "roperot_axis_map": (c_int32, [POINTER(SectionsStruct), c_int32, POINTER(c_uint8), POINTER(c_int32)]),
    "roperot_shard_positions": (
        c_int32,
        [POINTER(ShardStruct), c_int64, c_void_p, c_void_p, c_int64, POINTER(c_int64)],
    ),
    "roperot_plan_create": (c_int32, [POINTER(ConfigStruct), POINTER(POINTER(PlanStruct))]),
    "roperot_plan_destroy": (None, [POINTER(PlanStruct)]),
    "roperot_plan_describe": (c_int32, [POINTER(PlanStruct), POINTER(PlanInfoStruct)]),
    "roperot_plan_kernel": (c_char_p, [POINTER(PlanStruct), c_int32, c_int32]),
    "roperot_cos_sin": (
        c_int32,
        [POINTER(PlanStruct), POINTER(PositionsStruct), c_int64, c_int64, POINTER(TableStruct)],
    ),
    "roperot_apply": (
        c_int32,
        [
            POINTER(PlanStruct),
            POINTER(PositionsStruct),
            POINTER(TensorStruct),
            POINTER(TensorStruct),
            c_int32,
            POINTER(OptionsStruct),
        ],
    ),
    "roperot_run": (
        c_int32,
        [POINTER(PlanStruct), POINTER(PositionsStruct), c_void_p, c_int32, POINTER(OptionsStruct)],
    ),
}


def _file_name() -> str:
    return {"darwin": "libroperot.dylib", "win32": "libroperot.dll"}.get(sys.platform, "libroperot.so")


def _soname() -> str:
    names = {"darwin": f"libroperot.{VERSION_MAJOR}.dylib", "win32": f"libroperot-{VERSION_MAJOR}.dll"}
    return names.get(sys.platform, f"libroperot.so.{VERSION_MAJOR}")


def _is_checkout(folder: Path) -> bool:
    """Whether this file is the one of a checkout at folder, not an installed copy that lies two folders below one."""
    here = folder / "python" / "roperot" / "_library.py"
    return here == Path(__file__).resolve() and (folder / "include" / "roperot" / "roperot.h").is_file()


def _candidates() -> list[tuple[str, str]]:
    """(where it came from, what to load), in the order of the search."""
    chosen = os.environ.get("ROPEROT_LIBRARY")
    if chosen:
        return [("ROPEROT_LIBRARY", chosen)]  # an explicit choice is never replaced by another file
    package = Path(__file__).resolve().parent
    found = [("beside the package", str(package / _file_name()))]
    checkout = package.parent.parent
    if _is_checkout(checkout):
        name = _soname() if sys.platform == "win32" else _file_name()
        found.append(("build/ of the checkout", str(checkout / "build" / name)))
    return [*found, ("the system's loader", _soname()), ("the system's loader", _file_name())]


def _load(name: str) -> ctypes.CDLL:
    """Load one candidate and declare its functions; OSError says why it will not do."""
    if os.sep in name and not os.path.isfile(name):
        raise OSError("no such file")
    library = ctypes.CDLL(name)
    try:
        for function, (result, arguments) in _PROTOTYPES.items():
            entry = getattr(library, function)
            entry.restype, entry.argtypes = result, arguments
    except AttributeError as error:
        raise OSError(f"not this version of roperot ({error})") from None
    version = int(library.roperot_version())
    major, minor, patch = version >> 16, version >> 8 & 255, version & 255
    if major != VERSION_MAJOR or minor < VERSION_MINOR:
        wanted = f"{VERSION_MAJOR}.{VERSION_MINOR}"
        raise OSError(f"it is version {major}.{minor}.{patch}, this package needs {wanted} or later of {wanted[:1]}.x")
    return library


def find() -> tuple[ctypes.CDLL, str]:
    """Load the first fitting library.

    Returns
    -------
    tuple
        The library and the name it was loaded by.

    Raises
    ------
    ImportError
        With every place that was tried and why it did not serve.
    """
    looked = []
    for origin, name in _candidates():
        try:
            return _load(name), name
        except OSError as error:
            looked.append(f"  {origin}: {name}: {error}")
    raise ImportError(
        "libroperot was not found. Looked at:\n"
        + "\n".join(looked)
        + "\nBuild it (meson setup build && ninja -C build) or set ROPEROT_LIBRARY to the path of libroperot.so."
    )


lib, path = find()
lib_version = int(lib.roperot_version())
__version__ = f"{lib_version >> 16}.{lib_version >> 8 & 255}.{lib_version & 255}"


# The library's words for what has another name, or no number, in Python.
_WORDS = (
    (r"positions\.axes is (\S+); it must be 1 or the plan's, (\S+)", r"positions have \1 axes; there must be 1 or \2"),
    (r"positions\.cu_seqlens", "cu_seqlens"),
    (r"pairing_out \d, other than pairing \d, needs another dst", "another pairing_out needs another out"),
    (r"pairing_out \d, other than pairing \d,", "another pairing_out"),
    (r"\b(\w+)\.shape\[3\] is", r"\1's last axis is"),  # the library always counts four
    (r"the plan's", "the Rope's"),
    (r" \(0 = head_dim\)", ""),
    (
        r"isa is \d+ \((\w+)\): (.*); it must be 0 \(auto\) or a usable one",
        r"isa '\1': \2; it must be None or a usable one",
    ),
    (r"\bF32 angles\b", "angles='f32'"),
    (r"\b(?:FULL|FACTORED|BORROWED)\b", lambda name: f"'{name[0].lower()}'"),
    (r"^max_positions is 0; (.*) \(1 \.\. 2\^31\)$", r"max_positions is missing; \1"),
    (r"^table\.", "the tables' "),
    (r"\bshard\.ranks\b", "size"),
    (r"\bshard\.", ""),
    (r"\(ranks - 1\)", "(size - 1)"),
    (r"there must be 1 or 1$", "there must be 1"),
    (r"\.bias is \S+ with kind 1 \(RMS\); it must be NULL", ".bias is given, but only a norm of kind 'layer' has one"),
    (r"\.weight is NULL; a unit offset needs weights", ".weight is None; a unit offset needs weights"),
    (
        r" and options\.flags \d+ \(inverse\); a norm must not be turned back",
        " and inverse is True; a norm has no inverse",
    ),
    (
        r"\.dtype is (\d) and src's is (\d);",
        lambda found: f"'s dtype is {DTYPE_NAMES[int(found[1])]} and its source's {DTYPE_NAMES[int(found[2])]};",
    ),
)


def failure(status: int, names: dict[str, str] | None = None) -> Exception:
    """The exception for a status: its class by kind, its text the library's own sentence, in Python's names."""
    sentence = text(lib.roperot_last_error()) or text(lib.roperot_status_name(status))
    for member, name in ({"config.": "", "scaling.": "scaling's "} | (names or {})).items():
        sentence = sentence.replace(member, name)
    for words, python in _WORDS:
        sentence = re.sub(words, python, sentence)  # type: ignore[arg-type, unused-ignore]
    kinds: dict[int, type[Exception]] = {ERROR_DTYPE: TypeError, ERROR_MEMORY: MemoryError}
    return kinds.get(status, ValueError)(sentence)


def check(status: int) -> None:
    """Raise what a failed call says about itself."""
    if status != OK:
        raise failure(status)


def text(value: bytes | None) -> str:
    """A C string as str; NULL is the empty one."""
    return value.decode() if value else ""


def isa_names() -> dict[str, int]:
    """Every ISA name that the library knows, AUTO included, with its number."""
    names: dict[str, int] = {}
    while (name := lib.roperot_isa_name(len(names))) is not None:
        names[name.decode()] = len(names)
    return names


def info() -> dict[str, Any]:
    """What is loaded and what it can do here.

    Returns
    -------
    dict
        ``version``, ``build`` (compiler, kernels, SLEEF or own math), ``library`` (what was loaded), ``best_isa`` (None
        if ``ROPEROT_ISA`` names something unusable) and ``isas``: name -> "usable" or the reason why not.
    """
    best = int(lib.roperot_isa_best())
    return {
        "version": __version__,
        "build": text(lib.roperot_build_info()),
        "library": path,
        "best_isa": text(lib.roperot_isa_name(best)) if best else None,
        "isas": {name: text(lib.roperot_isa_reason(number)) for name, number in isa_names().items() if number},
    }


def isas() -> list[str]:
    """Names of the instruction sets that are built in and that this machine can run, "scalar" among them."""
    return [name for name, number in isa_names().items() if number and lib.roperot_isa_usable(number)]


def best_isa() -> str:
    """The instruction set that ``isa=None`` picks; ``ROPEROT_ISA`` decides if it is set.

    Raises
    ------
    ValueError
        If ``ROPEROT_ISA`` names something unknown or unusable.
    """
    best = int(lib.roperot_isa_best())
    if best == 0:
        raise ValueError(f"ROPEROT_ISA={os.environ.get('ROPEROT_ISA')!r} is unknown or not usable on this machine")
    return text(lib.roperot_isa_name(best))


def enum(value: Any, names: dict[Any, int], argument: str) -> int:
    """The number behind one of ``names``, or a ValueError that lists them."""
    if value is None or isinstance(value, str):
        number = names.get(value)
        if number is not None:
            return number
    allowed = ", ".join(repr(name) for name in names)
    raise ValueError(f"{argument} must be one of {allowed}, not {value!r}")
