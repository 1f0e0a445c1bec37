# SPDX-License-Identifier: MIT
"""The custom op against com.microsoft's own RotaryEmbedding, and what it refuses.

usage: test_adapter.py <libroperot-ort.so>      (needs onnx, onnxruntime, NumPy; exit status 77: they are not here)
"""

import itertools
import sys

try:
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

POSITIONS, HEADS, DIM, BATCH, TOKENS = 300, 6, 64, 2, 5
RNG = np.random.default_rng(3)
KINDS = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16}


def caches(rotary, dtype):
    """Cos and sin of the usual frequencies."""
    angles = np.outer(np.arange(POSITIONS), 1e4 ** (-np.arange(0, rotary, 2) / rotary))
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


def session(library, domain, dtype, rotary, constant=True, **attributes):
    """A model of this one node."""
    cos, sin = caches(rotary, dtype)
    kind = KINDS[dtype]
    node = helper.make_node("RotaryEmbedding", ["x", "at", "cos", "sin"], ["y"], domain=domain, **attributes)
    inputs = [
        helper.make_tensor_value_info("x", kind, None),
        helper.make_tensor_value_info("at", TensorProto.INT64, None),
    ]
    tables = [numpy_helper.from_array(cos, "cos"), numpy_helper.from_array(sin, "sin")]
    if not constant:
        inputs += [helper.make_tensor_value_info(name, kind, None) for name in ("cos", "sin")]
        tables = []
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", kind, None)], tables)
    return open_session(library, graph, [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)])


def open_session(library, graph, opsets):
    """Load a graph, with the custom op at hand."""
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.register_custom_ops_library(library)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def agrees(library):
    """Shapes, pairings, partial rotation, positions, both types: how many comparisons."""
    done = 0
    for dtype, interleaved, partial, axes, each, tokens in itertools.product(
        KINDS, (0, 1), (0, 32), (3, 4), (0, 1), (1, TOKENS, 200)
    ):
        attributes = {"interleaved": interleaved}
        if partial:
            attributes |= {"rotary_embedding_dim": partial, "num_heads": HEADS}
        shape = (BATCH, tokens, HEADS * DIM) if axes == 3 else (BATCH, HEADS, tokens, DIM)
        x = RNG.standard_normal(shape).astype(dtype)
        at = RNG.integers(0, POSITIONS, (BATCH, tokens)) if each else np.array([17])
        got, want = (
            session(library, domain, dtype, partial or DIM, **attributes).run(None, {"x": x, "at": at})[0]
            for domain in ("roperot", "com.microsoft")
        )
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        # Each product may be rounded once more, or fused, over there; f16 tables are f16 on both sides.
        tolerance = 1e-6 if dtype == np.float32 else 4e-3
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=0, atol=4 * tolerance,
                                   err_msg=f"{dtype} {attributes} {shape} {each}")  # fmt: skip
        done += 1
    return done


def bf16_agrees(library):
    """ONNX Runtime has no RotaryEmbedding for bf16 on CPUs: its f32 operator on the same values, rounded by Cast."""
    opsets = [
        helper.make_opsetid(domain, version) for domain, version in (("", 17), ("roperot", 1), ("com.microsoft", 1))
    ]
    float_infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "got", "want")]
    infos = [float_infos[0], helper.make_tensor_value_info("at", TensorProto.INT64, None), *float_infos[1:]]
    done = 0
    for interleaved, tokens in itertools.product((0, 1), (1, TOKENS, 200)):
        node, nodes, tables = helper.make_node, [], []
        for name, values in zip(("cos", "sin"), caches(DIM, np.float32), strict=True):
            tables.append(helper.make_tensor(name, TensorProto.BFLOAT16, values.shape, values.ravel()))
            nodes.append(node("Cast", [name], [f"{name}32"], to=TensorProto.FLOAT))
        nodes += [
            node("Cast", ["x"], ["x16"], to=TensorProto.BFLOAT16),
            node("Cast", ["x16"], ["x32"], to=TensorProto.FLOAT),
            node("RotaryEmbedding", ["x16", "at", "cos", "sin"], ["y16"], domain="roperot", interleaved=interleaved),
            node(
                "RotaryEmbedding",
                ["x32", "at", "cos32", "sin32"],
                ["y32"],
                domain="com.microsoft",
                interleaved=interleaved,
            ),
            node("Cast", ["y32"], ["rounded"], to=TensorProto.BFLOAT16),
            node("Cast", ["y16"], ["got"], to=TensorProto.FLOAT),
            node("Cast", ["rounded"], ["want"], to=TensorProto.FLOAT),
        ]
        graph = helper.make_graph(nodes, "g", infos[:2], infos[2:], tables)
        x = RNG.standard_normal((BATCH, HEADS, tokens, DIM)).astype(np.float32)
        at = RNG.integers(0, POSITIONS, (BATCH, tokens))
        got, want = open_session(library, graph, opsets).run(None, {"x": x, "at": at})
        # Alike but where ONNX Runtime's own rounding of products moves a sum over the middle of two bf16 numbers.
        apart = np.abs(got - want)
        assert np.all(apart <= np.maximum(np.abs(want) * 2.0**-7, 1e-6)), f"{interleaved} {tokens} {apart.max()}"
        assert np.mean(apart != 0) < 1e-3, f"{interleaved} {tokens}: {np.mean(apart != 0)} differ"
        done += 1
    return done


def refuses(library):
    """A sentence for each wrong call, and no crash."""
    run = session(library, "roperot", np.float32, DIM).run
    x = np.zeros((BATCH, HEADS, TOKENS, DIM), np.float32)
    wrong = [
        ({"x": x, "at": np.array([POSITIONS])}, "position"),
        ({"x": x, "at": np.full((BATCH, TOKENS), -1)}, "position"),
        ({"x": x, "at": np.zeros((BATCH, TOKENS + 1), np.int64)}, "position_ids must be"),
        ({"x": x[..., : DIM - 2].copy(), "at": np.array([0])}, "a column for each pair"),
        ({"x": np.zeros((BATCH, TOKENS, DIM + 1), np.float32), "at": np.array([0])}, "input must be"),
        ({"x": np.zeros((DIM,), np.float32), "at": np.array([0])}, "input must be"),
    ]
    for feed, sentence in wrong:
        try:
            run(None, feed)
        except Exception as said:
            assert sentence in str(said), f"{sentence!r} is not in {said}"
        else:
            raise AssertionError(f"not refused: {sentence}")
    for keywords, sentence in (({"constant": False}, "must be initializers"), ({"is_packed_batching": 1}, "packed")):
        try:
            session(library, "roperot", np.float32, DIM, **keywords)
        except Exception as said:
            assert sentence in str(said), f"{sentence!r} is not in {said}"
        else:
            raise AssertionError(f"not refused: {sentence}")
    return len(wrong) + 2


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    agreed = agrees(sys.argv[1]) + bf16_agrees(sys.argv[1])
    print(f"{agreed} comparisons agree, {refuses(sys.argv[1])} wrong calls are refused")
