"""PyTorch: decode with a paged bf16 cache in the place of a model's own RoPE; attention reads the pages."""

import torch

import roperot

HEADS, KV_HEADS, DIM, PAGE, PAGES, TOKENS = 8, 2, 64, 16, 32, 70
torch.manual_seed(0)
rope = roperot.Rope(DIM, base=500000.0)
keys = torch.zeros(PAGES, PAGE, KV_HEADS, DIM, dtype=torch.bfloat16)
values = torch.zeros_like(keys)
table = torch.randperm(PAGES)[: TOKENS // PAGE + 1]  # the request's pages, anywhere


def attend(q, table, length):
    """Scaled dot-product attention of one token over a request's pages."""
    k, v = (pages[table].flatten(0, 1)[:length].transpose(0, 1).float() for pages in (keys, values))
    return torch.nn.functional.scaled_dot_product_attention(q.transpose(0, 1).float(), k, v, enable_gqa=True)


x = [torch.randn(TOKENS, heads, DIM, dtype=torch.bfloat16) for heads in (HEADS, KV_HEADS, KV_HEADS)]
paged = []
for position in range(TOKENS):
    q, k, v = (part[position : position + 1].clone() for part in x)
    slot = table[position // PAGE] * PAGE + position % PAGE
    pages = {"k_pages": roperot.Pages(keys), "v_pages": roperot.Pages(values)}
    rope.run(q, k, v, position, **pages, slots=slot[None])  # q in place, k and v into their slots
    paged.append(attend(q, table, position + 1))

# The same without pages: all tokens rotated at once, then causal attention.
q, k = rope.apply(x[0], 0), rope.apply(x[1], 0)
heads_first = (part.transpose(0, 1)[None].float() for part in (q, k, x[2]))
whole = torch.nn.functional.scaled_dot_product_attention(*heads_first, is_causal=True, enable_gqa=True)[0]
torch.testing.assert_close(torch.cat(paged, 1), whole)
cached = keys[table].flatten(0, 1)[:TOKENS]
assert torch.equal(cached, k)
print(f"{TOKENS} tokens decoded from {len(table)} pages, keys bit for bit those of one call")
