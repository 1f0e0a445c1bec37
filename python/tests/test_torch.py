"""PyTorch tensors, the differentiable operator, and patched transformers models."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import assert_same_bits

import roperot

torch = pytest.importorskip("torch")
if not hasattr(torch.library, "custom_op"):
    pytest.skip("this PyTorch has no torch.library.custom_op", allow_module_level=True)
import roperot._operator as op  # noqa: E402
import roperot.torch as rt  # noqa: E402

ROPE = roperot.Rope(16)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def tensor(*shape, dtype=torch.float32, seed=0, grad=False):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return x.requires_grad_(grad)


def fake(device):
    """A tensor of a device that this machine need not have: its metadata are real, its memory is not."""
    with torch._subclasses.FakeTensorMode():
        return torch.empty(5, 4, 16, device=device)


# ---- tensors


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_are_rotated_in_their_own_memory(dtype):
    q, k = tensor(2, 5, 4, 16, dtype=dtype), tensor(2, 5, 2, 16, dtype=dtype)
    expected = [ROPE.apply(x, 9) for x in (q, k)]
    assert all(type(y) is torch.Tensor and y.dtype == dtype for y in expected)
    pointers = q.data_ptr(), k.data_ptr()
    ROPE.apply_(q, k, torch.arange(9, 14))
    assert (q.data_ptr(), k.data_ptr()) == pointers
    assert torch.equal(q, expected[0])
    assert torch.equal(k, expected[1])
    if dtype is not torch.bfloat16:
        x = tensor(2, 5, 4, 16, dtype=dtype)
        assert_same_bits(ROPE.apply(x, 9).numpy(), ROPE.apply(x.numpy(), 9))


def test_nested_tensors_are_refused():
    """PyTorch's own sentence asked for a bug report."""
    nested = torch.nested.nested_tensor([torch.ones(4, 16), torch.ones(3, 16)])
    for call in (lambda: ROPE.apply_(nested), lambda: ROPE.run(nested), lambda: rt.rotary(nested, None, ROPE, 3)):
        with pytest.raises(TypeError, match="nested tensor"):
            call()


def test_graphs_take_texts_and_numbers_for_constants():
    """Dynamo of PyTorch 2.5 to 2.8 takes no other objects: ``torch.compile`` ended in an internal error there."""
    modules = [module for name, module in sys.modules.items() if name.startswith("roperot")]
    marked = {f for m in modules for f in vars(m).values() if getattr(f, "_dynamo_marked_constant", False)}
    assert {f.__name__ for f in marked} >= {"_key_of", "_learn_way", "_count"}
    for function in marked:
        kinds = {kind for name, kind in function.__annotations__.items() if name != "return"}
        assert kinds <= {"str", "int", "torch.dtype"}, function.__name__


def test_hooks_of_all_modules_are_seen_in_every_version():
    """PyTorch 2.5 to 2.7 have no function that tells: roperot.torch could not be imported there."""
    from roperot import _norms

    assert not _norms._hooks_of_all_modules()
    for register in ("forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"):
        handle = getattr(torch.nn.modules.module, f"register_module_{register}")(lambda *_: None)
        assert _norms._hooks_of_all_modules()
        assert _norms._any_global_hook()
        handle.remove()
    assert not _norms._hooks_of_all_modules()


def test_views_and_slices_keep_their_strides():
    packed = tensor(2, 5, 3 * 4 * 16)
    before = packed.clone()
    q, k, v = (part.unflatten(-1, (4, 16)) for part in packed.split(64, dim=-1))
    ROPE.apply_(q, k, 3)
    for part, index in ((q, 0), (k, 1)):
        assert torch.equal(part, ROPE.apply(before[..., 64 * index : 64 * index + 64].unflatten(-1, (4, 16)), 3))
    assert torch.equal(v, before[..., 128:].unflatten(-1, (4, 16)))
    heads_first = q.transpose(1, 2)
    ROPE.apply_(heads_first, positions=3, inverse=True, layout="bhsd")
    torch.testing.assert_close(q, before[..., :64].unflatten(-1, (4, 16)), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: tensor(5, 4, 16).double(), TypeError, "float64.*float"),
        (lambda: tensor(5, 4, 32)[..., ::2], ValueError, "contiguous"),
        (lambda: tensor(5, 4, 16).to("meta"), TypeError, "meta.*cpu"),
        (lambda: tensor(5, 4, 16).to_sparse(), TypeError, "sparse"),
        (lambda: tensor(5, 4, 16, grad=True), ValueError, "gradient.*rotary"),
        (lambda: tensor(16), ValueError, "1 axes"),
        (lambda: fake("cuda"), TypeError, r"cuda:0: roperot rotates CPU tensors only; use x.cpu\(\) first"),
        (lambda: fake("cpu"), TypeError, "fake tensor.*rotary"),
    ],
)
def test_refused(make, error, sentence):
    x = make()
    for _ in range(2):  # the second time meets whatever the first one left behind
        with pytest.raises(error, match=sentence):
            ROPE.apply_(x)


def test_a_remembered_tensor_does_not_hide_a_gradient():
    rope = roperot.Rope(16)
    rope.apply_(tensor(5, 4, 16))
    with pytest.raises(ValueError, match="gradient"):
        rope.apply_(tensor(5, 4, 16, grad=True))
    with torch.no_grad():
        rope.apply_(tensor(5, 4, 16, grad=True))


@pytest.mark.parametrize(
    ("name", "make", "call"),
    [
        ("coordinates", lambda: torch.arange(5.0), lambda at: ROPE.apply_(tensor(5, 4, 16), coordinates=at)),
        ("coordinates", lambda: torch.arange(5.0), lambda at: ROPE.apply_(np.ones((5, 4, 16), "f4"), coordinates=at)),
        ("coordinates", lambda: torch.arange(5.0), lambda at: ROPE.apply(tensor(5, 4, 16), coordinates=at)),
        ("coordinates", lambda: torch.arange(5.0).bfloat16(), lambda at: ROPE.cos_sin(None, coordinates=at)),
        ("inv_freq", lambda: torch.rand(8), lambda w: roperot.Rope(16, inv_freq=w)),
        ("base", lambda: torch.tensor(500.0), lambda b: roperot.Rope(16, base=b)),
        ("attention_factor", lambda: torch.tensor(2.0), lambda f: roperot.Rope(16, attention_factor=f)),
        ("cos", lambda: torch.rand(5, 8), lambda t: roperot.Rope.from_tables(16, t, torch.rand(5, 8))),
    ],
)
def test_a_gradient_is_refused_wherever_it_would_be_lost(name, make, call):
    """Coordinates and frequencies were read without a word; what follows had no gradient for them."""
    with pytest.raises(ValueError, match=rf"^{name} requires a gradient, .*x\.detach\(\)"):
        call(make().requires_grad_())
    with torch.no_grad():
        call(make().requires_grad_())
    call(make())


