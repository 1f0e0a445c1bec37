"""roperot.torch.run and rotary with norms: bits, gradients, tracers, versions, refusals."""

from __future__ import annotations

import copy
import itertools

import pytest

import roperot

torch = pytest.importorskip("torch")
if not hasattr(torch.library, "custom_op"):
    pytest.skip("this PyTorch has no torch.library.custom_op", allow_module_level=True)
import roperot._layer as layer  # noqa: E402
import roperot._operator as op  # noqa: E402
import roperot.torch as rt  # noqa: E402

ROPE = roperot.Rope(16, rotary_dim=12, base=500.0)
AT = torch.arange(3, 8)


def tensor(*shape, dtype=torch.float32, seed=0, grad=False):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return x.requires_grad_(grad)


# ---- norm and rotation, with a gradient


def rotated(x, layout):
    """The rotation of ROPE in float64."""
    cos, sin = (torch.from_numpy(t).double() for t in ROPE.cos_sin(AT))
    if layout != "bhsd":
        cos, sin = cos[:, None], sin[:, None]
    x0, x1, rest = x.split([6, 6, 4], -1)
    return torch.cat([x0 * cos - x1 * sin, x0 * sin + x1 * cos, rest], -1)


def normed(x, weight, bias, layout, *, eps, kind, all_heads, unit_offset, **_):
    """The formula of the norm in float64."""
    axes = [-3 if layout == "bhsd" else -2, -1] if all_heads else [-1]
    shape = [x.shape[a] if a - x.ndim in axes else 1 for a in range(x.ndim)]
    if kind == "layer":
        x = x - x.mean(axes, keepdim=True)
    n = x / (x.square().mean(axes, keepdim=True) + eps).sqrt() * (weight.reshape(shape) + unit_offset)
    return n if bias is None else n + bias.reshape(shape)


def formula(x, weight, bias, layout, recipe):
    if recipe["after"]:
        return normed(rotated(x, layout), weight, bias, layout, **recipe)
    return rotated(normed(x, weight, bias, layout, **recipe), layout)


