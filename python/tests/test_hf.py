"""Hugging Face configurations: what they mean, judged by transformers itself where it is installed."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_same_bits

from roperot import Rope
from roperot._families import ASKED
from roperot._hf import arguments

LLAMA = {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "max_position_embeddings": 131072}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}  # fmt: skip
YARN = {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096}  # fmt: skip
PHIMOE = {**LLAMA, "model_type": "phimoe",
          "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 64, "long_factor": [2.0] * 64,
                           "short_mscale": 1.25, "long_mscale": 1.5}}  # fmt: skip
GEMMA3 = {"model_type": "gemma3_text", "head_dim": 256, "rope_theta": 1e6, "rope_local_base_freq": 10000,
          "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "max_position_embeddings": 131072}  # fmt: skip


def test_old_and_new_spelling_agree():
    old = Rope.from_hf({**LLAMA, "rope_theta": 500000.0, "rope_scaling": LLAMA3})
    new = Rope.from_hf({**LLAMA, "rope_parameters": {**LLAMA3, "rope_theta": 500000.0}})
    np.testing.assert_array_equal(old.inv_freq, new.inv_freq)
    assert (old.head_dim, old.rotary_dim) == (128, 128)
    assert old.inv_freq[-1] == pytest.approx(500000.0 ** (-126 / 128) / 8)


def test_a_path_a_folder_and_an_object(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))

    class Config:
        def to_dict(self):
            return LLAMA

    for config in (tmp_path, tmp_path / "config.json", str(tmp_path / "config.json"), Config()):
        np.testing.assert_array_equal(Rope.from_hf(config).inv_freq, Rope(128).inv_freq)
    with pytest.raises(TypeError, match="int"):
        Rope.from_hf(3)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ValueError, match="no object"):
        Rope.from_hf(tmp_path / "list.json")
    (tmp_path / "cut.json").write_text('{"hidden_size": 4096,')
    with pytest.raises(ValueError, match="cut\\.json is not a configuration"):
        Rope.from_hf(tmp_path / "cut.json")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gptj", "n_embd": 4096, "n_head": 16, "rotary_dim": 64},
         {"head_dim": 256, "rotary_dim": 64, "pairing": "interleaved"}),
        ({"model_type": "gpt_neox", "hidden_size": 6144, "num_attention_heads": 64, "rotary_pct": 0.25,
          "rotary_emb_base": 10000}, {"head_dim": 96, "rotary_dim": 24, "pairing": "half"}),
        ({"model_type": "phi", "hidden_size": 2560, "num_attention_heads": 32, "partial_rotary_factor": 0.4},
         {"head_dim": 80, "rotary_dim": 32}),
        ({"model_type": "stablelm", "hidden_size": 2560, "num_attention_heads": 32},
         {"head_dim": 80, "rotary_dim": 20}),
        ({"model_type": "cohere", "hidden_size": 8192, "num_attention_heads": 64}, {"pairing": "interleaved"}),
        ({"model_type": "deepseek_v3", "qk_rope_head_dim": 64, "rope_scaling": YARN, "max_position_embeddings": 163840},
         {"head_dim": 64, "pairing": "interleaved", "pairing_out": "half", "attention_factor": 1.0}),
        ({"model_type": "deepseek_v3", "qk_rope_head_dim": 64, "rope_interleave": False}, {"pairing": "half"}),
        ({"model_type": "qwen2_vl", "hidden_size": 3584, "num_attention_heads": 28,
          "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}, {"axes": 3, "head_dim": 128}),
        ({"model_type": "qwen3_vl", "text_config": {"model_type": "qwen3_vl_text", "head_dim": 128, "rope_theta": 5e6,
          "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"}}},
         {"axes": 3, "head_dim": 128}),
        ({"model_type": "llava", "text_config": {**LLAMA}}, {"head_dim": 128}),
    ],
    ids=lambda value: value.get("model_type", "") if isinstance(value, dict) else "",
)  # fmt: skip
def test_geometry(config, expected):
    found = Rope.from_hf(config).info()
    assert {name: found[name] for name in expected} == expected


def test_interleaved_sections_are_not_contiguous():
    config = {"model_type": "qwen3_vl_text", "head_dim": 128,
              "rope_scaling": {"mrope_section": [24, 20, 20], "rope_type": "default"}}  # fmt: skip
    assert Rope.from_hf(config).info()["axis"][:4] == [0, 1, 2, 0]


def test_layer_types():
    full, sliding = (Rope.from_hf(GEMMA3, layer_type=f"{kind}_attention") for kind in ("full", "sliding"))
    np.testing.assert_allclose(full.inv_freq, 1e6 ** (-np.arange(0, 256, 2) / 256) / 8)
    np.testing.assert_allclose(sliding.inv_freq, 1e4 ** (-np.arange(0, 256, 2) / 256))
    new = {**LLAMA, "model_type": "olmo3",
           "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                               "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}  # fmt: skip
    np.testing.assert_allclose(Rope.from_hf(new, layer_type="full_attention").inv_freq[1], 1e6 ** (-2 / 128))
    olmo3 = {**LLAMA, "model_type": "olmo3", "rope_scaling": {"type": "linear", "factor": 2.0}}
    for config in (GEMMA3, new, olmo3):
        with pytest.raises(ValueError, match="layer_type"):
            Rope.from_hf(config)
        with pytest.raises(ValueError, match="chunked"):
            Rope.from_hf(config, layer_type="chunked_attention")


@pytest.mark.parametrize("given", [{"global_head_dim": 64}, {"per_layer_config": {"01": {"head_dim": 64}}}, {}])
def test_full_attention_may_have_heads_of_its_own(given):
    """Gemma 4: the field of published files, what transformers 5 writes, and its default."""
    config = {"model_type": "gemma4_text", "head_dim": 32, "layer_types": ["sliding_attention", "full_attention"]}
    config |= given
    assert Rope.from_hf(config, layer_type="full_attention").head_dim == (64 if given else 512)
    assert Rope.from_hf(config, layer_type="sliding_attention").head_dim == 32


def test_head_dims_that_differ_within_a_layer_type_are_refused():
    layers = {"0": {"head_dim": 64}, "1": {"head_dim": 128}}
    config = {"model_type": "gemma4", "head_dim": 32, "layer_types": ["full_attention"] * 2, "per_layer_config": layers}
    with pytest.raises(ValueError, match="per_layer_config"):
        Rope.from_hf(config, layer_type="full_attention")


def test_length_chooses_longrope_and_dynamic():
    long = {**LLAMA, "model_type": "phi3", "original_max_position_embeddings": 4096,
            "rope_scaling": {"type": "su", "short_factor": [1.0] * 64, "long_factor": [2.0] * 64}}  # fmt: skip
    short = Rope.from_hf(long, seq_len=4096)
    np.testing.assert_allclose(Rope.from_hf(long, seq_len=4097).inv_freq, short.inv_freq / 2)
    assert short.attention_factor == pytest.approx(np.sqrt(1 + np.log(32) / np.log(4096)))
    dynamic = {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 2.0}}
    np.testing.assert_array_equal(Rope.from_hf(dynamic).inv_freq, Rope(128).inv_freq)
    assert Rope.from_hf(dynamic, seq_len=262144).inv_freq[-1] < Rope(128).inv_freq[-1]


def test_overrides_win():
    rope = Rope.from_hf(LLAMA, base=500.0, max_positions=64, cache="full", isa="scalar", pairing="interleaved")
    found = rope.info()
    assert (found["max_positions"], found["isa"], found["pairing"]) == (64, "scalar", "interleaved")
    np.testing.assert_array_equal(rope.inv_freq, Rope(128, base=500.0).inv_freq)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({**LLAMA, "rope_scaling": {"rope_type": "spiral", "factor": 2.0}}, "spiral"),
        ({"model_type": "gpt2", "n_embd": 768, "n_head": 12}, "gpt2 has no rotary"),
        ({"model_type": "falcon", "hidden_size": 64, "num_attention_heads": 2, "alibi": True}, "no rotary"),
        ({"model_type": "llama"}, "head_dim"),
        ({**LLAMA, "rope_scaling": [1]}, "rope_parameters"),
        ({**LLAMA, "rope_scaling": {"rope_type": "linear"}}, "'linear' needs factor"),
        ({**LLAMA, "model_type": "nanochat"}, "nanochat rotates backwards"),
        ({**LLAMA, "partial_rotary_factor": 0.01}, "0.01"),
        ({**LLAMA, "rope_scaling": {"rope_type": "yarn", "factor": -1.0}}, "factor"),
        ({**LLAMA, "rope_scaling": {"rope_type": "yarn", "factor": 0, "original_max_position_embeddings": 64}},
         "factor is 0"),
        ({**LLAMA, "num_attention_heads": 0}, "num_attention_heads = 0 must be 1 or more"),
        ({**LLAMA, "num_attention_heads": 4097}, "hidden_size = 4096 must be num_attention_heads = 4097 or more"),
        ({**LLAMA, "head_dim": -128}, "head_dim = -128 must be 1 or more"),
        ({**LLAMA, "rope_theta": 0}, "rope_theta = 0 must be a number above 0"),
        ({**LLAMA, "rope_parameters": {"rope_type": "default", "rope_theta": -1.0}}, "rope_theta = -1.0"),
        ({**PHIMOE, "rope_scaling": {**PHIMOE["rope_scaling"], "short_mscale": None}}, "needs short_mscale"),
        ({**PHIMOE, "max_position_embeddings": None}, "needs original_max_position_embeddings"),
    ],
)  # fmt: skip
def test_refused(config, sentence):
    with pytest.raises(ValueError, match=sentence):
        Rope.from_hf(config)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "albert", "hidden_size": 768, "num_attention_heads": 12}, "albert' is none whose rotary"),
        ({**LLAMA, "model_type": "zzz"}, "'zzz' is none whose rotary"),
        ({**LLAMA, "model_type": 5}, "must be the name of a model family, not 5"),
        ({**LLAMA, "model_type": None}, "must be the name"),
        ({**LLAMA, "rope_parameters": {"rope_type": "yarn", "original_max_position_embeddings": 64}}, "needs factor"),
        ({**LLAMA, "rope_scaling": {"rope_type": "yarn"}}, "'yarn' needs factor"),
        ({**LLAMA, "rope_dim": 64}, "rope_dim = 64, which is not understood"),
        ({**LLAMA, "rotary_mode": "odd"}, "rotary_mode = 'odd'"),
        ({**LLAMA, "position_scale": 2.0}, "position_scale"),
        ({**LLAMA, "rope_ratio": 4}, "rope_ratio = 4 is understood for chatglm only"),
        ({**LLAMA, "rope_theta": 1e4, "rotary_emb_base": 1e6}, "contradicts itself"),
        ({**LLAMA, "model_type": "esm", "position_embedding_type": "absolute"}, "esm has no rotary"),
        ({**LLAMA, "model_type": "zamba2", "use_mem_rope": False}, "no rotary"),
        ({"model_type": "phi3small", "hidden_size": 4096, "num_attention_heads": 32, "rope_embedding_base": 1000000,
          "rope_position_scale": 2.0}, "rope_position_scale = 2.0"),
        ({**LLAMA, "partial_rotary_factor": float("inf")}, "partial_rotary_factor = inf"),
        ({**LLAMA, "rope_theta": 10**400}, "rope_theta is a whole number beyond"),
        ({**LLAMA, "max_position_embeddings": 10**400, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
         "max_position_embeddings is beyond int64"),
    ],
)  # fmt: skip
def test_nothing_falls_back_to_a_plausible_default(config, sentence):
    with pytest.raises(ValueError, match=sentence):
        Rope.from_hf(config)


def test_spellings_of_published_files():
    glm = {"model_type": "chatglm", "hidden_size": 4096, "num_attention_heads": 32, "kv_channels": 128,
           "original_rope": True, "rope_ratio": 10000}  # fmt: skip
    rope = Rope.from_hf(glm)
    found = rope.info()
    assert (found["head_dim"], found["rotary_dim"], found["pairing"]) == (128, 64, "interleaved")
    np.testing.assert_allclose(rope.inv_freq, 1e8 ** (-np.arange(0, 64, 2) / 64))
    small = {"model_type": "phi3small", "hidden_size": 4096, "num_attention_heads": 32, "rope_embedding_base": 1000000,
             "rope_position_scale": 1.0}  # fmt: skip
    np.testing.assert_array_equal(Rope.from_hf(small).inv_freq, Rope(128, base=1e6).inv_freq)
    dbrx = {"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "attn_config": {"rope_theta": 5e5, "clip_qkv": 8}}
    np.testing.assert_array_equal(Rope.from_hf(dbrx).inv_freq, Rope(128, base=5e5).inv_freq)
    roformer = {"model_type": "roformer", "hidden_size": 768, "num_attention_heads": 12}
    assert Rope.from_hf(roformer).info()["pairing"] == "interleaved"


BAICHUAN = {"model_type": "baichuan", "num_attention_heads": 32, "num_hidden_layers": 32}
VL2 = {"model_type": "deepseek_vl_v2",
       "language_config": {"model_type": "deepseek_v2", "hidden_size": 1280, "num_attention_heads": 10,
                           "use_mla": False, "qk_nope_head_dim": 0,
                           "qk_rope_head_dim": 0, "v_head_dim": 0}}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({**BAICHUAN, "hidden_size": 5120, "num_attention_heads": 40}, "baichuan of hidden_size 5120 has no rotary"),
        (VL2, "deepseek_v2 without multi-head latent attention"),
        ({**LLAMA, "model_type": "deepseek_v2", "use_mla": False}, "without multi-head latent attention"),
        ({**LLAMA, "model_type": "esm"}, "only as position_embedding_type says, which is missing"),
        ({**LLAMA, "model_type": "granitemoehybrid"}, "only as position_embedding_type says"),
        ({**LLAMA, "model_type": "granitemoehybrid", "position_embedding_type": "nope"}, "no rotary"),
        ({**LLAMA, "model_type": "zamba2"}, "only as use_mem_rope says"),
        ({**LLAMA, "model_type": "muse_spark"}, "only as layer_rope_theta says"),
        ({"model_type": "gptj", "n_embd": 4096, "n_head": 16, "rotary_dim": None}, "rotary_dim null"),
        ({"model_type": "gptj", "n_embd": 4096, "n_head": 16, "rotary": False}, "gptj has no rotary"),
        ({**LLAMA, "model_type": "hunyuan_v1_moe", "use_rotary_pos_emb": False}, "no rotary"),
        ({**LLAMA, "model_type": "internlm", "rotary": {"base": 10000, "type": "dynamic"}}, "rotary = "),
        ({**LLAMA, "model_type": "qwen", "seq_length": 8192, "use_dynamic_ntk": True}, "use_dynamic_ntk"),
        ({**LLAMA, "rope_scaling": {"factor": 4.0}}, "'default' with factor = 4.0"),
        ({**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0, "beta_fast": 32}}, "'linear' with beta_fast = 32"),
        ({**LLAMA, "rope_scaling": {**YARN, "attn_factor": 0.5}}, "'yarn' with attn_factor = 0.5"),
        ({**LLAMA, "rope_scaling": {**YARN, "extrapolation_factor": 0.5}}, "extrapolation_factor"),
        ({**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "rope_parameters": LLAMA3}, "contradicts"),
        ({**LLAMA, "rope_theta": 1e4, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, "contradicts"),
        ({**LLAMA, "rotary_dim": 64, "partial_rotary_factor": 0.25}, "contradicts itself: rotary_dim 64"),
        ({**LLAMA, "attn_config": {"rope_theta": 5e5}, "rope_theta": 1e4}, "contradicts itself: rope_theta"),
        ({**LLAMA, "attn_cfg": {"rope_fraction": 0.5}}, "rope_fraction = 0.5, which is not understood"),
        ({"model_type": "llava", "rope_scaling": {"type": "linear"}, "text_config": LLAMA}, "'linear' needs factor"),
        ({"model_type": "llava", "rope_stretch": 2.0, "text_config": LLAMA}, "rope_stretch = 2.0"),
        ({**LLAMA, "layer_types": 3}, "layer_types must be a list of names, not 3"),
        ({**LLAMA, "layer_types": ["a", []]}, "layer_types must be a list of names"),
        ({**LLAMA, "rope_scaling": {"rope_type": "default", "mrope_section": 5}}, "mrope_section must be a list"),
        ({"model_type": "gemma4", "head_dim": 32, "layer_types": ["full_attention"], "per_layer_config": {"7": {}}},
         "per_layer_config\\['7'\\]"),
    ],
)  # fmt: skip
def test_what_no_field_or_an_unread_one_says_is_refused(config, sentence):
    layer_type = "full_attention" if "per_layer_config" in config else None
    seq_len = 8193 if config.get("use_dynamic_ntk") else None
    with pytest.raises(ValueError, match=sentence):
        Rope.from_hf(config, layer_type=layer_type, seq_len=seq_len)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({**LLAMA, "model_type": "deepseek_v3", "qk_rope_head_dim": 64, "rope_interleave": "false"}, "rope_interleave"),
        ({**LLAMA, "rope_scaling": {**YARN, "truncate": "false"}}, "truncate must be true or false, not 'false'"),
        ({**LLAMA, "rope_scaling": {"rope_type": "default", "mrope_section": [16, 24, 24], "mrope_interleaved": "no"}},
         "mrope_interleaved must be true or false"),
        ({**LLAMA, "rope_scaling": {"rope_type": "default", "mrope_section": [16.5, 24, 23.5]}}, "mrope_section"),
    ],
)  # fmt: skip
def test_text_is_no_truth(config, sentence):
    with pytest.raises(TypeError, match=sentence):
        Rope.from_hf(config)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({**BAICHUAN, "hidden_size": 4096}, {"head_dim": 128, "pairing": "half"}),
        ({**LLAMA, "model_type": "esm", "position_embedding_type": "rotary"}, {"head_dim": 128}),
        ({**LLAMA, "model_type": "granitemoehybrid", "position_embedding_type": "rope"}, {"head_dim": 128}),
        ({"model_type": "modernbert-decoder", "hidden_size": 768, "num_attention_heads": 12, "global_rope_theta": 1.6e5,
          "local_rope_theta": 1.6e5, "position_embedding_type": "absolute"}, {"head_dim": 64}),
        ({"model_type": "nomic_bert", "n_embd": 768, "n_head": 12, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
          "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
          "max_trained_positions": 2048, "n_positions": 8192},
         {"head_dim": 64, "rotary_dim": 64}),
        ({"model_type": "gptj", "n_embd": 4096, "n_head": 16, "rotary": True, "rotary_dim": 64}, {"rotary_dim": 64}),
        ({**LLAMA, "model_type": "hunyuan_v1_moe", "use_rotary_pos_emb": True}, {"head_dim": 128}),
        ({**LLAMA, "model_type": "bamba", "attn_rotary_emb": 64}, {"head_dim": 128, "rotary_dim": 64}),
        ({**LLAMA, "model_type": "qwen", "rotary_emb_base": 10000, "rotary_pct": 1.0, "kv_channels": 128,
          "seq_length": 8192, "use_dynamic_ntk": True, "use_logn_attn": True}, {"head_dim": 128, "rotary_dim": 128}),
        ({**LLAMA, "rope_scaling": {**YARN, "finetuned": True, "attn_factor": 1.0}}, {"head_dim": 128}),
        ({"model_type": "llava", "rope_theta": None, "image_position_embeddings": None, "text_config": LLAMA},
         {"head_dim": 128}),
    ],
    ids=lambda value: value.get("model_type", "") if isinstance(value, dict) else "",
)  # fmt: skip
def test_members_of_families_and_published_spellings(config, expected):
    layer_type = "full_attention" if "global_rope_theta" in config else None
    found = Rope.from_hf(config, layer_type=layer_type).info()
    assert {name: found[name] for name in expected} == expected


V4 = {"model_type": "deepseek_v4", "hidden_size": 4096, "num_hidden_layers": 3, "num_attention_heads": 64,
      "head_dim": 512, "qk_rope_head_dim": 64, "rope_theta": 10000, "compress_rope_theta": 160000,
      "compress_ratios": [0, 4, 128], "max_position_embeddings": 1048576,
      "rope_scaling": {"type": "yarn", "factor": 16, "original_max_position_embeddings": 65536, "beta_fast": 32,
                       "beta_slow": 1}}  # fmt: skip


def test_the_flat_file_of_deepseek_v4_is_what_transformers_makes_of_it():
    transformers = pytest.importorskip("transformers")
    same = transformers.DeepseekV4Config(**{k: v for k, v in V4.items() if k != "model_type"})
    for layer_type in ("main", "compress"):
        file, made = (Rope.from_hf(config, layer_type=layer_type) for config in (V4, same))
        assert repr(file) == repr(made)
        np.testing.assert_array_equal(file.inv_freq, made.inv_freq)
    with pytest.raises(ValueError, match="pass layer_type, one of 'main', 'compress'"):
        Rope.from_hf(V4)


@pytest.mark.parametrize("config", [LLAMA, GEMMA3])
@pytest.mark.parametrize("layer_type", [5, [], ["full_attention"]])
def test_a_layer_type_is_a_name(config, layer_type):
    with pytest.raises(TypeError, match="layer_type must be a name"):
        Rope.from_hf(config, layer_type=layer_type)


def test_only_objects_are_parts_of_a_configuration():
    assert (
        Rope.from_hf({"model_type": "llava", "text_config": LLAMA, "llm_config": 5, "thinker_config": None}).head_dim
        == 128
    )


def test_a_layer_type_must_mean_something():
    with pytest.raises(ValueError, match="'foo' means nothing here"):
        Rope.from_hf(LLAMA, layer_type="foo")


def test_json_that_is_nested_too_deeply_is_no_configuration(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100000)
    with pytest.raises(ValueError, match="nested too deeply"):
        Rope.from_hf(tmp_path / "deep.json")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({**LLAMA, "num_attention_heads": "32"}, "num_attention_heads must be an integer, not '32'"),
        ({**LLAMA, "head_dim": 64.5}, "head_dim must be an integer, not 64.5"),
        ({**LLAMA, "rope_theta": "10000"}, "rope_theta must be a number, not '10000'"),
        ({**LLAMA, "partial_rotary_factor": "0.5"}, "partial_rotary_factor must be a number, not '0.5'"),
        ({**LLAMA, "rope_scaling": {"rope_type": ["yarn"], "factor": 2.0}}, r"rope_type must be a name.*\['yarn'\]"),
        ({**LLAMA, "rope_scaling": {"type": "longrope", "short_factor": 2.5, "long_factor": 3.5, "factor": 2.0}},
         "'longrope' needs factors that are a list of numbers, not 2.5"),
        ({**LLAMA, "max_position_embeddings": "8", "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
         "max_position_embeddings must be an integer, not '8'"),
        ({**PHIMOE, "rope_scaling": {**PHIMOE["rope_scaling"], "short_mscale": "1"}}, "short_mscale must be a number"),
    ],
)  # fmt: skip
def test_fields_of_another_kind_are_refused(config, sentence):
    with pytest.raises(TypeError, match=sentence):
        Rope.from_hf(config)


def test_a_theta_of_zero_is_no_missing_one():
    config = {"model_type": "modernbert", "head_dim": 64, "global_rope_theta": 0}
    with pytest.raises(ValueError, match="rope_theta = 0"):
        Rope.from_hf(config, layer_type="full_attention")


@pytest.mark.parametrize(("seq_len", "error"), [(-1, ValueError), (4096.5, TypeError), ("8", TypeError)])
def test_seq_len_is_a_length(seq_len, error):
    with pytest.raises(error, match=f"seq_len .*{seq_len}"):
        Rope.from_hf(LLAMA, seq_len=seq_len)
    assert Rope.from_hf(LLAMA, seq_len=4096.0).head_dim == 128


def test_the_factor_of_phimoe():
    assert Rope.from_hf(PHIMOE).attention_factor == 1.25
    assert Rope.from_hf(PHIMOE, seq_len=131073).attention_factor == 1.5


# ---- transformers' own judgement

SMALL = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 1, "max_position_embeddings": 256}
LONG = {"rope_type": "longrope", "short_factor": [1.0 + j for j in range(8)],
        "long_factor": [2.0 + j for j in range(8)], "original_max_position_embeddings": 64}  # fmt: skip
SCALINGS = [
    {"rope_type": "default"},
    {"rope_type": "linear", "factor": 4.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "truncate": False, "beta_fast": 16.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "mscale": 0.7, "mscale_all_dim": 1.1},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "attention_factor": 1.7},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 32},
    LONG,
]  # fmt: skip


@pytest.mark.parametrize("seq_len", [None, 64, 65, 1000])
@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s["rope_type"])
def test_scalings_equal_transformers(scaling, seq_len):
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = transformers.LlamaConfig(**SMALL, rope_parameters={**scaling, "rope_theta": 20000.0})
    rope = Rope.from_hf(config, seq_len=seq_len)
    if scaling["rope_type"] == "default":
        expected, factor = 20000.0 ** (-np.arange(0, 16, 2) / 16), 1.0
    else:
        tensor, factor = ROPE_INIT_FUNCTIONS[scaling["rope_type"]](config, "cpu", seq_len=seq_len)
        expected = tensor.numpy()
    # transformers computes in float32: 2^-24 for the power, and as much for each step after it.
    np.testing.assert_allclose(rope.inv_freq, expected, rtol=1e-6)
    assert rope.attention_factor == pytest.approx(factor, rel=1e-12)


def model_configs(transformers):
    """Configurations whose defaults and attribute names differ, as transformers' own classes make them."""
    t = transformers
    plain = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    yield "llama", t.LlamaConfig(**plain)
    yield "mixtral", t.MixtralConfig(**plain)
    yield "qwen3", t.Qwen3Config(**plain)
    yield "phi", t.PhiConfig(**plain)
    yield "stablelm", t.StableLmConfig(**plain, num_key_value_heads=4)
    yield "gpt_neox", t.GPTNeoXConfig(**plain)
    yield "falcon", t.FalconConfig(**plain)
    yield "cohere", t.CohereConfig(**plain)
    yield "glm", t.GlmConfig(**plain)
    yield "glm4", t.Glm4Config(**plain)
    yield "gemma2", t.Gemma2Config(**plain)
    yield "helium", t.HeliumConfig(**plain)
    yield "persimmon", t.PersimmonConfig(**plain)
    yield "smollm3", t.SmolLM3Config(**plain)
    yield "gpt_oss", t.GptOssConfig(**plain)
    yield "ernie4_5", t.Ernie4_5Config(**plain)
    yield "olmo2", t.Olmo2Config(**plain)
    yield "qwen3_next", t.Qwen3NextConfig(**plain)
    yield "phi3", t.Phi3Config(**plain, pad_token_id=0)
    yield "deepseek_v2", t.DeepseekV2Config(**plain)
    yield "deepseek_v3", t.DeepseekV3Config(**plain)
    yield "llama4", t.Llama4TextConfig(**plain)
    yield "qwen2_vl", t.Qwen2VLTextConfig(hidden_size=512, num_attention_heads=4, num_hidden_layers=2)
    yield "qwen3_vl", t.Qwen3VLTextConfig(**plain)


