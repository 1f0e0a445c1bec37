/* SPDX-License-Identifier: MIT
 * Times of ROPE nodes and of chains on thread 0, roperot's and ggml's in turns within one run; it must not know what
 * they compute.
 * Included by roperot-ggml.cpp if ROPEROT_GGML_MEASURE is defined. At exit, one line per node's shape and side goes to
 * the file that ROPEROT_GGML_TIMES names: op, heads, tokens, dtype, side, count, median and minimum in nanoseconds. */
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <tuple>

namespace {

struct Times {
    std::map<std::tuple<std::string, int64_t, int64_t, std::string, int>, std::vector<double>> of;

    ~Times()
    {
        static const char *const sides[] = { "ggml", "roperot", "floor" };
        const char *const path = std::getenv("ROPEROT_GGML_TIMES");
        std::FILE *const file = path ? std::fopen(path, "w") : nullptr;
        if (!file) return;
        for (auto &[key, times] : of) {
            const auto &[op, heads, tokens, type, side] = key;
            std::sort(times.begin(), times.end());
            std::fprintf(file, "%s %lld %lld %s %s %zu %.0f %.0f\n", op.c_str(), static_cast<long long>(heads),
                         static_cast<long long>(tokens), type.c_str(), sides[side], times.size(),
                         times[times.size() / 2], times[0]);
        }
        std::fclose(file);
    }
};
Times times_of_thread_0;

} // namespace

