"""The recipes of docs/schemes.md against the code that they stand for; skipped where a package is not installed."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import rotate

from roperot import Rope

torch = pytest.importorskip("torch")


def tensor(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def angles(theta):
    return np.cos(theta).astype(np.float32), np.sin(theta).astype(np.float32)


def test_xpos_is_that_of_lucidrains():
    """Two borrowed tables: zeta_j to the power of (p - c) / 512 for q, and to its negative for k."""
    lucidrains = pytest.importorskip("rotary_embedding_torch")
    dim, tokens = 32, 40
    q, k = (tensor(1, 1, tokens, dim, seed=seed) for seed in (1, 2))
    expected = lucidrains.RotaryEmbedding(dim=dim, use_xpos=True).rotate_queries_and_keys(q, k)
    w = 1e4 ** (-np.arange(0, dim, 2) / dim)
    p = np.arange(tokens)[:, None]
    scale = ((2 * np.arange(dim // 2) + 0.4 * dim) / (1.4 * dim)) ** ((p - tokens // 2) / 512)
    for x, want, z in zip((q, k), expected, (scale, 1 / scale)):
        cos, sin = ((f(p * w) * z).astype(np.float32) for f in (np.cos, np.sin))
        rope = Rope.from_tables(dim, cos, sin, pairing="interleaved")
        found = rope.apply(x[0, 0].numpy()[None, :, None, :])[0, :, 0]
        np.testing.assert_allclose(found, want[0, 0].numpy(), rtol=0, atol=1e-5)  # f32 angles up to 40: 40 * 2^-23


def test_dinov3_turns_by_patch_coordinates():
    dinov3 = pytest.importorskip("transformers.models.dinov3_vit.modeling_dinov3_vit")
    config = dinov3.DINOv3ViTConfig(hidden_size=128, num_attention_heads=4, image_size=96, patch_size=16)
    dim, side = 32, 6
    module = dinov3.DINOv3ViTRopePositionEmbedding(config).eval()
    cos, sin = module(torch.zeros(1, 3, 96, 96))
    x = tensor(1, 4, side * side, dim, seed=3)
    want, _ = dinov3.apply_rotary_pos_emb(x, x, cos, sin)
    w = 2 * np.pi * config.rope_theta ** (-4 * np.arange(dim // 4) / dim)  # 1 / periods
    rope = Rope(dim, inv_freq=np.tile(w, 2), sections={"axis": [0] * (dim // 4) + [1] * (dim // 4)})
    at = dinov3.get_patches_center_coordinates(side, side, torch.float32, torch.device("cpu"))
    found = rope.apply(x, None, coordinates=at.T[:, None].double().numpy(), layout="bhsd")
    np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=0, atol=1e-5)


def test_pixtral_alternates_frequencies():
    pixtral = pytest.importorskip("transformers.models.pixtral.modeling_pixtral")
    config = pixtral.PixtralVisionConfig(hidden_size=128, num_attention_heads=4, head_dim=32)
    dim = 32
    module = pixtral.PixtralVisionRotaryEmbedding(config)
    at = torch.tensor([[0, 0], [0, 7], [5, 3], [40, 63]])
    w = config.rope_parameters["rope_theta"] ** (-np.arange(0, dim, 2) / dim)
    rope = Rope(dim, inv_freq=np.concatenate([w[0::2], w[1::2]]), sections={"axis": [0] * 8 + [1] * 8})
    cos, sin = module(torch.zeros(1), at)
    x = tensor(1, 4, len(at), dim, seed=4)
    want, _ = pixtral.apply_rotary_pos_emb(x, x, cos[None], sin[None])
    found = rope.apply(x, at.T[:, None], layout="bhsd")
    np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=0, atol=2e-5)  # f32 angles up to 63


def test_eva02_turns_by_resized_coordinates():
    """timm and EVA-02: rows and columns scaled to the 16 of the pretraining, interleaved pairs, base 1e4."""
    dim, side = 32, 24
    grid = np.arange(side) / side * 16
    at = np.stack([np.repeat(grid, side), np.tile(grid, side)])
    x = np.random.default_rng(5).standard_normal((1, side * side, 2, dim)).astype(np.float32)
    w = 1e4 ** (-4 * np.arange(dim // 4) / dim)
    theta = np.concatenate([at[0][:, None] * w, at[1][:, None] * w], axis=-1)
    rope = Rope(dim, inv_freq=np.tile(w, 2), sections={"axis": [0] * 8 + [1] * 8}, pairing="interleaved")
    found = rope.apply(x, None, coordinates=at[:, None])
    np.testing.assert_allclose(
        found, rotate(x, *angles(theta), rotary_dim=dim, pairing="interleaved"), rtol=0, atol=1e-6
    )
