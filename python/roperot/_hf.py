"""Read Hugging Face configurations into arguments of Rope; frequencies are the library's, no formula is written here.

What is written here is which field of which model family means what, checked against transformers 5.23.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from roperot._families import (
    ASKED,
    HARMLESS,
    HEAD_DIM,
    KNOWN,
    LATENT,
    LATENT_IS_HEAD_DIM,
    NEEDS_PARAMETERS,
    READS,
    READS_LAYERS,
    READS_PARTIAL,
    UNREAD_THETA,
)
from roperot._scaling import KINDS, Scaling, Sections, integer, number

# Pairs (2j, 2j + 1), read and written.
_INTERLEAVED = {
    "blt", "blt_global_transformer", "blt_local_decoder", "blt_local_encoder", "blt_patcher",
    "chatglm", "codegen", "cohere", "cohere2", "cohere2_moe", "deepseek_v2", "deepseek_v4", "ernie4_5", "ernie4_5_moe",
    "ernie4_5_vl_moe", "glm", "glm4", "glm4v", "glm_ocr", "gptj", "helium", "llama4", "moonshine",
    "moonshine_streaming", "openai_privacy_filter", "pe_audio_encoder", "pe_audio_video_encoder", "pe_video_encoder",
    "roformer",
}  # fmt: skip

# Pairs (2j, 2j + 1) read, (j, j + n) written, unless the configuration says "rope_interleave": false.
_DEINTERLEAVED = {
    "axk1", "axk2", "bailing_hybrid", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "kimi_k2",
    "longcat_flash", "mistral4", "mistral_large4", "qwen2_5_omni_dit", "youtu",
}  # fmt: skip

# Families without rotary embeddings: asking for theirs is a mistake, not the default.
_WITHOUT = {
    "bart", "bert", "bloom", "deberta-v2", "distilbert", "electra", "gpt2", "gpt_bigcode", "gpt_neo", "marian",
    "mpt", "mt5", "opt", "biogpt", "pegasus", "roberta", "t5", "vit", "whisper", "xlm-roberta", "xglm",
}  # fmt: skip

# Families whose rotation these arguments cannot say, and why: a plausible default would be silently wrong.
_OTHERWISE = {
    "dinov3_vit": "turns by patch coordinates: pass coordinates to a Rope with sections of kind 'axial'",
    "eomt_dinov3": "turns by patch coordinates: pass coordinates to a Rope with sections of kind 'axial'",
    "hunyuan_vl": "drives the two channels of a pair by different axes, which is not a rotation",
    "nanochat": "rotates backwards: build Rope(head_dim, base=...) and call apply with inverse=True",
}

# Families that rotate, or by one base, only where this field says so.
_STATED = {
    "esm": "position_embedding_type", "granitemoehybrid": "position_embedding_type", "muse_glimmer": "layer_rope_theta",
    "muse_spark": "layer_rope_theta", "zamba2": "use_mem_rope",
}  # fmt: skip
# Files that state a field of BERT's which their model does not read.
_UNREAD_TYPE = {"modernbert", "modernbert-decoder"}

# What transformers' classes assume where config.json is silent.
_THETA = {
    "apertus": 12e6, "bailing_hybrid": 6e6, "bitnet": 5e5, "blt": 5e5, "blt_global_transformer": 5e5,
    "blt_local_decoder": 5e5, "blt_local_encoder": 5e5, "cohere": 5e5, "cosmos3_edge": 1e8, "csm": 5e5,
    "csm_depth_decoder_model": 5e5, "cwm": 1e6, "emu3": 1e6, "emu3_text_model": 1e6,
    "ernie4_5": 5e5, "ernie4_5_moe": 5e5, "ernie4_5_vl_moe": 5e5, "evolla": 5e5, "flex_olmo": 5e5, "fuyu": 25000.0,
    "gpt_oss": 150000.0, "gte": 160000.0, "helium": 1e5, "higgs_audio_v2": 5e5, "hy_v3": 11158840.0,
    "jina_embeddings_v3": 20000.0, "lfm2": 1e6, "lfm2_moe": 1e6, "llama4": 5e5, "longcat_flash": 1e7,
    "minimax": 1e6, "minimax_m2": 5e6, "minimax_m3_vl": 5e6, "ministral3": 1e6, "mixtral": 1e6, "mllama": 5e5,
    "mllama_text_model": 5e5, "muse_glimmer_assistant": 5e5, "nomic_bert": 1000.0, "olmo3": 5e5,
    "openai_privacy_filter": 150000.0, "paddleocr_vl": 5e5, "pe_audio_encoder": 20000.0,
    "pe_audio_video_encoder": 20000.0, "pe_video_encoder": 20000.0, "phimoe": 1e6, "qwen2_5_omni": 1e6,
    "qwen2_5_omni_talker": 1e6, "qwen2_5_vl": 1e6, "qwen2_vl": 1e6, "qwen3_omni_moe": 1e6, "qwen3_vl": 5e5,
    "qwen3_vl_moe": 5e5, "smollm3": 2e6,
    "solar_open": 1e6,
}  # fmt: skip
_PARTIAL = {
    "bamba": 0.5, "chatglm": 0.5, "dots3_note_audio_encoder": 0.5, "fuyu": 0.5, "glm": 0.5, "glm4": 0.5,
    "glm4_moe": 0.5, "glm4v_moe": 0.5, "glmasr_encoder": 0.5, "gpt_neox": 0.25, "moonshine": 0.9,
    "moonshine_streaming": 0.8, "nemotron": 0.5, "nemotron3_5_transcribe_asr_audio": 0.5,
    "nemotron3_5_transcribe_word_timestamp": 0.5, "persimmon": 0.5, "phi": 0.5, "qwen3_5": 0.25,
    "qwen3_5_moe": 0.25, "qwen3_next": 0.25, "recurrent_gemma": 0.5, "stablelm": 0.25,
}  # fmt: skip
_ROTARY_DIM = {"codegen": 64, "gptj": 64}
_FULL_HEAD_DIM = dict.fromkeys(
    ("diffusion_gemma", "embedding_gemma2", "gemma4", "gemma4_unified", "gemma4_unified_assistant"), 512
)
_LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_YARN = {"rope_type": "yarn", "beta_fast": 32.0, "beta_slow": 1.0}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "apertus": {**_LLAMA3, "factor": 8.0, "original_max_position_embeddings": 8192},
    "cwm": {**_LLAMA3, "factor": 16.0, "original_max_position_embeddings": 8192},
    "higgs_audio_v2": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 0.125,
        "high_freq_factor": 0.5,
        "original_max_position_embeddings": 1024,
    },
    "ministral3": {
        **_YARN,
        "factor": 16.0,
        "original_max_position_embeddings": 16384,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    },
    "mistral4": {
        **_YARN,
        "factor": 128.0,
        "original_max_position_embeddings": 8192,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    },
    "mistral_large4": {**_YARN, "factor": 2048.0, "original_max_position_embeddings": 512, "attention_factor": 1.0},
    "openai_privacy_filter": {**_YARN, "factor": 32.0, "original_max_position_embeddings": 4096, "truncate": False},
    "gpt_oss": {
        "rope_type": "yarn",
        "factor": 32.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "truncate": False,
        "original_max_position_embeddings": 4096,
    },
    "gemma4": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6},
    },
}

# M-RoPE: how the sections are laid out, and the sections where config.json is silent.
_INTERLEAVED_SECTIONS = {"cosmos3_edge", "qwen3_5", "qwen3_5_moe", "qwen3_omni_moe", "qwen3_vl", "qwen3_vl_moe"}
_SECTIONS = {
    "cosmos3_edge": (24, 20, 20), "ernie4_5_vl_moe": (22, 22, 20), "glm4v": (8, 12, 12), "glm4v_moe": (8, 12, 12),
    "glm_image": (8, 12, 12), "glm_ocr": (8, 12, 12), "paddleocr_vl": (16, 24, 24), "qwen2_5_omni": (16, 24, 24),
    "qwen2_5_vl": (16, 24, 24), "qwen2_vl": (16, 24, 24), "qwen3_5": (11, 11, 10), "qwen3_5_moe": (11, 11, 10),
    "qwen3_omni_moe": (24, 20, 20), "qwen3_vl": (24, 20, 20), "qwen3_vl_moe": (24, 20, 20),
}  # fmt: skip

# Families with one rotary embedding per layer type: (theta's old field, theta's default) of each.
_LAYERS = {
    "gemma3": {"full_attention": ("rope_theta", 1e6), "sliding_attention": ("rope_local_base_freq", 10000.0)},
    "gemma3n": {"full_attention": ("rope_theta", 1e6), "sliding_attention": ("rope_local_base_freq", 10000.0)},
    "modernbert": {
        "full_attention": ("global_rope_theta", 160000.0),
        "sliding_attention": ("local_rope_theta", 10000.0),
    },
}
_LAYERS["modernbert-decoder"] = _LAYERS["modernbert"]
_LAYERS["olmo3"] = {name: ("rope_theta", 5e5) for name in ("full_attention", "sliding_attention")}
_SCALED_IN_FULL_LAYERS = {"gemma3", "gemma3n", "olmo3"}

_TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_HEAD_DIMS = ("head_dim", "attention_head_dim", "kv_channels")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")


def load(config: Any) -> dict[str, Any]:
    """A configuration as a dictionary: a mapping, a path to config.json or to its folder, or a transformers object."""
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, (str, os.PathLike)):
        path = Path(config)
        path = path / "config.json" if path.is_dir() else path
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # neither UTF-8 nor JSON
            raise ValueError(f"{path} is not a configuration: {error}") from None
        except RecursionError:
            raise ValueError(f"{path} is not a configuration: its JSON is nested too deeply") from None
        if not isinstance(data, dict):
            raise ValueError(f"{path} is not a configuration: its JSON is no object")
        return data
    if hasattr(config, "to_dict"):
        return dict(config.to_dict())
    raise TypeError(f"config must be a dictionary, a path or a transformers config, not {type(config).__name__}")


def text_of(config: dict[str, Any]) -> dict[str, Any]:
    """The language model's part of a multimodal configuration, or the configuration itself."""
    if isinstance(config.get("thinker_config"), Mapping):
        return text_of(dict(config["thinker_config"]))
    for name in _TEXT_CONFIGS:
        if isinstance(config.get(name), Mapping):
            return {"model_type": config.get("model_type", ""), **_rotation_of(config), **config[name]}
    return config


