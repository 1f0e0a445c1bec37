/* SPDX-License-Identifier: MIT
 * ggml's ROPE and ROPE_BACK, and the norms and stores around them, on roperot: parameters to plans, tensors to views,
 * rows to calls; it must not know how ggml schedules nodes, nor how roperot computes. */
#include "roperot-ggml.h"

#include <ggml.h>
#include <roperot/roperot.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <vector>

namespace {

constexpr int most_plans = 1024;
/* Positions below this have a row of cos and sin each (512 bytes for a head of 128), which is the least to read for a
 * token; farther ones are recombined from factors, which serve them all. The bits are the same. */
constexpr int64_t near_positions = 8192;
/* Plans are kept as long as the process. Models have one to four sets of parameters; who has hundreds is a test. */
#ifndef ROPEROT_GGML_MEMORY
#define ROPEROT_GGML_MEMORY (256 << 20)
#endif

/* ---- a node's parameters, as ggml_rope_impl and ggml_rope_set_offset pack them ----------------------------------- */

struct Parameters {
    int32_t n_past, n_dims, mode, n_ctx, n_ctx_orig;
    float freq_base, freq_scale, ext_factor, attn_factor, beta_fast, beta_slow;
    int32_t sections[4], n_offs;
    int32_t head_dim; /* behind the 64 bytes of op_params */

    Parameters() = default;
    explicit Parameters(const ggml_tensor &node) : head_dim(static_cast<int32_t>(node.ne[0]))
    {
        std::memcpy(static_cast<void *>(this), node.op_params, offsetof(Parameters, head_dim));
    }

    /* As words of memory, and no call. */
    bool is(const void *op_params, int64_t dim) const
    {
        const char *const a = reinterpret_cast<const char *>(this), *const b = static_cast<const char *>(op_params);
        uint64_t odd = static_cast<uint64_t>(head_dim ^ dim);
        for (size_t i = 0; i < offsetof(Parameters, head_dim); i += sizeof odd) {
            uint64_t mine, theirs;
            std::memcpy(&mine, a + i, sizeof mine);
            std::memcpy(&theirs, b + i, sizeof theirs);
            odd |= mine ^ theirs;
        }
        return !odd;
    }

    bool is(const Parameters &other) const { return is(&other, other.head_dim); }

    bool has_rows() const { return (mode & GGML_ROPE_TYPE_MROPE) != 0; }
    int32_t rotary_dim() const { return mode == GGML_ROPE_TYPE_VISION ? head_dim : n_dims; }
};
static_assert(offsetof(Parameters, head_dim) == 16 * sizeof(int32_t), "laid out like op_params");

/* ---- from parameters to a plan ----------------------------------------------------------------------------------- */

/* What ggml would assert on, before anything is read by it. */
bool is_sane(const Parameters &p)
{
    switch (p.mode) {
    case GGML_ROPE_TYPE_NORMAL:
    case GGML_ROPE_TYPE_NEOX:
    case GGML_ROPE_TYPE_MROPE:
    case GGML_ROPE_TYPE_IMROPE: break;
    case GGML_ROPE_TYPE_VISION:
        if (p.n_dims != p.head_dim / 2 || p.head_dim % 2 || p.n_offs) return false;
        break;
    default: return false;
    }
    return p.n_dims >= 2 && p.n_dims % 2 == 0 && p.n_offs >= 0 && p.n_offs % 2 == 0 && p.head_dim % 2 == 0 &&
           int64_t{p.n_offs} + p.rotary_dim() <= p.head_dim;
}

int32_t sections_kind(const Parameters &p)
{
    return p.mode == GGML_ROPE_TYPE_MROPE    ? ROPEROT_SECTIONS_GGML_MROPE
           : p.mode == GGML_ROPE_TYPE_IMROPE ? ROPEROT_SECTIONS_GGML_IMROPE
                                             : ROPEROT_SECTIONS_GGML_VISION;
}

bool map_axes(const Parameters &p, std::vector<uint8_t> &axis, std::vector<int32_t> &index)
{
    roperot_sections sections = ROPEROT_SECTIONS_INIT;
    sections.kind = sections_kind(p);
    sections.count = 4;
    std::copy(p.sections, p.sections + 4, sections.section);
    return roperot_axis_map(&sections, static_cast<int32_t>(axis.size()), axis.data(), index.data()) == ROPEROT_OK;
}

/* The near plan and the far one, or none if roperot does not take these parameters or there is no memory. */
struct Pair {
    roperot_plan *near, *far;
};

Pair make_plans(const Parameters &p, const float *factors)
{
    if (!is_sane(p)) return {};
    const int32_t pairs = p.rotary_dim() / 2;
    std::vector<double> by(factors, factors ? factors + pairs : factors), w(pairs);
    std::vector<uint8_t> axis(pairs);
    std::vector<int32_t> index(pairs);
    if (p.has_rows() && !map_axes(p, axis, index)) return {};

    roperot_scaling scaling = ROPEROT_SCALING_INIT;
    scaling.kind = ROPEROT_SCALING_YARN_GGML;
    scaling.original_length = p.n_ctx_orig;
    scaling.freq_scale = p.freq_scale;
    scaling.ext_factor = p.ext_factor;
    scaling.attn_factor = p.attn_factor;
    if (p.ext_factor != 0.0f) scaling.beta_fast = p.beta_fast, scaling.beta_slow = p.beta_slow;
    if (factors) scaling.factors = by.data(), scaling.factor_count = pairs;
    if (p.has_rows()) scaling.frequency_index = index.data(), scaling.frequency_count = pairs;
    scaling.exponent_dim = p.n_dims;

    roperot_config config = ROPEROT_CONFIG_INIT;
    if (roperot_frequencies(&scaling, 2 * pairs, p.freq_base, w.data(), pairs, &config.attention_factor) != ROPEROT_OK)
        return {};
    config.head_dim = p.head_dim;
    config.rotary_dim = 2 * pairs;
    config.rotary_offset = p.n_offs;
    config.pairing = p.mode == GGML_ROPE_TYPE_NORMAL ? ROPEROT_PAIR_INTERLEAVED : ROPEROT_PAIR_HALF;
    config.inv_freq = w.data();
    config.pairs = pairs;
    if (p.has_rows()) config.axis = axis.data(), config.axes = 4;
    config.cache = ROPEROT_CACHE_FACTORED;
    Pair made{};
    if (roperot_plan_create(&config, &made.far) != ROPEROT_OK) return {};
    config.cache = ROPEROT_CACHE_FULL;
    config.max_positions = near_positions;
    if (roperot_plan_create(&config, &made.near) != ROPEROT_OK) made.near = made.far;
    return made;
}

bool is_off()
{
    static const bool off = [] {
        const char *const value = std::getenv("ROPEROT_GGML");
        return value && std::strcmp(value, "off") == 0;
    }();
    return off;
}

/* ---- plans found by parameters: immutable entries, published once, read without a lock --------------------------- */

/* Two lines, at an address that needs no other memory to be found: a decode step finds nothing of this in the
 * caches. */
struct alignas(128) Entry {
    Parameters parameters;
    std::atomic<int32_t> is_made;
    int32_t count; /* of factors */
    float *factors;
    Pair plans; /* NULL: ggml's own */
    decltype(&roperot_apply) apply; /* beside the plans: a call through the linkage table reads two lines more */
    decltype(&roperot_run) run;