@pytest.mark.parametrize("value", [0.0, 1.0, False, True])
def test_a_position_is_no_truth_and_no_real_number(value):
    at = torch.tensor(value)
    for call in (
        lambda: ROPE.apply_(tensor(5, 4, 16), positions=at),
        lambda: ROPE.apply(tensor(5, 4, 16), at),
        lambda: ROPE.cos_sin(at),
        lambda: ROPE.shift_(tensor(5, 4, 16), at),
        lambda: rt.rotary(tensor(5, 4, 16), None, ROPE, at),
        lambda: rt.rotary(tensor(5, 4, 16, grad=True), None, ROPE, bool(value)),
    ):
        with pytest.raises(TypeError, match=r"positions|delta"):
            call()


def test_tables_from_tensors():
    cos, sin = (torch.from_numpy(t) for t in ROPE.cos_sin(np.arange(9)))
    x = tensor(5, 4, 16)
    assert torch.equal(roperot.Rope.from_tables(16, cos, sin).apply(x, 2), ROPE.apply(x, 2))
    narrow = roperot.Rope.from_tables(16, cos.bfloat16(), sin.bfloat16()).apply(x, 2)
    wide = roperot.Rope.from_tables(16, cos.bfloat16().float(), sin.bfloat16().float()).apply(x, 2)
    assert torch.equal(narrow, wide)