def _rotation_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the outer part of a multimodal configuration says of rotation: it must be read, or refused, too."""
    parts = [config[name] for name in _TEXT_CONFIGS if isinstance(config.get(name), Mapping)]
    inner = {field for part in parts for field in part}
    said = {field: value for field, value in config.items() if _SPEAKS.search(field) and field not in inner}
    return {field: value for field, value in said.items() if not isinstance(value, Mapping) or field in _READ}


def _family(text: Mapping[str, Any], seq_len: int | None) -> str:
    """The model_type without "_text"; a sentence for one that has no rotary embedding, another one, or is unknown."""
    name = text.get("model_type")
    if not isinstance(name, str) or not name:
        raise ValueError(f"model_type must be the name of a model family, not {name!r}; {_OWN_ARGUMENTS}")
    family = name.removesuffix("_text")
    kind = "rope" if family in _UNREAD_TYPE else text.get("position_embedding_type", "rope")
    absolute = kind not in ("rope", "rotary")
    without = family in _WITHOUT and not (family == "mpt" and text.get("rope"))
    if without or text.get("alibi") or absolute or any(text.get(name) is False for name in _SWITCHES):
        raise ValueError(f"{family} has no rotary position embedding")
    if family in _OTHERWISE:
        raise ValueError(f"{family} {_OTHERWISE[family]}")
    if _STATED.get(family, "model_type") not in text:
        raise ValueError(f"{family} has rotary position embeddings only as {_STATED[family]} says, which is missing")
    _check_variant(text, family, seq_len)
    tables = (_INTERLEAVED, _DEINTERLEAVED, _THETA, _PARTIAL, _ROTARY_DIM, _SECTIONS, _LAYERS, _FULL_HEAD_DIM)
    if family not in KNOWN and not any(family in table for table in tables):
        raise ValueError(
            f"model_type {name!r} is none whose rotary embedding is known here, if it has one; {_OWN_ARGUMENTS}"
        )
    return family


def _check_variant(text: Mapping[str, Any], family: str, seq_len: int | None) -> None:
    """Refuse members of a family that rotate otherwise, or not at all, though no field speaks of it."""
    if family == "baichuan" and text.get("hidden_size") != 4096:
        raise ValueError(f"baichuan of hidden_size {text.get('hidden_size')} has no rotary position embedding (ALiBi)")
    if family.startswith("deepseek") and (text.get("use_mla") is False or text.get("qk_rope_head_dim") == 0):
        raise ValueError(f"{family} without multi-head latent attention is not understood here; {_OWN_ARGUMENTS}")
    if text.get("use_dynamic_ntk") and (seq_len or 0) > _count(text.get("seq_length") or 8192, "seq_length"):
        raise ValueError(f"use_dynamic_ntk beyond seq_length is not understood here; {_OWN_ARGUMENTS}")
    if family in _ROTARY_DIM and "rotary_dim" in text and text["rotary_dim"] is None:
        raise ValueError(f"{family} with rotary_dim null is not understood here; {_OWN_ARGUMENTS}")


_OWN_ARGUMENTS = "build roperot.Rope(head_dim, base=..., pairing=...) from what its code does"
_THETAS = ("rope_theta", "rotary_emb_base", "rope_embedding_base", "rotary_base", "rope_base")
_PARTIALS = ("partial_rotary_factor", "rotary_pct", "rotary_percentage", "rotary_emb_fraction")
_ROTARY_DIMS = ("rotary_dim", "rotary_emb_dim", "attn_rotary_emb")
_READ = {
    *_THETAS, *_PARTIALS, *_ROTARY_DIMS, "compress_rope_theta", "global_rope_theta", "layer_rope_theta",
    "local_rope_theta", "original_max_position_embeddings", "original_rope", "position_embedding_type",
    "qk_rope_head_dim", "rope", "rope_interleave", "rope_local_base_freq", "rope_parameters", "rope_position_scale",
    "rope_ratio", "rope_scaling", "use_mem_rope",
}  # fmt: skip
_SWITCHES = ("rope", "rotary", "use_rope", "use_rotary_pos_emb")
_SPEAKS = re.compile("rope|rotary|position|alibi")
_ATTENTION = re.compile("attn|attention")
_NEUTRAL = {
    "rotary": True,
    "use_rotary_pos_emb": True,
    "original_rope": True,
    "rope_position_scale": 1,
    "use_mem_rope": True,
    "rope_impl": "hf",
}


def _flat(text: dict[str, Any]) -> dict[str, Any]:
    """The configuration with what a nested attention configuration says of rotation (DBRX, MPT) beside the rest."""
    for name, nested in list(text.items()):
        if not (isinstance(nested, Mapping) and _ATTENTION.search(name)):
            continue
        found = {field: value for field, value in nested.items() if _SPEAKS.search(field)}
        for field, value in found.items():
            if text.get(field, value) != value:
                raise ValueError(
                    f"the configuration contradicts itself: {field} is {text[field]!r}, in {name} {value!r}"
                )
        text = {**found, **text}
    return text


def _check_fields(text: Mapping[str, Any]) -> None:
    """Refuse what speaks of rotation or positions and is not read, and what only means something we do not do."""
    for field, value in text.items():
        silent = value is None or value is False or value == {} or value == []
        if field in _NEUTRAL and not silent and value != _NEUTRAL[field]:
            raise ValueError(f"{field} = {value!r} is not understood here; {_OWN_ARGUMENTS}")
        if field == "use_mem_rope" and silent:
            raise ValueError("use_mem_rope is not set: this model has no rotary position embedding")
        if silent or field in _READ or field in HARMLESS or field in _NEUTRAL or not _SPEAKS.search(field):
            continue
        raise ValueError(f"the configuration says {field} = {value!r}, which is not understood here; {_OWN_ARGUMENTS}")
    bases = text.get("layer_rope_theta")
    if isinstance(bases, (list, tuple)) and any(base != bases[0] for base in bases):
        distinct = sorted({str(base) for base in bases})
        raise ValueError(
            f"layer_rope_theta gives the layers different bases, {', '.join(distinct)}: pass base=... for each"
        )
    _agreed(text, _THETAS)
    _agreed(text, _PARTIALS)
    given = [text[name] for name in ("rope_parameters", "rope_scaling") if text.get(name)]
    if len(given) == 2 and given[0] != given[1]:
        raise ValueError(f"the configuration contradicts itself: rope_parameters {given[0]}, rope_scaling {given[1]}")
    inner = given[0].get("rope_theta") if given and isinstance(given[0], Mapping) else None
    if inner is not None and _first(text, _THETAS) not in (None, inner):
        raise ValueError(f"the configuration contradicts itself: rope_theta is {_first(text, _THETAS)!r} and {inner!r}")


def _agreed(text: Mapping[str, Any], names: tuple[str, ...]) -> None:
    given = {name: text[name] for name in names if text.get(name) is not None}
    if len({str(value) for value in given.values()}) > 1 and len({*map(repr, given.values())}) > 1:
        numbers = [v for v in given.values() if isinstance(v, (int, float))]
        if len(set(numbers)) != 1 or len(numbers) != len(given):
            raise ValueError(f"the configuration contradicts itself: {given}")


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    """true or false, null as false: "false" is text, and would be true."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}")
    return bool(value)