    bool is(const Parameters &p, const float *f, int32_t n) const
    {
        return parameters.is(p) && count == n && (!n || std::memcmp(factors, f, n * sizeof *f) == 0);
    }
};
static_assert(std::is_trivially_destructible_v<Entry>, "threads of a pool may outlive main's statics");

Entry entries[most_plans];
std::mutex making;
int64_t bytes_of_plans;

/* The entry, or the first one that is not made yet, from number i on; NULL: there are no more. */
inline Entry *entry_from(int i, const Parameters &p, const float *factors, int32_t count)
{
    for (; i < most_plans; i++)
        if (!entries[i].is_made.load(std::memory_order_acquire) || entries[i].is(p, factors, count)) return &entries[i];
    return nullptr;
}

/* One more, under the lock. */
[[gnu::noinline]] const Entry *make_entry(Entry *at, const Parameters &p, const float *factors, int32_t count)
{
    if (bytes_of_plans >= ROPEROT_GGML_MEMORY) return nullptr;
    try {
        auto copy = count ? std::make_unique<float[]>(count) : nullptr;
        if (count) std::memcpy(copy.get(), factors, count * sizeof *factors);
        at->plans = make_plans(p, factors);
        at->factors = copy.release();
    } catch (const std::bad_alloc &) {
        /* For good: what one thread was refused, no other may find later in the same node. */
        bytes_of_plans = ROPEROT_GGML_MEMORY;
        return nullptr;
    }
    at->parameters = p;
    at->count = count;
    at->apply = roperot_apply;
    at->run = roperot_run;
    for (const roperot_plan *const plan : {at->plans.near, at->plans.far}) {
        roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
        if (plan && roperot_plan_describe(plan, &info) == ROPEROT_OK) bytes_of_plans += info.cache_bytes;
    }
    at->is_made.store(1, std::memory_order_release);
    return at;
}

/* What another thread may have made meanwhile, too. */
[[gnu::noinline]] const Entry *find_or_make_entry(int i, const Parameters &p, const float *factors, int32_t count)
{
    if (is_off()) return nullptr; /* asked here alone: then there are no entries to be found, either */
    const std::lock_guard<std::mutex> guard(making);
    Entry *const found = entry_from(i, p, factors, count);
    return !found || found->is_made.load(std::memory_order_relaxed) ? found : make_entry(found, p, factors, count);
}

/* NULL: there is none, and no room for one. */
[[gnu::always_inline]] inline const Entry *find_entry(const Parameters &p, const float *factors)
{
    const int32_t count = factors ? std::max(0, p.rotary_dim() / 2) : 0;
    const Entry *const found = entry_from(0, p, factors, count);
    if (!found || found->is_made.load(std::memory_order_acquire)) return found;
    return find_or_make_entry(static_cast<int>(found - entries), p, factors, count);
}

/* ---- from tensors to views --------------------------------------------------------------------------------------- */

bool view_of(const ggml_tensor &t, roperot_tensor &view)
{
    const size_t size = ggml_type_size(t.type);
    if (t.nb[0] != size || t.nb[1] % size || t.nb[2] % size || t.nb[3] % size) return false;
    view = roperot_tensor{};
    view.data = t.data;
    view.dtype = t.type == GGML_TYPE_F32 ? ROPEROT_F32 : ROPEROT_F16;
    for (int i = 0; i < 4; i++) {
        view.shape[i] = t.ne[3 - i];
        view.stride[i] = static_cast<int64_t>(t.nb[3 - i] / size);
    }
    return true;
}

/* One past a tensor's last byte. */
const char *end_of(const ggml_tensor &t)
{
    const char *end = static_cast<const char *>(t.data) + t.nb[0];
    for (int i = 0; i < 4; i++) end += (t.ne[i] - 1) * static_cast<int64_t>(t.nb[i]);
    return end;
}

bool is_apart(const ggml_tensor &a, const ggml_tensor &b)
{
    return end_of(a) <= static_cast<const char *>(b.data) || end_of(b) <= static_cast<const char *>(a.data);
}

/* In place, or apart. What lies in between is ggml's affair, and must be told before the first of several calls. */
bool is_same_or_apart(const ggml_tensor &a, const ggml_tensor &b)
{
    if (a.data == b.data) return std::memcmp(a.nb, b.nb, sizeof a.nb) == 0;
    return is_apart(a, b);
}

/* Whether no row of a tensor lies in another: dimensions ordered by stride, each beyond what the ones before reach. */
bool is_free_of_itself(const ggml_tensor &t)
{
    if (t.nb[1] >= t.ne[0] * t.nb[0] && t.nb[2] >= t.ne[1] * t.nb[1] && t.nb[3] >= t.ne[2] * t.nb[2]) return true;
    std::array<int, 4> order{0, 1, 2, 3};
    std::sort(order.begin(), order.end(), [&](int a, int b) { return t.nb[a] < t.nb[b]; });
    size_t reach = t.nb[0];
    for (const int i : order) {
        if (t.ne[i] == 1) continue;
        if (i != 0 && t.nb[i] < reach) return false;
        reach = i == 0 ? t.ne[0] * t.nb[0] : std::max(reach, t.nb[i] * static_cast<size_t>(t.ne[i]));
    }
    return true;
}

/* ---- rows of a thread -------------------------------------------------------------------------------------------- */

/* Far positions: the row of factors is made once for all layers of a step. A thread's own memory, for heads of at most
 * 512 turned channels; longer ones make their rows anew. */
void lend_scratch(const roperot_plan *plan, roperot_options &options)
{
    alignas(64) static thread_local unsigned char scratch[64 + 512 * sizeof(float)];
    const int64_t bytes = roperot_scratch_bytes(plan);
    if (bytes == 0 || bytes > static_cast<int64_t>(sizeof scratch)) return;
    options.scratch = scratch;
    options.scratch_bytes = sizeof scratch;
}

struct Call {
    const roperot_plan *plan;
    roperot_positions positions;
    roperot_tensor src, dst;
    uint32_t flags;

