"""The command line ``python -m roperot``: files in, files out; everything it does is a call of the package."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import numpy as np

import roperot
from roperot import _arrays as arrays
from roperot import _library as c
from roperot._rope import Rope
from roperot._tables import _PACKED, LAYOUTS


def _positions(text: str) -> Any:
    """``17:`` counts up from 17, ``0,5,7`` are the tokens' own, ``ids.npy`` is an array of them."""
    if text.endswith(".npy"):
        return Path(text)
    try:
        first, colon, last = text.partition(":")
        given = [int(first or 0)] if colon else [int(entry) for entry in text.split(",")]
        stop = int(last) if last else 0
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of START:, START:STOP, N,N,... and FILE.npy") from None
    if not all(-(2**63) <= number < 2**63 for number in (*given, stop)):
        raise argparse.ArgumentTypeError(f"{text!r} is beyond int64")
    if not colon:
        return np.array(given)
    return range(given[0], stop) if last else given[0]


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of positions, 1 or more")
    if count > 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is more than 2147483648 positions, the most that there are")
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
    for name in ("layer_type", "seq_len"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} means nothing without --config")
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
    with open(path, "rb") as file:
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except Exception as error:  # whatever NumPy's parser of headers comes upon
            raise ValueError(f"{path} {_unreadable(file, error)}") from None
    if array.dtype.names is not None:
        raise ValueError(f"{path} holds structured elements ({', '.join(array.dtype.names)}); it must hold numbers")
    if array.dtype.kind not in "fiub" and array.dtype != _BFLOAT16:
        raise ValueError(f"{path} holds elements of dtype {array.dtype}; it must hold numbers")
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # other machines' byte order: it is copied anyway


def _unreadable(file: BinaryIO, error: Exception) -> str:
    if str(error).startswith("Object"):
        return "holds Python objects, which are not read; it must hold numbers"
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception:
        return "is not a .npy file with one array of numbers"
    needed = file.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) >= 0 and needed <= os.fstat(file.fileno()).st_size:
        return f"cannot be read: {error or type(error).__name__}"
    return "is cut short: it holds less than its header says"


def _view(array: np.ndarray[Any, Any]) -> Any:
    return arrays.bfloat16_bytes(array) if array.dtype == _BFLOAT16 else array


def _target(path: str, suffix: str) -> Path:
    """Where NumPy would write: it appends the suffix to names that lack it, and so must what is printed."""
    target = Path(path if path.endswith(suffix) else path + suffix)
    if Path(path).is_dir() or Path(path).name in ("", ".", "..") or path.endswith(("/", os.sep)):
        raise ValueError(f"--out {path} is a folder: name the file that is to be written")
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError(f"--out {path} is no ordinary file")
    return target


def _stop(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _written(target: Path) -> Iterator[BinaryIO]:
    """A file beside the target that takes its name once it is whole; whatever stops us leaves the old one."""
    place = Path(os.path.realpath(target))  # of a link, what it leads to
    file = None
    try:
        file = tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name[:100]}.", delete=False)  # noqa: SIM115
        with file:
            yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask()
        os.chmod(file.name, mode)
        os.replace(file.name, place)
    except OSError as error:
        raise OSError(f"{target} could not be written: {error.strerror or error}") from None
    finally:
        if file:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)


