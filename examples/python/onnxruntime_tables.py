"""ONNX Runtime: feed a RotaryEmbedding node (ai.onnx 23) with exact tables, and check it against roperot."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import roperot

SEQ, HEADS, DIM = 16, 4, 64
rope = roperot.Rope(DIM, base=500000.0)

# What the node reads: one row of cos and of sin per position, half width.
cos, sin = rope.cos_sin(np.arange(4096), layout="onnx")


def value(name, kind, *shape):
    """Describe one input or output of the graph."""
    return helper.make_tensor_value_info(name, kind, shape)


node = helper.make_node("RotaryEmbedding", ["x", "cos", "sin", "positions"], ["y"], num_heads=HEADS, interleaved=0)
graph = helper.make_graph(
    [node],
    "rotary",
    [
        value("x", TensorProto.FLOAT, 1, HEADS, SEQ, DIM),
        value("cos", TensorProto.FLOAT, 4096, DIM // 2),
        value("sin", TensorProto.FLOAT, 4096, DIM // 2),
        value("positions", TensorProto.INT64, 1, SEQ),
    ],
    [value("y", TensorProto.FLOAT, 1, HEADS, SEQ, DIM)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

x = np.random.default_rng(0).standard_normal((1, HEADS, SEQ, DIM)).astype(np.float32)
positions = np.arange(1000, 1000 + SEQ)[None]
(y,) = session.run(None, {"x": x, "cos": cos, "sin": sin, "positions": positions})
difference = np.abs(y - rope.apply(x, positions, layout="bhsd")).max()
print(f"ONNX Runtime and roperot differ by {difference:.1e}")
assert difference < 1e-5
