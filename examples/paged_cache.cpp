// Continuous batching over a paged bf16 cache: requests come and go, every step is one roperot_run for the whole batch
// (norm, rotation, store of k and v) on a few threads, and what is in the cache at the end equals what roperot_apply
// makes of the same keys without any cache, bit for bit.
#include <roperot/roperot.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

constexpr int heads = 16, kv_heads = 4, dim = 128, block = 16, blocks = 64, batch = 16, requests = 40;
using bf16 = std::uint16_t;

struct Destroy {
    void operator()(roperot_plan *plan) const { roperot_plan_destroy(plan); }
};
using Plan = std::unique_ptr<roperot_plan, Destroy>;

void check(std::int32_t status)
{
    if (status != ROPEROT_OK) throw std::runtime_error(roperot_last_error());
}

Plan make_plan()
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = dim;
    config.base = 1000000.0;
    config.max_positions = 4096;
    roperot_plan *plan = nullptr;
    check(roperot_plan_create(&config, &plan));
    return Plan(plan);
}

// What a projection would give: the same numbers for the same request, position and channel, in bf16.
bf16 projected(unsigned request, unsigned position, unsigned channel)
{
    std::uint32_t x = request * 2654435761u + position * 40503u + channel * 2246822519u;
    x ^= x >> 15, x *= 2246822519u, x ^= x >> 13;
    return static_cast<bf16>((x & 0x8000u) | 0x3f00u | (x & 0xffu)); // +-0.5 .. 2
}

// One task per thread; the library hands out at most options.threads of them, and fewer where a thread is not worth
// waking. `most` is the context.
void in_threads(void *most, std::int64_t tasks, void (*task)(void *, std::int64_t), void *arg)
{
    auto &seen = *static_cast<std::int64_t *>(most);
    seen = std::max(seen, tasks);
    std::vector<std::thread> others;
    for (std::int64_t i = 1; i < tasks; ++i) others.emplace_back(task, arg, i);
    if (tasks > 0) task(arg, 0);
    for (std::thread &other : others) other.join();
}

struct Request {
    unsigned id = 0;
    int length = 0, done = 0; // tokens in all, tokens in the cache
    std::vector<int> table;   // its blocks
};

class Cache {
public:
    Cache() : keys_(size()), values_(size())
    {
        for (int i = blocks; i > 0; --i) free_.push_back(i - 1);
    }

    // Slot of the next token of a request; a new block where the last one is full.
    std::int64_t next_slot(Request &r)
    {
        if (r.done % block == 0) {
            if (free_.empty()) throw std::runtime_error("no block is free");
            r.table.push_back(free_.back());
            free_.pop_back();
        }
        return static_cast<std::int64_t>(r.table.back()) * block + r.done % block;
    }

    void release(const Request &r) { free_.insert(free_.end(), r.table.begin(), r.table.end()); }

    // [blocks, block, kv_heads, dim]
    roperot_pages pages(bool of_values, const std::int64_t *slots)
    {
        roperot_pages p = ROPEROT_PAGES_INIT;
        p.dtype = ROPEROT_BF16;
        p.data = of_values ? values_.data() : keys_.data();
        p.pages = blocks;
        p.page_tokens = block;
        p.head_stride = dim;
        p.token_stride = kv_heads * dim;
        p.page_stride = block * kv_heads * dim;
        p.slots = slots;
        p.slot_batch_stride = 1;
        return p;
    }

    const bf16 *key(const Request &r, int position) const
    {
        const auto token = static_cast<std::size_t>(r.table[position / block]) * block + position % block;
        return &keys_[token * kv_heads * dim];
    }

private:
    static std::size_t size() { return static_cast<std::size_t>(blocks) * block * kv_heads * dim; }
    std::vector<bf16> keys_, values_;
    std::vector<int> free_;
};