extern "C" double roperot_ggml_now(void)
{
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

namespace {

/* Chains that this thread is in, on the one side or the other. */
struct Chains {
    int last = -1; /* node; -1: none */
    int ours = 0;
    double begin = 0;
    std::string name, type;
    int64_t heads = 0, tokens = 0;
};
thread_local Chains in_chains;
thread_local double owed;

/* Layers go one way or the other at random, so that neither side has the same layers in every step, and q and k of a
 * layer go the same way. Every thread must come to the same answer: by the layer's number in the node's name ("Kcur-3")
 * and the first position or row. */
int turn_of(const ggml_tensor &node)
{
    static const unsigned sides = [] {
        const char *const value = std::getenv("ROPEROT_GGML");
        return !value ? 1 : std::strcmp(value, "alternate") == 0 ? 2 : std::strcmp(value, "floors") == 0 ? 3 : 1;
    }();
    const char *const number = std::strrchr(node.name, '-');
    int32_t place = 0;
    if (node.src[1]) std::memcpy(&place, node.src[1]->data, sizeof place);
    const uint64_t mixed = (uint64_t{static_cast<uint32_t>(place)} * 1009 + (number ? std::atoi(number + 1) : 0) + 1) *
                           0x9e3779b97f4a7c15u;
    return sides == 1 ? ROPEROT_GGML_OURS : static_cast<int>(((mixed ^ mixed >> 29) >> 32) % sides);
}

} // namespace

namespace {

/* A row of cos and sin per position, as a loop that everybody would write has them at hand. */
constexpr int floor_positions = 4096, floor_pairs = 64;
struct FloorRows {
    std::vector<float> of = std::vector<float>(size_t{floor_positions} * 2 * floor_pairs);

    FloorRows()
    {
        for (size_t i = 0; i < of.size(); i++) of[i] = i % (2 * floor_pairs) < floor_pairs ? 1.0f : 0.0f;
    }
};
const FloorRows floor_rows;

/* One token's heads, by rows that turn nothing. */
void rotate_plainly(const ggml_tensor &node, int64_t begin, int64_t end)
{
    const int32_t position = *static_cast<const int32_t *>(node.src[1]->data) % floor_positions;
    const float *const cos = &floor_rows.of[size_t{2} * floor_pairs * static_cast<size_t>(position)];
    const float *const sin = cos + floor_pairs;
    const int neighbours = node.op_params[2] == GGML_ROPE_TYPE_NORMAL;
    const int half = std::min(node.op_params[1] / 2, floor_pairs);
    const int step = neighbours ? 2 : 1, other = neighbours ? 1 : half;
    char *const from = static_cast<char *>(node.src[0]->data), *const into = static_cast<char *>(node.data);
    for (int64_t h = begin; h < end; h++) {
        const float *const x = reinterpret_cast<const float *>(from + h * node.src[0]->nb[1]);
        float *const y = reinterpret_cast<float *>(into + h * node.nb[1]);
        for (int j = 0; j < half; j++) {
            const float a = x[step * j], b = x[step * j + other];
            y[step * j] = a * cos[j] - b * sin[j];
            y[step * j + other] = a * sin[j] + b * cos[j];
        }
    }
}

} // namespace

/* The least that thread ith's rows of a node cost: the bytes are read and written, 64 at a time. For one token, a plain
 * loop. f32 with heads side by side. What it leaves in the result, or in place, is the source. */
extern "C" void roperot_ggml_floor(int ith, int nth, const ggml_tensor *node)
{
    const int64_t rows = ggml_nrows(node), share = (rows + nth - 1) / nth;
    const int64_t begin = std::min(share * ith, rows), end = std::min(begin + share, rows);
    if (node->ne[2] == 1) return rotate_plainly(*node, begin, end);
    using line = float __attribute__((vector_size(64), aligned(4)));
    const int64_t first = begin * static_cast<int64_t>(node->nb[1]), last = end * static_cast<int64_t>(node->nb[1]);
    const char *const from = static_cast<const char *>(node->src[0]->data);
    char *const into = static_cast<char *>(node->data);
    for (int64_t i = first; i < last; i += 64)
        *reinterpret_cast<volatile line *>(into + i) = *reinterpret_cast<const volatile line *>(from + i);
}

extern "C" int roperot_ggml_turn(int ith, const ggml_tensor *node)
{
    (void)ith;
    return in_chains.last < 0 ? turn_of(*node) : ROPEROT_GGML_THEIRS;
}

extern "C" void roperot_ggml_owe(double nanoseconds)
{
    owed = nanoseconds;
}

extern "C" void roperot_ggml_took(int ith, const ggml_tensor *node, int side, double nanoseconds)
{
    if (ith != 0 || in_chains.last >= 0) return;
    if (side == ROPEROT_GGML_OURS) nanoseconds += owed;
    owed = 0;
    times_of_thread_0.of[{ggml_op_name(node->op), node->ne[1], node->ne[2] * node->ne[3], ggml_type_name(node->type),
                          side}].push_back(nanoseconds);
}

extern "C" int roperot_ggml_turn_of_chains(const roperot_ggml_chain *chains, int count, int last)
{
    if (in_chains.last >= 0) return 0;
    Chains &c = in_chains;
    c.name.clear();
    for (int i = 0; i < count; i++)
        c.name += std::string(i ? "," : "") + (chains[i].norm ? "norm+" : "") + (chains[i].rope ? "rope" : "v") +
                  (chains[i].store ? "+store" : "");
    const ggml_tensor &first = *(chains[0].rope ? chains[0].rope : chains[0].store->src[0]);
    c.heads = first.ne[1];
    c.tokens = chains[0].rope ? first.ne[2] * first.ne[3] : first.ne[1];
    c.type = ggml_type_name(chains[0].store ? chains[0].store->type : first.type);
    c.last = last;
    c.ours = turn_of(chains[0].rope ? *chains[0].rope : *chains[0].store) != ROPEROT_GGML_THEIRS;
    c.begin = roperot_ggml_now() - owed;
    owed = 0;
    return c.ours;
}

extern "C" void roperot_ggml_forget(void)
{
    in_chains.last = -1;
}

/* Node `node`, and with it perhaps the last one of chains, is done. */
extern "C" void roperot_ggml_done(int ith, int node)
{
    Chains &c = in_chains;
    if (c.last < 0 || node < c.last) return;
    if (ith == 0)
        times_of_thread_0.of[{c.name, c.heads, c.tokens, c.type, c.ours}].push_back(roperot_ggml_now() - c.begin);
    c.last = -1;
}