def rotary_class(config):
    """The class of the modeling file that makes cos and sin for this configuration."""
    module = importlib.import_module(type(config).__module__.replace("configuration_", "modeling_"))
    names = [n for n in vars(module) if n.endswith("RotaryEmbedding") and "Vision" not in n]
    return getattr(module, next((n for n in names if "Text" in n), names[0]))


def test_model_defaults_equal_transformers():
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    checked = 0
    for name, config in model_configs(transformers):
        module = rotary_class(config)(config)
        rope = Rope.from_hf(config)
        expected = module.inv_freq.numpy()
        frequencies = rope.inv_freq
        assert len(frequencies) == len(expected), name
        np.testing.assert_allclose(frequencies, expected, rtol=1e-6, err_msg=name)
        assert rope.attention_factor == pytest.approx(float(getattr(module, "attention_scaling", 1.0)), rel=1e-6), name
        checked += 1
    assert checked == 24
    assert torch.is_tensor(module.inv_freq)


def test_layer_types_equal_transformers():
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    plain = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 6, "head_dim": 16}
    for config in (transformers.Gemma3TextConfig(**plain), transformers.ModernBertConfig(**plain)):
        module = rotary_class(config)(config)
        for layer_type in ("full_attention", "sliding_attention"):
            expected = getattr(module, f"{layer_type}_inv_freq").numpy()
            for source in (config, {**config.to_dict()}):
                rope = Rope.from_hf(source, layer_type=layer_type)
                np.testing.assert_allclose(rope.inv_freq, expected, rtol=1e-6)


