"""The command line ``python -m roperot``: files in, files out; everything it does is a call of the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import roperot
from roperot import _arrays as arrays
from roperot import _library as c
from roperot._rope import Rope
from roperot._tables import LAYOUTS


def _positions(text: str) -> Any:
    """``17:`` counts up from 17, ``0,5,7`` are the tokens' own, ``ids.npy`` is an array of them."""
    if text.endswith(".npy"):
        return Path(text)
    try:
        first, colon, last = text.partition(":")
        if colon:
            start = int(first or 0)
            return start if not last else np.arange(start, int(last))
        return np.array([int(entry) for entry in text.split(",")])
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of START:, START:STOP, N,N,... and FILE.npy") from None


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of positions, 1 or more")
    return count


def _geometry(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which rotary embedding (a configuration, or its parts)")
    group.add_argument("--config", metavar="FILE", help="a Hugging Face config.json, or the folder it is in")
    group.add_argument("--layer-type", metavar="NAME", help="for models that rotate by layer type: full_attention, ...")
    group.add_argument("--seq-len", type=int, metavar="N", help="the length that dynamic and longrope scaling are for")
    group.add_argument("--head-dim", type=int, metavar="N", help="channels of a head, instead of --config")
    group.add_argument("--rotary-dim", type=int, metavar="N", help="how many of them are rotated (default: all)")
    group.add_argument("--pairing", choices=("half", "interleaved"), help="pairs (j, j+n) or (2j, 2j+1)")
    group.add_argument("--base", type=float, metavar="X", help="rope_theta (default: 10000)")
    group.add_argument("--angles", choices=("exact", "f32"), help="f32: the angles that PyTorch computes")
    group.add_argument("--isa", help="an instruction set of `python -m roperot info` (default: the fastest)")


def _rope(options: argparse.Namespace, head_dim: int | None, max_positions: int) -> Rope:
    names = ("rotary_dim", "pairing", "base", "angles", "isa")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.angles == "f32":
        given["max_positions"] = max_positions
    if options.config:
        if options.head_dim is not None:
            given["head_dim"] = options.head_dim
        return Rope.from_hf(options.config, seq_len=options.seq_len, layer_type=options.layer_type, **given)
    chosen = head_dim if options.head_dim is None else options.head_dim
    if chosen is None:
        raise ValueError("which head? give --config FILE or --head-dim N")
    return Rope(chosen, **given)


def _info(options: argparse.Namespace) -> None:
    found = roperot.info()
    print(f"roperot  {found['version']} ({found['library']})")
    print(f"build    {found['build']}")
    for name, reason in found["isas"].items():
        print(f"{name:<8} {reason}{'   <- the default' if name == found['best_isa'] else ''}")
    if options.config:
        rope = _rope(options, None, 1 << 20)
        print(rope)
        for name, value in rope.info().items():
            print(f"  {name:<17} {value}")
    if found["best_isa"] is None:
        roperot.best_isa()  # raises: the rest of the commands will not work like this


# What NumPy makes of bfloat16 in a file. Nothing here computes with it, so the command line needs no ml_dtypes.
_BFLOAT16 = np.dtype("V2")


def _load(path: str) -> np.ndarray[Any, Any]:
    try:
        array = np.load(path)
    except (ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} is not a .npy file with one array of numbers")
    return array


def _view(array: np.ndarray[Any, Any]) -> Any:
    return arrays.bfloat16_bytes(array) if array.dtype == _BFLOAT16 else array


def _target(path: str, suffix: str) -> Path:
    """Where NumPy will write: it appends the suffix to names that lack it, and so must what is printed."""
    return Path(path if path.endswith(suffix) else path + suffix)


def _rotate(options: argparse.Namespace) -> None:
    x = np.asarray(_load(options.file), order="C")
    source = Path(options.file)
    out = _target(options.out, ".npy") if options.out else source.with_name(f"{source.stem}_rotated.npy")
    positions = options.positions
    if isinstance(positions, Path):
        positions = _load(str(positions))
    if np.ndim(positions):
        positions = positions if positions.size else positions.astype(np.int64)  # NumPy's empty array is of float64
        last = int(np.max(positions, initial=0)) + 1
    else:
        last = int(positions) + max(x.shape, default=1)
    rope = _rope(options, x.shape[-1] if x.ndim else None, last)
    y = np.empty(x.shape, x.dtype)
    rope.apply(_view(x), positions, inverse=options.inverse, out=_view(y), layout=options.layout)
    np.save(out, y)
    print(f"{rope}\n{source}: {'bfloat16' if x.dtype == _BFLOAT16 else x.dtype} {list(x.shape)} -> {out}")


def _tables(options: argparse.Namespace) -> None:
    rope = _rope(options, None, options.max)
    code = arrays.dtype_code(options.dtype)
    dtype = _BFLOAT16 if code == c.BF16 else arrays.numpy_dtype(code)
    table = rope._cos_sin(np.arange(options.max), options.layout, code, dtype)
    if isinstance(table, tuple):
        out = Path(options.out or "cos_sin.npz")
        if out.suffix == ".npy":
            raise ValueError(f"layout {options.layout!r} has two arrays: name an .npz file, which holds cos and sin")
        out = _target(str(out), ".npz")
        np.savez(out, cos=table[0], sin=table[1])
        shape = [list(part.shape) for part in table]
    else:
        out = Path(options.out or "cos_sin.npy")
        if out.suffix == ".npz":
            raise ValueError(f"layout {options.layout!r} is one array: name an .npy file, not {out}")
        out = _target(str(out), ".npy")
        np.save(out, table)
        shape = list(table.shape)
    print(f"{rope}\n{options.layout} {options.dtype} {shape} -> {out}")
    if code == c.BF16:
        print("NumPy files know no bfloat16: read it as numpy.load(...).view(ml_dtypes.bfloat16)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m roperot",
        description="Rotary position embedding (RoPE) on this CPU: rotate arrays, make cos/sin tables, look around.",
        epilog="Each command has its own help: python -m roperot rotate --help",
    )
    parser.add_argument("--version", action="version", version=f"roperot {roperot.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    info = commands.add_parser("info", help="what the library can do here, and what a model's config.json means")
    _geometry(info)
    info.set_defaults(run=_info)

    rotate = commands.add_parser(
        "rotate",
        help="rotate an array of a .npy file",
        description="Rotates queries or keys: [seq, heads, head_dim] or [batch, seq, heads, head_dim]; float32, "
        "float16 or bfloat16.",
        epilog="example: python -m roperot rotate q.npy --config config.json --positions 0: --out q_rot.npy",
    )
    rotate.add_argument("file", metavar="FILE.npy", help="the array")
    rotate.add_argument(
        "--positions", type=_positions, metavar="P", default=0, help="START: (default 0:), N,N,... or FILE.npy"
    )
    rotate.add_argument("--out", metavar="FILE.npy", help="where the result goes (default: FILE_rotated.npy)")
    rotate.add_argument("--inverse", action="store_true", help="rotate back")
    rotate.add_argument("--layout", choices=("bshd", "bhsd", "thd"), default="bshd", help="order of the axes")
    _geometry(rotate)
    rotate.set_defaults(run=_rotate)

    tables = commands.add_parser(
        "tables",
        help="write the cos and sin of positions 0 .. N-1",
        description="Writes the cos and sin that other runtimes read.",
        epilog="example: python -m roperot tables --config config.json --max 131072 --layout vllm --dtype bf16 "
        "--out cos_sin.npy",
    )
    tables.add_argument("--max", type=_count, required=True, metavar="N", help="how many positions")
    tables.add_argument(
        "--layout", choices=LAYOUTS, default="separate", help="how the values are laid out (default: separate)"
    )
    tables.add_argument("--dtype", choices=("f32", "f16", "bf16"), default="f32", help="element type")
    tables.add_argument("--out", metavar="FILE", help="default: cos_sin.npy, or cos_sin.npz for layouts of two arrays")
    _geometry(tables)
    tables.set_defaults(run=_tables)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 1 with a sentence on stderr if not."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 1
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"roperot: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