def test_borrowed_tables_outlive_what_their_tensors_become():
    """A parameter's .data is replaced by module.half(); the tables were read after their memory had been freed."""
    code = """
import torch, roperot
cos, sin = (torch.from_numpy(t).clone() for t in roperot.Rope(128).cos_sin(range(20000)))
rope, x = roperot.Rope.from_tables(128, cos, sin), torch.ones(2, 1, 128)
expected = rope.apply(x, 19000)
cos.data, sin.data = torch.zeros(1), torch.zeros(1)
assert torch.equal(rope.apply(x, 19000), expected)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- the operator


@pytest.mark.parametrize("layout", ["bshd", "bhsd"])
@pytest.mark.parametrize("positions", [None, 7, "ids", "batch"])
def test_gradient_is_the_inverse_rotation(layout, positions):
    q, k = tensor(2, 5, 5, 16, grad=True), tensor(2, 5, 5, 16, seed=1, grad=True)
    at = {"ids": torch.arange(5) * 3, "batch": torch.arange(10).reshape(2, 5)}.get(positions, positions)
    rotated = rt.rotary(q, k, ROPE, at, layout=layout)
    weight = tensor(2, 5, 5, 16, seed=2)
    sum((y * weight).sum() for y in rotated).backward()
    for x, y in zip((q, k), rotated):
        assert torch.equal(y, ROPE.apply(x.detach(), at, layout=layout))
        assert torch.equal(x.grad, ROPE.apply(weight, at, inverse=True, layout=layout))


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(
    ("layout", "q", "k"),
    [("bshd", (2, 5, 4, 16), (2, 5, 2, 16)), ("bshd", (2, 5, 4, 16), (2, 7, 2, 16)),
     ("bshd", (5, 4, 16), (1, 6, 1, 16)),
     ("bhsd", (2, 4, 5, 16), (2, 2, 5, 16)), ("bhsd", (2, 4, 5, 16), (2, 4, 7, 16)), ("bhsd", (4, 5, 16), (2, 5, 16)),
     ("thd", (5, 4, 16), (5, 2, 16)), ("thd", (5, 4, 16), (3, 2, 16))],
)  # fmt: skip
def test_q_and_k_are_rotated_as_each_alone(layout, q, k, grad):
    """Together in one call where their tokens are the same, one by one where not, and where a gradient is recorded."""
    q, k = tensor(*q, dtype=torch.bfloat16), tensor(*k, seed=1, grad=grad)
    rotated = rt.rotary(q, k, ROPE, 9, layout=layout)
    assert [y.dtype for y in rotated] == [torch.bfloat16, torch.float32]
    for x, y in zip((q, k), rotated):
        assert torch.equal(y, ROPE.apply(x.detach(), 9, layout=layout))


def test_gradient_by_finite_differences():
    rope = roperot.Rope(8, attention_factor=1.5, pairing="interleaved", rotary_dim=4)
    x = tensor(1, 3, 2, 8, grad=True)
    with pytest.warns(UserWarning, match="double"):
        assert torch.autograd.gradcheck(lambda x: rt.rotary(x, None, rope, 5), (x,), eps=1e-2, atol=2e-3, rtol=1e-3)


def test_the_operator_is_registered_properly():
    x = tensor(2, 5, 4, 16, grad=True)
    outcome = torch.library.opcheck(
        torch.ops.roperot.rotate.default, (x, op._key(ROPE), 0, torch.arange(5), False, "bshd")
    )
    assert set(outcome.values()) == {"SUCCESS"}


def test_compile_does_not_break_the_graph():
    def model(q, k, positions):
        q, k = rt.rotary(q * 2, k, ROPE, positions)
        return q + k

    q, k, positions = tensor(2, 5, 4, 16, grad=True), tensor(2, 5, 4, 16, seed=1), torch.arange(5)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    expected = model(q, k, positions)
    assert torch.equal(compiled(q, k, positions), expected)
    compiled(q, k, positions).sum().backward()
    by_graph, q.grad = q.grad, None
    expected.sum().backward()
    assert torch.equal(by_graph, q.grad)


def test_a_graph_never_meets_another_rope():
    """It carries the recipe of its Rope; borrowed tables have none, and their names are not given twice."""
    x = tensor(5, 4, 16)
    key = op._key(roperot.Rope(16, base=300.0, scaling={"rope_type": "linear", "factor": 2.0}, sections=[3, 5]))
    expected = roperot.Rope(16, base=300.0, scaling={"rope_type": "linear", "factor": 2.0}, sections=[3, 5]).apply(x, 2)
    assert torch.equal(torch.ops.roperot.rotate(x, key, 2, None, False, "bshd"), expected)
    tables = ROPE.cos_sin(np.arange(9))
    borrowed, other = (roperot.Rope.from_tables(16, *tables) for _ in range(2))
    key = op._key(borrowed)
    assert op._key(borrowed) == key != op._key(other)
    del borrowed
    with pytest.raises(RuntimeError, match="no longer exists"):
        torch.ops.roperot.rotate(x, key, 0, None, False, "bshd")


def test_rotary_refuses():
    with pytest.raises(TypeError, match="positions"):
        rt.rotary(tensor(5, 4, 16), None, ROPE, [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="contiguous"):
        rt.rotary(tensor(5, 4, 32)[..., ::2], None, ROPE)
    x = tensor(5, 4, 16)
    for arguments, sentence in (
        ((x.numpy(), None, ROPE), "q must be a torch.Tensor, not ndarray; Rope.apply"),
        ((None, x, ROPE), "q must be a torch.Tensor, not NoneType"),
        ((x, x.numpy(), ROPE), "k must be a torch.Tensor, not ndarray"),
        ((x, x, "r"), "rope must be a roperot.Rope, not str"),
    ):
        with pytest.raises(TypeError, match=sentence):
            rt.rotary(*arguments)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("name", ["q", "k"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_mode_is_refused(name, grad):
    """Without a rule the tangent would be dropped and a derivative of zero taken for the truth."""
    heads = {"q": tensor(5, 4, 16, grad=grad), "k": tensor(5, 4, 16, grad=grad)}
    with torch.autograd.forward_ad.dual_level():
        rt.rotary(**heads, rope=ROPE)
        heads[name] = torch.autograd.forward_ad.make_dual(heads[name], tensor(5, 4, 16, seed=1))
        with pytest.raises(NotImplementedError, match="forward-mode"):
            rt.rotary(**heads, rope=ROPE)
        with pytest.raises(NotImplementedError, match=r"forward-mode|forward mode"):
            torch.ops.roperot.rotate(heads[name], op._key(ROPE), 0, None, False, "bshd")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transforms_are_refused():
    x = tensor(2, 5, 4, 16)
    for call in (
        lambda: torch.vmap(lambda q: rt.rotary(q, None, ROPE))(x),
        lambda: torch.vmap(lambda at: rt.rotary(x[0], None, ROPE, at))(torch.arange(10).reshape(2, 5)),
        lambda: torch.func.grad(lambda q: rt.rotary(q, None, ROPE).sum())(x),
        lambda: torch.func.grad(lambda weight: (weight * rt.rotary(x, None, ROPE)).sum())(torch.tensor(1.0)),
        lambda: torch.func.jvp(lambda q: rt.rotary(q, None, ROPE), (x,), (x,)),
    ):
        with pytest.raises(NotImplementedError, match=r"torch\.func|forward-mode"):
            call()
    scaled = torch.vmap(lambda weight: weight * rt.rotary(x, None, ROPE))(torch.ones(2))
    assert torch.equal(scaled[0], ROPE.apply(x))


# ---- transformers

SIZE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "vocab_size": 99, "max_position_embeddings": 128}  # fmt: skip
KV = {"num_key_value_heads": 2}
FACTORS = [1.0 + 0.1 * j for j in range(8)]


def llama(t):
    scaling = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 32}  # fmt: skip
    return t.LlamaForCausalLM(t.LlamaConfig(**SIZE, **KV, rope_parameters=scaling))


def phi3(t):
    # The length of the tests crosses 16, so that the model itself switches from short to long factors.
    scaling = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": FACTORS, "long_factor": FACTORS[::-1]}
    config = t.Phi3Config(**SIZE, **KV, pad_token_id=0, original_max_position_embeddings=16, rope_parameters=scaling)
    return t.Phi3ForCausalLM(config)


def gptj(t):
    config = t.GPTJConfig(n_embd=64, n_layer=2, n_head=4, vocab_size=99, n_positions=128, rotary_dim=8)
    return t.GPTJForCausalLM(config)


def gpt_oss(t):
    config = t.GptOssConfig(**SIZE, **KV, head_dim=16, num_local_experts=4, num_experts_per_tok=2)
    return t.GptOssForCausalLM(config)


def deepseek_v3(t):
    config = t.DeepseekV3Config(
        **SIZE, num_key_value_heads=4, n_routed_experts=4, n_group=1, topk_group=1, num_experts_per_tok=2,
        q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=16,
        moe_intermediate_size=32)  # fmt: skip
    return t.DeepseekV3ForCausalLM(config)


def qwen2_vl(t):
    scaling = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    config = t.Qwen2VLConfig(
        text_config={**SIZE, **KV, "rope_parameters": scaling},
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 64, "num_heads": 2},
    )
    return t.Qwen2VLForConditionalGeneration(config)


MODELS = {
    "llama": llama,
    "gpt_neox": lambda t: t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**SIZE)),
    "qwen2": lambda t: t.Qwen2ForCausalLM(t.Qwen2Config(**SIZE, **KV)),
    "qwen3": lambda t: t.Qwen3ForCausalLM(t.Qwen3Config(**SIZE, **KV, head_dim=32)),
    "phi3": phi3,
    "gptj": gptj,
    "gpt_oss": gpt_oss,
    "qwen2_vl": qwen2_vl,
    "gemma3": lambda t: t.Gemma3ForCausalLM(t.Gemma3TextConfig(**SIZE, **KV, head_dim=16)),
    "cohere": lambda t: t.CohereForCausalLM(t.CohereConfig(**SIZE, **KV)),
    "glm": lambda t: t.GlmForCausalLM(t.GlmConfig(**SIZE, **KV, head_dim=16, pad_token_id=0)),
    "deepseek_v3": deepseek_v3,
}


def generate(model, ids, tokens=20):
    """With a KV cache, and with padding, so that the rows of the batch are at different positions."""
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    return model.generate(
        ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=0, eos_token_id=None
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_patched_models_give_the_same_logits(name):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = MODELS[name](transformers).eval()
    ids = torch.randint(1, 98, (2, 24))
    with torch.no_grad():
        logits, text = model(ids).logits, generate(model, ids[:, :10])
        short = model(ids[:, :8]).logits  # another length: dynamic and longrope change their frequencies
        for angles in ("exact", "model"):
            with rt.patch_transformers(model, angles=angles) as patch:
                patched, patched_text = model(ids).logits, generate(model, ids[:, :10])
                patched_short = model(ids[:, :8]).logits
                assert patch.calls >= 2 * model.config.get_text_config().num_hidden_layers
            error = (logits - patched).abs().max() / logits.abs().max()
            assert error <= 1e-5, angles
            assert (short - patched_short).abs().max() / short.abs().max() <= 1e-5, angles
            assert torch.equal(text, patched_text)
            if angles == "model":
                assert torch.equal(logits, patched)  # the rotation is bit-identical, hence everything after it
            calls = patch.calls
            assert torch.equal(model(ids).logits, logits)
            assert patch.calls == calls


EAGER = ("llama", "qwen2", "qwen3", "gpt_neox", "phi3", "gemma3", "gpt_oss", "cohere", "glm", "gptj")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", EAGER)
@pytest.mark.filterwarnings("ignore")
def test_eager_arithmetic_gives_the_bits_of_the_16_bit_model(name, attention, dtype):
    """Of the logits and the text, with a cache, padding, long and short inputs."""
    torch.manual_seed(0)
    model = MODELS[name](pytest.importorskip("transformers")).to(dtype).eval()
    try:
        model.set_attn_implementation(attention)
    except ValueError:
        pytest.skip(f"this model has no attention {attention!r}")
    ids = torch.randint(1, 98, (2, 24))
    with torch.no_grad():
        expected, text = model(ids).logits, generate(model, ids[:, :10], 5)
        with rt.patch_transformers(model, arithmetic="eager") as patch:
            found, patched_text = model(ids).logits, generate(model, ids[:, :10], 5)
            assert patch.angles == "model"
            assert patch.calls >= 12
        with rt.patch_transformers(model, angles="model"):
            once = model(ids).logits
    assert torch.equal(found, expected)
    assert torch.equal(patched_text, text)
    assert torch.equal(once, expected) is (name == "cohere")  # which rotates in float32 itself


@pytest.mark.filterwarnings("ignore")
def test_eager_arithmetic_with_exact_angles_rounds_what_the_model_rounds():
    torch.manual_seed(0)
    model = MODELS["llama"](pytest.importorskip("transformers")).to(torch.bfloat16).eval()
    modeling = sys.modules[type(model).__module__]
    q, at = tensor(1, 4, 9, 16, dtype=torch.bfloat16), torch.arange(70, 79)[None]
    with torch.no_grad(), rt.patch_transformers(model, angles="exact", arithmetic="eager") as patch:
        cos, sin = model.model.rotary_emb(q, at)
        found = modeling.apply_rotary_pos_emb(q, q, cos, sin)
        assert patch.calls == 1
        graph = torch.ops.roperot.rotate_rows(q, cos, sin, "half half halves start eager", False, "bhsd")
    exact = roperot.Rope(16, inv_freq=model.model.rotary_emb.inv_freq, arithmetic="eager")
    expected = modeling.apply_rotary_pos_emb(q, q, cos, sin)
    for x in (*found, *expected, graph):
        assert torch.equal(x, exact.apply(q, at, layout="bhsd"))


def test_a_function_that_rounds_otherwise_is_left_alone():
    """Where no arithmetic gives its bits, "eager" keeps its promise by not replacing the call."""
    from roperot import _transformers as patching

    def rotate_half(x):
        return torch.cat((-x[..., 8:], x[..., :8]), -1)

    def apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=1):
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return tuple((x.float() * cos.float() + rotate_half(x) * sin).to(x.dtype) for x in (q, k))

    rotation = patching._Rotation(apply_rotary_pos_emb)
    x, rows = tensor(1, 4, 5, 16), torch.ones(1, 5, 16)
    assert rotation.way(x, rows).eager == "f32"
    x, rows = x.bfloat16(), rows.bfloat16()
    assert rotation.way(x, rows).eager is None
    call = rotation.understand((x, x, rows, rows), {})
    for arithmetic in ("eager", "f32"):
        found = patching._rotated(rotation, call, op.Rows(rows, rows), patching.Patch("model", arithmetic))
        assert (found is None) is (arithmetic == "eager")


def left_padded():
    ids, mask = torch.randint(1, 98, (2, 12)), torch.ones(2, 12, dtype=torch.int64)
    mask[0, :3] = 0
    return ids, mask


@pytest.mark.parametrize("angles", ["exact", "model"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32])
@pytest.mark.parametrize("name", ["llama", "qwen2_vl", "cohere"])
@pytest.mark.filterwarnings("ignore")
def test_left_padding_is_at_minus_one(name, dtype, angles):
    """The usual idiom numbers padded tokens -1; whatever the module takes for a position, the patched one takes."""
    torch.manual_seed(0)
    model = MODELS[name](pytest.importorskip("transformers")).eval()
    ids, mask = left_padded()
    at = (mask.cumsum(-1) - 1).to(dtype)
    assert at.min() == -1
    with torch.no_grad():
        expected = model(ids, attention_mask=mask, position_ids=at).logits[mask.bool()]
        with rt.patch_transformers(model, angles=angles) as patch:
            found = model(ids, attention_mask=mask, position_ids=at).logits[mask.bool()]
        assert patch.calls == 2
    assert (found - expected).abs().max() / expected.abs().max() <= 1e-5


@pytest.mark.filterwarnings("ignore")
def test_fractional_position_ids():
    torch.manual_seed(0)
    model = MODELS["llama"](pytest.importorskip("transformers")).eval()
    ids, at = torch.randint(1, 98, (1, 8)), torch.arange(8)[None] / 3 - 1
    with torch.no_grad():
        expected = model(ids, position_ids=at).logits
        with rt.patch_transformers(model):
            found = model(ids, position_ids=at).logits
    assert (found - expected).abs().max() / expected.abs().max() <= 1e-5


def dynamic(t):
    """Its frequencies depend on the longest sequence it has seen: from 8 positions on they change."""
    scaling = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
    return t.LlamaForCausalLM(t.LlamaConfig(**{**SIZE, **KV, "max_position_embeddings": 8}, rope_parameters=scaling))


@pytest.mark.parametrize("angles", ["exact", "model"])
@pytest.mark.filterwarnings("ignore")
def test_patching_does_not_change_what_a_dynamic_model_remembers(angles):
    torch.manual_seed(0)
    model = dynamic(pytest.importorskip("transformers")).eval()
    rotary, ids = model.model.rotary_emb, torch.randint(1, 98, (2, 12))
    with torch.no_grad():
        model(torch.randint(1, 98, (2, 30)))
        state = rotary.inv_freq.clone(), int(rotary.max_seq_len_cached)
        expected = model(ids).logits  # with the frequencies of 30 positions
        with rt.patch_transformers(model, angles=angles):
            found = model(ids).logits
        again = model(ids).logits
    assert (found - expected).abs().max() / expected.abs().max() <= 1e-5
    assert torch.equal(again, expected)
    assert torch.equal(rotary.inv_freq, state[0])
    assert int(rotary.max_seq_len_cached) == state[1] == 30


@pytest.mark.parametrize("name", ["llama", "gptj"])
@pytest.mark.filterwarnings("ignore")
def test_a_copy_of_a_patched_model_is_not_patched(name):
    torch.manual_seed(0)
    model = MODELS[name](pytest.importorskip("transformers")).eval()
    ids = torch.randint(1, 98, (1, 12))
    with torch.no_grad():
        expected = model(ids).logits
        with rt.patch_transformers(model) as patch:
            twin = copy.deepcopy(model)
            found = twin(ids).logits
            assert patch.calls == 0
            assert (found - expected).abs().max() / expected.abs().max() <= 1e-5
            with rt.patch_transformers(twin) as own:
                own_logits = twin(ids).logits
                assert (patch.calls, own.calls > 0) == (0, True)
            assert torch.equal(model(ids).logits, own_logits)
        assert torch.equal(twin(ids).logits, found)
    assert all(getattr(m.forward, "__self__", m) is m for m in twin.modules())


@pytest.mark.filterwarnings("ignore")
def test_another_model_of_the_class_is_left_alone():
    transformers = pytest.importorskip("transformers")
    one, other = (MODELS["qwen2"](transformers).eval() for _ in range(2))
    ids = torch.randint(1, 98, (1, 5))
    with rt.patch_transformers(one) as patch, torch.no_grad():
        other(ids)
        assert patch.calls == 0
        one(ids)
        assert patch.calls == 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_runs_within_another_does_not_end_its_patch():
    transformers = pytest.importorskip("transformers")
    outer, inner = (MODELS["gptj"](transformers).eval() for _ in range(2))
    ids = torch.arange(6)[None]
    outer.transformer.h[0].attn.v_proj.register_forward_hook(lambda *_: inner(ids) and None)
    with torch.no_grad(), rt.patch_transformers(outer) as patch, rt.patch_transformers(inner) as other:
        outer(ids)
    assert (patch.calls, other.calls) == (4, 4)


def test_patches_may_be_undone_in_any_order():
    """Models of one class share their rotation function: it stays until the last patch is undone."""
    transformers = pytest.importorskip("transformers")
    first, second = (MODELS["qwen2"](transformers).eval() for _ in range(2))
    modeling = sys.modules[type(first).__module__]
    before = modeling.apply_rotary_pos_emb
    ids = torch.randint(1, 98, (1, 5))
    for order in ((0, 1), (1, 0)):
        patches = [rt.patch_transformers(model) for model in (first, second)]
        patches[order[0]].undo()
        (first, second)[order[1]](ids)
        assert [patches[i].calls for i in order] == [0, 2]
        patches[order[1]].undo()
        assert modeling.apply_rotary_pos_emb is before


@pytest.mark.parametrize("name", ["qwen2", "gptj"])
@pytest.mark.filterwarnings("ignore")
def test_a_model_is_patched_once(name):
    model = MODELS[name](pytest.importorskip("transformers"))
    with rt.patch_transformers(model), pytest.raises(ValueError, match="undo"):
        rt.patch_transformers(model)
    with rt.patch_transformers(model):
        pass


@pytest.mark.filterwarnings("ignore")
def test_a_patched_model_trains():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = MODELS["llama"](transformers)
    ids = torch.randint(1, 98, (2, 12))

    def gradients():
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        return [p.grad.clone() for p in model.parameters()]

    expected = gradients()
    with rt.patch_transformers(model, angles="model") as patch:
        found = gradients()
        assert patch.calls > 0
    for a, b in zip(expected, found):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-7)


def test_patch_refuses_a_model_without_rotary_embedding():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=9)
    model = transformers.GPT2LMHeadModel(config)
    with pytest.raises(ValueError, match="GPT2LMHeadModel"):
        rt.patch_transformers(model)
    with pytest.raises(TypeError, match=r"model must be a transformers model.*NoneType"):
        rt.patch_transformers(None)
    with pytest.raises(ValueError, match="angles"):
        rt.patch_transformers(model, angles="approximate")
    with pytest.raises(ValueError, match="arithmetic must be 'f32' or 'eager'"):
        rt.patch_transformers(model, arithmetic="bf16")


def test_numpy_users_need_no_torch():
    code = "import sys, roperot; roperot.Rope(8); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- what is written, saved, traced, copied


@pytest.mark.parametrize("write", ["apply_", "apply_ k", "shift_", "out"])
def test_a_write_in_place_is_seen_by_autograd(write):
    """As PyTorch's own in-place operators: a gradient that needs the old values is an error, not a wrong number."""
    x = torch.ones(4, 1, 16, requires_grad=True)
    q = x * 1
    loss = (q * q).sum()
    other = torch.ones(4, 1, 16)
    calls = {"apply_": lambda: ROPE.apply_(q), "apply_ k": lambda: ROPE.apply_(other, q),
             "shift_": lambda: ROPE.shift_(q, 3), "out": lambda: ROPE.apply(other, out=q)}  # fmt: skip
    with torch.no_grad():
        calls[write]()
    assert q._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_tensors_of_inference_mode_have_no_version():
    with torch.inference_mode():
        x = tensor(5, 4, 16)
        expected = ROPE.apply(x)
        ROPE.apply_(x)
    assert torch.equal(x, expected)