def test_pairings_equal_transformers(rng):
    """The same heads through transformers' own function and through from_hf, float32 tables borrowed: the same bits."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    t = transformers
    plain = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 1}
    for config in (t.LlamaConfig(**plain), t.CohereConfig(**plain), t.GlmConfig(**plain, head_dim=16),
                   t.GPTNeoXConfig(**plain), t.Phi3Config(**plain, pad_token_id=0),
                   t.Ernie4_5Config(**plain, head_dim=16),
                   t.HeliumConfig(**plain, head_dim=16), t.GptOssConfig(**plain, head_dim=16)):  # fmt: skip
        modeling = importlib.import_module(type(config).__module__.replace("configuration_", "modeling_"))
        module = rotary_class(config)(config)
        made = arguments(config)
        x = torch.from_numpy(rng.standard_normal((1, 2, 5, made["head_dim"])).astype(np.float32))
        cos, sin = module(x, torch.arange(5)[None] + 3)
        expected = modeling.apply_rotary_pos_emb(x, x, cos, sin)[0]
        pairs = made.get("rotary_dim", made["head_dim"]) // 2
        repeats = cos.shape[-1] > pairs and not torch.equal(cos[..., :pairs], cos[..., pairs:])
        half = slice(0, None, 2) if repeats else slice(0, pairs)
        names = ("head_dim", "rotary_dim", "pairing", "pairing_out")
        rope = Rope.from_tables(cos=cos[0][:, half].contiguous(), sin=sin[0][:, half].contiguous(),
                                **{name: made[name] for name in names if name in made})  # fmt: skip
        assert_same_bits(rope.apply(x, layout="bhsd").numpy(), expected.numpy())


# Those that from_hf knows and that this sweep cannot ask: no rotary class and function of the usual shape beside the
# configuration. The zoo and the recipes hold most of them.
UNASKED = {"cohere_compass", "codegen", "deepseek_v2", "deepseek_v4", "fuyu", "gemma3n", "gemma4", "gemma4_unified",
           "gemma4_unified_assistant", "glm4v", "gptj",
           "internlm3", "iquestcoder", "llama4", "moshi_depth", "olmo3", "diffusion_gemma", "roformer"}  # fmt: skip


def taken_apart(function, modeling, model_type):
    """A rotation function after what an attention does to its heads before it calls it: pairs (2j, 2j + 1) apart."""
    apart = getattr(modeling, "deinterleave_head_dim", None)
    if apart is None or model_type != "qwen2_5_omni_dit":
        return function
    return lambda q, k, cos, sin: function(apart(q), apart(k), cos, sin)


def rotates_alike(rope, text, layer_type):
    """Whether a rotary class and a function of the model's own file rotate heads as rope does; None: none to ask."""
    torch = pytest.importorskip("torch")
    try:
        modeling = importlib.import_module(type(text).__module__.replace("configuration_", "modeling_"))
    except ModuleNotFoundError:  # a configuration whose model is another family's
        return None
    functions = [f for name, f in vars(modeling).items() if name.startswith("apply_rotary") and callable(f)]
    functions = [taken_apart(f, modeling, text.model_type) for f in functions]
    axes, channels = rope.info()["axes"], rope.rotary_dim
    x = torch.randn(1, 2, 5, rope.head_dim, generator=torch.Generator().manual_seed(1))
    base, asked = torch.arange(1, 6), None
    ids = torch.stack([base * (a + 1) for a in range(axes)])[:, None] if axes > 1 else base[None]
    found = rope.apply(x, ids if axes > 1 else base, layout="bhsd")
    for name, made_by in vars(modeling).items():
        if not (name.endswith("RotaryEmbedding") and isinstance(made_by, type)):
            continue
        try:
            cos, sin = made_by(text)(x, ids, **({} if layer_type is None else {"layer_type": layer_type}))
        except Exception:  # of another part of the model, or of another shape
            continue
        for function, part in ((f, part) for f in functions for part in (x, x[..., :channels])):
            try:
                rotated = function(part, part, cos, sin)
            except Exception:  # takes heads of another shape
                continue
            rotated = rotated[0] if isinstance(rotated, tuple) else rotated
            if getattr(rotated, "shape", None) != part.shape:
                continue
            if torch.allclose(found[..., : part.shape[-1]], rotated, atol=2e-4):
                return True
            asked = False
    return asked