    /* The same in parts, where it goes to another place: a call that is larger than the caches writes around them, and
     * the next node reads what this one wrote. */
    bool rotate_in_parts(int64_t begin, int64_t end) const
    {
        const int64_t size = src.dtype == ROPEROT_F32 ? 4 : 2, token = 2 * src.shape[2] * src.shape[3] * size;
        const int64_t part = src.data == dst.data ? INT64_MAX : std::max<int64_t>(1, (256 << 10) / token);
        for (; end - begin > part; begin += part)
            if (!rotate(0, src.shape[2], begin, begin + part)) return false;
        return rotate(0, src.shape[2], begin, end);
    }

    /* Heads [first, first + count) of tokens [begin, end) (counted over the batch). */
    bool rotate(int64_t first, int64_t count, int64_t begin, int64_t end) const
    {
        if (count <= 0 || end <= begin) return true;
        roperot_tensor from = src, to = dst;
        const int64_t size = src.dtype == ROPEROT_F32 ? 4 : 2;
        from.data = static_cast<char *>(src.data) + first * src.stride[2] * size;
        to.data = static_cast<char *>(dst.data) + first * dst.stride[2] * size;
        from.shape[2] = to.shape[2] = count;
        roperot_options options = ROPEROT_OPTIONS_INIT;
        options.flags = flags;
        lend_scratch(plan, options);
        if (begin != 0 || end != src.shape[0] * src.shape[1]) { /* a step's one token takes roperot's fast path */
            options.token_begin = begin;
            options.token_end = end;
        }
        return roperot_apply(plan, &positions, &from, &to, 1, &options) == ROPEROT_OK;
    }

    /* Rows (batch, token, head), head fastest: a partial token, whole ones, a partial one. */
    bool rotate_rows(int64_t begin, int64_t end) const
    {
        const int64_t heads = src.shape[2];
        const int64_t first = begin / heads, last = end / heads, from = begin % heads, to = end % heads;
        if (first == last) return rotate(from, to - from, first, first + 1);
        const int64_t whole = from ? first + 1 : first;
        return rotate_in_parts(whole, last) && (!from || rotate(from, heads - from, first, first + 1)) &&
               rotate(0, to, last, last + 1);
    }
};

/* The largest position, whatever its sign. ggml takes any int32; roperot, with SIGNED_POSITIONS, all but the lowest,
 * which would make 2^31 here. */
int64_t farthest(const ggml_tensor &at, int64_t count)
{
    const int32_t *const ids = static_cast<const int32_t *>(at.data);
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++) most = std::max<int64_t>(most, std::abs(int64_t{ids[i]}));
    return most;
}