def test_positions_are_saved_for_the_backward_pass():
    x, at = tensor(5, 4, 16, grad=True), torch.arange(5)
    y = rt.rotary(x, None, ROPE, at)
    at += 3
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("pre_dispatch", [False, True])
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic", "jit.trace", "export"])
@pytest.mark.filterwarnings("ignore")
def test_tracers_record_the_operator(mode, pre_dispatch):
    from torch.fx.experimental.proxy_tensor import make_fx

    rope, q, other = roperot.Rope(16, base=77.0), tensor(5, 4, 16), tensor(5, 4, 16, seed=1)

    class Program(torch.nn.Module):
        def forward(self, q):
            return rt.rotary(q, None, rope, 3) * 1.0

    if mode == "jit.trace":
        traced = torch.jit.trace(Program(), q, check_trace=False)
    elif mode == "export":
        traced = torch.export.export(Program(), (q,), strict=pre_dispatch).module()
    else:
        traced = make_fx(Program(), tracing_mode=mode, pre_dispatch=pre_dispatch)(q)
    assert "roperot" in str(traced.graph)
    assert torch.equal(traced(other), rope.apply(other, 3))


@pytest.mark.parametrize("call", ["apply", "apply_", "shift_", "cos_sin", "from_tables"])
@pytest.mark.filterwarnings("ignore")
def test_methods_of_rope_refuse_to_be_traced(call):
    """They work on memory, so that a graph would keep the numbers of the example."""
    from torch.fx.experimental.proxy_tensor import make_fx

    def program(x):
        x = x * 1
        if call == "cos_sin":
            return torch.from_numpy(ROPE.cos_sin(x[:, 0, 0].long())[0])
        if call == "from_tables":
            return torch.ones(roperot.Rope.from_tables(16, x[:, 0, :8], x[:, 1, :8]).head_dim)
        return x if (found := getattr(ROPE, call)(x, 1)) is None else found

    for trace in (lambda: make_fx(program)(tensor(5, 4, 16)),
                  lambda: torch.jit.trace(program, tensor(5, 4, 16), check_trace=False)):  # fmt: skip
        with pytest.raises(TypeError, match=r"tracer.*call roperot\.torch\.rotary"):
            trace()


