"""PyTorch: rotate tensors in place, and inside a model that is trained and compiled."""

import torch

import roperot
import roperot.torch

rope = roperot.Rope(64)

# A packed projection: q and k are slices, rotated where they are.
packed = torch.randn(2, 10, 3 * 4 * 64)
q, k, v = (part.unflatten(-1, (4, 64)) for part in packed.split(4 * 64, dim=-1))
rope.apply_(q, k, positions=torch.arange(10))

# With a gradient: the backward pass is the inverse rotation.
x = torch.randn(2, 10, 4, 64, requires_grad=True)
y, _ = roperot.torch.rotary(x, x.detach(), rope, torch.arange(10))
y.backward(y.detach())  # rotating back what was rotated
torch.testing.assert_close(x.grad, x.detach(), atol=1e-5, rtol=1e-5)

# torch.compile keeps the rotation as one node of its graph.
compiled = torch.compile(lambda x: roperot.torch.rotary(2 * x, None, rope, 5) + 1, fullgraph=True, backend="aot_eager")
assert torch.equal(compiled(x), rope.apply(2 * x.detach(), 5) + 1)
print("gradients and the compiled graph agree with the rotation")
