"""transformers: let a model rotate with roperot, compare, and undo it."""

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

import roperot
from roperot.torch import patch_transformers

torch.manual_seed(0)
config = Qwen2Config(
    hidden_size=128,
    intermediate_size=256,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=1000,
    max_position_embeddings=512,
)
model = Qwen2ForCausalLM(config).eval()
ids = torch.randint(0, 1000, (1, 64))

print(roperot.Rope.from_hf(config))
with torch.no_grad():
    before = model(ids).logits
    with patch_transformers(model) as patch:
        after = model(ids).logits
    difference = ((after - before).abs().max() / before.abs().max()).item()
    print(f"{patch.calls} rotations by roperot, logits differ by {difference:.1e} of the largest")
    assert difference < 1e-5
    assert torch.equal(model(ids).logits, before)