def layer_types_of(config):
    """The layer types that from_hf asks for, or None alone."""
    try:
        Rope.from_hf(config)
    except ValueError as error:
        if "pass layer_type" in str(error):
            return re.findall(r"'(\w+)'", str(error))
    return [None]


@functools.cache
def sweep():
    """What from_hf makes of the default configuration of every class of transformers: outcome -> model types."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

    outcome = {name: set() for name in ("agrees", "differs", "refused", "unasked", "file differs")}
    for name in sorted(CONFIG_MAPPING_NAMES):
        try:
            config = CONFIG_MAPPING[name]()
            text = config.get_text_config()
        except Exception:  # has no defaults
            continue
        for layer_type in layer_types_of(config):
            ropes = []
            for form in (config, json.loads(config.to_json_string(use_diff=False))):
                try:
                    ropes.append(Rope.from_hf(form, layer_type=layer_type))
                except (ValueError, TypeError):
                    ropes.append(None)
            if (ropes[0] is None) != (ropes[1] is None) or repr(ropes[0]) != repr(ropes[1]):
                outcome["file differs"].add(name)
            if ropes[0] is None:
                outcome["refused"].add(name)
            else:
                alike = rotates_alike(ropes[0], text, layer_type)
                outcome[{True: "agrees", False: "differs", None: "unasked"}[alike]].add(name)
    outcome["unasked"] -= outcome["agrees"]  # by another layer type
    outcome["refused"] -= outcome["agrees"]
    return outcome


@pytest.mark.filterwarnings("ignore")
def test_every_configuration_class_of_transformers():
    """File and object give the same Rope, which rotates as the model's own module and function, or a refusal."""
    pytest.importorskip("transformers")
    found = sweep()
    assert not found["file differs"]
    assert not found["differs"]
    assert {name.removesuffix("_text") for name in found["unasked"]} <= UNASKED
    assert len(found["agrees"]) >= 250


