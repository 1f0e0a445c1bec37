# SPDX-License-Identifier: MIT
"""How each peer is called at its best: outputs allocated once where it allows that, tables made beforehand; it must not
time anything. A peer imports its package when it is opened, because each runs alone in its process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy
from peer_cases import BASE, DTYPES, EPSILON, ROWS, Case, half_tables, normed, oracle


@dataclass(frozen=True)
class Call:
    run: Callable[[], Any]
    read: Callable[[Any], list[numpy.ndarray]]  # what run returned -> [tokens, heads, dim] arrays


class Peer:
    """One way to rotate. `dtypes` and `pairings` are what it offers on a CPU."""

    name = ""
    group = "peer"  # of the rows' names
    dtypes: tuple[str, ...] = ("f32",)
    pairings: tuple[str, ...] = ("half", "interleaved")

    def offers(self, dtype: str, pairing: str) -> bool:
        return dtype in self.dtypes and pairing in self.pairings

    def prepare(self, case: Case) -> Call:
        raise NotImplementedError

    def case(self, case: Case) -> Case:
        """The case as this peer has it."""
        return case

    def oracle(self, case: Case) -> list[numpy.ndarray]:
        return oracle(case)


class RoperotPython(Peer):
    """Our own package, in place: the row that ctypes pays for."""

    name = "roperot-python"
    dtypes = tuple(DTYPES)

    def __init__(self) -> None:
        import roperot

        self.roperot = roperot

    def prepare(self, case: Case) -> Call:
        rope = self.roperot.Rope(case.dim, base=BASE, pairing=case.pairing, max_positions=8192)
        tensors = case.tensors()
        q, k = tensors[0], tensors[1] if len(tensors) == 2 else None
        return Call(lambda: rope.apply_(q, k, positions=case.position), lambda _: tensors)


class Numpy(Peer):
    """The formula with every intermediate allocated once."""

    name = "numpy"
    dtypes = ("f32", "f16")

    def prepare(self, case: Case) -> Call:
        cos, sin = (t[case.positions][:, None, :].astype(DTYPES[case.dtype]) for t in half_tables(case))
        jobs = [self.job(x, cos, sin, case.pairing) for x in case.tensors()]

        def run() -> list[numpy.ndarray]:
            return [job() for job in jobs]

        return Call(run, lambda outputs: outputs)

    @staticmethod
    def job(x: numpy.ndarray, cos: numpy.ndarray, sin: numpy.ndarray, pairing: str) -> Callable[[], numpy.ndarray]:
        half, y = x.shape[-1] // 2, numpy.empty_like(x)
        parts = [(a[..., :half], a[..., half:]) if pairing == "half" else (a[..., 0::2], a[..., 1::2]) for a in (x, y)]
        (x0, x1), (y0, y1) = parts
        product = numpy.empty(x0.shape, x.dtype)

        def run() -> numpy.ndarray:
            numpy.multiply(x0, cos, out=y0)
            numpy.multiply(x1, sin, out=product)
            numpy.subtract(y0, product, out=y0)
            numpy.multiply(x0, sin, out=y1)
            numpy.multiply(x1, cos, out=product)
            numpy.add(y1, product, out=y1)
            return y

        return run


class TorchPeer(Peer):
    dtypes = ("f32", "f16", "bf16")

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        self.torch = torch
        self.torch_dtypes = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

    def tensors(self, case: Case) -> list:
        """[1, tokens, heads, dim]"""
        return [
            self.torch.from_numpy(x.astype(numpy.float32))[None].to(self.torch_dtypes[case.dtype])
            for x in case.tensors()
        ]

    def rows(self, case: Case, dtype: Any = None) -> list:
        """cos and sin of the case's positions, [tokens, dim / 2]."""
        return [
            self.torch.from_numpy(t[case.positions]).to(dtype or self.torch_dtypes[case.dtype])
            for t in half_tables(case)
        ]

    @staticmethod
    def arrays(outputs: Any) -> list[numpy.ndarray]:
        """From [1, heads, tokens, dim]."""
        return [y[0].transpose(0, 1).float().contiguous().numpy() for y in outputs]


