"""NumPy: a serving loop with a paged cache: ragged prompts and single tokens, each layer by one call."""

import numpy as np

import roperot

HEADS, KV_HEADS, DIM, PAGE, PAGES = 8, 2, 64, 16, 64
rng = np.random.default_rng(0)
rope = roperot.Rope(DIM, base=500000.0)
norm = roperot.Norm(rng.standard_normal(DIM).astype(np.float32), rounding="twice")  # of keys and queries, as Qwen3 has
keys, values = np.zeros((2, PAGES, PAGE, KV_HEADS, DIM), np.float32)  # slot s: token s % PAGE of page s // PAGE
free = list(range(PAGES))


class Request:
    """A prompt, what is to be decoded behind it, and the pages that hold its keys."""

    def __init__(self, prompt, total):
        self.done, self.table = 0, []
        self.prompt, self.total = prompt, total
        self.kv = rng.standard_normal((2, total, KV_HEADS, DIM)).astype(np.float32)  # what projections would give

    def slots(self, count):
        """Where the next ``count`` tokens go; takes pages as they are needed."""
        while len(self.table) * PAGE < self.done + count:
            self.table.append(free.pop())
        at = np.arange(self.done, self.done + count)
        return np.array(self.table)[at // PAGE] * PAGE + at % PAGE


def step(batch):
    """One layer of one step: prompts of new requests and one token of the others, packed."""
    counts = [r.prompt if r.done == 0 else 1 for r in batch]
    k, v = np.concatenate([r.kv[:, r.done : r.done + n] for r, n in zip(batch, counts, strict=True)], axis=1)
    q = rng.standard_normal((len(k), HEADS, DIM)).astype(np.float32)
    rope.run(
        q,  # in place
        k,
        v,
        [r.done for r in batch],
        q_norm=norm,
        k_norm=norm,
        k_pages=roperot.Pages(keys),
        v_pages=roperot.Pages(values),
        slots=np.concatenate([r.slots(n) for r, n in zip(batch, counts, strict=True)]),
        layout="thd",
        cu_seqlens=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
    )
    for request, count in zip(batch, counts, strict=True):
        request.done += count


requests = [Request(5 + 20 * i, 40 + 25 * i) for i in range(4)]
arrived = 1
while any(r.done < r.total for r in requests):
    if batch := [r for r in requests[:arrived] if r.done < r.total]:
        step(batch)
    arrived += 1

# Each request alone, all its tokens at once, without pages: the same bits.
for request in requests:
    k, v = request.kv
    alone = np.empty_like(k)
    rope.run(k=k, positions=0, k_norm=norm, k_out=alone)
    at = np.arange(request.total)
    assert np.array_equal(keys[np.array(request.table)[at // PAGE], at % PAGE], alone)
    assert np.array_equal(values[np.array(request.table)[at // PAGE], at % PAGE], v)
print(f"{len(requests)} requests, {sum(r.total for r in requests)} keys in {PAGES - len(free)} pages")