def test_the_documentation_states_the_counts_of_the_sweep():
    transformers = pytest.importorskip("transformers")
    if not transformers.__version__.startswith("5.23."):
        pytest.skip("the counts are those of transformers 5.23")
    page = (Path(__file__).resolve().parents[2] / "docs" / "schemes.md").read_text()
    found = sweep()
    print({name: len(types) for name, types in found.items()}, sorted(found["unasked"]))
    row = f"{len(found['agrees'])} agree, {len(found['refused'])} are refused, "
    assert row + f"{len(found['unasked'])} cannot be asked" in " ".join(page.split())


# What a file may be reduced to: how large heads are. All the rest is the family's own default.
SIZES = {"model_type", "hidden_size", "num_attention_heads", "n_embd", "n_head", "d_model", "n_heads", "num_heads",
         "dim", "head_dim",
         "attention_head_dim", "kv_channels", "qk_rope_head_dim", "max_position_embeddings"}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_a_silent_file_means_what_its_class_assumes():
    """A file that says nothing of rotation: what the class makes of the same sizes, or a refusal."""
    pytest.importorskip("transformers")
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

    kept, differ = 0, []
    for name in sorted(CONFIG_MAPPING_NAMES):
        try:
            made_by = type(CONFIG_MAPPING[name]().get_text_config())
            file = {k: v for k, v in made_by().to_dict().items() if k in SIZES}
            same = made_by(**{k: v for k, v in file.items() if k != "model_type"}).to_dict()
        except Exception:  # has no defaults
            continue
        for layer_type in layer_types_of(same):
            try:
                rope = Rope.from_hf(file, layer_type=layer_type)
            except ValueError:
                continue
            kept += 1
            try:
                wanted = Rope.from_hf(same, layer_type=layer_type)
            except ValueError as error:
                differ.append((name, str(error)))
                continue
            if repr(rope) != repr(wanted) or not np.array_equal(rope.inv_freq, wanted.inv_freq):
                differ.append((name, f"{rope} but {wanted}"))
    assert not differ
    assert kept >= 200