// The step of a layer: q in place, k and v into the cache. A request that has nothing to do has slot -1.
void step(const roperot_plan *plan, const std::vector<bf16> &weight, Cache &cache, Request *active, bf16 *q, bf16 *k,
          bf16 *v, std::int64_t *most_tasks)
{
    std::int64_t slots[batch], positions[batch];
    for (int i = 0; i < batch; ++i) {
        const bool works = active[i].done < active[i].length;
        positions[i] = active[i].done;
        slots[i] = works ? cache.next_slot(active[i]) : -1;
    }
    const roperot_positions at = roperot_positions_i64(positions, 1);
    const roperot_tensor view[3] = { roperot_tensor_bshd(q, ROPEROT_BF16, batch, 1, heads, dim),
                                     roperot_tensor_bshd(k, ROPEROT_BF16, batch, 1, kv_heads, dim),
                                     roperot_tensor_bshd(v, ROPEROT_BF16, batch, 1, kv_heads, dim) };
    const roperot_pages to[2] = { cache.pages(false, slots), cache.pages(true, slots) };
    roperot_norm norm = ROPEROT_NORM_INIT; // Qwen3's q_norm and k_norm, with the roundings of transformers
    norm.rounding = ROPEROT_NORM_ROUND_TWICE;
    norm.weight = weight.data();
    norm.weight_dtype = ROPEROT_BF16;
    roperot_job jobs[3] = { ROPEROT_JOB_INIT, ROPEROT_JOB_INIT, ROPEROT_JOB_INIT };
    for (int i = 0; i < 3; ++i) jobs[i].src = &view[i];
    jobs[0].dst = &view[0];
    jobs[0].norm = jobs[1].norm = &norm;
    jobs[1].to = &to[0];
    jobs[2].to = &to[1];
    jobs[2].flags = ROPEROT_JOB_UNROTATED;
    roperot_options options = ROPEROT_OPTIONS_INIT;
    options.parallel_for = in_threads;
    options.ctx = most_tasks;
    options.threads = 3;
    check(roperot_run(plan, &at, jobs, 3, &options));
    for (int i = 0; i < batch; ++i) active[i].done += slots[i] >= 0;
}

void project(const Request &r, bf16 *row, int channels, unsigned salt)
{
    for (int c = 0; c < channels; ++c) row[c] = projected(r.id, r.done + salt, c);
}

// The key of one token by the separate calls: the norm alone, then roperot_apply.
std::vector<bf16> key_without_cache(const roperot_plan *plan, const std::vector<bf16> &weight, const Request &r,
                                    int position)
{
    std::vector<bf16> row(kv_heads * dim);
    for (int c = 0; c < kv_heads * dim; ++c) row[c] = projected(r.id, position + 1000, c);
    const roperot_tensor view = roperot_tensor_shd(row.data(), ROPEROT_BF16, 1, kv_heads, dim);
    roperot_norm norm = ROPEROT_NORM_INIT;
    norm.rounding = ROPEROT_NORM_ROUND_TWICE;
    norm.weight = weight.data();
    norm.weight_dtype = ROPEROT_BF16;
    roperot_job job = ROPEROT_JOB_INIT;
    job.flags = ROPEROT_JOB_UNROTATED;
    job.src = job.dst = &view;
    job.norm = &norm;
    check(roperot_run(plan, nullptr, &job, 1, nullptr));
    const roperot_positions at = roperot_positions_offset(position);
    check(roperot_apply(plan, &at, &view, nullptr, 1, nullptr));
    return row;
}

int compare(const roperot_plan *plan, const std::vector<bf16> &weight, const Cache &cache, const Request &r)
{
    int wrong = 0;
    for (int p = 0; p < r.done; ++p) {
        const std::vector<bf16> want = key_without_cache(plan, weight, r, p);
        wrong += std::memcmp(want.data(), cache.key(r, p), want.size() * sizeof(bf16)) != 0;
    }
    return wrong;
}

} // namespace

int main()
{
    const Plan plan = make_plan();
    const std::vector<bf16> weight(dim, 0x3fa0); // 1.25
    Cache cache;
    Request active[batch];
    unsigned next = 0;
    int tokens = 0, wrong = 0, finished = 0;
    std::int64_t most_tasks = 1;
    for (int steps = 0; steps < 120; ++steps) {
        for (Request &r : active) {
            if (r.done < r.length || next == requests) continue;
            wrong += compare(plan.get(), weight, cache, r);
            cache.release(r);
            finished += r.length > 0;
            r = Request{ next, 5 + static_cast<int>(next * 7 % 40), 0, {} };
            ++next;
        }
        std::vector<bf16> q(batch * heads * dim), k(batch * kv_heads * dim), v(k.size());
        for (int i = 0; i < batch; ++i) {
            project(active[i], &q[i * heads * dim], heads * dim, 0);
            project(active[i], &k[i * kv_heads * dim], kv_heads * dim, 1000);
            project(active[i], &v[i * kv_heads * dim], kv_heads * dim, 2000);
            tokens += active[i].done < active[i].length;
        }
        step(plan.get(), weight, cache, active, q.data(), k.data(), v.data(), &most_tasks);
    }
    for (const Request &r : active) wrong += compare(plan.get(), weight, cache, r), finished += r.length > 0;
    std::printf("%d requests, %d tokens in a cache of %d blocks, on up to %d threads: %d keys differ\n", finished,
                tokens, blocks, static_cast<int>(most_tasks), wrong);
    return wrong != 0 || most_tasks < 2;
}