def _first(text: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((text[name] for name in names if text.get(name) is not None), None)


def _count(value: Any, name: str, least: int = 1) -> int:
    """A whole number that a configuration states, perhaps as 64.0; ``name`` is for the sentence if it is none."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else integer(value, name)
    if whole < least:
        raise ValueError(f"{name} = {value!r} must be {least} or more")
    if whole >= 2**63:
        raise ValueError(f"{name} is {whole:.3e} and beyond int64" if whole < 10**300 else f"{name} is beyond int64")
    return whole


def _length(fields: Mapping[str, Any], name: str) -> int | None:
    return None if fields.get(name) is None else _count(fields[name], name, 0)


def _theta(text: Mapping[str, Any], parameters: Mapping[str, Any], family: str) -> float:
    theta = _first(parameters, ("rope_theta",))
    if theta is None:
        theta = _first(text, _THETAS)
    base = number(_THETA.get(family, 10000.0) if theta is None else theta, "rope_theta")
    if not 0 < base < math.inf:
        raise ValueError(f"rope_theta = {theta!r} must be a number above 0")
    ratio = text.get("rope_ratio")
    if ratio is None:
        return base
    if family != "chatglm":
        raise ValueError(f"rope_ratio = {ratio!r} is understood for chatglm only, not for {family}")
    return base * number(ratio, "rope_ratio")


def _parameters(text: Mapping[str, Any], family: str, layer_type: str | None) -> dict[str, Any]:
    """The rope parameters of one layer type, rope_theta filled in, whatever the spelling."""
    given = text.get("rope_parameters") or text.get("rope_scaling") or _PARAMETERS.get(family) or {}
    if not isinstance(given, Mapping):
        raise ValueError(f"rope_parameters must be an object, not {given!r}")
    if family == "deepseek_v4" and "main" not in given:
        given = _deepseek_v4(text, given)
    types = text.get("layer_types") or _LAYERS.get(family, {})
    if not (isinstance(types, (list, tuple, dict)) and all(isinstance(name, str) for name in types)):
        raise ValueError(f"layer_types must be a list of names, not {types!r}")
    known: list[str] = list(types)
    if layer_type is not None and layer_type not in known and layer_type not in given:
        if not known and not any(isinstance(entry, Mapping) for entry in given.values()):
            raise ValueError(f"layer_type {layer_type!r} means nothing here: this model has one rotary embedding")
        names = ", ".join(sorted({*known, *(n for n, e in given.items() if isinstance(e, Mapping))}))
        raise ValueError(f"layer_type {layer_type!r} is none of this model's: {names}")
    if family in NEEDS_PARAMETERS and not text.get("rope_parameters") and not text.get("rope_scaling"):
        raise ValueError(f"{family} without rope_parameters is not understood here; state them, or {_OWN_ARGUMENTS}")
    if text.get("rope_parameters") == {} and (family in _PARAMETERS or family in _LAYERS):
        raise ValueError(f"rope_parameters is empty; {family} has others where none are stated: state them")
    nested = {name: entry for name, entry in given.items() if entry is None or isinstance(entry, Mapping)}
    if any(isinstance(entry, Mapping) for entry in nested.values()) and family in ASKED - READS_LAYERS:
        raise ValueError(f"rope_parameters is by layer type, which {family} does not read; {_OWN_ARGUMENTS}")
    if nested and "rope_type" not in given and "type" not in given:
        return dict(_of_layer(nested, layer_type))
    parameters = dict(given)
    if family in _LAYERS and "rope_theta" not in parameters:
        if layer_type is None and parameters and family in _SCALED_IN_FULL_LAYERS:
            raise _ambiguous(_LAYERS[family])
        field, default = _of_layer(_LAYERS[family], layer_type)
        if layer_type == "sliding_attention" and family in _SCALED_IN_FULL_LAYERS:
            parameters = {}
            if family == "olmo3" and text.get(field) not in (None, default):
                raise ValueError(
                    f"{field} = {text[field]!r} is not read of olmo3's sliding_attention in transformers: state "
                    "rope_parameters"
                )
        parameters["rope_theta"] = default if text.get(field) is None else text[field]
    return parameters


def _deepseek_v4(text: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Its flat file as the two entries that transformers makes of it: the compressed layers have the scaling alone."""
    compress = {"rope_type": given.get("type", "default"), **given}
    compress["rope_theta"] = text.get("compress_rope_theta", 160000.0)
    if compress["rope_type"] == "yarn":
        compress.setdefault("attention_factor", 1.0)
    main = {"rope_type": "default", "rope_theta": text.get("rope_theta", 10000.0)}
    return {"main": main, "compress": compress}


def _ambiguous(layers: Iterable[str]) -> ValueError:
    return ValueError(f"this model rotates by layer type: pass layer_type, one of {', '.join(map(repr, layers))}")


def _of_layer(layers: Mapping[str, Any], layer_type: str | None) -> Any:
    if layer_type is None:
        distinct = [entry for i, entry in enumerate(layers.values()) if entry not in list(layers.values())[:i]]
        if len(distinct) == 1 and distinct[0] is not None:
            return distinct[0]
        raise _ambiguous(layers)
    if layers.get(layer_type) is None:
        raise ValueError(f"there is no rotary embedding for layer_type {layer_type!r}; known are {', '.join(layers)}")
    return layers[layer_type]


def _head_dim(text: Mapping[str, Any], family: str, layer_type: str | None) -> int:
    latent = text.get("qk_rope_head_dim") or (LATENT.get(family) if family in ASKED else None)
    if latent:
        _check_latent(text, latent, family)
        return _count(latent, "qk_rope_head_dim")  # multi-head latent attention rotates a tensor of its own
    if layer_type == "full_attention":
        full = text.get("global_head_dim") or _overridden(text, layer_type) or _FULL_HEAD_DIM.get(family)
        if full:
            return _count(full, "the head_dim of full_attention")
    found = _first(text, _HEAD_DIMS)
    if found:
        return _count(found, "head_dim")
    hidden, heads = _first(text, _HIDDEN), _first(text, _HEADS)
    if hidden is None or heads is None:
        raise ValueError("the configuration has neither head_dim nor hidden_size and num_attention_heads")
    if family in HEAD_DIM:
        return HEAD_DIM[family]
    width, parts = _count(hidden, "hidden_size"), _count(heads, "num_attention_heads")
    if width < parts:
        raise ValueError(f"hidden_size = {width} must be num_attention_heads = {parts} or more")
    return width // parts


def _check_latent(text: Mapping[str, Any], latent: Any, family: str) -> None:
    """Refuse a head_dim beside qk_rope_head_dim by which the model's class would rotate other channels."""
    parameters = text.get("rope_parameters") or text.get("rope_scaling") or {}
    share = _first(parameters if isinstance(parameters, Mapping) else {}, _PARTIALS) or _first(text, _PARTIALS)
    stated = text.get("head_dim") or (latent if family in READS_PARTIAL else None)
    if stated and family in LATENT_IS_HEAD_DIM and stated != latent:
        raise ValueError(f"the configuration contradicts itself: head_dim {stated!r}, qk_rope_head_dim {latent!r}")
    if stated and share and number(stated, "head_dim") * number(share, "partial_rotary_factor") != latent:
        raise ValueError(
            f"the configuration contradicts itself: {share} of head_dim {stated!r}, qk_rope_head_dim {latent!r}"
        )


def _overridden(text: Mapping[str, Any], layer_type: str) -> Any:
    """The head_dim that transformers' ``per_layer_config`` gives the layers of one type; None if it does not."""
    layers, types = text.get("per_layer_config"), text.get("layer_types")
    if not isinstance(layers, Mapping) or not types:
        return None
    found = set()
    for index, entry in layers.items():
        if not (str(index).isdecimal() and int(index) < len(types) and isinstance(entry, Mapping)):
            raise ValueError(f"per_layer_config[{index!r}] = {entry!r} must be an object of one of {len(types)} layers")
        if types[int(index)] == layer_type:
            found.add(None if entry.get("head_dim") is None else _count(entry["head_dim"], "head_dim"))
    if len(found) > 1:
        raise ValueError(f"per_layer_config gives the layers of type {layer_type!r} different head_dims: {found}")
    return found.pop() if found else None


def _rotary_dim(text: Mapping[str, Any], parameters: Mapping[str, Any], family: str, head_dim: int) -> int:
    if text.get("qk_rope_head_dim"):
        return head_dim
    factor = _first(parameters, ("partial_rotary_factor",))
    if factor is None:
        factor = _first(text, _PARTIALS)
    if factor is None:
        given = _first(text, _ROTARY_DIMS) or _ROTARY_DIM.get(family)
        if given and family != "minimax_m3_vl":  # transformers does not read it there
            return _count(given, "rotary_dim")
        factor = _PARTIAL.get(family, 1.0)
    share = number(factor, "partial_rotary_factor")
    if not 0 < share <= 1:
        raise ValueError(f"partial_rotary_factor = {factor!r} must be above 0 and at most 1")
    dim = int(head_dim * share)
    stated = _first(text, _ROTARY_DIMS)
    if stated and family != "minimax_m3_vl" and stated != dim:
        raise ValueError(f"the configuration contradicts itself: rotary_dim {stated!r}, and {factor} of {head_dim}")
    if dim < 2 or dim % 2:
        raise ValueError(
            f"partial_rotary_factor {factor} of head_dim {head_dim} leaves {dim} channels, not an even number"
        )
    return dim


_KEYS = {
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "attention_factor"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "longrope": ("factor", "attention_factor", "short_factor", "long_factor"),
    "proportional": ("factor", "partial_rotary_factor"),
}


# Members of rope_parameters that every rule may have beside its own: read elsewhere, or of no meaning to the rotation.
_ANY_KIND = {
    "rope_type", "type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings", "mrope_section",
    "mrope_interleaved", "finetuned", "llama_4_scaling_beta", "max_position_embeddings",
}  # fmt: skip
_MORE = {"yarn": {"truncate"}, "longrope": {"long_mscale", "short_mscale"}}


def _check_members(parameters: Mapping[str, Any], name: str, kind: str) -> None:
    """Refuse what a rule does not read: it would be scaled by less than the configuration says."""
    known = {*_ANY_KIND, *_KEYS.get(kind, ()), *_MORE.get(kind, ())}
    for field, value in parameters.items():
        if field not in known and value is not None and value is not False and value != 1:
            raise ValueError(f"rope_type {name!r} with {field} = {value!r} is not understood here; {_OWN_ARGUMENTS}")


def _scaling(
    text: Mapping[str, Any], parameters: Mapping[str, Any], family: str, seq_len: int | None
) -> dict[str, Any] | Scaling | None:
    name = parameters.get("rope_type") or parameters.get("type") or "default"
    if not isinstance(name, str):
        raise TypeError(f"rope_type must be a name such as 'yarn', not {name!r}")
    kind = {"mrope": "default", "su": "longrope"}.get(name, name)
    if kind == "default":
        _check_members(parameters, name, kind)
        return None
    if kind == "dynamic" and parameters.get("alpha"):
        return Scaling("ntk", factor=number(parameters["alpha"], "alpha"))  # Hunyuan's meaning of "dynamic"
    if kind == "yarn" and family == "phi3":
        kind = "longrope"
    if kind not in _KEYS:
        known = ", ".join(["default", *_KEYS, "mrope", "su"])
        hint = "; roperot.Scaling has it by other means" if kind in KINDS else ""
        raise ValueError(f"rope_type {name!r} is unknown; known in configurations are {known}{hint}")
    _check_members(parameters, name, kind)
    scaling = {key: parameters[key] for key in _KEYS[kind] if parameters.get(key)}
    if parameters.get("factor") is not None:
        scaling["factor"] = parameters["factor"]  # 0, too: elsewhere it means "not given", here it is a mistake
    longest = _length(text, "max_position_embeddings")
    name_of_original = "original_max_position_embeddings"
    originals = [fields[name_of_original] for fields in (text, parameters) if fields.get(name_of_original) is not None]
    original = next((_count(value, name_of_original) for value in originals), longest)
    if kind == "dynamic":
        scaling |= {"original_length": longest, "length": max(seq_len or 0, longest or 0)}
    elif kind in ("yarn", "llama3", "longrope"):
        scaling["original_length"] = original
    if kind == "longrope" and "factor" not in scaling and longest and original:
        scaling["factor"] = longest / original
    if kind == "yarn" and parameters.get("truncate") is not None:
        scaling["truncate"] = _flag(parameters, "truncate")
    if kind == "longrope":
        _choose_long(scaling, parameters, family, seq_len or 0)
    return {"rope_type": kind, **scaling}


def _choose_long(scaling: dict[str, Any], parameters: Mapping[str, Any], family: str, seq_len: int) -> None:
    """PhiMoE keeps the short frequencies and lets the length choose the attention factor; the others the reverse."""
    if family != "phimoe":
        scaling["seq_len"] = seq_len
        return
    if scaling["original_length"] is None:
        raise ValueError("rope_type 'longrope' of phimoe needs original_max_position_embeddings, a number of positions")
    field = "long_mscale" if seq_len > scaling["original_length"] else "short_mscale"
    if parameters.get(field) is None:
        raise ValueError(f"rope_type 'longrope' of phimoe needs {field}, a number, for seq_len {seq_len}")
    scaling["attention_factor"] = number(parameters[field], field)


def _sections(text: Mapping[str, Any], parameters: Mapping[str, Any], family: str) -> Sections | None:
    section = parameters.get("mrope_section") or _SECTIONS.get(family)
    if not section:
        return None
    interleaved = _flag(parameters, "mrope_interleaved") or family in _INTERLEAVED_SECTIONS
    kind = "ernie" if family == "ernie4_5_vl_moe" else "interleaved" if interleaved else "contiguous"
    if not isinstance(section, (list, tuple)):
        raise ValueError(f"mrope_section must be a list of numbers of pairs, not {section!r}")
    return Sections(tuple(_count(pairs, "mrope_section", 0) for pairs in section), kind)


def arguments(config: Any, *, seq_len: int | None = None, layer_type: str | None = None) -> dict[str, Any]:
    """The arguments of ``Rope`` that a Hugging Face configuration stands for; see ``Rope.from_hf``."""
    length = None if seq_len is None else _count(seq_len, "seq_len", 0)
    if layer_type is not None and not isinstance(layer_type, str):
        raise TypeError(f"layer_type must be a name such as 'full_attention', not {layer_type!r}")
    given = text_of(load(config))
    text = _flat(given)
    family = _family(text, length)
    _check_fields(text)
    found = _arguments(text, family, length, layer_type)
    if family in ASKED:
        _check_unread(given, family, found, lambda others: _arguments(others, family, length, layer_type))
    return found


def _check_unread(
    text: Mapping[str, Any], family: str, found: dict[str, Any], again: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Refuse what the family's class in transformers does not read, unless it says what that does anyway."""
    own = READS.get(family, set()) | ({"partial_rotary_factor"} if family in READS_PARTIAL else set())
    alien = {*_THETAS, *_PARTIALS, *_ROTARY_DIMS, "qk_rope_head_dim"} - own
    if family in LATENT:
        alien.discard("qk_rope_head_dim")
    if family not in UNREAD_THETA or text.get("rope_parameters") or text.get("rope_scaling"):
        alien.discard("rope_theta")
    else:
        alien.add("partial_rotary_factor")
    unread = sorted(field for field in alien if text.get(field) is not None)
    others = {field: value for field, value in text.items() if field not in unread}
    for name in ("rope_parameters", "rope_scaling"):
        given = text.get(name)
        if "partial_rotary_factor" in own or not isinstance(given, Mapping):
            continue
        if given.get("partial_rotary_factor") is None or given.get("rope_type", given.get("type")) == "proportional":
            continue
        others[name] = {field: value for field, value in given.items() if field != "partial_rotary_factor"}
        unread.append(f"partial_rotary_factor in {name}")
    if again(others) != found:
        fields = ", ".join(unread) or "rotation in an attention configuration"
        raise ValueError(
            f"the configuration says {fields}, which transformers does not read of {family}; {_OWN_ARGUMENTS}"
        )


def _arguments(text: dict[str, Any], family: str, length: int | None, layer_type: str | None) -> dict[str, Any]:
    parameters = _parameters(text, family, layer_type)
    if family == "mimo_v2_flash" and parameters.get("partial_rotary_factor") is None:
        raise ValueError("mimo_v2_flash has a partial_rotary_factor of its own where none is stated: state it")
    head_dim = _head_dim(text, family, layer_type)
    found: dict[str, Any] = {"head_dim": head_dim, "base": _theta(text, parameters, family)}
    scaling = _scaling(text, parameters, family, length)
    # "proportional" spreads its partial factor over the whole head; everywhere else it cuts the head.
    proportional = isinstance(scaling, Mapping) and scaling["rope_type"] == "proportional"
    if not proportional:
        rotary_dim = _rotary_dim(text, parameters, family, head_dim)
        found["rotary_dim"] = None if rotary_dim == head_dim else rotary_dim
    found |= {"scaling": scaling, "sections": _sections(text, parameters, family)}
    if family in _INTERLEAVED:
        found["pairing"] = "interleaved"
    elif _flag(text, "rope_interleave") if "rope_interleave" in text else family in _DEINTERLEAVED:
        found |= {"pairing": "interleaved", "pairing_out": "half"}
    return {name: value for name, value in found.items() if value is not None}