@functools.cache
def default_rotary_modules():
    """(model type, configuration as a dictionary, rotary module) of all that transformers can make from defaults."""
    found = []
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

    for name in sorted(CONFIG_MAPPING_NAMES):
        try:
            config = CONFIG_MAPPING[name]()
            module = rotary_class(config.get_text_config())(config.get_text_config())
        except Exception:  # no defaults, no such file, several text models, no rotary embedding, ...
            continue
        if any(key.endswith("inv_freq") for key, _ in module.named_buffers()):
            found.append((name, config.to_dict(), module))
    return found


def rotated_by(module, x):
    """x [1, heads, seq, dim] through each rotation function beside the module, and the cos and sin they were given."""
    torch = pytest.importorskip("torch")
    modeling = sys.modules[type(module).__module__]
    at = torch.arange(1, 1 + x.shape[2])[None]
    axes = (3, 1, x.shape[2]) if hasattr(module, "mrope_section") else at.shape
    cos, sin = module(x, at.expand(axes))
    for name in ("apply_rotary_pos_emb", "apply_rotary_pos_emb_interleave"):
        if hasattr(modeling, name):
            function = taken_apart(getattr(modeling, name), modeling, module.config.model_type)
            yield function(x, x, cos, sin)[0], cos, sin


@pytest.mark.filterwarnings("ignore")
def test_pairing_of_every_model_type_of_transformers():
    """One of the functions of the model's file rotates as from_hf says, by the model's own cos and sin, to the bit."""
    pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    agree, differ = set(), set()
    for name, config, module in default_rotary_modules():
        try:
            made = arguments(config)
            x = torch.randn(1, 2, 5, made["head_dim"], generator=torch.Generator().manual_seed(1))
            rotations = list(rotated_by(module, x))
        except Exception:  # refused above, complex tables, a function of another shape, ...
            continue
        geometry = {key: made[key] for key in ("rotary_dim", "pairing", "pairing_out") if key in made}
        same = False
        for expected, cos, sin in rotations:
            pairs = made.get("rotary_dim", made["head_dim"]) // 2
            repeats = cos.shape[-1] > pairs and not torch.equal(cos[..., :pairs], cos[..., pairs:])
            half = slice(0, None, 2) if repeats else slice(0, pairs)
            tables = [t[0][:, half].contiguous() for t in (cos, sin)]
            rope = Rope.from_tables(made["head_dim"], *tables, **geometry)
            same = same or torch.equal(rope.apply(x, layout="bhsd"), expected)
        if rotations:
            (agree if same else differ).add(name)
    assert not differ
    assert len(agree) >= 150


