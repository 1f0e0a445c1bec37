"""patch_transformers on models that normalise queries and keys: norm and rotation in one call, or the model's own."""

from __future__ import annotations

import copy
import importlib
import inspect
import io
import pickle
import re
import sys
from pathlib import Path

import pytest

import roperot

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
if not hasattr(torch.library, "custom_op"):
    pytest.skip("this PyTorch has no torch.library.custom_op", allow_module_level=True)
import roperot.torch as rt  # noqa: E402
from roperot import _norms as norms  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "vocab_size": 99, "max_position_embeddings": 128, "num_key_value_heads": 2}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

# Class, configuration, and how many norms a forward pass of two layers takes together with a rotation.
MODELS = {
    "qwen3": ("Qwen3ForCausalLM", {"head_dim": 32}, 4),
    "gemma3": ("Gemma3ForCausalLM", {"head_dim": 16}, 4),  # 1 + weight
    "gemma4": ("Gemma4ForCausalLM",  # a call for q and one for k
               {"head_dim": 16, "global_head_dim": 16, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0}, 4),
    "olmo2": ("Olmo2ForCausalLM", {"pad_token_id": 0, "eos_token_id": 0}, 4),  # over all heads
    "glm4_moe": ("Glm4MoeForCausalLM", {"use_qk_norm": True, "n_routed_experts": 4, "num_experts_per_tok": 2,
                                        "moe_intermediate_size": 32, "head_dim": 16}, 4),
    "qwen3_next": ("Qwen3NextForCausalLM",  # queries are every second head of a projection, heads are rotated in part
                   {"head_dim": 16, "layer_types": ["full_attention"] * 2, "shared_expert_intermediate_size": 32,
                    **EXPERTS}, 4),
    "exaone4": ("Exaone4ForCausalLM",  # the second layer has no rotation
                {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}, 2),
    "lfm2": ("Lfm2ForCausalLM", {"layer_types": ["full_attention", "conv"]}, 2),  # q_layernorm
    "hunyuan": ("HunYuanDenseV1ForCausalLM", {"head_dim": 16}, 0),  # after the rotation
    "phi": ("PhiForCausalLM", {"qk_layernorm": True}, 0),  # rotates slices of what it has normalised
    "cohere": ("CohereForCausalLM", {"use_qk_norm": True, "eos_token_id": 0}, 0),  # a weight for each head
}  # fmt: skip


def model_of(name, dtype=torch.float32, seed=0):
    """With weights in its norms that tell one from another."""
    cls, changes, _ = MODELS[name]
    cls = getattr(transformers, cls, None)
    if cls is None:
        pytest.skip("not in this transformers")
    torch.manual_seed(seed)
    model = cls(cls.config_class(**SIZE, **changes)).to(dtype).eval()
    for module in model.modules():
        if "Norm" in type(module).__name__:
            for weight in module.parameters():
                torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model


IDS = (torch.arange(48).reshape(2, 24) * 37) % 97 + 1


def logits_of(model, ids=IDS):
    with torch.no_grad():
        return model(ids).logits