def _save_both(file: BinaryIO, table: Any) -> None:
    """What np.savez writes; NumPy 1's leaves the archive open if it cannot, and Python then complains on stderr."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in (("cos", table[0]), ("sin", table[1])):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(cast("BinaryIO", member), part, allow_pickle=False)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _where(options: argparse.Namespace, tokens: int) -> tuple[Any, Any, int]:
    """positions, coordinates, and one more than the last position."""
    positions: Any = 0 if options.positions is None else options.positions
    if isinstance(positions, Path):
        positions = _load(str(positions))
    if options.coordinates is not None:
        if options.positions is not None:
            raise ValueError("--coordinates replace --positions: give only one of them")
        return None, arrays.reals(_load(options.coordinates), "coordinates"), 1
    if isinstance(positions, range):
        count = max(positions.stop - positions.start, 0)  # len() of a range has a limit of its own
        if count > tokens:
            raise ValueError(
                f"--positions {positions.start}:{positions.stop} are {count}, more than any axis of the array"
            )
        positions = np.arange(positions.start, positions.start + count)
    if not np.ndim(positions):
        return positions, None, int(positions) + tokens
    positions = positions if positions.size else positions.astype(np.int64)  # NumPy's empty array is of float64
    if positions.dtype.kind == "f" and not np.isfinite(positions).all():
        raise ValueError("positions hold NaN or infinity; they must be whole numbers")
    arrays.integers(positions, "positions")
    return positions, None, int(np.max(positions, initial=0)) + 1


def _rotate(options: argparse.Namespace) -> None:
    x = np.asarray(_load(options.file), order="C")
    if x.ndim not in (3, 4):
        raise ValueError(f"{options.file} has {x.ndim} axes; it must be [seq, heads, head_dim] or have a batch before")
    if x.dtype != _BFLOAT16:
        arrays.numpy_code(x.dtype, options.file)
    source = Path(options.file)
    out = _target(options.out, ".npy") if options.out else source.with_name(f"{source.stem}_rotated.npy")
    positions, coordinates, last = _where(options, max(x.shape))
    rope = _rope(options, x.shape[-1], last)
    y = np.empty(x.shape, x.dtype)
    given = {"coordinates": coordinates} if coordinates is not None else {"positions": positions}
    rope.apply(_view(x), **given, inverse=options.inverse, out=_view(y), layout=options.layout)
    with _written(out) as file:
        np.save(file, y)
    print(f"{rope}\n{source}: {'bfloat16' if x.dtype == _BFLOAT16 else x.dtype} {list(x.shape)} -> {out}")


def _tables(options: argparse.Namespace) -> None:
    two = options.layout not in _PACKED
    out = Path(options.out or ("cos_sin.npz" if two else "cos_sin.npy"))
    if two and out.suffix == ".npy":
        raise ValueError(f"layout {options.layout!r} has two arrays: name an .npz file, which holds cos and sin")
    if not two and out.suffix == ".npz":
        raise ValueError(f"layout {options.layout!r} is one array: name an .npy file, not {out}")
    out = _target(str(out), ".npz" if two else ".npy")
    rope = _rope(options, None, options.max)
    code = arrays.dtype_code(options.dtype)
    dtype = _BFLOAT16 if code == c.BF16 else arrays.numpy_dtype(code)
    table = rope._cos_sin(np.arange(options.max), options.layout, code, dtype)
    with _written(out) as file:
        if two:
            _save_both(file, table)
        else:
            np.save(file, table)
    shape = [list(part.shape) for part in table] if two else list(table.shape)
    print(f"{rope}\n{options.layout} {options.dtype} {shape} -> {out}")
    if code == c.BF16:
        print("NumPy files know no bfloat16: read it as numpy.load(...).view(ml_dtypes.bfloat16)")


def _add_info(commands: Any) -> None:
    info = commands.add_parser("info", help="what the library can do here, and what a model's config.json means")
    _geometry(info)
    info.set_defaults(run=_info)


def _add_rotate(commands: Any) -> None:
    rotate = commands.add_parser(
        "rotate",
        help="rotate an array of a .npy file",
        description="Rotates queries or keys: [seq, heads, head_dim] or [batch, seq, heads, head_dim]; float32, "
        "float16 or bfloat16.",
        epilog="example: python -m roperot rotate q.npy --config config.json --positions 0: --out q_rot.npy",
    )
    rotate.add_argument("file", metavar="FILE.npy", help="the array")
    rotate.add_argument("--positions", type=_positions, metavar="P", help="START: (default 0:), N,N,... or FILE.npy")
    rotate.add_argument(
        "--coordinates", metavar="FILE.npy", help="real positions instead: [seq], [batch, seq] or [axes, batch, seq]"
    )
    rotate.add_argument("--out", metavar="FILE.npy", help="where the result goes (default: FILE_rotated.npy)")
    rotate.add_argument("--inverse", action="store_true", help="rotate back")
    rotate.add_argument("--layout", choices=("bshd", "bhsd", "thd"), default="bshd", help="order of the axes")
    _geometry(rotate)
    rotate.set_defaults(run=_rotate)


def _add_tables(commands: Any) -> None:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m roperot",
        description="Rotary position embedding (RoPE) on this CPU: rotate arrays, make cos/sin tables, look around.",
        epilog="Each command has its own help: python -m roperot rotate --help",
    )
    parser.add_argument("--version", action="version", version=f"roperot {roperot.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_info, _add_rotate, _add_tables):
        add(commands)
    return parser


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 1 with a sentence on stderr if not."""
    options = _parser().parse_args(arguments)
    try:
        with contextlib.suppress(ValueError):  # only the main thread may
            for name in ("SIGTERM", "SIGHUP"):
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), _stop)
        options.run(options)
    except KeyboardInterrupt:
        print("roperot: interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 1
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"roperot: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