def test_a_saved_program_rotates_the_same_in_another_process(tmp_path):
    code = """
import sys, torch, roperot
from roperot.torch import rotary
mine = roperot.Rope(8)
rotary(torch.ones(1, 1, 8, requires_grad=True), None, mine)
print(torch.export.load(sys.argv[1]).module()(torch.ones(2, 1, 8))[0, 0].tolist())"""
    rope = roperot.Rope(8, base=500000.0, scaling={"rope_type": "linear", "factor": 3.0})

    class Program(torch.nn.Module):
        def forward(self, x):
            return rt.rotary(x, None, rope, 3)

    path = str(tmp_path / "program.pt2")
    torch.export.save(torch.export.export(Program(), (torch.ones(2, 1, 8),)), path)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, path], capture_output=True, text=True)
    assert done.stdout.strip() == str(Program()(torch.ones(2, 1, 8))[0, 0].tolist()), done.stderr


def test_what_becomes_of_the_arguments_is_not_the_ropes_affair():
    frequencies, scaling = np.ones(4), {"rope_type": "linear", "factor": 2.0}
    ropes = roperot.Rope(8, inv_freq=frequencies), roperot.Rope(8, scaling=scaling)
    before = [rope.inv_freq for rope in ropes]
    frequencies[:] = 7
    scaling["factor"] = 9.0
    for rope, expected in zip(ropes, before):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(rope)).inv_freq, expected)