/* ROPEROT_GGML_FUSE in the environment: "off" (-1), "all" (1), or what was found to be best (0). */
int forced_to_fuse()
{
    static const int forced = [] {
        const char *const value = std::getenv("ROPEROT_GGML_FUSE");
        return !value ? 0 : std::strcmp(value, "off") == 0 ? -1 : std::strcmp(value, "all") == 0 ? 1 : 0;
    }();
    return forced;
}

/* Whether the factors are f32, and enough; NULL: there are none. */
bool has_usual_factors(const ggml_tensor *by, const Parameters &p)
{
    return !by || (by->type == GGML_TYPE_F32 && by->nb[0] == sizeof(float) && by->ne[0] >= p.rotary_dim() / 2);
}

/* What a plan cannot know of a node that turns x: types and shapes. */
bool is_usual(const ggml_tensor &x, const ggml_tensor &node, const Parameters &p)
{
    const ggml_tensor *const at = node.src[1];
    if (x.type != node.type || (x.type != GGML_TYPE_F32 && x.type != GGML_TYPE_F16)) return false;
    if (at->type != GGML_TYPE_I32 || at->ne[0] < node.ne[2] * (p.has_rows() ? 4 : 1)) return false;
    if (!has_usual_factors(node.src[2], p)) return false;
    return x.ne[0] == node.ne[0] && x.ne[1] == node.ne[1] && x.ne[2] == node.ne[2] && x.ne[3] == node.ne[3];
}

/* And, if its result is written, what overlaps. */
bool may_write(const ggml_tensor &x, const ggml_tensor &node)
{
    return is_same_or_apart(x, node) && is_free_of_itself(node);
}

/* The plan for a node and its positions; NULL: ggml's own. */
const roperot_plan *plan_of(const ggml_tensor &node, const Parameters &p)
{
    const ggml_tensor *const by = node.src[2];
    const Entry *const entry = find_entry(p, by ? static_cast<const float *>(by->data) : nullptr);
    const int64_t most = farthest(*node.src[1], node.ne[2] * (p.has_rows() ? 4 : 1));
    if (!entry || most > INT32_MAX) return nullptr;
    return most < near_positions ? entry->plans.near : entry->plans.far;
}

roperot_positions positions_of(const ggml_tensor &node, const Parameters &p)
{
    roperot_positions positions = roperot_positions_i32(static_cast<const int32_t *>(node.src[1]->data), 0);
    positions.axes = p.has_rows() ? 4 : 1;
    positions.axis_stride = node.ne[2];
    return positions;
}

/* ---- one token --------------------------------------------------------------------------------------------------- */

/* What a decode step asks for. It finds neither code nor data in the caches, since a layer's weights went through them,
 * so that it takes the shortest way: no call but roperot's, no loop over dimensions, an offset instead of ids. */

size_t size_of(const ggml_tensor &t)
{
    return t.type == GGML_TYPE_F32 ? 4 : 2;
}

/* The numbers of the types as sums: a choice would be a jump to a line of its own. */
static_assert(ROPEROT_F16 == ROPEROT_F32 + 1 && GGML_TYPE_F32 == 0 && GGML_TYPE_F16 == 1, "sums below");

/* Heads [first, first + count) of one token at `data`. Every member is named: compilers clear small structs by slow
 * string instructions. */
[[gnu::always_inline]] inline roperot_tensor heads_of(const ggml_tensor &t, int64_t first, int64_t count)
{
    const int is_f16 = t.type != GGML_TYPE_F32;
    return { static_cast<char *>(t.data) + first * static_cast<int64_t>(t.nb[1]),
             ROPEROT_F32 + is_f16,
             0,
             { 1, 1, count, t.ne[0] },
             { 0, 0, static_cast<int64_t>(t.nb[1] >> (2 - is_f16)), 1 },
             nullptr };
}

/* A far position: factors, and a row that the thread keeps. Out of line, so that near ones fetch none of it. */
[[gnu::noinline]] bool rotate_far(const Entry &entry, const roperot_positions &at, const roperot_tensor &src,
                                  const roperot_tensor *dst)
{
    roperot_options options = ROPEROT_OPTIONS_INIT;
    lend_scratch(entry.plans.far, options);
    return entry.apply(entry.plans.far, &at, &src, dst, 1, &options) == ROPEROT_OK;
}

/* Heads of a token into dst, which may be NULL: in place. */
[[gnu::always_inline]] inline bool rotate_by(const Entry *entry, int32_t position, const roperot_tensor &src,
                                             const roperot_tensor *dst)
{
    if (!entry || !entry->plans.near) return false;
    const roperot_positions at = { sizeof at, ROPEROT_POSITIONS_OFFSET, 0, 1, position, nullptr, 0, 0, 0, nullptr,
                                   0,         0 };
    if (position >= near_positions) return rotate_far(*entry, at, src, dst);
    return entry->apply(entry->plans.near, &at, &src, dst, 1, nullptr) == ROPEROT_OK;
}

[[gnu::noinline]] const Entry *any_entry_of(const ggml_tensor &node)
{
    const Parameters p(node);
    const ggml_tensor *const by = node.src[2];
    if (!has_usual_factors(by, p)) return nullptr;
    return find_entry(p, by ? static_cast<const float *>(by->data) : nullptr);
}

/* The entry of a node without an axis map, which is usually the first one. */
[[gnu::always_inline]] inline const Entry *entry_of(const ggml_tensor &node)
{
    const Entry *const first = &entries[0];
    if (!node.src[2] && first->is_made.load(std::memory_order_acquire) && !first->count &&
        first->parameters.is(node.op_params, node.ne[0]))
        return first;
    return any_entry_of(node);
}

