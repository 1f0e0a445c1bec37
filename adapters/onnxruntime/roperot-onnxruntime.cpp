/* SPDX-License-Identifier: MIT
 * A custom-op library for ONNX Runtime: RotaryEmbedding in the domain "roperot", with the inputs and attributes of
 * com.microsoft's, on roperot; it must not know how roperot computes. Needs ONNX Runtime's C headers only:
 *
 *     c++ -std=c++17 -O2 -fPIC -shared -I<onnxruntime headers> roperot-onnxruntime.cpp -lroperot -o libroperot-ort.so
 *     session_options.register_custom_ops_library("libroperot-ort.so") */
#include <onnxruntime_c_api.h>
#include <roperot/roperot.h>

#include <climits>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace {

/* The oldest one with KernelComputeV2, so that a library built against newer headers loads in older runtimes. */
constexpr uint32_t api_version = 17;

/* ---- ONNX Runtime's statuses ------------------------------------------------------------------------------------- */

/* The first failure of a sequence; what comes after it is not called. */
class Check {
  public:
    explicit Check(const OrtApi *ort) : ort(ort) {}

    template <typename Call> Check &operator()(Call call)
    {
        if (!failure) failure = call();
        return *this;
    }
    void fail(const char *sentence)
    {
        if (!failure) failure = ort->CreateStatus(ORT_INVALID_ARGUMENT, sentence);
    }
    bool failed() const { return failure != nullptr; }
    OrtStatus *status() const { return failure; }

  private:
    const OrtApi *ort;
    OrtStatus *failure = nullptr;
};

/* An attribute, or what stands for it where the node has none. */
int64_t attribute(const OrtApi *ort, const OrtKernelInfo *info, const char *name, int64_t otherwise)
{
    int64_t value = otherwise;
    if (OrtStatus *const none = ort->KernelInfoGetAttribute_int64(info, name, &value)) {
        ort->ReleaseStatus(none);
        return otherwise;
    }
    return value;
}

struct Tensor {
    void *data = nullptr;
    std::vector<int64_t> shape;
    int32_t dtype = 0; /* a roperot_dtype; 0: another one */

    void read(const OrtApi *ort, Check &check, const OrtValue *value)
    {
        OrtTensorTypeAndShapeInfo *info = nullptr;
        size_t axes = 0;
        ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        check([&] { return ort->GetTensorTypeAndShape(value, &info); });
        check([&] { return ort->GetDimensionsCount(info, &axes); });
        if (!check.failed()) shape.resize(axes);
        check([&] { return ort->GetDimensions(info, shape.data(), axes); });
        check([&] { return ort->GetTensorElementType(info, &type); });
        check([&] { return ort->GetTensorMutableData(const_cast<OrtValue *>(value), &data); });
        if (info) ort->ReleaseTensorTypeAndShapeInfo(info);
        dtype = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT      ? ROPEROT_F32
                : type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16  ? ROPEROT_F16
                : type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 ? ROPEROT_BF16
                                                                 : 0;
    }
};

/* ---- the kernel of one node -------------------------------------------------------------------------------------- */

struct Kernel {
    const OrtApi *ort = nullptr;
    int64_t interleaved = 0, heads = 0, rotary = 0;
    roperot_table table = ROPEROT_TABLE_INIT; /* the node's own caches, borrowed */

    ~Kernel()
    {
        for (const auto &[dim, plan] : plans) roperot_plan_destroy(plan);
    }

    OrtStatus *read(const OrtKernelInfo *info)
    {
        Check check(ort);
        interleaved = attribute(ort, info, "interleaved", 0);
        heads = attribute(ort, info, "num_heads", 0);
        rotary = attribute(ort, info, "rotary_embedding_dim", 0);
        if (attribute(ort, info, "is_packed_batching", 0)) check.fail("is_packed_batching is not offered");
        Tensor cache[2];
        for (size_t i = 0; i < 2; i++) {
            int constant = 0;
            const OrtValue *value = nullptr;
            check([&] { return ort->KernelInfoGetConstantInput_tensor(info, 2 + i, &constant, &value); });
            if (!check.failed() && (!constant || !value)) check.fail("cos_cache and sin_cache must be initializers");
            if (!check.failed()) cache[i].read(ort, check, value);
        }
        if (check.failed()) return check.status();
        if (cache[0].shape.size() != 2 || cache[0].shape != cache[1].shape || !cache[0].dtype)
            check.fail("cos_cache and sin_cache must be [positions, pairs], of one floating-point type");
        if (rotary < 0 || rotary > 65536 || heads < 0) check.fail("rotary_embedding_dim and num_heads must be sizes");
        if (check.failed()) return check.status();
        table.dtype = cache[0].dtype;
        table.cos = cache[0].data;
        table.sin = cache[1].data;
        table.rows = cache[0].shape[0];
        table.row_stride = cache[0].shape[1];
        return nullptr;
    }