@pytest.mark.parametrize(
    "given",
    [
        {"head_dim": np.int64(16)},
        {"base": np.float32(5e5)},
        {"base": torch.tensor(5e5)},
        {"rotary_dim": np.int32(8), "max_positions": np.int64(99)},
        {"attention_factor": np.float32(1.5)},
        {"scaling": roperot.Scaling("factors", factors=np.full(8, 2.0, np.float32))},
        {"scaling": roperot.Scaling("factors", factors=[2.0] * 8)},
        {"sections": roperot.Sections(axis=np.arange(8, dtype=np.uint8) % 2)},
        {"sections": [np.int64(8)]},
    ],
    ids=str,
)
def test_a_recipe_of_other_kinds_of_numbers(given):
    """Programs carry the recipe of a Rope as text."""
    rope, x = roperot.Rope(**({"head_dim": 16} | given)), tensor(5, 4, 16)
    rotated = rt.rotary(x.clone().requires_grad_(), None, rope, 3).detach()
    key = op._key(rope)
    assert torch.equal(rotated, rope.apply(x, 3))
    for kept in (op._ropes, op._rebuilt):
        kept.pop(key, None)
    assert torch.equal(op._rope_of(key).apply(x, 3), rotated)


def test_a_list_in_a_scaling_may_change():
    factors = [2.0] * 8
    scaling = roperot.Scaling("factors", factors=factors)
    rope = roperot.Rope(16, scaling=scaling)
    factors[0] = 9.0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rope)).inv_freq, rope.inv_freq)


# ---- patched models that are given something else, traced, copied


def deepseek_v4(t):
    config = t.DeepseekV4Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=99, head_dim=32,
        max_position_embeddings=128, moe_intermediate_size=32, n_routed_experts=4, num_experts_per_tok=2,
        q_lora_rank=16, o_groups=2, o_lora_rank=16, layer_types=["sliding_attention"] * 2, pad_token_id=0)  # fmt: skip
    return t.DeepseekV4ForCausalLM(config)


@pytest.mark.parametrize("angles", ["exact", "model"])
@pytest.mark.filterwarnings("ignore")
def test_a_rotation_back_by_minus_sin_is_left_to_the_model(angles):
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "DeepseekV4Config"):
        pytest.skip("this transformers has no DeepSeek-V4")
    torch.manual_seed(0)
    model, ids = deepseek_v4(transformers).eval(), torch.arange(3, 15)[None]
    with torch.no_grad():
        expected = model(ids).logits
        with rt.patch_transformers(model, angles=angles) as patch:
            found = model(ids).logits
    assert patch.calls == 4
    assert (found - expected).abs().max() <= (0 if angles == "model" else 1e-5) * expected.abs().max()


@pytest.mark.parametrize("change", ["cos", "sin", "scaled", "unsqueeze_dim", "position_ids", "none"])
@pytest.mark.filterwarnings("ignore")
def test_a_replaced_function_honours_every_argument(change):
    transformers = pytest.importorskip("transformers")
    model = MODELS["llama"](transformers).eval()
    modeling = sys.modules[type(model).__module__]
    original = modeling.apply_rotary_pos_emb
    q, k = tensor(1, 4, 5, 16), tensor(1, 2, 5, 16, seed=1)
    with torch.no_grad(), rt.patch_transformers(model, angles="model") as patch:
        cos, sin = model.model.rotary_emb(q, torch.arange(5)[None])
        rows, more = [cos, sin], {}
        if change == "cos":
            rows[0] = -cos
        elif change == "sin":
            rows[1] = sin.clone() * 2
        elif change == "scaled":
            cos.mul_(2)
        elif change == "unsqueeze_dim":
            q, k, more = q.transpose(1, 2).contiguous(), k.transpose(1, 2).contiguous(), {"unsqueeze_dim": 2}
        elif change == "position_ids":
            more = {"unsqueeze_dim": 1}
        expected = original(q, k, *rows, **more)
        found = modeling.apply_rotary_pos_emb(q, k, *rows, **more)
        assert patch.calls == (change in ("unsqueeze_dim", "position_ids", "none"))
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


