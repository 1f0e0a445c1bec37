#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Golden values of the model zoo: runs the reference package on tests/models/*.json; it must not know roperot.

Every file holds a published configuration ("config", "source"), the roperot call that means the same ("roperot") and,
under "golden", what the model's own classes of transformers computed: the frequencies (as the model has them, in f32,
and by the same code in f64), the attention factor, cos and sin, and a rotated tensor.

    python scripts/make_models.py            recompute and rewrite "golden"  (needs transformers and torch)
    python scripts/make_models.py --check    recompute and compare; exit status 77 where transformers is not installed
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import pathlib
import sys
from typing import Any, Iterator

ZOO = pathlib.Path(__file__).resolve().parent.parent / "tests" / "models"
SKIP = 77
WORDS_PER_LINE = 12


# ---- numbers as text -------------------------------------------------------------------------------------------------


def f32_lines(tensor: Any) -> list[str]:
    """f32 values as their bits, eight hexadecimal digits each: exact, and easy to read from C."""
    bits = tensor.detach().contiguous().float().numpy().astype("<f4").view("<u4").ravel()
    words = [f"{int(b):08x}" for b in bits]
    return ["".join(words[i : i + WORDS_PER_LINE]) for i in range(0, len(words), WORDS_PER_LINE)]


def input_tensor(tokens: int, heads: int, dim: int) -> Any:
    """Values in [-2, 2) that any language can make: the top 24 bits of a multiplicative hash of the index."""
    import numpy
    import torch

    index = numpy.arange(tokens * heads * dim, dtype=numpy.uint64)
    bits = (index * 2654435761 + 12345) % 2**32 // 256
    values = bits.astype(numpy.float64) * 2.0**-22 - 2.0
    return torch.from_numpy(values.astype(numpy.float32).reshape(1, tokens, heads, dim))


# ---- the reference ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Inside, code that asks torch for f32 gets f64, so that the models' own formulas can be run in both."""
    import torch

    names = {"float": torch.float, "float32": torch.float32}
    method = torch.Tensor.float
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        for name in names:
            setattr(torch, name, torch.float64)
        torch.Tensor.float = torch.Tensor.double
        yield
    finally:
        torch.Tensor.float = method
        for name, dtype in names.items():
            setattr(torch, name, dtype)
        torch.set_default_dtype(default)