    /* Channels of a head of [batch, tokens, hidden]. */
    int64_t head_dim(int64_t hidden) const { return rotary && heads ? hidden / heads : 2 * table.row_stride; }

    /* A node has one size of heads; the lock is held for a list of one. NULL: roperot_last_error says why. */
    const roperot_plan *plan_of(int64_t dim)
    {
        const std::lock_guard<std::mutex> guard(making);
        for (const auto &[known, plan] : plans)
            if (known == dim) return plan;
        roperot_config config = ROPEROT_CONFIG_INIT;
        config.head_dim = dim > 65536 ? -1 : static_cast<int32_t>(dim);
        config.rotary_dim = static_cast<int32_t>(rotary ? rotary : dim > 65536 ? 0 : dim);
        config.pairing = interleaved ? ROPEROT_PAIR_INTERLEAVED : ROPEROT_PAIR_HALF;
        config.table = &table;
        roperot_plan *made = nullptr;
        plans.reserve(plans.size() + 1);
        if (roperot_plan_create(&config, &made) == ROPEROT_OK) plans.emplace_back(dim, made);
        return made;
    }

    OrtStatus *compute(OrtKernelContext *context);

  private:
    std::vector<std::pair<int64_t, roperot_plan *>> plans;
    std::mutex making;
};

/* roperot's tasks on the session's threads. */
struct Executor {
    const OrtApi *ort;
    OrtKernelContext *context;
    void (*task)(void *arg, int64_t index) = nullptr;
    void *arg = nullptr;

    static void one(void *self, size_t index)
    {
        const Executor *const it = static_cast<Executor *>(self);
        it->task(it->arg, static_cast<int64_t>(index));
    }
    static void all(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
    {
        Executor it = *static_cast<Executor *>(ctx);
        it.task = task, it.arg = arg;
        OrtStatus *const failure =
            it.ort->KernelContext_ParallelFor(it.context, one, static_cast<size_t>(tasks), 0, &it);
        if (!failure) return;
        it.ort->ReleaseStatus(failure); /* refused before it began */
        for (int64_t i = 0; i < tasks; i++) task(arg, i);
    }
};

/* [batch, heads, tokens, dim], or [batch, tokens, heads * dim]. */
bool view_of(const Kernel &kernel, const Tensor &t, roperot_tensor &view)
{
    const std::vector<int64_t> &s = t.shape;
    if (s.size() == 4) {
        view = roperot_tensor_bhsd(t.data, t.dtype, s[0], s[1], s[2], s[3]);
        return true;
    }
    if (s.size() != 3) return false;
    const int64_t dim = kernel.head_dim(s[2]);
    if (dim < 1 || s[2] % dim) return false;
    view = roperot_tensor_bshd(t.data, t.dtype, s[0], s[1], s[2] / dim, dim);
    return true;
}

OrtStatus *Kernel::compute(OrtKernelContext *context)
{
    Check check(ort);
    const OrtValue *value[2] = {};
    OrtValue *output = nullptr;
    Tensor x, ids, y;
    for (size_t i = 0; i < 2; i++) check([&] { return ort->KernelContext_GetInput(context, i, &value[i]); });
    if (!check.failed()) x.read(ort, check, value[0]);
    if (!check.failed()) ids.read(ort, check, value[1]);
    check([&] { return ort->KernelContext_GetOutput(context, 0, x.shape.data(), x.shape.size(), &output); });
    if (!check.failed()) y.read(ort, check, output);
    roperot_tensor src, dst;
    if (!check.failed() && (!view_of(*this, x, src) || !view_of(*this, y, dst)))
        check.fail("input must be [batch, heads, tokens, dim], "
                   "or [batch, tokens, hidden] with hidden a multiple of dim");
    if (!check.failed() && (rotary ? rotary : src.shape[3]) != 2 * table.row_stride)
        check.fail("cos_cache and sin_cache must have a column for each pair of rotated channels");
    if (check.failed()) return check.status();
    roperot_positions at = roperot_positions_i64(static_cast<const int64_t *>(ids.data), src.shape[1]);
    const bool each = ids.shape.size() == 2 && ids.shape[0] == src.shape[0] && ids.shape[1] == src.shape[1];
    if (!each && (ids.shape.size() != 1 || ids.shape[0] != 1)) {
        check.fail("position_ids must be [1], where the first token is, or [batch, tokens]");
        return check.status();
    }
    if (!each) at = roperot_positions_offset(*static_cast<const int64_t *>(ids.data));
    Executor executor{ort, context};
    roperot_options options = ROPEROT_OPTIONS_INIT;
    options.parallel_for = Executor::all;
    options.ctx = &executor;
    const roperot_plan *const plan = plan_of(src.shape[3]);
    if (!plan || roperot_apply(plan, &at, &src, &dst, 1, &options) != ROPEROT_OK) check.fail(roperot_last_error());
    return check.status();
}

/* ---- what ONNX Runtime asks of an operator ----------------------------------------------------------------------- */

struct Op : OrtCustomOp {
    ONNXTensorElementDataType type;