@pytest.mark.parametrize(("model_dtype", "default"), [(torch.bfloat16, torch.bfloat16), (torch.float32, torch.float64)])
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.filterwarnings("ignore")
def test_default_dtype_and_device_do_not_matter(model_dtype, default, device):
    torch.manual_seed(0)
    model = MODELS["llama"](pytest.importorskip("transformers")).to(model_dtype).eval()
    q, at = tensor(1, 4, 5, 16, dtype=model_dtype), torch.arange(5)[None]
    modeling = sys.modules[type(model).__module__]
    with torch.no_grad(), rt.patch_transformers(model) as patch:
        expected = modeling.apply_rotary_pos_emb(q, q, *model.model.rotary_emb(q, at))[0]
    torch.set_default_dtype(default)
    try:
        with torch.no_grad(), torch.device(device), rt.patch_transformers(model) as patch:
            found = modeling.apply_rotary_pos_emb(q, q, *model.model.rotary_emb(q, at))[0]
            assert patch.calls == 1
            back = rt.rotary(
                rt.rotary(q, None, ROPE, at[0], layout="bhsd"), None, ROPE, at[0], inverse=True, layout="bhsd"
            )
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)
    torch.testing.assert_close(back, q, atol=0.05 if model_dtype is torch.bfloat16 else 1e-6, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_positions_of_two_axes_have_exact_angles():
    transformers = pytest.importorskip("transformers")
    try:
        config = transformers.AutoConfig.for_model("neomme")
    except ValueError:
        pytest.skip("this transformers has no neomme")
    keys = {**SIZE, **KV, "pad_token_id": 0}
    model = transformers.AutoModel.from_config(
        type(config)(**{k: v for k, v in keys.items() if hasattr(config, k)})
    ).eval()
    ids = torch.arange(3, 9)[None]
    with torch.no_grad():
        expected = model(input_ids=ids)[0]
        for angles in ("model", "exact"):
            with rt.patch_transformers(model, angles=angles) as patch:
                found = model(input_ids=ids)[0]
            assert patch.calls == 2
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


class Logits(torch.nn.Module):
    """A model as tracers want it: tensors in, one tensor out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(ids, use_cache=False).logits


@pytest.mark.parametrize("tracer", ["jit.trace", "fake", "symbolic", "export", "strict", "compile"])
@pytest.mark.filterwarnings("ignore")
def test_a_traced_patched_model_has_the_operators(tracer):
    from torch.fx.experimental.proxy_tensor import make_fx

    torch.manual_seed(0)
    program = Logits(MODELS["qwen2"](pytest.importorskip("transformers")).eval())
    ids, other = torch.arange(3, 15)[None], torch.arange(14, 2, -1)[None]
    with torch.no_grad(), rt.patch_transformers(program.model):
        expected = program(other)
        if tracer == "compile":
            traced, graph = torch.compile(program, backend="aot_eager", fullgraph=True), "roperot"
        elif tracer == "jit.trace":
            traced = torch.jit.trace(program, ids, check_trace=False)
            graph = str(traced.inlined_graph)
        elif tracer in ("export", "strict"):
            traced = torch.export.export(program, (ids,), strict=tracer == "strict").module()
            graph = str(traced.graph)
        else:
            traced = make_fx(program, tracing_mode=tracer, _allow_non_fake_inputs=True)(ids)
            graph = str(traced.graph)
        assert "roperot" in graph
        assert torch.equal(traced(other), expected)


@pytest.mark.filterwarnings("ignore")
def test_a_graph_of_a_dynamic_model_is_refused():
    """Its frequencies follow the length, which the graph would fix."""
    model = dynamic(pytest.importorskip("transformers")).eval()
    refused = pytest.raises(NotImplementedError, match="'dynamic' follow the length")
    with torch.no_grad(), rt.patch_transformers(model), refused:
        torch.jit.trace(Logits(model), torch.arange(3, 15)[None], check_trace=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transforms_of_a_patched_model_are_left_to_the_model():
    torch.manual_seed(0)
    program = Logits(MODELS["qwen2"](pytest.importorskip("transformers")).eval())
    ids = torch.arange(3, 15).reshape(2, 6)
    weights = dict(program.named_parameters())

    def loss(weights):
        return torch.func.functional_call(program, weights, (ids,)).pow(2).sum()

    expected, slope = program(ids), torch.func.grad(loss)(weights)
    with rt.patch_transformers(program.model):
        found = torch.vmap(lambda row: program(row[None])[0])(ids)
        torch.testing.assert_close(found, expected)
        for name, value in torch.func.grad(loss)(weights).items():
            torch.testing.assert_close(value, slope[name], rtol=1e-4, atol=1e-5)


def assert_same_buffers(model, buffers):
    """Logits may be the same in spite of other tables."""
    found = dict(model.named_buffers())
    assert found.keys() == buffers.keys()
    assert all(
        type(found[name]) is type(buffer) and torch.equal(found[name], buffer) for name, buffer in buffers.items()
    )


@pytest.mark.parametrize("name", ["llama", "gptj"])
@pytest.mark.filterwarnings("ignore")
def test_a_pickled_patched_model_is_the_unpatched_one(name, tmp_path):
    torch.manual_seed(0)
    model = MODELS[name](pytest.importorskip("transformers")).eval()
    ids = torch.arange(3, 15)[None]
    with torch.no_grad():
        expected = model(ids).logits
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        with rt.patch_transformers(model) as patch:
            torch.save(model, tmp_path / "model.pt")
            twins = pickle.loads(pickle.dumps(model)), torch.load(tmp_path / "model.pt", weights_only=False)
            for twin in (*twins, copy.deepcopy(model)):
                assert torch.equal(twin(ids).logits, expected)
                assert_same_buffers(twin, buffers)
            assert patch.calls == 0


def test_prepared_calls_on_tensors():
    q, k = tensor(2, 4, 16), tensor(2, 2, 16, dtype=torch.bfloat16)
    expected = [ROPE.apply(x, 7) for x in (q, k)]
    call = ROPE.prepare(q, k)
    call(7)
    assert torch.equal(q, expected[0])
    assert torch.equal(k, expected[1])
    assert (q._version, k._version) == (1, 1)
    q.data = q.clone()
    with pytest.raises(ValueError, match="prepare the call again"):
        call(7)


def test_a_prepared_tensor_that_came_to_need_a_gradient():
    q = tensor(2, 4, 16)
    call = ROPE.prepare(q)
    q.requires_grad_()
    with pytest.raises(ValueError, match="requires a gradient"):
        call(7)
    with torch.no_grad():
        call(7)


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_export_is_refused(tmp_path):
    class Program(torch.nn.Module):
        def forward(self, q):
            return rt.rotary(q, None, ROPE, 3)

    with pytest.raises(NotImplementedError, match="RotaryEmbedding node"):
        torch.onnx.export(Program(), (tensor(5, 4, 16),), str(tmp_path / "program.onnx"), dynamo=False)


def tiny_llama():
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, vocab_size=99)).eval()


def test_learned_frequencies_keep_their_gradient():
    """A rotary module with parameters: its tables are part of the graph."""
    model, ids = tiny_llama(), torch.arange(3, 15)[None]
    module = model.model.rotary_emb
    frequencies = module.inv_freq.clone()
    del module.inv_freq
    module.inv_freq = torch.nn.Parameter(frequencies)

    def forward(x, position_ids):
        angle = position_ids[..., None].float() * module.inv_freq
        both = torch.cat((angle, angle), dim=-1)
        return both.cos(), both.sin()

    module.forward, gradients = forward, []
    for patched in (False, True):
        module.inv_freq.grad = None
        if patched:
            with rt.patch_transformers(model, angles="model"):
                model(ids).logits.square().sum().backward()
        else:
            model(ids).logits.square().sum().backward()
        gradients.append(module.inv_freq.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("angles", ["exact", "model"])
def test_a_model_in_float64_is_left_alone(angles):
    model, ids = tiny_llama().double(), torch.arange(3, 15)[None]
    with torch.no_grad():
        want = model(ids).logits
        with rt.patch_transformers(model, angles=angles) as patch:
            assert torch.equal(model(ids).logits, want)
    assert patch.calls == 0


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "glm4", "phi3"])
@pytest.mark.parametrize("grad", [False, True])
def test_rotated_heads_lie_as_the_models_own(family, grad):
    """What reads them may sum in another order if they lie otherwise: the logits would not be the same bits."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
             "num_key_value_heads": 4, "head_dim": 16, "vocab_size": 99, "pad_token_id": 0}  # fmt: skip
    config = transformers.AutoConfig.for_model(family, **sizes)
    model = transformers.AutoModel.from_config(config).eval()
    modeling = sys.modules[type(model).__module__]
    q = tensor(2, 7, 4, 16, grad=grad).transpose(1, 2)
    with rt.patch_transformers(model, angles="model") as patch:
        cos, sin = model.rotary_emb(q, torch.arange(7)[None])
        if family == "gpt_neox":
            assert cos.shape[-1] < 16
        found = modeling.apply_rotary_pos_emb(q, q, cos, sin)
        assert patch.calls == 1
    expected = modeling.apply_rotary_pos_emb(q, q, cos, sin)
    for mine, theirs in zip(found, expected):
        assert torch.equal(mine, theirs)
        assert mine.stride() == theirs.stride()