# Fields of some families. Those that read them rotate by them, the others do as if they were not there.
FIELDS = {
    "rotary_emb_base": 777.0, "rope_embedding_base": 777.0, "rotary_base": 777.0, "rope_base": 777.0,
    "global_rope_theta": 777.0, "rope_local_base_freq": 777.0, "rope_theta": 777.0, "partial_rotary_factor": 0.25,
    "rotary_pct": 0.25, "rotary_emb_fraction": 0.25, "rotary_dim": 4, "rotary_emb_dim": 4, "qk_rope_head_dim": 4,
    "head_dim": None, "rope_parameters": {},
}  # fmt: skip
BY_LAYER = {"full_attention": {"rope_type": "default", "rope_theta": 777.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 99.0}}  # fmt: skip


ONE_ROW = {"cache": "full", "max_positions": 1}  # frequencies are asked for: the tables would take long


def files_with_fields(file):
    """(what was changed, a file with it): beside the rotation parameters that the class wrote down, and alone."""
    part = file["text_config"] if isinstance(file.get("text_config"), dict) else file
    changes = [({field}, {field: value}) for field, value in FIELDS.items()]
    changes += [(set(), {"rope_parameters": BY_LAYER}), (set(), {"attn_config": {"rope_theta": 777.0}}),
                (set(), {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.25}})]  # fmt: skip
    for removed, given in changes:
        for alone in (set(), {"rope_parameters"}):
            text = {k: v for k, v in part.items() if k not in removed | alone}
            text |= {k: v for k, v in given.items() if v is not None}
            # A copy: from_dict writes into nested dictionaries.
            yield f"{given} {alone or ''}", copy.deepcopy(text if part is file else {**file, "text_config": text})