class TorchEager(TorchPeer):
    """transformers' own functions, on the transposed views that its models pass."""

    name = "torch-eager"

    def __init__(self) -> None:
        super().__init__()
        from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb as interleaved
        from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as half

        self.half, self.interleaved = half, interleaved

    def function(self, case: Case) -> Callable:
        """Of the whole list of tensors."""
        if case.pairing == "interleaved":
            return lambda tensors, cos, sin: [self.interleaved(x, sin, cos) for x in tensors]
        if case.kv_heads:
            return lambda tensors, cos, sin: self.half(tensors[0], tensors[1], cos, sin)
        # transformers always rotates two tensors: the second is a view without a token, which costs its calls only.
        return lambda tensors, cos, sin: self.half(tensors[0], tensors[0][:, :0], cos, sin)[:1]

    def prepare(self, case: Case) -> Call:
        cos, sin = (t[None] for t in self.rows(case))
        tensors = self.tensors(case)
        function = self.function(case)
        if case.pairing == "half":
            tensors = [x.transpose(1, 2) for x in tensors]
            cos, sin = (self.torch.cat((t, t), dim=-1) for t in (cos, sin))
            return Call(lambda: function(tensors, cos, sin), self.arrays)
        return Call(lambda: function(tensors, cos, sin), lambda ys: self.arrays([y.transpose(1, 2) for y in ys]))


class TorchCompile(TorchEager):
    """The same functions through torch.compile."""

    name = "torch-compile"

    def function(self, case: Case) -> Callable:
        return self.torch.compile(super().function(case), dynamic=False)


class TorchComplex(TorchPeer):
    """Pairs viewed as complex numbers, as Meta's Llama code did; in place."""

    name = "torch-complex"
    dtypes = ("f32",)
    pairings = ("interleaved",)

    def prepare(self, case: Case) -> Call:
        cos, sin = self.rows(case)
        turn = self.torch.complex(cos, sin)[None, :, None, :]
        tensors = self.tensors(case)
        views = [self.torch.view_as_complex(x.unflatten(-1, (-1, 2))) for x in tensors]

        def run() -> None:
            for view in views:
                view.mul_(turn)

        return Call(run, lambda _: self.arrays([x.transpose(1, 2) for x in tensors]))


class RotaryEmbeddingTorch(TorchPeer):
    """lucidrains' package with angles made beforehand; it takes their cos and sin in every call."""

    name = "rotary-embedding-torch"
    pairings = ("interleaved",)

    def __init__(self) -> None:
        super().__init__()
        from rotary_embedding_torch import apply_rotary_emb

        self.apply = apply_rotary_emb

    def prepare(self, case: Case) -> Call:
        inverse = BASE ** (-numpy.arange(0, case.dim, 2) / case.dim)
        theta = numpy.repeat(numpy.outer(case.positions, inverse), 2, axis=-1).astype(numpy.float32)
        freqs = self.torch.from_numpy(theta)
        tensors = [x.transpose(1, 2).contiguous() for x in self.tensors(case)]
        return Call(lambda: [self.apply(freqs, x) for x in tensors], self.arrays)


class TorchChain(TorchEager):
    """What a layer of a model with q/k norms does: RMSNorm of q and k, rotation, k and v into the cache by slot."""

    name = "torch-eager"
    group = "chain"
    pairings = ("half",)
    slots = 8192

    def case(self, case: Case) -> Case:
        return replace(case, kv_heads=min(case.heads, 8))

    def oracle(self, case: Case) -> list[numpy.ndarray]:
        return oracle(case, normed(case))

    def prepare(self, case: Case) -> Call:
        from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

        q, k = self.tensors(case)
        v = k.clone()
        norms = [Qwen3RMSNorm(case.dim, EPSILON).to(q.dtype) for _ in range(2)]
        cos, sin = (self.torch.cat((t, t), dim=-1)[None] for t in self.rows(case))
        keys, values = (self.torch.zeros(self.slots, *k.shape[2:], dtype=k.dtype) for _ in range(2))
        slots = self.torch.from_numpy(case.positions)

        def layer() -> tuple:
            rotated_q, rotated_k = self.half(norms[0](q).transpose(1, 2), norms[1](k).transpose(1, 2), cos, sin)
            keys.index_copy_(0, slots, rotated_k[0].transpose(0, 1))
            values.index_copy_(0, slots, v[0])
            return rotated_q, keys

        def read(outputs: tuple) -> list[numpy.ndarray]:
            return [*self.arrays(outputs[:1]), outputs[1][slots].float().numpy()]

        return Call(self.compiled(layer), read)

    def compiled(self, layer: Callable) -> Callable:
        return layer


