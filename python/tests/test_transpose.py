"""INVERSE where pairing_out is another pairing: the transpose reads pairing_out and writes pairing."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import rotate

from roperot import Rope

PAIRINGS = [("half", "interleaved"), ("interleaved", "half")]


@pytest.mark.parametrize(("pairing", "pairing_out"), PAIRINGS)
@pytest.mark.parametrize("rotary_dim", [16, 8])
def test_the_inverse_undoes_the_pairing_too(pairing, pairing_out, rotary_dim):
    rope = Rope(16, rotary_dim=rotary_dim, pairing=pairing, pairing_out=pairing_out)
    x = np.random.default_rng(1).standard_normal((2, 5, 3, 16)).astype(np.float32)
    turned = rope.apply(x, 7)
    np.testing.assert_allclose(rope.apply(turned, 7, inverse=True), x, rtol=0, atol=2e-6)
    cos, sin = rope.cos_sin(np.arange(7, 12))
    kinds = {"rotary_dim": rotary_dim, "pairing": pairing, "pairing_out": pairing_out}
    np.testing.assert_array_equal(rope.apply(x, 7, inverse=True), rotate(x, cos, sin, inverse=True, **kinds))


@pytest.mark.parametrize(("pairing", "pairing_out"), PAIRINGS)
def test_gradients(pairing, pairing_out):
    torch = pytest.importorskip("torch")
    from roperot.torch import rotary

    rope = Rope(8, pairing=pairing, pairing_out=pairing_out, attention_factor=1.25)
    generator = torch.Generator().manual_seed(3)
    x, weights = (torch.randn(2, 4, 3, 8, generator=generator) for _ in range(2))
    x.requires_grad_()
    (rotary(x, None, rope, 5) * weights).sum().backward()
    # The rotation is linear: row by row of the unit vectors is its matrix.
    unit = torch.eye(192).reshape(192, 2, 4, 3, 8)
    columns = torch.stack([(rotary(e, None, rope, 5) * weights).sum() for e in unit])
    torch.testing.assert_close(x.grad.reshape(-1), columns, rtol=0, atol=1e-6)


def test_parameters_of_a_patched_deepseek_learn_the_same():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from roperot.torch import patch_transformers

    config = transformers.DeepseekV3Config(
        vocab_size=97, hidden_size=32, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, n_group=1,
        topk_group=1, first_k_dense_replace=2, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8,
        qk_nope_head_dim=8, v_head_dim=8, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.DeepseekV3ForCausalLM(config)
    ids = torch.randint(0, 97, (2, 12), generator=torch.Generator().manual_seed(1))

    def gradients():
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    expected = gradients()
    with patch_transformers(model) as patch:
        found = gradients()
        assert patch.calls
    for name, want in expected.items():
        scale = float(want.abs().max()) or 1.0
        assert float((found[name] - want).abs().max()) <= 2e-5 * scale, name