RECIPES = [
    dict(zip(("kind", "after", "all_heads", "unit_offset", "rounding"), choice), eps=1e-3)
    for choice in itertools.product(
        ("rms", "layer"), (False, True), (False, True), (False, True), ("none", "once", "twice")
    )
]
SHAPES = {"bshd": (2, 5, 4, 16), "bhsd": (2, 4, 5, 16), "thd": (5, 4, 16)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", SHAPES)
def test_gradients_are_those_of_the_formulas_in_f64(layout, dtype):
    """Of x, weight and bias, for every kind of norm; in bfloat16 within the roundings of what it is computed from."""
    for recipe in RECIPES:
        size = 64 if recipe["all_heads"] else 16
        x, weight = tensor(*SHAPES[layout], dtype=dtype, grad=True), tensor(size, seed=1, dtype=dtype, grad=True)
        bias = tensor(size, seed=2, dtype=dtype, grad=True) if recipe["kind"] == "layer" else None
        y = rt.rotary(x, None, ROPE, AT, layout=layout, q_norm=roperot.Norm(weight, bias=bias, **recipe))
        given, slope = [t for t in (x, weight, bias) if t is not None], tensor(*SHAPES[layout], seed=3, dtype=dtype)
        found = torch.autograd.grad(y, given, slope)
        wide = [t.detach().double().requires_grad_() for t in given]
        exact = formula(wide[0], wide[1], wide[2] if bias is not None else None, layout, recipe)
        expected = torch.autograd.grad(exact, wide, slope.double())
        for a, b in zip((y, *found), (exact, *expected)):
            assert a.dtype == dtype
            bound = 2e-6 if dtype is torch.float32 else 2e-2
            assert float((a - b).detach().abs().max() / b.detach().abs().max()) <= bound, recipe


def test_gradients_of_gradients():
    x, weight = tensor(2, 5, 4, 16, grad=True), tensor(16, seed=1, grad=True)
    recipe = {**RECIPES[0], "eps": 1e-3}

    def second(x, weight, function):
        (first,) = torch.autograd.grad(function(x, weight).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (x, weight))

    found = second(x, weight, lambda x, w: rt.rotary(x, None, ROPE, AT, q_norm=roperot.Norm(w, **recipe)))
    wide = [t.detach().double().requires_grad_() for t in (x, weight)]
    expected = second(*wide, lambda x, w: formula(x, w, None, "bshd", recipe))
    for a, b in zip(found, expected):
        assert float((a - b).abs().max() / b.abs().max()) <= 1e-5


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("after", [False, True])
def test_rotary_with_norms_has_the_bits_of_run(dtype, grad, after):
    """Together, each alone, with and without a graph; one of the two may have no norm, or other tokens."""
    q, k = tensor(2, 5, 4, 16, dtype=dtype, grad=grad), tensor(2, 5, 2, 16, dtype=dtype, seed=1)
    norm = roperot.Norm(tensor(16, seed=2), rounding="twice", after=after)
    expected_q, expected_k = q.detach().clone(), k.clone()
    ROPE.run(expected_q, expected_k, positions=AT, q_norm=norm, k_norm=norm)
    for x, y in zip(rt.rotary(q, k, ROPE, AT, q_norm=norm, k_norm=norm), (expected_q, expected_k)):
        assert x.dtype == dtype
        assert torch.equal(x, y)
    both = rt.rotary(q, k[:, :3], ROPE, 3, q_norm=norm)
    assert torch.equal(both[0], expected_q)
    assert torch.equal(both[1], ROPE.apply(k[:, :3], 3))
    assert torch.equal(rt.rotary(k, None, ROPE, AT, q_norm=norm), expected_k)


def test_a_weight_alone_may_need_a_gradient():
    weight = torch.nn.Parameter(tensor(16))
    y = rt.rotary(tensor(5, 4, 16), None, ROPE, q_norm=roperot.Norm(weight))
    y.sum().backward()
    assert weight.grad is not None
    with torch.no_grad():
        assert not rt.rotary(tensor(5, 4, 16), None, ROPE, q_norm=roperot.Norm(weight)).requires_grad


def test_norms_of_numpy_arrays():
    np, ml_dtypes = pytest.importorskip("numpy"), pytest.importorskip("ml_dtypes")
    x, weight = tensor(5, 4, 16, grad=True), np.linspace(0.5, 2, 16)
    for kind in (np.float32, np.float16, ml_dtypes.bfloat16):
        norm = roperot.Norm(weight.astype(kind))
        expected = x.detach().clone()
        ROPE.run(expected, q_norm=norm)
        assert torch.equal(rt.rotary(x, None, ROPE, q_norm=norm), expected)


def test_the_operators_are_registered_properly():
    x, weight, key = tensor(2, 5, 4, 16, grad=True), tensor(16, grad=True), op._key(ROPE)
    norm = roperot.Norm(weight)
    outcome = torch.library.opcheck(
        torch.ops.roperot.norm_rotate.default, (x, weight, None, norm._text, key, 0, AT, "bshd")
    )
    assert set(outcome.values()) == {"SUCCESS"}
    q, data = tensor(2, 5, 4, 16), torch.zeros(3, 4, 4, 16)
    slots, none = torch.arange(10).reshape(2, 5), None
    pages = roperot.Pages(data)._text
    given = (
        none,
        q,
        none,
        q.clone(),
        none,
        none,
        data,
        *[none] * 5,
        weight.detach(),
        *[none] * 5,
        slots,
        none,
        AT,
        none,
    )
    given = (*given, norm._text, "", "", pages, "", key, 0, False, False, "bshd")
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    outcome = torch.library.opcheck(torch.ops.roperot.run.default, given, test_utils=checks)
    assert set(outcome.values()) == {"SUCCESS"}


# ---- a layer in one call


class Step(torch.nn.Module):
    """One layer of decoding: q in place, k and v into pages."""

    def __init__(self, scaling=None, **changes):
        super().__init__()
        self.q_norm = roperot.Norm(tensor(16, seed=5), rounding="twice")
        self.k_norm = roperot.Norm(tensor(16, seed=6), unit_offset=True)
        self.scaling, self.changes = scaling, changes

    def forward(self, q, k, v, keys, values, slots, scale):
        more = {} if self.scaling is None else {"scaling": self.scaling, "scale": scale}
        self.changes.get("run", rt.run)(
            q, k, v, ROPE, AT, q_norm=self.q_norm, k_norm=self.k_norm, k_pages=roperot.Pages(keys, **more),
            v_pages=roperot.Pages(values), slots=slots, factor=0.5)  # fmt: skip
        return q * 1.0


def inputs(dtype=torch.float32, kind=torch.float32, seed=0):
    q, k, v = (tensor(5, n, 16, dtype=dtype, seed=seed + i) for i, n in enumerate((4, 2, 2)))
    keys, values, scale = torch.zeros(3, 4, 2, 16, dtype=kind), torch.zeros(3, 4, 2, 16), torch.zeros(3, 4, 2)
    return q, k, v, keys, values, torch.tensor([7, 2, -1, 0, 11]), scale


def by_rope(q, k, v, rope, positions, **given):
    rope.run(q, k, v, positions, **given)


def same(found, expected):
    """Bit for bit; torch.equal knows no float8."""
    return all(torch.equal(*(t.reshape(-1).view(torch.uint8) for t in pair)) for pair in zip(found, expected))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("kind", "scaling"),
    [(torch.float32, None), (torch.bfloat16, None), (torch.int8, "dynamic"), (torch.float8_e4m3fn, "static")],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_run_and_its_operator_write_what_rope_run_writes(dtype, kind, scaling):
    expected, found, by_operator = (inputs(dtype, kind) for _ in range(3))
    if scaling == "static":
        expected, found, by_operator = ((*x[:-1], torch.tensor([0.5, 2.0])) for x in (expected, found, by_operator))
    Step(scaling, run=by_rope)(*expected)
    versions = [x._version for x in found]
    Step(scaling)(*found)
    assert same(found, expected)
    assert float(expected[3].float().abs().sum()) > 0
    written = [a < x._version for a, x in zip(versions, found)]
    assert written == [True, False, False, True, True, False, scaling == "dynamic"]
    if scaling != "static":  # pages with a tensor's numbers cannot be made while compiling
        torch._dynamo.reset()
        compiled = torch.compile(
            lambda *x: (rt.run(*x[:3], ROPE, AT), x[0] * 1.0)[1], fullgraph=True, backend="aot_eager"
        )
        q = compiled(*by_operator)
        assert torch.equal(q, by_operator[0])


class Loaded(torch.nn.Module):
    """A cache whose static scale is 1 until a checkpoint is loaded."""

    def __init__(self, scale):
        super().__init__()
        self.keys = torch.nn.Buffer(torch.zeros(3, 4, 2, 16, dtype=torch.int8))
        self.scale = torch.nn.Buffer(scale) if isinstance(scale, torch.Tensor) else scale
        self.pages = roperot.Pages(self.keys, scale=self.scale)

    def forward(self, k, slots):
        rt.run(None, k, None, ROPE, AT, k_pages=self.pages, slots=slots)
        return k * 1.0


SCALES = {"tensor": torch.ones(2), "numpy": torch.ones(2).numpy(), "strided": torch.ones(2, 3)[:, 1],
          "number": 1.0, "float64": torch.ones(2, dtype=torch.float64)}  # fmt: skip


@pytest.mark.parametrize(
    ("tracer", "given"), [("jit.trace", "tensor"), *itertools.product(("export", "compile"), SCALES)]
)
@pytest.mark.filterwarnings("ignore")
def test_a_static_scale_that_is_loaded_later_counts_in_graphs_too(tracer, given):
    """A scale that is not float32 is copied once: graphs and calls without one read the copy, ``pages.scale``."""
    layer, k, slots = Loaded(copy.deepcopy(SCALES[given])), tensor(5, 2, 16), torch.tensor([7, 2, -1, 0, 11])
    if tracer == "jit.trace":
        traced = torch.jit.trace(layer, (k, slots), check_trace=False)
    elif tracer == "compile":
        torch._dynamo.reset()
        traced = torch.compile(layer, fullgraph=True, backend="aot_eager")
    else:
        traced = torch.export.export(layer, (k, slots), strict=False).module()
    traced(k, slots)
    keys = dict(traced.named_buffers())["keys"] if tracer == "export" else layer.keys
    before = keys.clone()
    loaded = layer.pages.scale if given in ("number", "float64") else torch.as_tensor(layer.scale)
    loaded.mul_(0.25)
    version = loaded._version
    traced(k, slots)
    found = keys.clone()
    layer.keys.zero_()
    layer(k, slots)
    assert torch.equal(layer.keys, found)
    assert not torch.equal(found, before)
    assert loaded._version == version  # a static scale is read, not written


@pytest.mark.parametrize("place", ["q", "q_norm.weight", "q_norm.bias", "factor", "q_out", "k_pages.data"])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_both_doors_refuse_a_gradient_that_would_be_lost(place, recorded):
    from torch.fx.experimental.proxy_tensor import make_fx

    def grad(name, *shape):
        return tensor(*shape, grad=name == place)

    keys = torch.zeros(5, 1, 4, 16)
    given = {"q_norm": roperot.Norm(grad("q_norm.weight", 16), bias=grad("q_norm.bias", 16), kind="layer"),
             "factor": grad("factor", 5), "q_out": grad("q_out", 5, 4, 16), "k_pages": roperot.Pages(keys),
             "slots": torch.arange(5)}  # fmt: skip
    keys.requires_grad_(place == "k_pages.data")
    q, k = grad("q", 5, 4, 16), tensor(5, 4, 16)
    by_operator = lambda: rt.run(q, k, None, ROPE, 3, **given)  # noqa: E731
    calls = (
        [lambda: make_fx(by_operator)()] if recorded else [by_operator, lambda: ROPE.run(q, k, positions=3, **given)]
    )
    sentences = set()
    for call in calls:
        with pytest.raises(ValueError, match=rf"^{place} requires a gradient, .*roperot\.torch\.rotary") as failure:
            call()
        sentences.add(str(failure.value))
        if not recorded:
            with torch.no_grad():
                call()
    assert len(sentences) == 1


@pytest.mark.parametrize("recorded", [False, True])
def test_a_static_scale_that_requires_a_gradient(recorded):
    """It was detached, so that no call saw what it would lose; one that is copied cannot be asked later."""
    from torch.fx.experimental.proxy_tensor import make_fx

    scale, k = torch.nn.Parameter(torch.ones(4)), tensor(5, 4, 16)
    pages = roperot.Pages(torch.zeros(5, 1, 4, 16, dtype=torch.int8), scale=scale)
    assert pages.scale is scale

    def call():
        rt.run(None, k, None, ROPE, k_pages=pages, slots=torch.arange(5))

    with pytest.raises(ValueError, match=r"^k_pages\.scale requires a gradient"):
        make_fx(call)() if recorded else call()
    assert not pages.data.any()
    with torch.no_grad():
        make_fx(call)() if recorded else call()
    assert pages.data.any()
    with pytest.raises(ValueError, match=r"^scale requires a gradient"):
        roperot.Pages(pages.data, scale=scale.detach().double().requires_grad_())
    with pytest.raises(ValueError, match=r"^eps requires a gradient"):
        roperot.Norm(eps=torch.tensor(1e-6, requires_grad=True))


def test_bools_are_bools_at_every_door():
    np, x = pytest.importorskip("numpy"), tensor(5, 4, 16)
    pages, slots = roperot.Pages(torch.zeros(5, 1, 4, 16)), torch.tensor([-1, 0, 1, 2, 3])
    for wrong in ("no", 1, 0, None, [True]):
        for name, call in (
            ("inverse", lambda w: rt.rotary(x, None, ROPE, inverse=w)),
            ("inverse", lambda w: rt.run(x.clone(), None, None, ROPE, inverse=w)),
            ("skip", lambda w: rt.run(None, x, None, ROPE, k_pages=pages, slots=slots, skip=w)),
        ):
            with pytest.raises(TypeError, match=rf"{name} must be True or False, not "):
                call(wrong)
    for grad in (False, True):
        q = tensor(5, 4, 16, grad=grad)
        assert torch.equal(rt.rotary(q, None, ROPE, 3, inverse=np.True_), rt.rotary(q, None, ROPE, 3, inverse=True))
    rt.run(None, x, None, ROPE, k_pages=pages, slots=slots, skip=np.True_, inverse=np.False_)


def test_out_arguments_are_written_and_sources_are_not():
    q, k, v, *_ = inputs()
    expected = [torch.empty_like(x) for x in (q, k, v)]
    norm = roperot.Norm(tensor(16, seed=9))
    ROPE.run(q, k, v, AT, q_norm=norm, v_norm=norm, q_out=expected[0], k_out=expected[1], v_out=expected[2])

    def program(q, k, v):
        outs = [torch.zeros_like(x) for x in (q, k, v)]
        rt.run(q, k, v, ROPE, AT, q_norm=norm, v_norm=norm, q_out=outs[0], k_out=outs[1], v_out=outs[2])
        return [x * 1.0 for x in outs]

    torch._dynamo.reset()
    for call in (program, torch.compile(program, fullgraph=True, backend="aot_eager")):
        before = [x._version for x in (q, k, v)]
        assert same(call(q, k, v), expected)
        assert before == [x._version for x in (q, k, v)]


class Stored(torch.nn.Module):
    """What graphs can hold: norms and pages are made outside, their tensors are the graph's inputs or constants."""

    def __init__(self):
        super().__init__()
        self.q_norm = roperot.Norm(tensor(16, seed=5), rounding="twice")

    def forward(self, q, k):
        q, k = q * 1.0, k * 1.0
        rt.run(q, k, None, ROPE, AT, q_norm=self.q_norm)
        return q + 1.0, k


@pytest.mark.parametrize("tracer", ["real", "fake", "symbolic", "jit.trace", "export", "strict", "compile"])
@pytest.mark.filterwarnings("ignore")
def test_tracers_record_run(tracer):
    from torch.fx.experimental.proxy_tensor import make_fx

    program, given, other = Stored(), inputs()[:2], inputs(seed=7)[:2]
    expected = [x.clone() for x in other]
    ROPE.run(*expected, positions=AT, q_norm=program.q_norm)
    expected[0] += 1.0
    graph = ""
    if tracer == "jit.trace":
        traced = torch.jit.trace(program, given, check_trace=False)
        graph = str(traced.inlined_graph)
    elif tracer in ("export", "strict"):
        exported = torch.export.export(program, given, strict=tracer == "strict")
        traced, graph = exported.module(), str(exported.graph)
        assert "auto_functionalized" in str(exported.run_decompositions().graph)
    elif tracer == "compile":
        torch._dynamo.reset()
        traced, graph = torch.compile(program, backend="aot_eager", fullgraph=True), "roperot"
    else:
        traced = make_fx(program, tracing_mode=tracer, _allow_non_fake_inputs=True)(*given)
        graph = str(traced.graph)
    assert "roperot" in graph
    assert same(traced(*other), expected)


class Cached(torch.nn.Module):
    """A layer whose pages are its buffers."""

    def __init__(self, kind):
        super().__init__()
        self.keys = torch.nn.Buffer(torch.zeros(3, 4, 2, 16, dtype=kind))
        self.values = torch.nn.Buffer(torch.zeros(3, 4, 2, 16))
        scaling = "dynamic" if kind is torch.int8 else None
        self.pages = {"k_pages": roperot.Pages(self.keys, scaling=scaling), "v_pages": roperot.Pages(self.values)}
        if scaling is not None:
            self.scale = torch.nn.Buffer(self.pages["k_pages"].scale)
            self.pages["k_pages"].scale = self.scale

    def forward(self, q, k, v, slots):
        q = q * 1.0
        rt.run(q, k, v, ROPE, AT, slots=slots, **self.pages)
        return q


@pytest.mark.parametrize("kind", [torch.float32, torch.int8], ids=str)
@pytest.mark.parametrize("tracer", ["jit.trace", "export", "strict", "compile"])
@pytest.mark.filterwarnings("ignore")
def test_graphs_write_into_pages(tracer, kind):
    q, k, v, *_, slots, _ = inputs()
    plain, layer = Cached(kind), Cached(kind)
    expected = plain(q, k, v, slots)
    if tracer == "jit.trace":
        traced = torch.jit.trace(layer, (q, k, v, slots), check_trace=False)
    elif tracer == "compile":
        torch._dynamo.reset()
        traced = torch.compile(layer, fullgraph=True, backend="aot_eager")
    else:
        traced = torch.export.export(layer, (q, k, v, slots), strict=tracer == "strict").module()
    for buffer in layer.buffers():  # tracing by running has written, too
        buffer.zero_()
    assert same([traced(q, k, v, slots)], [expected])
    buffers = dict(traced.named_buffers()) if tracer != "compile" else dict(layer.named_buffers())
    for name, buffer in plain.named_buffers():
        assert float(buffer.abs().sum()) > 0
        assert torch.equal(buffers[name], buffer)


def test_a_copied_layer_writes_into_its_own_pages():
    q, k, v, *_, slots, _ = inputs()
    layer = Cached(torch.int8)
    twin = copy.deepcopy(layer)
    twin(q, k, v, slots)
    assert twin.pages["k_pages"].data is twin.keys
    assert all(float(buffer.abs().sum()) > 0 for buffer in twin.buffers())
    assert not any(float(buffer.abs().sum()) for buffer in layer.buffers())


@pytest.mark.filterwarnings("ignore")
def test_compiled_rotary_with_norms_and_its_gradient():
    weight = torch.nn.Parameter(tensor(16, seed=1))

    def program(q, k):
        q, k = rt.rotary(q, k, ROPE, AT, q_norm=roperot_norm, k_norm=roperot_norm)
        return (q.sum() + k.square().sum(),)

    roperot_norm = roperot.Norm(weight, rounding="twice")
    torch._dynamo.reset()
    results = []
    for call in (program, torch.compile(program, fullgraph=True, backend="aot_eager")):
        q, k = tensor(2, 5, 4, 16, grad=True), tensor(2, 5, 2, 16, seed=2, grad=True)
        weight.grad = None
        (loss,) = call(q, k)
        loss.backward()
        results.append((loss.detach(), q.grad, k.grad, weight.grad))
    assert same(results[1], results[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_run_refuses_what_it_cannot_serve():
    q, k, v, keys, *_ = inputs()
    weight = tensor(16, grad=True)
    norm = roperot.Norm(weight.detach())
    for call, error, sentence in (
        (
            lambda: torch.vmap(lambda x: rt.run(x, None, None, ROPE))(tensor(2, 5, 4, 16)),
            NotImplementedError,
            "torch.run",
        ),
        (lambda: rt.run(q.clone().requires_grad_(), None, None, ROPE), ValueError, "gradient.*rotary"),
        (lambda: rt.run(q, None, None, ROPE, q_norm=roperot.Norm(weight)), ValueError, "gradient.*rotary"),
        (lambda: rt.run(q.numpy(), None, None, ROPE), TypeError, "q must be a torch.Tensor, not ndarray; Rope.run"),
        (lambda: rt.run(q, None, None, ROPE, q_norm=weight), TypeError, "q_norm must be a roperot.Norm, not Tensor"),
        (lambda: rt.run(q, None, None, 3), TypeError, "rope must be a roperot.Rope, not int"),
        (lambda: rt.run(q, k, None, ROPE, k_pages=keys), TypeError, "k_pages must be a roperot.Pages"),
        (
            lambda: rt.run(q, k, None, ROPE, k_pages=roperot.Pages(keys.numpy())),
            TypeError,
            "pages of roperot.torch.run",
        ),
        (lambda: rt.run(None, None, None, ROPE), ValueError, "nothing to do"),
        (lambda: rt.rotary(q, None, ROPE, q_norm=norm, inverse=True), ValueError, "no inverse"),
        (lambda: rt.rotary(q, None, ROPE, k_norm=norm), ValueError, "k_norm is given, but k is not"),
        (lambda: rt.rotary(q, None, ROPE, q_norm=3), TypeError, "q_norm must be a roperot.Norm, not int"),
        (
            lambda: torch.func.grad(lambda x: rt.rotary(x, None, ROPE, q_norm=norm).sum())(q),
            NotImplementedError,
            "torch.func",
        ),
    ):
        with pytest.raises(error, match=sentence):
            call()
    assert same((q, k, v), inputs()[:3])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_mode_is_refused():
    norm, x = roperot.Norm(tensor(16)), tensor(5, 4, 16)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tensor(5, 4, 16, seed=1))
        for call in (
            lambda: rt.run(dual, None, None, ROPE),
            lambda: rt.rotary(dual, None, ROPE, q_norm=norm),
            lambda: torch.ops.roperot.norm_rotate(dual, norm.weight, None, norm._text, op._key(ROPE), 0, None, "bshd"),
        ):
            with pytest.raises(NotImplementedError, match=r"forward-mode|forward mode"):
                call()


def test_a_write_of_run_is_seen_by_autograd():
    x = torch.ones(5, 4, 16, requires_grad=True)
    q = x * 1
    loss = (q * q).sum()
    with torch.no_grad():
        rt.run(q, None, None, ROPE)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_arrays_as_tensors_share_their_memory():
    np = pytest.importorskip("numpy")
    array = np.zeros(4, np.float32)
    layer.as_tensor(array)[0] = 1
    assert array[0] == 1


# ---- what a graph or an operator would lose


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
@pytest.mark.parametrize("call", ["run", "rotary"])
def test_a_position_that_follows_the_length(mode, call):
    """A SymInt is no int; taken for "no position" it would be 0."""
    from torch.fx.experimental.proxy_tensor import make_fx

    def program(x):
        if call == "rotary":
            return rt.rotary(x, None, ROPE, x.shape[0])
        out = torch.zeros_like(x)
        rt.run(x, None, None, ROPE, x.shape[0], q_out=out)
        return out

    x, longer = tensor(5, 4, 16), tensor(8, 4, 16)
    graph = make_fx(program, tracing_mode=mode)(x)
    assert torch.equal(graph(x), ROPE.apply(x, 5))
    if mode == "symbolic":
        assert torch.equal(graph(longer), ROPE.apply(longer, 8))


@pytest.mark.parametrize(
    "given",
    [{"positions": [3, 4, 5, 6, 7]}, {"positions": AT.numpy()}, {"positions": True},
     {"factor": [1.0] * 5}, {"cu_seqlens": [0, 5]}],
    ids=str,
)  # fmt: skip
def test_what_a_graph_cannot_hold(given):
    """Positions that are neither a tensor nor a number were recorded as 0."""
    from torch.fx.experimental.proxy_tensor import make_fx

    def program(x):
        out = torch.zeros_like(x)
        rt.run(x, None, None, ROPE, given.get("positions"), q_out=out,
               **{name: value for name, value in given.items() if name != "positions"})  # fmt: skip
        return out

    with pytest.raises(TypeError, match=rf"{next(iter(given))} must be a tensor.* where a graph is recorded"):
        make_fx(program)(tensor(5, 4, 16))


def test_a_factor_does_not_follow_the_default_device():
    from torch.fx.experimental.proxy_tensor import make_fx

    def program(x):
        out = torch.zeros_like(x)
        rt.run(x, None, None, ROPE, 1, factor=0.3, q_out=out)
        return out

    x = tensor(5, 4, 16)
    expected = program(x)
    torch.set_default_device("meta")
    try:
        found = make_fx(program)(x)(x)
    finally:
        torch.set_default_device(None)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("call", ["rerotate", "factor", "norm", "positions", "coordinates", "cu_seqlens", "inv_freq"])
def test_a_traced_tensor_is_refused_wherever_it_is_given(call):
    from torch.fx.experimental.proxy_tensor import make_fx

    heads = tensor(5, 4, 16).numpy()

    def program(x):
        x = x * 1
        if call == "rerotate":
            ROPE.rerotate(roperot.Pages(tensor(5, 1, 4, 16)), 1, [0, 1])
        elif call == "factor":
            ROPE.run(heads, factor=x[:, 0, 0])
        elif call == "norm":
            ROPE.run(heads, q_norm=roperot.Norm(x[0, 0]))
        elif call == "inv_freq":
            roperot.Rope(16, inv_freq=x[0, 0, :8])
        elif call == "cu_seqlens":
            ROPE.apply_(heads, cu_seqlens=torch.stack([x.sum().long() * 0, x.sum().long() * 0 + 5]))
        else:
            ROPE.apply_(heads, **{call: x[:, 0, 0].long() if call == "positions" else x[:, 0, 0]})
        return x

    with pytest.raises(TypeError, match="tracer"):
        make_fx(program)(tensor(5, 4, 16))


@pytest.mark.parametrize("change", ["data", "storage", "gradient", "negated"])
def test_pages_are_what_they_were(change):
    """Pages describe memory once; a tensor may get other memory, none, or a gradient afterwards."""
    data = torch.zeros(5, 1, 4, 16)
    pages, k = roperot.Pages(data), tensor(5, 4, 16)
    if change == "data":
        data.data = torch.zeros(5, 1, 4, 16)
    elif change == "storage":
        data.untyped_storage().resize_(0)
    elif change == "gradient":
        data.requires_grad_()
    sentence = {"data": "moved to other memory", "storage": "lost its memory", "gradient": "requires a gradient"}
    if change == "negated":
        with pytest.raises(TypeError, match="negated"):
            roperot.Pages(torch.zeros(5, 1, 4, 16, dtype=torch.complex64).conj().imag)
        return
    with pytest.raises(ValueError, match=rf"k_pages\.data .*{sentence[change]}"):
        ROPE.run(k=k, k_pages=pages, slots=range(5))


def test_a_norm_whose_weight_has_lost_its_memory():
    """Its address is NULL then, which means no weight."""
    norm = roperot.Norm(torch.rand(16))
    norm.weight.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match=r"q_norm\.weight has lost its memory"):
        ROPE.run(tensor(5, 4, 16), q_norm=norm)
