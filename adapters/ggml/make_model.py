# SPDX-License-Identifier: MIT
"""Writes a random-weight GGUF model of Qwen3's or Llama's shape, q8_0, for measurements; no text comes out of it.

usage: make_model.py {qwen3-0.6b,llama-3.2-1b} <model.gguf> [layers]      (needs gguf, NumPy)
"""

import sys

import gguf
import numpy as np

SHAPES = {  # architecture, layers, width, feed-forward, heads, key-value heads, head_dim, base, norms of q and k
    "qwen3-0.6b": ("qwen3", 28, 1024, 3072, 16, 8, 128, 1e6, True),
    "llama-3.2-1b": ("llama", 16, 2048, 8192, 32, 8, 64, 5e5, False),
}
VOCABULARY, CONTEXT = 4096, 40960


def main(name, path, layers=None):
    """Write the model."""
    architecture, depth, width, hidden, heads, kv_heads, dim, base, norms = SHAPES[name]
    depth = int(layers or depth)
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(depth)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_rope_dimension_count(dim)
    writer.add_rope_freq_base(base)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("no_vocab")

    def ones(key, size):
        writer.add_tensor(f"{key}.weight", np.ones(size, np.float32))

    def matrix(key, rows, columns):
        values = rng.standard_normal((rows, columns), dtype=np.float32) / np.sqrt(np.float32(columns))
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{key}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)

    matrix("token_embd", VOCABULARY, width)
    matrix("output", VOCABULARY, width)
    ones("output_norm", width)
    for layer in range(depth):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm", width)
        ones(f"{block}.ffn_norm", width)
        if norms:
            ones(f"{block}.attn_q_norm", dim)
            ones(f"{block}.attn_k_norm", dim)
        matrix(f"{block}.attn_q", heads * dim, width)
        matrix(f"{block}.attn_k", kv_heads * dim, width)
        matrix(f"{block}.attn_v", kv_heads * dim, width)
        matrix(f"{block}.attn_output", width, heads * dim)
        matrix(f"{block}.ffn_gate", hidden, width)
        matrix(f"{block}.ffn_up", hidden, width)
        matrix(f"{block}.ffn_down", width, hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in SHAPES:
        sys.exit(__doc__)
    main(*sys.argv[1:])