/* 0 if it is f32 or f16 of one token, whose heads are rows that do not overlap. */
[[gnu::always_inline]] inline uint64_t odd_heads(const ggml_tensor &t, uint32_t is_f16)
{
    const uint64_t size = 4 >> is_f16, row = t.nb[1];
    return (t.nb[0] ^ size) | (row & (size - 1)) | static_cast<uint64_t>(row < static_cast<uint64_t>(t.ne[0]) * size) |
           static_cast<uint64_t>(t.ne[2] ^ 1) | static_cast<uint64_t>(t.ne[3] ^ 1);
}

/* Whether a token's node may go the way below. All is asked, and then jumped once. ggml has 0 for f32, 1 for f16. */
[[gnu::always_inline]] inline bool is_usual_token(const ggml_tensor &x, const ggml_tensor &node, const ggml_tensor &at)
{
    const uint32_t is_f16 = node.type;
    const uint64_t odd = static_cast<uint64_t>(x.type ^ node.type) | static_cast<uint64_t>(is_f16 > 1) |
                         static_cast<uint64_t>(at.type ^ GGML_TYPE_I32) | static_cast<uint64_t>(at.ne[0] < 1) |
                         static_cast<uint64_t>(node.op ^ GGML_OP_ROPE) |
                         static_cast<uint64_t>(node.op_params[2] & GGML_ROPE_TYPE_MROPE) |
                         static_cast<uint64_t>((x.ne[0] ^ node.ne[0]) | (x.ne[1] ^ node.ne[1]));
    return !(odd | odd_heads(x, is_f16 & 1) | odd_heads(node, is_f16 & 1));
}

/* Done, or nothing was touched. What all of it reads is asked for first. */
[[gnu::always_inline]] inline bool rotate_token(int ith, int nth, const ggml_tensor &node)
{
    const ggml_tensor &x = *node.src[0], &at = *node.src[1];
    __builtin_prefetch(&at.data);
    __builtin_prefetch(&entries[0]);
    __builtin_prefetch(&x.data);
    __builtin_prefetch(&entries[0].plans);
    if (!is_usual_token(x, node, at)) return false;
    const int32_t position = *static_cast<const int32_t *>(at.data);
    const int64_t row = node.nb[1], from_row = x.nb[1];
    char *const from = static_cast<char *>(x.data), *const into = static_cast<char *>(node.data);
    const bool in_place = from == into && row == from_row;
    if (position < 0) return false;
    if (!in_place && from < into + node.ne[1] * row && into < from + node.ne[1] * from_row) return false;
    const int32_t heads = static_cast<int32_t>(node.ne[1]), share = (heads + nth - 1) / nth;
    const int32_t begin = std::min(share * ith, heads), count = std::min(share, heads - begin);
    if (count == 0) return true;
    const roperot_tensor src = heads_of(x, begin, count), dst = heads_of(node, begin, count);
    return rotate_by(entry_of(node), position, src, in_place ? nullptr : &dst);
}

/* ---- chains of nodes as jobs ------------------------------------------------------------------------------------- */

/* What a job points to. */
struct Work {
    roperot_tensor src, dst;
    roperot_norm norm;
    roperot_pages rows;

    /* The part of it that has heads [first, end) only. */
    void keep_heads(int64_t first, int64_t end)
    {
        src.data = static_cast<char *>(src.data) + first * src.stride[2] * (src.dtype == ROPEROT_F32 ? 4 : 2);
        dst.data = static_cast<char *>(dst.data) + first * dst.stride[2] * (dst.dtype == ROPEROT_F32 ? 4 : 2);
        const int64_t size = rows.dtype == ROPEROT_Q8_0 ? 1 : rows.dtype == ROPEROT_F32 ? 4 : 2;
        rows.data = static_cast<char *>(rows.data) + first * rows.head_stride * size;
        src.shape[2] = dst.shape[2] = end - first;
    }
};

/* A weight that is one f32 per channel. */
bool norm_of(const roperot_ggml_chain &chain, roperot_norm &norm)
{
    const ggml_tensor *const weight = chain.mul->src[chain.mul->src[0] == chain.norm];
    if (weight->type != GGML_TYPE_F32 || weight->nb[0] != sizeof(float)) return false;
    if (weight->ne[0] != chain.rope->ne[0]) return false;
    if ((weight->ne[1] ^ 1) | (weight->ne[2] ^ 1) | (weight->ne[3] ^ 1)) return false; /* no call for one token */
    if (chain.rope->type != GGML_TYPE_F32) return false;
    if (chain.writes && !is_apart(*weight, *chain.rope)) return false;
    float epsilon;
    std::memcpy(&epsilon, chain.norm->op_params, sizeof epsilon);
    norm = ROPEROT_NORM_INIT;
    norm.epsilon = epsilon;
    norm.weight = weight->data;
    return true;
}

int32_t dtype_of_rows(ggml_type type)
{
    return type == GGML_TYPE_F32    ? ROPEROT_F32
           : type == GGML_TYPE_F16  ? ROPEROT_F16
           : type == GGML_TYPE_BF16 ? ROPEROT_BF16
           : type == GGML_TYPE_Q8_0 ? ROPEROT_Q8_0
                                    : 0;
}

