/* SPDX-License-Identifier: MIT
 * Times of ROPE nodes on thread 0, roperot's and ggml's in turns within one run; it must not know what they compute.
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
        const char *const path = std::getenv("ROPEROT_GGML_TIMES");
        std::FILE *const file = path ? std::fopen(path, "w") : nullptr;
        if (!file) return;
        for (auto &[key, times] : of) {
            const auto &[op, heads, tokens, type, ours] = key;
            std::sort(times.begin(), times.end());
            std::fprintf(file, "%s %lld %lld %s %s %zu %.0f %.0f\n", op.c_str(), static_cast<long long>(heads),
                         static_cast<long long>(tokens), type.c_str(), ours ? "roperot" : "ggml", times.size(),
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

/* Nodes of one layer go the same way, and layers at random, so that neither side has the same layers in every step.
 * Every thread counts for itself and comes to the same answer. */
extern "C" int roperot_ggml_turn(int ith, const ggml_tensor *node)
{
    (void)ith;
    (void)node;
    static const bool alternates = [] {
        const char *const value = std::getenv("ROPEROT_GGML");
        return value && std::strcmp(value, "alternate") == 0;
    }();
    static thread_local uint64_t calls = 0;
    const uint64_t mixed = (calls++ / 2 + 1) * 0x9e3779b97f4a7c15u;
    return !alternates || (mixed ^ mixed >> 29) >> 32 & 1;
}

extern "C" void roperot_ggml_took(int ith, const ggml_tensor *node, int ours, double nanoseconds)
{
    if (ith != 0) return;
    times_of_thread_0.of[{ggml_op_name(node->op), node->ne[1], node->ne[2] * node->ne[3], ggml_type_name(node->type),
                          ours}].push_back(nanoseconds);
}