    explicit Op(ONNXTensorElementDataType type) : OrtCustomOp{}, type(type)
    {
        version = api_version;
        GetName = [](const OrtCustomOp *) { return "RotaryEmbedding"; };
        GetExecutionProviderType = [](const OrtCustomOp *) -> const char * { return nullptr; };
        GetInputTypeCount = [](const OrtCustomOp *) -> size_t { return 4; };
        GetOutputTypeCount = [](const OrtCustomOp *) -> size_t { return 1; };
        GetInputType = [](const OrtCustomOp *op, size_t i) {
            return i == 1 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 : static_cast<const Op *>(op)->type;
        };
        GetOutputType = [](const OrtCustomOp *op, size_t) { return static_cast<const Op *>(op)->type; };
        GetInputCharacteristic = [](const OrtCustomOp *, size_t) { return INPUT_OUTPUT_REQUIRED; };
        GetOutputCharacteristic = [](const OrtCustomOp *, size_t) { return INPUT_OUTPUT_REQUIRED; };
        GetInputMemoryType = [](const OrtCustomOp *, size_t) { return OrtMemTypeDefault; };
        CreateKernelV2 = create;
        KernelComputeV2 = compute;
        KernelDestroy = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
        GetStartVersion = [](const OrtCustomOp *) { return 1; };
        GetEndVersion = [](const OrtCustomOp *) { return INT_MAX; };
    }

    static OrtStatus *create(const OrtCustomOp *, const OrtApi *ort, const OrtKernelInfo *info, void **kernel)
    try {
        auto made = std::make_unique<Kernel>();
        made->ort = ort;
        OrtStatus *const failure = made->read(info);
        *kernel = failure ? nullptr : made.release();
        return failure;
    } catch (const std::bad_alloc &) {
        return ort->CreateStatus(ORT_FAIL, "no memory for a RotaryEmbedding");
    }

    static OrtStatus *compute(void *kernel, OrtKernelContext *context)
    try {
        return static_cast<Kernel *>(kernel)->compute(context);
    } catch (const std::bad_alloc &) {
        return static_cast<Kernel *>(kernel)->ort->CreateStatus(ORT_FAIL, "no memory for a RotaryEmbedding");
    }
};

} // namespace

extern "C" ORT_EXPORT OrtStatus *ORT_API_CALL RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base)
{
    static const Op ops[] = {Op(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT), Op(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16),
                             Op(ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16)};
    const OrtApi *const ort = base->GetApi(api_version);
    if (!ort)
        return base->GetApi(1)->CreateStatus(ORT_FAIL,
                                             "roperot's operators were built for a later ONNX Runtime than this");
    OrtCustomOpDomain *domain = nullptr;
    Check check(ort);
    check([&] { return ort->CreateCustomOpDomain("roperot", &domain); });
    for (const Op &op : ops) check([&] { return ort->CustomOpDomain_Add(domain, &op); });
    check([&] { return ort->AddCustomOpDomain(options, domain); });
    return check.status();
}
