"""Ranks of context and tensor parallelism: N of them, in processes of their own over gloo, give the bits of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import roperot
from roperot import context_parallel_positions, context_parallel_tokens

SCHEMES = ("contiguous", "zigzag", "round_robin")


@pytest.mark.parametrize("scheme", ["zigzag", "zig-zag"])
def test_two_sequences_on_two_ranks(scheme):
    """Two sequences of four tokens: the example of Megatron-LM's pull request 5243, and each counted from 0."""
    assert context_parallel_tokens(scheme, 2, 0, cu_seqlens=[0, 4, 8]).tolist() == [0, 3, 4, 7]
    assert context_parallel_tokens(scheme, 2, 1, cu_seqlens=[0, 4, 8]).tolist() == [1, 2, 5, 6]
    assert context_parallel_positions(scheme, 2, 0, cu_seqlens=[0, 4, 8]).tolist() == [0, 3, 4, 7]
    assert context_parallel_positions(scheme, 2, 0, cu_seqlens=[0, 4, 8], starts=0).tolist() == [0, 3, 0, 3]
    assert context_parallel_positions(scheme, 2, 0, [0, 4, 8], starts=[10, 20]).tolist() == [10, 13, 20, 23]
    assert context_parallel_positions(scheme, 2, 0, tokens=8).tolist() == [0, 1, 6, 7]