def off(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", MODELS)
def test_norm_and_rotation_are_one_call_or_the_models_own(name):
    """In float32 the logits differ by the order in which the squares are summed: 1e-6 at most, 1e-5 are allowed."""
    model, count = model_of(name), MODELS[name][2]
    expected = logits_of(model)
    with rt.patch_transformers(model) as patch:
        logits_of(model)  # norms that find no rotation are the model's own from now on
        before = patch.norms
        found = logits_of(model)
        assert patch.norms - before == count
    assert off(found, expected) <= 1e-5
    for way in ({"angles": "model"}, {"arithmetic": "eager"}):  # the model's bits, whose sums have another order
        with rt.patch_transformers(model, **way) as patch:
            assert torch.equal(logits_of(model), expected)
            assert patch.norms == 0


@pytest.mark.parametrize("name", ["qwen3", "olmo2"])
def test_generation_with_a_cache_and_padding(name):
    model = model_of(name)
    mask = torch.ones(2, 10, dtype=torch.int64)
    mask[0, :3] = 0
    given = {"attention_mask": mask, "max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    expected = model.generate(IDS[:, :10], **given)
    with rt.patch_transformers(model) as patch, torch.inference_mode():
        found = model.generate(IDS[:, :10], **given)
    assert patch.norms == 4 * 12
    assert torch.equal(found, expected)


def attention_of(model):
    return next(m for m in model.modules() if hasattr(m, "q_norm"))


def rows_of(model, x, at):
    """The model's own cos and sin, of the first layer's type."""
    rotary = model.model.rotary_emb
    types = (model.config.layer_types[0],) if "layer_type" in inspect.signature(rotary.forward).parameters else ()
    return rotary(x, at, *types)


def rotated_by(model, q, k, at):
    """What an attention module makes of its projections q and k [1, seq, heads, dim]."""
    attention, modeling = attention_of(model), sys.modules[type(model).__module__]
    normed = []
    for norm, x in ((attention.q_norm, q), (attention.k_norm, k)):
        flat = norm.weight.numel() != x.shape[-1]
        normed.append(norm(x.flatten(2)).view(x.shape) if flat else norm(x))
    rows = rows_of(model, q, at)
    return modeling.apply_rotary_pos_emb(*(x.transpose(1, 2) for x in normed), *rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("name", "norm"),
    [("qwen3", {"rounding": "twice"}), ("gemma3", {"rounding": "once", "unit_offset": True}),
     ("olmo2", {"rounding": "once", "all_heads": True})],
)  # fmt: skip
def test_the_bits_are_those_of_the_chain(name, norm, dtype):
    """Norm by roperot, then rotation by roperot; and torch's norm within a few units of its last place."""
    model = model_of(name, dtype)
    attention = attention_of(model)
    dim, at = attention.head_dim, torch.arange(40, 49)[None]
    q, k = (torch.randn(1, 9, heads, dim, generator=torch.Generator().manual_seed(3)).to(dtype) for heads in (4, 2))
    with torch.no_grad(), rt.patch_transformers(model) as patch:
        found = rotated_by(model, q, k, at)
        assert (patch.calls, patch.norms) == (1, 2)
    rotary = model.model.rotary_emb
    prefix = f"{model.config.layer_types[0]}_" if name == "gemma3" else ""
    rope = roperot.Rope(dim, inv_freq=getattr(rotary, f"{prefix}inv_freq"))
    for x, y, module in zip((q, k), found, (attention.q_norm, attention.k_norm)):
        eps = next(v for k, v in vars(module).items() if k.endswith(("eps", "epsilon")))
        normed = torch.empty_like(x)
        rope.run(v=x, v_norm=roperot.Norm(module.weight.detach(), eps=eps, **norm), v_out=normed)
        assert torch.equal(y, rope.apply(normed, at).transpose(1, 2))
        own = module(x.flatten(2)).view(x.shape) if "all_heads" in norm else module(x)
        ulp = 64 * 2.0**-24 if dtype is torch.float32 else torch.finfo(dtype).eps
        assert bool(((normed - own).abs() <= ulp * own.abs()).all())


def hook(model):
    attention_of(model).q_norm.register_forward_hook(lambda module, args, output: output * 2)


def pre_hook(model):
    attention_of(model).q_norm.register_forward_pre_hook(lambda module, args: (args[0] + 1,))


def subclass(model):
    kind = type(attention_of(model).q_norm)
    attention_of(model).q_norm.__class__ = type("Mine", (kind,), {"forward": lambda self, x: kind.forward(self, x) * 2})


def replaced_forward(model):
    norm = attention_of(model).q_norm
    original = norm.forward
    norm.forward = lambda x: original(x) * 2


def parametrised(model):
    class Twice(torch.nn.Module):
        def forward(self, weight):
            return weight * 2

    torch.nn.utils.parametrize.register_parametrization(attention_of(model).q_norm, "weight", Twice())


def another_kind_of_weight(model):
    class Weight(torch.nn.Parameter):
        pass

    norm = attention_of(model).q_norm
    norm.weight = Weight(norm.weight.detach())


def own_module(model):
    class Quantised(torch.nn.Module):
        def forward(self, x):
            return (x * 8).round() / 8

    attention_of(model).q_norm = Quantised()


CHANGES = [hook, pre_hook, subclass, replaced_forward, parametrised, another_kind_of_weight, own_module]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_norm_that_was_changed_is_the_models_own(change, when):
    """Its neighbours are not: one norm of four."""
    model = model_of("qwen3")
    attention_of(model).config._attn_implementation = "eager"
    if when == "before":
        change(model)
    elif change in (subclass, replaced_forward, own_module):
        pytest.skip("what replaces a module or its forward replaces the patch, too")
    with rt.patch_transformers(model) as patch:
        if when == "after":
            change(model)
        found = logits_of(model)
        assert patch.norms == 3
    assert off(found, logits_of(model)) <= 1e-5


@pytest.mark.parametrize("watch", ["hook", "global hook", "subclass"])
def test_who_watches_a_norm_sees_its_result_each_time(watch):
    """Even where it changes nothing, and asking a copy would not show that it is there."""
    model, seen = model_of("qwen3"), []
    norm = attention_of(model).q_norm
    kind = type(norm)
    with rt.patch_transformers(model) as patch:
        if watch == "subclass":
            patch.undo()
            norm.__class__ = type(
                "Mine", (kind,), {"forward": lambda self, x: (seen.append(kind), kind.forward(self, x))[1]}
            )
            patch = rt.patch_transformers(model)
            seen.clear()
            logits_of(model)
            logits_of(model)
            patch.undo()
            assert seen == [kind] * 2
            return

        def saw(module, args, output):
            if module is norm:
                seen.append(type(output))

        register = (
            torch.nn.modules.module.register_module_forward_hook if "global" in watch else norm.register_forward_hook
        )
        handle = register(saw)
        logits_of(model)
        logits_of(model)
        handle.remove()
        assert seen == [torch.Tensor] * 2
        before = patch.norms
        logits_of(model)
        assert patch.norms == before + 4


def test_heads_that_become_float64_are_the_models_own():
    model = model_of("qwen3")
    attention = attention_of(model)
    attention.q_norm.double()
    attention.k_norm.double()
    given = torch.randn(1, 9, 4, 32), torch.randn(1, 9, 2, 32), torch.arange(9)[None]
    with torch.no_grad():
        expected = rotated_by(model, *given)
        with rt.patch_transformers(model) as patch:
            found = rotated_by(model, *given)
            assert (patch.calls, patch.norms) == (0, 0)
    for x, y in zip(found, expected):
        assert y.dtype is torch.float64
        torch.testing.assert_close(x, y, rtol=0, atol=1e-6)  # by exact angles


def test_what_changes_in_a_norm_is_followed():
    model = model_of("qwen3")
    norm = attention_of(model).q_norm
    with rt.patch_transformers(model) as patch:
        for step in range(5):
            if step == 1:
                norm.weight.data.mul_(3)
            elif step == 2:
                norm.weight = torch.nn.Parameter(torch.linspace(0.1, 2, 32))
            elif step == 3:
                norm.variance_epsilon = 0.3
            elif step == 4:
                model.bfloat16()
            before = patch.norms
            found = logits_of(model)
            assert patch.norms == before + 4
            with rt.patch_transformers(copy.deepcopy(model), arithmetic="eager"):
                pass
            assert off(found, logits_of(copy.deepcopy(model))) <= (1e-5 if step < 4 else 0.03)


def test_autocast_and_gradients_are_the_models_own():
    model = model_of("qwen3")
    with rt.patch_transformers(model) as patch:
        model(IDS, labels=IDS).loss.backward()
        assert patch.norms == 0
        with torch.autocast("cpu", torch.bfloat16):
            logits_of(model)
        assert patch.norms == 0
        for weight in model.parameters():
            weight.requires_grad_(False)
        logits_of(model)
        model(IDS)
        assert patch.norms == 8


def waiting_heads(layout="bshd", d=8):
    """A norm, heads, and the heads whose norm waits."""
    module = transformers.models.qwen3.modeling_qwen3.Qwen3RMSNorm(d).requires_grad_(False)
    x = torch.randn(2, 5, 3, d)
    return module, x, norms.Heads.of(norms.Waiting(module), x)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x + 1,
        lambda x: x[..., :4],
        lambda x: x.mul_(2),
        lambda x: torch.cat([x, x], -1),
        lambda x: x.transpose(1, 3).contiguous(),
        lambda x: x.transpose(1, 2).reshape(2, 3, 40),
        lambda x: x.view(torch.int32),
        lambda x: x.permute(0, 2, 1, 3),
        lambda x: torch.from_numpy(x.numpy().copy()),
        lambda x: copy.deepcopy(x),
        lambda x: pickle.loads(pickle.dumps(x)),
        lambda x: torch.ops.aten.mul(x, x),
        lambda x: torch.utils.dlpack.from_dlpack(x),
        lambda x: torch.nn.functional.scaled_dot_product_attention(x, key=x, value=x),
        lambda x: torch.vmap(lambda y: y * 2)(x),
        lambda x: torch.tensor(x.tolist()),
        lambda x: torch.stack(list(x)),
        lambda x: x.double(),
    ],
)
def test_whatever_is_done_with_waiting_heads_meets_the_norm(use):
    module, x, heads = waiting_heads()
    expected = use(module(x))
    found = use(heads)
    assert type(found) is torch.Tensor
    assert torch.equal(found, expected)


