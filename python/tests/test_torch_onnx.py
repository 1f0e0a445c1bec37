"""ONNX programs of roperot.torch.rotary, run by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

import roperot

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
if not hasattr(getattr(torch.onnx, "ops", None), "rotary_embedding"):
    pytest.skip("this PyTorch has no torch.onnx.ops.rotary_embedding", allow_module_level=True)
import roperot.torch as rt  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


class Program(torch.nn.Module):
    def __init__(self, rope, at=None, **given):
        super().__init__()
        self.rope, self.at, self.given = rope, at, given

    def forward(self, q, k, ids=None):
        return rt.rotary(q, k, self.rope, self.at if ids is None else ids, **self.given)


def exported(program, given, path, **more):
    torch.onnx.export(program, given, str(path), dynamo=True, opset_version=23, verbose=False, **more)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def results(session, given):
    return session.run(None, {x.name: t.numpy() for x, t in zip(session.get_inputs(), given)})


def heads(layout, dtype=torch.float32, seed=0, batch=2, tokens=5):
    shape = {"bshd": (batch, tokens, 4, 16), "bhsd": (batch, 4, tokens, 16), "thd": (tokens, 4, 16)}[layout]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype), torch.randn(shape, generator=generator).to(dtype)


TABLES = roperot.Rope(16, rotary_dim=12).cos_sin(np.arange(40))
ROPES = {
    "half": {},
    "interleaved": {"pairing": "interleaved"},
    "to half": {"pairing": "interleaved", "pairing_out": "half"},
    "to interleaved": {"pairing": "half", "pairing_out": "interleaved"},
    "partial": {"rotary_dim": 8},
    "offset": {"rotary_dim": 8, "rotary_offset": 6},
    "factor": {"attention_factor": 1.25, "scaling": {"rope_type": "linear", "factor": 2.0}},
    "clamp": {"bounds": "clamp"},
}


def wide(x):
    return x.float() if x.dtype == torch.bfloat16 else x


@pytest.mark.parametrize(
    ("name", "layout", "inverse", "at"),
    [("half", "bshd", False, "ids"), ("half", "bhsd", True, "batch"), ("half", "thd", False, 7),
     ("half", "bhsd", False, 7),
     ("interleaved", "bshd", True, "batch"), ("to half", "bhsd", False, "ids"), ("to half", "bshd", True, 7),
     ("to interleaved", "thd", False, "ids"), ("partial", "bshd", False, "batch"), ("offset", "bhsd", True, "ids"),
     ("factor", "bshd", False, 7), ("factor", "bhsd", True, "ids"), ("clamp", "bshd", False, "far")],
)  # fmt: skip
def test_the_node_rotates_as_the_rope_does(name, layout, inverse, at, tmp_path):
    """In float32 but for a fused multiply-add of the runtime: by a unit of the larger product, 2^-22 here."""
    rope = roperot.Rope(16, max_positions=40, **ROPES[name])
    ids = {
        "ids": torch.arange(5) * 7,
        "batch": torch.arange(10).reshape(2, 5),
        "far": torch.tensor([-3, 0, 39, 40, 999]),
    }
    given = (*heads(layout), ids[at]) if at in ids else heads(layout)
    program = Program(rope, None if at in ids else at, inverse=inverse, layout=layout)
    session = exported(program, given, tmp_path / "program.onnx")
    graph = pytest.importorskip("onnx").load(str(tmp_path / "program.onnx")).graph
    nodes = [node for node in graph.node if node.op_type == "RotaryEmbedding"]
    assert [node.domain for node in nodes] == ["", ""]
    assert not any("roperot" in node.domain for node in graph.node)
    other = (*heads(layout, seed=5), *given[2:])
    positions = ids.get(at, at)
    for x, y in zip(other, results(session, other)):
        expected = rope.apply(x, positions, inverse, layout=layout).numpy()
        assert np.abs(y - expected).max() <= 2.0**-22 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_16_bit_heads_are_rotated_in_float32_and_rounded_once(dtype, tmp_path):
    rope = roperot.Rope(16, max_positions=40)

    class Wide(Program):
        def forward(self, q, k):  # NumPy has no bfloat16
            return [x.float() for x in super().forward(q.to(dtype), k.to(dtype))]

    session = exported(Wide(rope, 30), heads("bshd"), tmp_path / "program.onnx")
    other = heads("bshd", seed=5)
    for x, y in zip(other, results(session, other)):
        expected = rope.apply(x.to(dtype), 30).float().numpy()
        assert (y == expected).mean() >= 0.99
        assert np.abs(y - expected).max() <= torch.finfo(dtype).eps * np.abs(expected).max()


def test_batch_and_length_may_be_dynamic(tmp_path):
    rope = roperot.Rope(16, max_positions=64)
    batch, tokens = torch.export.Dim("batch", min=1, max=9), torch.export.Dim("tokens", min=2, max=64)
    for at in (3, None):
        given = heads("bshd") if at is not None else (*heads("bshd"), torch.arange(10).reshape(2, 5))
        shapes = ({0: batch, 1: tokens},) * len(given)
        session = exported(Program(rope, at), given, tmp_path / f"{at}.onnx", dynamic_shapes=shapes)
        q, k = heads("bshd", seed=5, batch=3, tokens=11)
        ids = torch.arange(33).reshape(3, 11)
        other = (q, k) if at is not None else (q, k, ids)
        for x, y in zip(other, results(session, other)):
            assert np.abs(y - rope.apply(x, ids if at is None else at).numpy()).max() <= 1e-6


def test_a_position_beyond_the_table_is_an_error_of_the_runtime(tmp_path):
    given = (*heads("bshd"), torch.arange(5))
    session = exported(Program(roperot.Rope(16, max_positions=40)), given, tmp_path / "program.onnx")
    for bad in (-1, 40):
        with pytest.raises(Exception, match="out of range"):
            results(session, (*given[:2], torch.tensor([0, 1, bad, 3, 4])))


def test_borrowed_tables(tmp_path):
    rope, given = roperot.Rope.from_tables(16, *TABLES, rotary_dim=12), heads("bhsd")
    session = exported(Program(rope, 4, layout="bhsd"), given, tmp_path / "program.onnx")
    for x, y in zip(given, results(session, given)):
        assert np.abs(y - rope.apply(x, 4, layout="bhsd").numpy()).max() <= 1e-6


def refused(rope, sentence, dtype=torch.float32, ids=None, saved=False, **given):
    """The exporter tries several ways and shows what the last of them said."""
    example = tuple(x.to(dtype) for x in heads("bshd"))
    program = Program(rope, torch.arange(5) if ids is None else ids, **given)
    if saved:
        program = torch.export.export(program, example)
    with pytest.raises(torch.onnx.OnnxExporterError) as failure:
        torch.onnx.export(program, example, dynamo=True, opset_version=23, verbose=False)
    assert sentence in str(failure.value)


def test_what_onnx_cannot_say_is_refused():
    some = {"max_positions": 40}
    refused(roperot.Rope(16), "max_positions= of at most")
    refused(roperot.Rope(16, sections=[3, 5], **some), "sections", ids=torch.zeros(2, 2, 5, dtype=torch.int64))
    refused(roperot.Rope(16, bounds="identity", **some), "bounds='identity'")
    refused(roperot.Rope(16, arithmetic="eager", **some), "arithmetic='eager'", dtype=torch.bfloat16)
    refused(roperot.Rope(16, **some), "give torch.onnx.export the module itself", saved=True)
    refused(roperot.Rope(16, **some), "no ONNX form", q_norm=roperot.Norm())


def test_the_exporter_of_torchscript_is_refused(tmp_path):
    with pytest.raises(NotImplementedError, match=r"use dynamo=True and opset_version=23"):
        torch.onnx.export(
            Program(roperot.Rope(16, max_positions=9), 3), heads("bshd"), str(tmp_path / "x.onnx"), dynamo=False
        )


def test_a_patched_model_exports_its_own_rotation(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=99
    )
    model = transformers.LlamaForCausalLM(config).eval()

    class Logits(torch.nn.Module):
        def forward(self, ids):
            return model(ids, use_cache=False).logits

    program, ids = Logits(), torch.arange(3, 15)[None]
    program.model = model
    with torch.no_grad():
        expected = program(ids).numpy()
        with rt.patch_transformers(model):
            session = exported(program, (ids,), tmp_path / "model.onnx")
    assert np.abs(results(session, (ids,))[0] - expected).max() <= 1e-5 * np.abs(expected).max()