def test_axes_and_starts():
    starts = np.array([[0, 5], [7, 9], [1, 2]], np.int32)
    got = context_parallel_positions("contiguous", 2, 1, np.array([0, 4, 8], np.uint8), starts, axes=3)
    assert got.tolist() == [[2, 3, 7, 8], [9, 10, 11, 12], [3, 4, 4, 5]]
    assert context_parallel_positions("round_robin", 3, 2, tokens=8, axes=2).tolist() == [[2, 5], [2, 5]]
    assert context_parallel_positions("round_robin", 5, 4, tokens=3).shape == (0,)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_ranks_share_every_token_once(scheme, size):
    lengths = np.array([2, 0, 6, 4]) * size
    ends = np.concatenate([[0], np.cumsum(lengths)])
    held = [context_parallel_tokens(scheme, size, rank, ends) for rank in range(size)]
    np.testing.assert_array_equal(np.sort(np.concatenate(held)), np.arange(ends[-1]))
    everywhere = np.concatenate([np.arange(n) for n in lengths])
    for rank in range(size):
        np.testing.assert_array_equal(context_parallel_positions(scheme, size, rank, ends), held[rank])
        restarted = context_parallel_positions(scheme, size, rank, ends, starts=0)
        np.testing.assert_array_equal(restarted, everywhere[held[rank]])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("diagonal", 2, 0, [0, 4]), "scheme must be one of 'contiguous', 'zigzag', 'round_robin', not 'diagonal'"),
        (("zigzag", 2, 0, [0, 6]), "sequence 0 has 6 tokens; ZIGZAG on 2 ranks needs a multiple of 4: pad it"),
        (("contiguous", 4, 0, [0, 6]), "sequence 0 has 6 tokens; CONTIGUOUS on 4 ranks needs a multiple of 4: pad it"),
        (("zigzag", 0, 0, [0, 4]), "size is 0"),
        (("zigzag", 2, 2, [0, 4]), r"rank is 2; it must be in 0..1"),
        (("zigzag", 2, -1, [0, 4]), r"rank is -1"),
        (("zigzag", 2**40, 0, [0, 4]), "size = 1099511627776 is beyond int32"),
        (("zigzag", 2, 0, [1, 4]), r"cu_seqlens\[0\] is 1; it must be 0"),
        (("zigzag", 2, 0, [0, 8, 4]), r"cu_seqlens\[2\] is 4; it must be at least 8"),
        (("zigzag", 2, 0, [0]), r"cu_seqlens has shape \(1,\)"),
        (("zigzag", 2, 0, [[0, 4]]), r"cu_seqlens has shape \(1, 2\)"),
        (("zigzag", 2, 0), "give cu_seqlens, or tokens for one sequence"),
        (("zigzag", 2, 0, [0, 4], [1, 2]), r"starts has shape \(2,\); it must be \[sequences\] = \(1,\)"),
        (("zigzag", 2, 0, [0, 4], [2**63 - 2]), "starts of sequence 0"),
        (("zigzag", 2, 0, [0, 4], None, 5), "axes is 5"),
        (("zigzag", 2, 0, [0, 4], None, 0), "axes must be 1 to 4, not 0"),
        (("zigzag", 2, 0, [0, 4], None, 1, 5), "tokens is 5; it must be 0 or what cu_seqlens ends at, 4"),
    ],
)
def test_refusals(arguments, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        context_parallel_positions(*arguments)


@pytest.mark.parametrize("arguments", [("zigzag", 2.0, 0, [0, 4]), ("zigzag", 2, 0, [0.0, 4.0]), ("zigzag", True, 0)])
def test_refuses_other_types(arguments):
    with pytest.raises(TypeError, match="must be"):
        context_parallel_positions(*arguments)


# ---- over torch.distributed: every rank is a process -----------------------------------------------------------------

CU_SEQLENS = [0, 16, 16, 40, 64]
TOKENS, HEADS, KV_HEADS, DIM, EPS = 64, 8, 4, 40, 1e-6


def everything():
    """What all ranks agree on: q, k, positions of the cases, their Ropes."""
    rng = np.random.default_rng(5)
    q = rng.standard_normal((TOKENS, HEADS, DIM)).astype(np.float32)
    k = rng.standard_normal((TOKENS, KV_HEADS, DIM)).astype(np.float32)
    mrope = rng.integers(0, 5000, (3, TOKENS))
    return q, k, mrope


def head_sums(x):
    """The sum of squares of each head as roperot_norm takes it (docs/jobs.md, "Over all heads on many ranks")."""
    lanes = np.zeros((*x.shape[:-1], 16), np.float32)
    for first in range(0, x.shape[-1], 16):
        part = x[..., first : first + 16]
        lanes[..., : part.shape[-1]] += part * part
    for n in (8, 4, 2, 1):
        lanes = lanes[..., :n] + lanes[..., n : 2 * n]
    return lanes[..., 0]


def normed_by_sums(x, sums, weight):
    """A rank's heads [tokens, heads, dim], by the sums of every rank's heads in their order."""
    total = np.zeros(sums.shape[:-1], np.float32)
    for head in range(sums.shape[-1]):
        total += sums[..., head]
    count = np.float32(sums.shape[-1] * x.shape[-1])
    r = np.float32(1) / np.sqrt(total / count + np.float32(EPS))
    return x * r[:, None, None] * weight


def weights():
    """Of a norm per head, and of one over all heads of q."""
    rng = np.random.default_rng(6)
    return rng.standard_normal(DIM).astype(np.float32), rng.standard_normal((HEADS, DIM)).astype(np.float32)


def normed_and_rotated(q, k, positions, norm):
    """One call for both, with a norm of q."""
    q, k = q.copy(), k.copy()
    roperot.Rope(DIM, base=5e5).run(q, k, positions=positions, q_norm=norm, k_norm=roperot.Norm(weights()[0], eps=EPS))
    return q, k


def rotated(q, k, positions, axes):
    """One call for q and k, f32 in and out, ragged in that its positions are each token's own."""
    sections = {"section": [8, 6, 6], "kind": "interleaved"} if axes == 3 else None
    rope = roperot.Rope(DIM, base=5e5, sections=sections)
    q, k = q.copy(), k.copy()
    rope.apply_(q, k, positions if axes == 1 else positions[:, None, :])
    return q, k


def gathered(part):
    """What every rank has, in the order of ranks."""
    import torch
    import torch.distributed as dist

    whole = [torch.empty_like(torch.from_numpy(part)) for _ in range(dist.get_world_size())]
    dist.all_gather(whole, torch.from_numpy(part))
    return [tensor.numpy() for tensor in whole]


def rotate_own_tokens(rank, size, directory):
    q, k, mrope = everything()
    for scheme in SCHEMES:
        mine = context_parallel_tokens(scheme, size, rank, CU_SEQLENS)
        for axes in (1, 3):
            text = context_parallel_positions(scheme, size, rank, CU_SEQLENS, starts=[3, 0, 70, 9])
            parts = rotated(q[mine], k[mine], text if axes == 1 else mrope[:, mine], axes)
            order = np.concatenate([context_parallel_tokens(scheme, size, r, CU_SEQLENS) for r in range(size)])
            for name, part in zip("qk", parts, strict=True):
                whole = np.empty((TOKENS, *part.shape[1:]), np.float32)
                whole[order] = np.concatenate(gathered(np.ascontiguousarray(part)))
                np.save(f"{directory}/{scheme}-{axes}-{name}-{rank}.npy", whole)


def norm_own_tokens(rank, size, directory):
    q, k, _ = everything()
    per_head, over_all = weights()
    for scheme in SCHEMES:
        mine = context_parallel_tokens(scheme, size, rank, CU_SEQLENS)
        at = context_parallel_positions(scheme, size, rank, CU_SEQLENS, starts=0)
        for what, norm in (("per", roperot.Norm(per_head, eps=EPS)),
                           ("all", roperot.Norm(over_all, eps=EPS, all_heads=True))):  # fmt: skip
            part = normed_and_rotated(q[mine], k[mine], at, norm)[0]
            order = np.concatenate([context_parallel_tokens(scheme, size, r, CU_SEQLENS) for r in range(size)])
            whole = np.empty_like(q)
            whole[order] = np.concatenate(gathered(part))
            np.save(f"{directory}/{scheme}-norm-{what}-{rank}.npy", whole)


def rotate_own_heads(rank, size, directory):
    q, k, mrope = everything()
    per_head, over_all = weights()
    heads, kv_heads = slice(rank * HEADS // size, (rank + 1) * HEADS // size), slice(rank * KV_HEADS // size, None)
    at = np.arange(TOKENS)
    part = normed_and_rotated(q[:, heads], k[:, kv_heads], at, roperot.Norm(per_head, eps=EPS))[0]
    np.save(f"{directory}/tensor-norm-per-{rank}.npy", np.concatenate(gathered(part), axis=1))
    own = np.ascontiguousarray(q[:, heads])
    sums = np.concatenate(gathered(head_sums(own)), axis=1)
    part = normed_by_sums(own, sums, over_all[heads])
    roperot.Rope(DIM, base=5e5).apply_(part, positions=at)
    np.save(f"{directory}/tensor-norm-all-{rank}.npy", np.concatenate(gathered(part), axis=1))
    part, _ = rotated(q[:, heads], k[:, kv_heads], mrope, 3)
    np.save(f"{directory}/tensor-{rank}.npy", np.concatenate(gathered(part), axis=1))


def work(rank, size, directory):
    """One rank: its tokens by context parallelism, then its heads of all tokens by tensor parallelism."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{directory}/rendezvous", rank=rank, world_size=size)
    for part in (rotate_own_tokens, norm_own_tokens, rotate_own_heads):
        part(rank, size, directory)
    dist.destroy_process_group()


@pytest.mark.parametrize("size", [2, 4])
def test_processes_give_the_bits_of_one(size, tmp_path):
    pytest.importorskip("torch.distributed")
    command = [sys.executable, str(Path(__file__).resolve())]
    ranks = [subprocess.Popen([*command, str(r), str(size), str(tmp_path)], env=os.environ) for r in range(size)]
    try:
        assert [process.wait(timeout=300) for process in ranks] == [0] * size
    finally:
        for process in ranks:
            process.kill()
    q, k, mrope = everything()
    lengths = np.diff(CU_SEQLENS)
    text = np.concatenate([start + np.arange(n) for start, n in zip([3, 0, 70, 9], lengths, strict=True)])
    for axes, positions in ((1, text), (3, mrope)):
        want = dict(zip("qk", rotated(q, k, positions, axes), strict=True))
        for scheme in SCHEMES:
            for name in "qk":
                for rank in range(size):
                    got = np.load(tmp_path / f"{scheme}-{axes}-{name}-{rank}.npy")
                    np.testing.assert_array_equal(got.view(np.uint32), want[name].view(np.uint32))
    per_head, over_all = weights()
    local = np.concatenate([np.arange(n) for n in lengths])
    for what, norm in (("per", roperot.Norm(per_head, eps=EPS)),
                       ("all", roperot.Norm(over_all, eps=EPS, all_heads=True))):  # fmt: skip
        for name, positions in (*((scheme, local) for scheme in SCHEMES), ("tensor", np.arange(TOKENS))):
            want = normed_and_rotated(q, k, positions, norm)[0]
            for rank in range(size):
                got = np.load(tmp_path / f"{name}-norm-{what}-{rank}.npy")
                np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32), f"{name}, {what}")
    for rank in range(size):
        got = np.load(tmp_path / f"tensor-{rank}.npy")
        np.testing.assert_array_equal(got.view(np.uint32), rotated(q, k, mrope, 3)[0].view(np.uint32))


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