def test_waiting_heads_look_like_the_result():
    module, x, heads = waiting_heads()
    y = module(x)

    def look(x):
        return x.shape, x.stride(), x.dtype, x.device, x.ndim, x.requires_grad, x.is_contiguous(), x.numel()

    for view in (lambda x: x, lambda x: x.transpose(1, 2), lambda x: x.view(10, 3, 8)):
        assert isinstance(view(heads), norms.Heads)
        assert look(view(heads)) == look(view(y))
    for view in (lambda x: x.transpose(1, 3), lambda x: x.view(2, 5, 6, 4)):  # the normalised axis is not last, or cut
        assert type(view(waiting_heads()[2])) is torch.Tensor
    assert repr(heads) == repr(y)
    file = io.BytesIO()
    torch.save(heads, file)
    file.seek(0)
    assert torch.equal(torch.load(file), y)


def test_views_of_waiting_heads_share_their_result():
    module, x, heads = waiting_heads()
    turned = heads.transpose(1, 2)
    heads += 1
    assert torch.equal(turned, module(x).transpose(1, 2) + 1)
    assert turned.opened(1) is None  # they are no norm of x any more


def test_a_write_between_norm_and_use_is_an_error():
    _, x, heads = waiting_heads()
    x.add_(1)
    with pytest.raises(RuntimeError, match="written to after their norm was taken"):
        heads + 1