def lists_of(module):
    """The frequencies and the attention factor of a module by layer type."""
    names = [name.removesuffix("inv_freq") for name, _ in module.named_buffers() if name.endswith("inv_freq")]
    return {
        name.removesuffix("_"): (
            getattr(module, f"{name}inv_freq").double().numpy(),
            float(getattr(module, f"{name}attention_scaling", 1.0)),
        )
        for name in names
        if not name.endswith("original_")
    }


def agrees(rope, frequencies, factor):
    mine, theirs = (np.sort(np.abs(x)) for x in (rope.inv_freq, frequencies))
    same = mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=3e-6, atol=0.0)
    return same and rope.attention_factor == pytest.approx(factor, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_field_means_what_the_class_reads_of_it():
    """Whatever is written into a file: the frequencies of the model's own module, or a refusal."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    if not transformers.__version__.startswith("5.23."):
        pytest.skip("what classes read was asked of transformers 5.23")
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

    differ, checked = [], 0
    for name in sorted(CONFIG_MAPPING_NAMES):
        try:
            file = json.loads(CONFIG_MAPPING[name]().to_json_string(use_diff=False))
        except Exception:  # has no defaults
            continue
        if name.removesuffix("_text") not in ASKED:
            continue
        for change, changed in files_with_fields(file):
            ropes = {}
            for layer_type in ("", "full_attention", "sliding_attention"):
                with contextlib.suppress(ValueError, TypeError):
                    ropes[layer_type] = Rope.from_hf(changed, layer_type=layer_type or None, **ONE_ROW)
            if not ropes:
                continue
            try:
                text = CONFIG_MAPPING[name].from_dict(changed).get_text_config(decoder=True)
                lists = lists_of(rotary_class(text)(text))
            except Exception:  # not what this class takes
                continue
            for layer_type, rope in ropes.items():
                checked += 1
                if layer_type and layer_type not in lists and set(lists) != {""}:
                    continue  # the class has none for layers that it does not have
                own = [lists[layer_type]] if layer_type in lists else list(lists.values())
                if not any(agrees(rope, *one) for one in own):
                    differ.append((name, change, layer_type, repr(rope)))
    assert not differ, "\n".join(map(str, differ))
    assert checked > 1000


# ---- the model zoo of the C tests: published configurations with frozen values of the reference packages

ZOO = Path(__file__).resolve().parents[2] / "tests" / "models"


def zoo_cases():
    for path in sorted(ZOO.glob("*.json")):
        model = json.loads(path.read_text())
        for case in model["cases"]:
            if "config" not in case and "adapter" not in case:  # those are vision towers
                yield pytest.param(model, case, id=f"{path.stem}/{case['name']}")


@pytest.mark.parametrize(("model", "case"), list(zoo_cases()))
def test_model_zoo(model, case):
    config = {"model_type": model["model_type"], **model["config"]}
    seq_len = max(max(row) for row in case["positions"]) + 1
    rope = Rope.from_hf(config, layer_type=case.get("layer_type"), seq_len=seq_len)
    golden, wanted, found = case["golden"], case["roperot"], rope.info()
    np.testing.assert_allclose(rope.inv_freq, golden["inv_freq_f64"], rtol=1e-12)
    assert rope.attention_factor == pytest.approx(golden["attention_factor"], rel=1e-6)
    assert found["rotary_dim"] == wanted["rotary_dim"]
    assert found["pairing"] == wanted["pairing"]
    assert found["pairing_out"] == wanted.get("pairing_out", wanted["pairing"])
    if "rotary_offset" in wanted and not wanted["rotary_offset"]:
        assert found["head_dim"] == wanted["head_dim"]
    if "sections" in wanted:
        assert found["axes"] == len(wanted["sections"]["section"])


def test_the_zoo_is_what_transformers_computes():
    """The golden values, made again: what meson's suite ``live`` does where python3 itself has transformers."""
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    script = ZOO.parents[1] / "scripts" / "make_models.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_zoo_is_there():
    assert len(list(zoo_cases())) >= 30