class TorchChainCompile(TorchChain):
    """The same through torch.compile."""

    name = "torch-compile"

    def compiled(self, layer: Callable) -> Callable:
        return self.torch.compile(layer, dynamic=False)


def onnx_model(case: Case, domain: str, opset: int) -> bytes:
    """RotaryEmbedding for q, and for k, over [1, tokens, heads * dim]; caches and positions are inputs."""
    from onnx import TensorProto, helper

    kind = {"f32": TensorProto.FLOAT, "f16": TensorProto.FLOAT16}[case.dtype]
    heads = [case.heads, case.kv_heads] if case.kv_heads else [case.heads]
    tables = ["positions", "cos", "sin"] if domain else ["cos", "sin", "positions"]
    nodes = [
        helper.make_node(
            "RotaryEmbedding",
            [f"x{i}", *tables],
            [f"y{i}"],
            domain=domain,
            interleaved=int(case.pairing == "interleaved"),
            num_heads=n,
        )
        for i, n in enumerate(heads)
    ]
    inputs = [helper.make_tensor_value_info("positions", TensorProto.INT64, [1, case.tokens])]
    inputs += [helper.make_tensor_value_info(t, kind, [8192, case.dim // 2]) for t in ("cos", "sin")]
    inputs += [
        helper.make_tensor_value_info(f"x{i}", kind, [1, case.tokens, n * case.dim]) for i, n in enumerate(heads)
    ]
    outputs = [
        helper.make_tensor_value_info(f"y{i}", kind, [1, case.tokens, n * case.dim]) for i, n in enumerate(heads)
    ]
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(helper.make_graph(nodes, "rope", inputs, outputs), opset_imports=opsets, ir_version=10)
    return model.SerializeToString()


def onnx_inputs(case: Case) -> dict[str, numpy.ndarray]:
    cos, sin = (t.astype(DTYPES[case.dtype]) for t in half_tables(case))
    flat = {f"x{i}": x.reshape(1, case.tokens, -1) for i, x in enumerate(case.tensors())}
    return {"positions": case.positions[None], "cos": cos, "sin": sin, **flat}


def unflatten(case: Case, arrays: list[numpy.ndarray]) -> list[numpy.ndarray]:
    return [numpy.asarray(y).reshape(case.tokens, -1, case.dim) for y in arrays]


class OnnxRuntime(Peer):
    """Inputs and outputs bound once; one thread. The CPU provider has no bf16."""

    dtypes = ("f32", "f16")
    domain, opset = "", 23

    def __init__(self) -> None:
        import onnxruntime

        self.ort = onnxruntime

    def prepare(self, case: Case) -> Call:
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = self.ort.InferenceSession(
            onnx_model(case, self.domain, self.opset), options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        values = {name: self.ort.OrtValue.ortvalue_from_numpy(x) for name, x in onnx_inputs(case).items()}
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        outputs = [
            self.ort.OrtValue.ortvalue_from_numpy(numpy.zeros_like(x.reshape(1, case.tokens, -1)))
            for x in case.tensors()
        ]
        for i, value in enumerate(outputs):
            binding.bind_ortvalue_output(f"y{i}", value)
        return Call(
            lambda: session.run_with_iobinding(binding), lambda _: unflatten(case, [v.numpy() for v in outputs])
        )


class OnnxRuntimeContrib(OnnxRuntime):
    name = "onnxruntime-contrib"
    domain, opset = "com.microsoft", 17


class OnnxRuntimeStandard(OnnxRuntime):
    name = "onnxruntime-std23"


def onnx_chain_model(case: Case) -> bytes:
    """RMSNormalization and RotaryEmbedding of q and k, ScatterND of k and v into caches of [slots, heads * dim]."""
    from onnx import TensorProto, helper

    kind = {"f32": TensorProto.FLOAT, "f16": TensorProto.FLOAT16}[case.dtype]
    row, make = case.kv_heads * case.dim, helper.make_node
    counts = {"q": case.heads, "k": case.kv_heads}
    nodes = []
    for x, n in counts.items():
        nodes += [
            make("RMSNormalization", [x, "weight"], [f"{x}_normed"], axis=-1, epsilon=EPSILON),
            make("Reshape", [f"{x}_normed", f"{x}_shape"], [f"{x}_flat"]),
            make("RotaryEmbedding", [f"{x}_flat", "cos", "sin", "positions"], [f"{x}_rotated"], num_heads=n),
        ]
    nodes += [
        make("Reshape", ["k_rotated", "row_shape"], ["k_rows"]),
        make("ScatterND", ["keys", "slots", "k_rows"], ["new_keys"]),
        make("ScatterND", ["values", "slots", "v"], ["new_values"]),
    ]
    flat = [helper.make_tensor(f"{x}_shape", TensorProto.INT64, [3], [1, -1, n * case.dim]) for x, n in counts.items()]
    flat += [helper.make_tensor("row_shape", TensorProto.INT64, [2], [-1, row])]
    tensor = helper.make_tensor_value_info
    inputs = [tensor(x, kind, [1, case.tokens, n, case.dim]) for x, n in counts.items()]
    inputs += [tensor("v", kind, [case.tokens, row]), tensor("weight", kind, [case.dim])]
    inputs += [tensor(t, kind, [ROWS, case.dim // 2]) for t in ("cos", "sin")]
    inputs += [tensor(t, kind, [ROWS, row]) for t in ("keys", "values")]
    inputs += [tensor("positions", TensorProto.INT64, [1, case.tokens])]
    inputs += [tensor("slots", TensorProto.INT64, [case.tokens, 1])]
    outputs = [tensor("q_rotated", kind, [1, case.tokens, case.heads * case.dim])]
    outputs += [tensor(t, kind, [ROWS, row]) for t in ("new_keys", "new_values")]
    graph = helper.make_graph(nodes, "layer", inputs, outputs, flat)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    return model.SerializeToString()


class OnnxRuntimeChain(OnnxRuntime):
    """The standard operators; each cache is bound as input and as output, so that ScatterND works in place."""

    name = "onnxruntime"
    group = "chain"
    pairings = ("half",)

    def case(self, case: Case) -> Case:
        return replace(case, kv_heads=min(case.heads, 8))

    def oracle(self, case: Case) -> list[numpy.ndarray]:
        return oracle(case, normed(case))

    def prepare(self, case: Case) -> Call:
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = self.ort.InferenceSession(onnx_chain_model(case), options, providers=["CPUExecutionProvider"])
        binding, of = session.io_binding(), self.ort.OrtValue.ortvalue_from_numpy
        dtype, (q, k) = DTYPES[case.dtype], case.tensors()
        cos, sin = (t.astype(dtype) for t in half_tables(case))
        inputs = {"q": q[None], "k": k[None], "v": k.reshape(case.tokens, -1), "weight": numpy.ones(case.dim, dtype)}
        inputs |= {"cos": cos, "sin": sin, "positions": case.positions[None], "slots": case.positions[:, None]}
        caches = {t: of(numpy.zeros((ROWS, case.kv_heads * case.dim), dtype)) for t in ("keys", "values")}
        for name, value in {**{n: of(x) for n, x in inputs.items()}, **caches}.items():
            binding.bind_ortvalue_input(name, value)
        rotated = of(numpy.zeros((1, case.tokens, case.heads * case.dim), dtype))
        binding.bind_ortvalue_output("q_rotated", rotated)
        for name, value in caches.items():
            binding.bind_ortvalue_output(f"new_{name}", value)

        def read(_: Any) -> list[numpy.ndarray]:
            return unflatten(case, [rotated.numpy(), caches["keys"].numpy()[case.positions]])

        return Call(lambda: session.run_with_iobinding(binding), read)


class OpenVino(Peer):
    """The same ONNX graph; f32 arithmetic, one thread, tensors bound once."""

    name = "openvino"
    dtypes = ("f32", "f16")

    def __init__(self) -> None:
        import openvino

        self.ov = openvino

    def prepare(self, case: Case) -> Call:
        core = self.ov.Core()
        model = core.read_model(onnx_model(case, "com.microsoft", 17))
        compiled = core.compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        )
        request = compiled.create_infer_request()
        kept = {
            name: self.ov.Tensor(numpy.ascontiguousarray(x), shared_memory=True)
            for name, x in onnx_inputs(case).items()
        }
        for name, tensor in kept.items():
            request.set_tensor(name, tensor)

        def run() -> dict:
            request.infer()
            return kept  # keeps the inputs' memory alive

        names = [f"y{i}" for i in range(len(case.tensors()))]
        return Call(run, lambda _: unflatten(case, [request.get_tensor(n).data.copy() for n in names]))


class Jax(Peer):
    """The formula through jit."""

    name = "jax"
    dtypes = ("f32", "f16", "bf16")

    def __init__(self) -> None:
        import jax

        self.jax = jax

    def prepare(self, case: Case) -> Call:
        np = self.jax.numpy

        def turn(x, cos, sin):
            wide = x.astype(np.float32)
            if case.pairing == "half":
                a, b = np.split(wide, 2, axis=-1)
                y = np.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)
            else:
                a, b = wide[..., 0::2], wide[..., 1::2]
                y = np.stack((a * cos - b * sin, a * sin + b * cos), axis=-1).reshape(x.shape)
            return y.astype(x.dtype)

        function = self.jax.jit(lambda tensors, cos, sin: [turn(x, cos, sin) for x in tensors])
        tensors = [np.asarray(x) for x in case.tensors()]
        cos, sin = (np.asarray(t[case.positions][:, None, :]) for t in half_tables(case))
        return Call(
            lambda: self.jax.block_until_ready(function(tensors, cos, sin)), lambda ys: [numpy.asarray(y) for y in ys]
        )


class Mlx(Peer):
    """mlx.core.fast.rope on its CPU backend; it has no way to pass tables."""

    name = "mlx"
    dtypes = ("f32", "f16", "bf16")

    def __init__(self) -> None:
        import mlx.core as mx

        mx.set_default_device(mx.cpu)
        self.mx = mx

    def prepare(self, case: Case) -> Call:
        mx = self.mx
        kind = {"f32": mx.float32, "f16": mx.float16, "bf16": mx.bfloat16}[case.dtype]
        tensors = [mx.array(x.astype(numpy.float32).transpose(1, 0, 2)[None]).astype(kind) for x in case.tensors()]
        mx.eval(tensors)

        def run() -> list:
            ys = [
                mx.fast.rope(
                    x, case.dim, traditional=case.pairing == "interleaved", base=BASE, scale=1.0, offset=case.position
                )
                for x in tensors
            ]
            mx.eval(ys)
            return ys

        return Call(run, lambda ys: [numpy.array(y.astype(mx.float32))[0].transpose(1, 0, 2) for y in ys])


class Ncnn(Peer):
    """The layer RotaryEmbed of a net of its own, one thread; cos and sin rows are inputs."""

    name = "ncnn"

    def __init__(self) -> None:
        import ncnn

        self.ncnn = ncnn

    def net(self, case: Case) -> Any:
        inputs = "".join(f"Input {name} 0 1 {name}\n" for name in ("x", "cos", "sin"))
        layer = f"RotaryEmbed rope 3 1 x cos sin y 0={int(case.pairing == 'interleaved')}\n"
        net = self.ncnn.Net()
        net.opt.num_threads = 1
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        if net.load_param_mem(f"7767517\n4 4\n{inputs}{layer}") != 0:
            raise RuntimeError("this ncnn has no layer RotaryEmbed")
        net.load_model_mem(b"")
        return net

    def prepare(self, case: Case) -> Call:
        net = self.net(case)
        values = [*(t[case.positions] for t in half_tables(case)), *(x.transpose(1, 0, 2) for x in case.tensors())]
        kept = [numpy.ascontiguousarray(x) for x in values]  # a Mat of an array borrows it; its clone does not
        mats = [self.ncnn.Mat(x).clone() for x in kept]
        tables, tensors = mats[:2], mats[2:]

        def rotate(x: Any) -> Any:
            extractor = net.create_extractor()
            for name, mat in zip(("x", "cos", "sin"), (x, *tables), strict=True):
                extractor.input(name, mat)
            return extractor.extract("y")[1]

        return Call(lambda: [rotate(x) for x in tensors], lambda ys: [numpy.array(y).transpose(1, 0, 2) for y in ys])


KINDS = (
    RoperotPython,
    Numpy,
    TorchEager,
    TorchCompile,
    TorchComplex,
    RotaryEmbeddingTorch,
    OnnxRuntimeContrib,
    OnnxRuntimeStandard,
    OpenVino,
    Jax,
    Mlx,
    Ncnn,
    TorchChain,
    TorchChainCompile,
    OnnxRuntimeChain,
)


def open_peer(name: str) -> Peer:
    """By its name, or `chain/<name>`."""
    group, _, own = name.rpartition("/")
    return next(kind for kind in KINDS if (kind.group, kind.name) == (group or "peer", own))()