def norm_classes():
    """Every class that a model file of transformers makes a norm of queries or keys of."""
    root = Path(transformers.__file__).parent / "models"
    pattern = re.compile(r"self\.(?:q|k|query|key)_(?:layer_?)?norm = (\w+)\(")
    for path in sorted(root.glob("*/modeling_*.py")):
        for name in sorted(set(pattern.findall(path.read_text()))):
            module = importlib.import_module(f"transformers.models.{path.parent.name}.{path.stem}")
            yield getattr(module, name)


@pytest.fixture(scope="module")
def understood():
    """By class and dtype, the norm that was found for heads of 32 channels, and the module."""
    found = {}
    for cls in norm_classes():
        takes_size = next(iter(list(inspect.signature(cls.__init__).parameters)[1:])) in (
            "hidden_size", "dim", "normalized_shape")  # fmt: skip
        try:
            module = cls(32, eps=1e-5) if takes_size else cls(eps=1e-5)
        except TypeError:  # it has weights of another shape
            found[cls.__name__] = None
            continue
        for weight in module.parameters():
            torch.nn.init.uniform_(weight, 0.5, 1.5)
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            twin = copy.deepcopy(module.requires_grad_(False)).to(dtype)
            found[cls.__name__, dtype] = norms.Waiting(twin).norm(2, 32, False, dtype), twin
    return found


def test_every_norm_class_of_transformers_is_understood_but_few(understood):
    """The others have a weight for each head; in the Cohere family only if the configuration says so."""
    unknown = {name if isinstance(name, str) else name[0] for name, of in understood.items() if not of or not of[0]}
    assert unknown == {"ChameleonLayerNorm", "StableLmLayerNormPerHead"}
    assert len(understood) >= 3 * 60


def test_every_norm_that_is_understood_has_the_modules_results(understood):
    """On numbers that it was not asked about; in 16 bits all but 2 % are the same, for the order of sums differs."""
    for name, (norm, module) in (item for item in understood.items() if item[1]):
        dtype = name[1]
        x = (torch.randn(2, 50, 3, 32, generator=torch.Generator().manual_seed(77)) * 3).to(dtype)
        own, found = module(x), torch.empty_like(x)
        roperot.Rope(32).run(v=x, v_norm=norm, v_out=found)
        if dtype is torch.float32:
            assert bool(((found - own).abs() <= 64 * 2.0**-24 * (own.abs() + ("Layer" in name[0]))).all()), name
        else:
            assert float((found != own).float().mean()) <= 0.02, name