/* Whether all of SET_ROWS' indices are rows, on which ggml asserts. */
template <typename Index> bool has_rows(const ggml_tensor &store)
{
    const Index *const rows = static_cast<const Index *>(store.src[1]->data);
    for (int64_t i = 0; i < store.src[1]->ne[0]; i++)
        if (rows[i] < 0 || rows[i] >= store.ne[1]) return false;
    return true;
}

/* SET_ROWS of [heads * dim, tokens] as pages of one token. */
bool rows_of(const ggml_tensor &store, int64_t dim, roperot_pages &rows)
{
    const ggml_tensor *const x = store.src[0], *const at = store.src[1];
    const size_t size = ggml_type_size(store.type);
    rows = ROPEROT_PAGES_INIT;
    rows.dtype = dtype_of_rows(store.type);
    if (!rows.dtype || (x->type == GGML_TYPE_F16 && (rows.dtype == ROPEROT_F32 || rows.dtype == ROPEROT_BF16)))
        return false;
    if (at->type != GGML_TYPE_I32 && at->type != GGML_TYPE_I64) return false;
    if (ggml_nrows(at) != 1 || at->ne[0] != x->ne[1] || at->nb[0] != ggml_type_size(at->type)) return false;
    if (x->ne[2] != 1 || x->ne[3] != 1 || store.ne[0] != x->ne[0] || store.ne[2] != 1 || store.ne[3] != 1) return false;
    if (x->nb[0] != ggml_type_size(x->type) || store.nb[0] != size || store.nb[1] % size) return false;
    if (dim % ggml_blck_size(store.type) || store.nb[1] < ggml_row_size(store.type, store.ne[0])) return false;
    const int64_t unit = rows.dtype == ROPEROT_Q8_0 ? 1 : static_cast<int64_t>(size); /* of strides */
    rows.data = store.data;
    rows.pages = store.ne[1];
    rows.page_stride = static_cast<int64_t>(store.nb[1]) / unit;
    rows.head_stride = static_cast<int64_t>(ggml_row_size(store.type, dim)) / unit;
    rows.channel_stride = rows.dtype == ROPEROT_Q8_0 ? 0 : 1;
    rows.slots = at->data;
    rows.slot_type = at->type == GGML_TYPE_I32 ? 1 : 2;
    return at->type == GGML_TYPE_I32 ? has_rows<int32_t>(store) : has_rows<int64_t>(store);
}

/* V: the rows of a SET_ROWS, each of which is one long head; of one token several, which threads share. */
bool stored_only(const ggml_tensor &store, Work &work, roperot_job &job)
{
    const ggml_tensor *const x = store.src[0];
    const int64_t size = static_cast<int64_t>(ggml_type_size(x->type));
    const int64_t dim = x->ne[1] == 1 && x->ne[0] % 64 == 0 ? 64 : x->ne[0];
    if ((x->type != GGML_TYPE_F32 && x->type != GGML_TYPE_F16) || x->nb[1] % size) return false;
    if (dim > 65536 || !rows_of(store, dim, work.rows)) return false;
    work.src = roperot_tensor_shd(x->data, x->type == GGML_TYPE_F32 ? ROPEROT_F32 : ROPEROT_F16, x->ne[1],
                                  x->ne[0] / dim, dim);
    work.src.stride[1] = static_cast<int64_t>(x->nb[1]) / size;
    work.dst = work.src;
    job.src = &work.src;
    job.to = &work.rows;
    job.flags = ROPEROT_JOB_UNROTATED;
    return true;
}

/* Whether the rows that are stored are all of what ROPE gives, heads side by side. */
bool stores_all(const ggml_tensor &rope, const ggml_tensor &store)
{
    const ggml_tensor *const x = store.src[0];
    return x->data == rope.data && x->type == rope.type && x->ne[0] == rope.ne[0] * rope.ne[1] &&
           x->ne[1] == rope.ne[2] && rope.ne[3] == 1 && x->nb[1] == rope.nb[2] &&
           rope.nb[1] == rope.ne[0] * size_of(rope);
}

/* The row of a SET_ROWS of one token, heads of dim channels; false: ggml asserts on it, or roperot has no such
 * rotation. */
bool row_of(const ggml_tensor &store, int64_t dim, roperot_tensor &row)
{
    const ggml_tensor &x = *store.src[0], &at = *store.src[1];
    const bool is_f32 = store.type == GGML_TYPE_F32, is_f16 = store.type == GGML_TYPE_F16;
    const int64_t size = is_f32 ? 4 : 2;
    if (!is_f32 && !is_f16 && store.type != GGML_TYPE_BF16) return false;
    if (x.type == GGML_TYPE_F16 && !is_f16) return false;
    if ((at.type != GGML_TYPE_I32 && at.type != GGML_TYPE_I64) || at.ne[0] != 1 || at.ne[1] != 1 || at.ne[2] != 1)
        return false;
    if (store.ne[0] != x.ne[0] || store.ne[2] != 1 || store.ne[3] != 1 || at.ne[3] != 1) return false;
    if (store.nb[0] != static_cast<size_t>(size) || store.nb[1] & (size - 1)) return false;
    if (static_cast<int64_t>(store.nb[1]) < store.ne[0] * size) return false;
    const int64_t slot = at.type == GGML_TYPE_I32 ? *static_cast<const int32_t *>(at.data)
                                                  : *static_cast<const int64_t *>(at.data);
    if (slot < 0 || slot >= store.ne[1]) return false;
    row = { static_cast<char *>(store.data) + slot * static_cast<int64_t>(store.nb[1]),
            is_f32 ? ROPEROT_F32 : is_f16 ? ROPEROT_F16 : ROPEROT_BF16,
            0,
            { 1, 1, x.ne[0] / dim, dim },
            { 0, 0, dim, 1 },
            nullptr };
    return true;
}