@pytest.mark.parametrize("angles", ["exact", "model"])
@pytest.mark.filterwarnings("ignore")
def test_a_patched_model_is_compiled_before_it_has_run(angles):
    """How its function rotates is found out while Dynamo traces, which must not have looked at what was known."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, vocab_size=99)).eval()
    ids = torch.arange(3, 15)[None]
    torch._dynamo.reset()
    with torch.no_grad(), rt.patch_transformers(model, angles=angles):
        compiled = torch.compile(lambda ids: model(ids, use_cache=False).logits, backend="aot_eager")
        found = compiled(ids)
        expected = model(ids, use_cache=False).logits
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("name", "angles"), [("llama", "exact"), ("qwen3", "exact"), ("gptj", "model")])
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_patched_model_is_one_graph(name, angles):
    """A count that the graph itself raised was guarded: every call compiled anew, and the ninth gave up."""
    torch.manual_seed(0)
    program, ids = Logits(MODELS[name](pytest.importorskip("transformers")).eval()), torch.arange(3, 15)[None]
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with torch.no_grad(), rt.patch_transformers(program.model, angles=angles) as patch:
        expected = program(ids)
        compiled = torch.compile(program, backend="aot_eager", fullgraph=True)
        before = patch.calls
        for _ in range(10):
            assert torch.allclose(compiled(ids), expected, atol=1e-6)  # a norm waits outside of graphs only
        assert patch.calls > before
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_patched_model_of_several_axes_is_one_graph():
    """Dynamo could not trace inspect.Signature there."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    scaling = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    config = transformers.models.qwen2_vl.Qwen2VLTextConfig(**SIZE, **KV, rope_parameters=scaling)
    model, ids = transformers.Qwen2VLTextModel(config).eval(), torch.arange(3, 15)[None]
    torch._dynamo.reset()
    with torch.no_grad(), rt.patch_transformers(model):
        expected = model(ids, use_cache=False).last_hidden_state
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(ids, use_cache=False).last_hidden_state, expected)


def test_arguments_of_a_rotation_are_bound_as_python_does():
    from roperot import _transformers as patching

    def rotate(q, k, cos, sin, extra, position_ids=None, *, unsqueeze_dim=1, **more):
        raise AssertionError

    rotation, (q, k, cos, sin) = patching._Rotation(rotate), (tensor(1, 2, 5, 16, seed=i) for i in range(4))
    found = rotation.understand((q, k), {"sin": sin, "cos": cos, "extra": None, "unsqueeze_dim": 2})
    assert found == (q, k, cos, sin, 2)
    for args, kwargs in (
        ((q, k, cos, sin), {}),  # extra is missing
        ((q, k, cos), {"extra": None}),
        ((q, k, cos, sin, 3), {}),
        ((q, k, cos, sin, None), {"q": q}),
        ((q, k, cos, sin, None, None, 2), {}),
        ((q, k, cos, sin, None), {"other": 1}),
        ((q, k, cos, sin, None), {"more": 1}),
    ):
        assert rotation.understand(args, kwargs) is None