class Reference:
    """One case of one model, run by transformers' own classes."""

    def __init__(self, model: dict[str, Any], case: dict[str, Any]) -> None:
        self.case, self.call = case, case["roperot"]
        model_type = case.get("model_type", model["model_type"])
        package = case.get("package", model.get("package", model_type))
        self.module = importlib.import_module(f"transformers.models.{package}.modeling_{package}")
        self.settings = dict(case.get("config", model["config"]))
        self.model_type = model_type
        self.adapter = case.get("adapter", model.get("adapter", "text"))
        self.layer = case.get("layer_type")

    def config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.for_model(self.model_type, **json.loads(json.dumps(self.settings)))

    def rotary(self) -> Any:
        names = [n for n in vars(self.module) if n.endswith("RotaryEmbedding")]
        vision = self.adapter.endswith("vision")
        return getattr(self.module, next(n for n in names if ("Vision" in n) == vision))(self.config())

    def positions(self) -> Any:
        import torch

        return torch.tensor(self.case["positions"], dtype=torch.int64)

    def tables(self) -> dict[str, Any]:
        """inv_freq per pair, attention_factor, cos and sin per token and pair; "raw": what the model's rotation takes."""
        return getattr(self, f"tables_{self.adapter}")()

    def rotate(self, x: Any, tables: dict[str, Any]) -> Any:
        """The model's own rotation of channels [rotary_offset, rotary_offset + rotary_dim)."""
        import torch

        begin = self.call.get("rotary_offset", 0)
        end = begin + self.call["rotary_dim"]
        rotated = getattr(self, f"rotate_{self.adapter}")(x[..., begin:end].contiguous(), *tables["raw"])
        return torch.cat([x[..., :begin], rotated, x[..., end:]], dim=-1)

    # Text models: XRotaryEmbedding(config)(x, position_ids) and apply_rotary_pos_emb or its complex-valued sibling.

    def tables_text(self) -> dict[str, Any]:
        import torch

        rotary, x, ids = self.rotary(), torch.zeros(1), self.positions()
        ids = ids.unsqueeze(1) if ids.shape[0] > 1 else ids
        out = rotary(x, ids, self.layer) if self.layer else rotary(x, ids)
        prefix = f"{self.layer}_" if self.layer else ""
        cos, sin = self.per_pair(out)
        return {
            "inv_freq": self.per_pair_frequency(getattr(rotary, prefix + "inv_freq")),
            "attention_factor": float(getattr(rotary, prefix + "attention_scaling", 1.0)),
            "cos": cos[0],
            "sin": sin[0],
            "raw": out if isinstance(out, tuple) else (out,),
        }

    def per_pair(self, out: Any) -> tuple[Any, Any]:
        """cos and sin once per pair, whatever the width and the order that the model gives them in."""
        import torch

        if not isinstance(out, tuple):
            return out.real, out.imag
        cos, sin = out
        pairs = self.call["rotary_dim"] // 2
        if cos.shape[-1] == pairs:
            return cos, sin
        if torch.equal(cos[..., :pairs], cos[..., pairs:]):
            return cos[..., :pairs], sin[..., :pairs]
        assert torch.equal(cos[..., ::2], cos[..., 1::2])
        return cos[..., ::2], sin[..., ::2]

    def per_pair_frequency(self, inv_freq: Any) -> Any:
        import torch

        if self.call.get("sections", {}).get("kind") != "ernie":
            return inv_freq
        h, w, _ = self.call["sections"]["section"]  # Ernie keeps the frequencies of h, then those of w, then t
        both = torch.stack([inv_freq[:h], inv_freq[h : h + w]], dim=-1).flatten()
        return torch.cat([both, inv_freq[h + w :]])

    def rotate_text(self, x: Any, *raw: Any) -> Any:
        interleave = getattr(self.module, "apply_rotary_pos_emb_interleave", None)
        if interleave and self.call["pairing"] == "interleaved":
            return interleave(x, x, *raw, unsqueeze_dim=2)[0]
        if len(raw) == 1 and self.model_type == "deepseek_v2":  # expects [batch, heads, tokens, dim]
            return self.module.apply_rotary_emb(x.transpose(1, 2), x.transpose(1, 2), *raw)[0].transpose(1, 2)
        if len(raw) == 1:
            return self.module.apply_rotary_emb(x, x, *raw)[0]
        if self.model_type.startswith("gemma4"):
            return self.module.apply_rotary_pos_emb(x, *raw, unsqueeze_dim=2)
        return self.module.apply_rotary_pos_emb(x, x, *raw, unsqueeze_dim=2)[0]

    # GPT-J and CodeGen: a table of sin and cos, rows picked by position, pairs (2j, 2j + 1).

    def tables_sinusoidal(self) -> dict[str, Any]:
        import torch

        ids, dim = self.positions()[0], self.call["rotary_dim"]
        table = self.module.create_sinusoidal_positions(self.config().max_position_embeddings, dim)
        sin, cos = table[ids].chunk(2, dim=-1)
        inv_freq = 1.0 / (10000 ** (torch.arange(0, dim, 2, dtype=torch.int64) / dim))
        return {"inv_freq": inv_freq, "attention_factor": 1.0, "cos": cos, "sin": sin, "raw": (sin[None], cos[None])}

    def rotate_sinusoidal(self, x: Any, *raw: Any) -> Any:
        return self.module.apply_rotary_pos_emb(x, *raw)

    # Qwen2-VL's vision tower and its descendants: rows, then columns, frequencies restart, half-split over the head.

    def tables_vision(self) -> dict[str, Any]:
        import torch

        rotary = self.rotary()
        out = rotary(torch.zeros(1), self.positions().t())  # one row of (row, column) per patch
        cos, sin = self.per_pair(out)
        inv_freq = torch.cat([rotary.inv_freq, rotary.inv_freq])
        return {"inv_freq": inv_freq, "attention_factor": 1.0, "cos": cos, "sin": sin, "raw": out}

    def rotate_vision(self, x: Any, *raw: Any) -> Any:
        return self.module.apply_rotary_pos_emb_vision(x[0], x[0], *raw)[0][None]

    # Llama 4's vision tower: columns + 1, rows + 1, complex. The positions of the case already carry the + 1.

    def tables_llama4_vision(self) -> dict[str, Any]:
        import torch

        config = self.config()
        side = config.image_size // config.patch_size
        x, y = self.positions()
        raw = self.rotary()(torch.zeros(1))[(y - 1) * side + (x - 1)]
        dim = config.hidden_size // config.num_attention_heads // 2
        theta = config.rope_parameters["rope_theta"]
        inv_freq = 1.0 / (theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim))
        flat = raw.reshape(x.shape[0], -1)
        return {
            "inv_freq": torch.cat([inv_freq, inv_freq]),
            "attention_factor": 1.0,
            "cos": flat.real,
            "sin": flat.imag,
            "raw": (raw,),
        }

    def rotate_llama4_vision(self, x: Any, raw: Any) -> Any:
        return self.module.vision_apply_rotary_emb(x, x, raw)[0]

    # Gemma 4's vision tower: the head in two chunks, each rotated inside itself by its own axis; a case is one chunk.

    def tables_chunk_vision(self) -> dict[str, Any]:
        import torch

        rotary, chunk = self.rotary(), self.case["chunk"]
        ids = self.positions().t()[None]
        cos, sin = rotary(torch.zeros(1), ids)
        width = self.call["rotary_dim"]
        part = slice(chunk * width, (chunk + 1) * width)
        raw = (cos[..., part], sin[..., part])
        half = slice(0, width // 2)
        return {
            "inv_freq": rotary.inv_freq,
            "attention_factor": 1.0,
            "cos": raw[0][0][..., half],
            "sin": raw[1][0][..., half],
            "raw": raw,
        }

    def rotate_chunk_vision(self, x: Any, *raw: Any) -> Any:
        return self.module.apply_rotary_pos_emb(x, *raw, unsqueeze_dim=2)


def compute(model: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    call = case["roperot"]
    reference = Reference(model, case)
    tokens = len(case["positions"][0])
    heads = 2 if call["head_dim"] <= 64 else 1
    with double_precision():
        exact = Reference(model, case).tables()
    tables = reference.tables()
    x = input_tensor(tokens, heads, call["head_dim"])
    return {
        "attention_factor": exact["attention_factor"],
        "inv_freq_f64": [float(w) for w in exact["inv_freq"]],
        "inv_freq": f32_lines(tables["inv_freq"]),
        "cos": f32_lines(tables["cos"]),
        "sin": f32_lines(tables["sin"]),
        "heads": heads,
        "rotated": f32_lines(reference.rotate(x, tables)),
    }


# ---- files -----------------------------------------------------------------------------------------------------------


def differences(path: pathlib.Path, name: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What another CPU may change is allowed: an ULP of f32 in pow, cos and sin, and so in what they rotate."""
    import numpy

    def values(lines: Any) -> Any:
        return numpy.frombuffer(bytes.fromhex("".join(lines)), dtype=">u4").astype("<u4").view("<f4").astype(float)

    found = []
    for key in old.keys() | new.keys():
        a, b = old.get(key), new.get(key)
        if key in ("inv_freq", "cos", "sin", "rotated") and a and b:
            a, b = values(a), values(b)
            allowed = 4e-7 * abs(a) if key == "inv_freq" else 4e-3  # a position of 1e4 turns an ULP of w into 6e-4
        elif a is not None and b is not None:
            a, b = numpy.asarray(a, dtype=float), numpy.asarray(b, dtype=float)
            allowed = 1e-13 * abs(a)
        else:
            found.append(f"{path.name}: {name}: {key} is on one side only")
            continue
        if a.shape != b.shape or (abs(a - b) > allowed).any():
            found.append(f"{path.name}: {name}: {key} differs")
    return found


def write(path: pathlib.Path, model: dict[str, Any]) -> None:
    """JSON with one item per line, except short lists of numbers, so that a change of a value is one line of a diff."""
    import re

    text = json.dumps(model, indent=1)
    flat = re.compile(r"\[\s+((?:-?[\d.e+-]+,\s+)*-?[\d.e+-]+)\s+\]")

    def join(match: re.Match[str]) -> str:
        items, lines, line = match.group(1).replace("\n", " ").split(), [], ""
        for item in items:
            if len(line) + len(item) > 100:
                lines.append(line.rstrip())
                line = ""
            line += item + " "
        lines.append(line.rstrip())
        return "[" + "\n    ".join(lines) + "]"

    path.write_text(flat.sub(join, text) + "\n", encoding="ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of rewriting them")
    parser.add_argument("models", nargs="*", type=pathlib.Path, help="files; default: all of tests/models")
    options = parser.parse_args()
    missing = [name for name in ("transformers", "torch", "numpy") if importlib.util.find_spec(name) is None]
    if missing:
        print("SKIP: not installed: " + ", ".join(missing))
        return SKIP
    found = []
    for path in options.models or sorted(ZOO.glob("*.json")):
        model = json.loads(path.read_text(encoding="ascii"))
        for case in model["cases"]:
            golden = compute(model, case)
            if options.check:
                found += differences(path, case["name"], case["golden"], golden)
            case["golden"] = golden
        packages = ("transformers", "torch")
        model["reference"] = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
        if not options.check:
            write(path, model)
        print(f"{path.stem}: {len(model['cases'])} case(s)", flush=True)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
