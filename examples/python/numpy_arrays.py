"""NumPy: rotate queries and keys, read the tables, move a key cache."""

import numpy as np

import roperot

rng = np.random.default_rng(0)
q = rng.standard_normal((4, 32, 128)).astype(np.float32)  # [seq, heads, head_dim]
k = rng.standard_normal((4, 8, 128)).astype(np.float32)

rope = roperot.Rope(128, base=500000.0)
print(rope)

# A new array, from position 17 on; then both tensors in place, with positions of one's own.
rotated = rope.apply(q, 17)
rope.apply_(q, k, positions=np.array([17, 18, 19, 20]))
assert np.array_equal(rotated, q)

# The same with NumPy's formula and the library's cos and sin: equal bits.
cos, sin = (table[:, None, :] for table in rope.cos_sin(np.arange(17, 21)))
x = rng.standard_normal((4, 32, 128)).astype(np.float32)
x0, x1 = x[..., :64], x[..., 64:]
assert np.array_equal(rope.apply(x, 17), np.concatenate([x0 * cos - x1 * sin, x0 * sin + x1 * cos], -1))

# Ten tokens were dropped from the front of the cache: every key moves by -10, without rotating it anew.
rope.shift_(k, -10)
print("keys now belong to positions 7 to 10")