/* ROPE and SET_ROWS of one token: rotated into its row. Every thread has heads, or the answer would not be one. */
bool store_token(int ith, int nth, const roperot_ggml_chain &chain)
{
    const ggml_tensor &node = *chain.rope, &x = *node.src[0];
    roperot_tensor row;
    if (chain.writes || node.ne[1] < nth || !is_usual_token(x, node, *node.src[1])) return false;
    const int32_t position = *static_cast<const int32_t *>(node.src[1]->data);
    if (position < 0 || !stores_all(node, *chain.store) || !row_of(*chain.store, node.ne[0], row)) return false;
    if (!is_apart(x, *chain.store)) return false;
    const int64_t begin = node.ne[1] * ith / nth, count = node.ne[1] * (ith + 1) / nth - begin;
    const roperot_tensor src = heads_of(x, begin, count);
    row.data = static_cast<char *>(row.data) + begin * row.stride[2] * (row.dtype == ROPEROT_F32 ? 4 : 2);
    row.shape[2] = count;
    return rotate_by(entry_of(node), position, src, &row);
}

/* A whole chain. */
bool job_of(const roperot_ggml_chain &chain, Work &work, roperot_job &job)
{
    job = ROPEROT_JOB_INIT;
    if (!chain.rope) return stored_only(*chain.store, work, job);
    const ggml_tensor &x = *(chain.norm ? chain.norm : chain.rope)->src[0];
    if (!is_usual(x, *chain.rope, Parameters(*chain.rope))) return false;
    const ggml_tensor &at = chain.is_placed ? *chain.rope : x;
    if (chain.writes && !may_write(at, *chain.rope)) return false;
    if (!view_of(at, work.src) || !view_of(*chain.rope, work.dst)) return false;
    if (chain.norm && !norm_of(chain, work.norm)) return false;
    if (chain.store && !stores_all(*chain.rope, *chain.store)) return false;
    if (chain.store && !rows_of(*chain.store, x.ne[0], work.rows)) return false;
    job.src = &work.src;
    job.dst = chain.writes ? &work.dst : nullptr;
    job.norm = chain.norm ? &work.norm : nullptr;
    job.to = chain.store ? &work.rows : nullptr;
    return true;
}

/* Of one token, a row of a cache is a view like any other: nothing is asked of pages and slots. */
struct TokenWork {
    roperot_tensor src, dst;
    roperot_norm norm;
};

/* Norm and ROPE into its result, or into a row. */
bool job_of_token(const roperot_ggml_chain &chain, TokenWork &work, roperot_job &job)
{
    const ggml_tensor &rope = *chain.rope, &x = *chain.norm->src[0];
    if (chain.is_placed || rope.type != GGML_TYPE_F32 || !is_usual_token(x, rope, *rope.src[1])) return false;
    if (!chain.store == !chain.writes || !norm_of(chain, work.norm)) return false;
    work.src = heads_of(x, 0, x.ne[1]);
    if (!chain.store) work.dst = heads_of(rope, 0, rope.ne[1]);
    else if (!stores_all(rope, *chain.store) || !row_of(*chain.store, rope.ne[0], work.dst)) return false;
    job = { sizeof job, 0, &work.src, &work.dst, &work.norm, nullptr, nullptr, nullptr, 0, 1, 0, 0, 0, 0 };
    return true;
}

/* V into its row, as one long head. */
bool job_of_row(const ggml_tensor &store, TokenWork &work, roperot_job &job)
{
    const ggml_tensor &x = *store.src[0];
    if (x.type != GGML_TYPE_F32 || x.nb[0] != sizeof(float) || x.ne[0] > 65536) return false;
    if ((x.ne[1] ^ 1) | (x.ne[2] ^ 1) | (x.ne[3] ^ 1) || !row_of(store, x.ne[0], work.dst)) return false;
    work.src = { x.data, ROPEROT_F32, 0, { 1, 1, 1, x.ne[0] }, { 0, 0, x.ne[0], 1 }, nullptr };
    job = { sizeof job, ROPEROT_JOB_UNROTATED, &work.src, &work.dst, nullptr, nullptr, nullptr, nullptr,
            0,          1,                     0,         0,         0,       0 };
    return true;
}

/* Chains of one token with a norm, all by one thread, at a near position. */
bool run_token(const roperot_ggml_chain *chains, int count)
{
    TokenWork work[2];
    roperot_job job[2];
    if (!job_of_token(chains[0], work[0], job[0])) return false;
    if (count == 2 && (chains[1].rope || !job_of_row(*chains[1].store, work[1], job[1]))) return false;
    const int32_t position = *static_cast<const int32_t *>(chains[0].rope->src[1]->data);
    const Entry *const entry = entry_of(*chains[0].rope);
    if (!entry || !entry->plans.near || position < 0 || position >= near_positions) return false;
    const roperot_positions at = { sizeof at, ROPEROT_POSITIONS_OFFSET, 0, 1, position, nullptr, 0, 0, 0, nullptr,
                                   0,         0 };
    return entry->run(entry->plans.near, &at, job, count, nullptr) == ROPEROT_OK;
}

/* Of jobs that only store, which have no plan of their own. */
const roperot_plan *any_plan()
{
    static const roperot_plan *const plan = [] {
        roperot_config config = ROPEROT_CONFIG_INIT;
        roperot_plan *made = nullptr;
        config.head_dim = 2;
        config.cache = ROPEROT_CACHE_FACTORED;
        roperot_plan_create(&config, &made);
        return made;
    }();
    return plan;
}

/* Chains as jobs of one call, and thread ith's part of it. */
struct Jobs {
    const roperot_plan *plan = nullptr;
    roperot_positions positions = ROPEROT_POSITIONS_INIT;
    Work work[2]{};
    roperot_job job[2];
    int32_t count = 0;

    bool take(const roperot_ggml_chain *chains, int n)
    {
        const ggml_tensor *const rope = chains[0].rope;
        plan = rope ? plan_of(*rope, Parameters(*rope)) : any_plan();
        if (!plan) return false;
        if (rope) positions = positions_of(*rope, Parameters(*rope));
        for (count = 0; count < n; count++)
            if (!job_of(chains[count], work[count], job[count])) return false;
        return true;
    }

    bool run(int64_t begin, int64_t end) const
    {
        roperot_options options = ROPEROT_OPTIONS_INIT;
        options.flags = ROPEROT_SIGNED_POSITIONS;
        lend_scratch(plan, options);
        options.token_begin = begin;
        options.token_end = end;
        return roperot_run(plan, &positions, job, count, &options) == ROPEROT_OK;
    }
};

int64_t lines_of(const roperot_ggml_chain &chain)
{
    return chain.rope ? chain.rope->ne[2] * chain.rope->ne[3] : chain.store->src[0]->ne[1];
}

/* Whether store_token is what it is for. */
bool is_one_token(const roperot_ggml_chain &chain)
{
    return !chain.norm && chain.rope && chain.store && lines_of(chain) == 1;
}

/* Chains of fewer lines stay as they are, unless several threads save barriers: roperot_run has much code, and a decode
 * step finds none of it in the caches (docs/ggml.md). One token with a norm takes a short way through it. */
constexpr int64_t least_lines = 2, least_lines_stored = 8;

} // namespace

extern "C" int roperot_ggml_wanted(int nth, const roperot_ggml_chain *chains, int count)
{
    const int forced = forced_to_fuse();
    const int64_t lines = lines_of(chains[0]);
    if (is_off() || forced < 0) return 0;
    if (forced > 0) return count;
    if (!chains[0].rope) return 0; /* ggml converts rows faster where there is nothing else to do */
    if (chains[0].norm && (nth > 1 || lines == 1)) return count;
    if (lines == 1) return nth > 1 && is_one_token(chains[0]);
    return lines >= (chains[0].store ? least_lines_stored : least_lines) ? count : 0;
}

extern "C" int roperot_ggml_places(void)
{
    return !is_off() && forced_to_fuse() >= 0;
}

/* A call is checked as a whole by every thread, and cannot fail for a part of what is right as a whole: positions and
 * slots, of which a call looks at its own part only, are checked here. */
extern "C" int roperot_ggml_run(int ith, int nth, const roperot_ggml_chain *chains, int count)
{
    if (count < 1 || count > 2) return 0;
    if (count == 1 && is_one_token(chains[0])) {
        if (store_token(ith, nth, chains[0])) return 1;
        if (forced_to_fuse() <= 0) return 0;
    }
    if (nth == 1 && chains[0].norm && lines_of(chains[0]) == 1 && run_token(chains, count)) return 1;
    Jobs jobs;
    if (!jobs.take(chains, count)) return 0;
    const int64_t lines = jobs.work[0].src.shape[0] * jobs.work[0].src.shape[1];
    if (lines >= nth) return jobs.run(lines * ith / nth, lines * (ith + 1) / nth);
    if (nth > 1 && !jobs.run(0, 0)) return 0;
    for (int i = 0; i < count; i++) {
        const int64_t heads = jobs.work[i].src.shape[2];
        jobs.work[i].keep_heads(heads * ith / nth, heads * (ith + 1) / nth);
    }
    return jobs.run(0, lines);
}

namespace {

/* Any other. */
[[gnu::noinline]] bool rotate_node(int ith, int nth, const ggml_tensor &node)
{
    const Parameters p(node);
    if (!is_usual(*node.src[0], node, p) || !may_write(*node.src[0], node)) return false;
    Call call{};
    call.plan = plan_of(node, p);
    if (!call.plan || !view_of(*node.src[0], call.src) || !view_of(node, call.dst)) return false;
    call.flags = ROPEROT_SIGNED_POSITIONS | (node.op == GGML_OP_ROPE_BACK ? ROPEROT_INVERSE : 0);
    call.positions = positions_of(node, p);
    const int64_t rows = ggml_nrows(&node), share = (rows + nth - 1) / nth;
    const int64_t begin = std::min(share * ith, rows), end = std::min(begin + share, rows);
    return begin == end || call.rotate_rows(begin, end);
}

} // namespace

extern "C" [[gnu::hot, gnu::aligned(64)]] int roperot_ggml_rope(int ith, int nth, ggml_tensor *node)
{
    return rotate_token(ith, nth, *node) || rotate_node(ith, nth, *node);
}

#ifdef ROPEROT_GGML_MEASURE
#include "roperot-ggml-measure.h"
#endif
