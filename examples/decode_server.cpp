// A server's inner loop: requests come and go, each step is one ragged batch of prompts and single tokens, and each
// layer is one call from the projections to a paged cache, on the server's own thread pool. At the end every cached key
// must have the very bits that its request gets alone and on one thread.
#include <roperot/roperot.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

constexpr int layers = 2, q_heads = 8, kv_heads = 2, dim = 64, page_tokens = 16, pages = 64;

void check(std::int32_t status)
{
    if (status != ROPEROT_OK) throw std::runtime_error(roperot_last_error());
}

// ---- the thread pool that the server has anyway; roperot borrows it for a call --------------------------------------

class Pool {
  public:
    explicit Pool(int count)
    {
        for (int i = 0; i < count; i++) workers.emplace_back([this] { work(); });
    }

    ~Pool()
    {
        {
            const std::lock_guard<std::mutex> guard(lock);
            closing = true;
        }
        wake.notify_all();
        for (std::thread &worker : workers) worker.join();
    }

    // roperot_options.parallel_for: runs task(arg, 0 .. tasks - 1) and returns when all have ended.
    static void parallel_for(void *pool, std::int64_t tasks, void (*task)(void *, std::int64_t), void *arg)
    {
        static_cast<Pool *>(pool)->run(tasks, [=](std::int64_t i) { task(arg, i); });
    }

  private:
    void run(std::int64_t tasks, const std::function<void(std::int64_t)> &task)
    {
        std::unique_lock<std::mutex> guard(lock);
        job = &task;
        next = 0;
        count = tasks;
        left = tasks;
        wake.notify_all();
        done.wait(guard, [this] { return left == 0; });
        job = nullptr;
    }

    void work()
    {
        std::unique_lock<std::mutex> guard(lock);
        for (;;) {
            wake.wait(guard, [this] { return closing || (job && next < count); });
            if (closing) return;
            const std::int64_t mine = next++;
            const auto *const task = job;
            guard.unlock();
            (*task)(mine);
            guard.lock();
            if (--left == 0) done.notify_one();
        }
    }

    std::mutex lock;
    std::condition_variable wake, done;
    std::vector<std::thread> workers;
    const std::function<void(std::int64_t)> *job = nullptr;
    std::int64_t next = 0, count = 0, left = 0;
    bool closing = false;
};

// ---- requests and their pages ---------------------------------------------------------------------------------------

struct Request {
    int id, prompt, total; // tokens: of the prompt, and with those that are to be decoded
    int done = 0;          // tokens whose keys are in the cache
    std::vector<int> table; // its pages

    std::int64_t slot(int position) const
    {
        return table[position / page_tokens] * page_tokens + position % page_tokens;
    }
};

struct Cache {
    std::vector<float> keys[layers], values[layers];
    std::vector<int> free;

    Cache()
    {
        for (int l = 0; l < layers; l++) keys[l].resize(pages * page_tokens * kv_heads * dim), values[l] = keys[l];
        for (int p = pages; p-- > 0;) free.push_back(p);
    }

    void reserve(Request &r, int tokens)
    {
        while (static_cast<int>(r.table.size()) * page_tokens < tokens) r.table.push_back(free.back()), free.pop_back();
    }
};

// What stands for a projection: values that depend on the request, the token and the layer alone.
void project(std::vector<float> &to, int which, const Request &r, int position, int layer, int width)
{
    std::uint32_t state =
        static_cast<std::uint32_t>(((r.id * 4099 + position) * 7 + layer) * 3 + which) * 2654435761u + 1;
    for (int i = 0; i < width; i++) {
        state = state * 1664525u + 1013904223u;
        to.push_back(static_cast<float>(state >> 8) / (1 << 23) - 1.0f);
    }
}

// ---- one step -------------------------------------------------------------------------------------------------------

struct Model {
    std::unique_ptr<roperot_plan, void (*)(roperot_plan *)> plan{ nullptr, roperot_plan_destroy };
    std::vector<float> weight = std::vector<float>(dim, 1.5f);

    Model()
    {
        roperot_config config = ROPEROT_CONFIG_INIT;
        config.head_dim = dim;
        config.base = 1e6;
        roperot_plan *made;
        check(roperot_plan_create(&config, &made));
        plan.reset(made);
    }
};

roperot_pages pages_of(std::vector<float> &data, const std::vector<std::int64_t> &slots)
{
    roperot_pages p = ROPEROT_PAGES_INIT;
    p.data = data.data();
    p.pages = pages;
    p.page_tokens = page_tokens;
    p.head_stride = dim;
    p.token_stride = kv_heads * dim;
    p.page_stride = page_tokens * kv_heads * dim;
    p.slots = slots.data();
    return p;
}

// The batch: request i brings count[i] tokens, packed one request behind the other. `q` gets the rotated queries.
void step(const Model &model, Cache &cache, const std::vector<Request *> &batch, const std::vector<int> &count,
          const roperot_options &options, std::vector<float> &q)
{
    std::vector<std::int32_t> ends{ 0 }, starts;
    std::vector<std::int64_t> slots;
    for (std::size_t i = 0; i < batch.size(); i++) {
        starts.push_back(batch[i]->done);
        ends.push_back(ends.back() + count[i]);
        cache.reserve(*batch[i], batch[i]->done + count[i]);
        for (int t = 0; t < count[i]; t++) slots.push_back(batch[i]->slot(batch[i]->done + t));
    }
    roperot_positions at = ROPEROT_POSITIONS_INIT;
    at.kind = ROPEROT_POSITIONS_RAGGED;
    at.type = at.cu_type = ROPEROT_POSITIONS_I32;
    at.ids = starts.data();
    at.cu_seqlens = ends.data();
    at.sequences = static_cast<std::int32_t>(batch.size());
    const int tokens = ends.back();

    for (int layer = 0; layer < layers; layer++) {
        std::vector<float> k, v;
        q.clear();
        for (std::size_t i = 0; i < batch.size(); i++)
            for (int t = 0; t < count[i]; t++) {
                project(q, 0, *batch[i], batch[i]->done + t, layer, q_heads * dim);
                project(k, 1, *batch[i], batch[i]->done + t, layer, kv_heads * dim);
                project(v, 2, *batch[i], batch[i]->done + t, layer, kv_heads * dim);
            }
        const roperot_tensor views[3] = { roperot_tensor_shd(q.data(), ROPEROT_F32, tokens, q_heads, dim),
                                          roperot_tensor_shd(k.data(), ROPEROT_F32, tokens, kv_heads, dim),
                                          roperot_tensor_shd(v.data(), ROPEROT_F32, tokens, kv_heads, dim) };
        const roperot_pages to[2] = { pages_of(cache.keys[layer], slots), pages_of(cache.values[layer], slots) };
        roperot_norm norm = ROPEROT_NORM_INIT; // Qwen3's: q and k, per head
        norm.weight = model.weight.data();
        roperot_job jobs[3] = { ROPEROT_JOB_INIT, ROPEROT_JOB_INIT, ROPEROT_JOB_INIT };
        for (int j = 0; j < 3; j++) jobs[j].src = &views[j];
        jobs[0].dst = &views[0];
        jobs[0].norm = jobs[1].norm = &norm;
        jobs[1].to = &to[0];
        jobs[2].to = &to[1];
        jobs[2].flags = ROPEROT_JOB_UNROTATED;
        check(roperot_run(model.plan.get(), &at, jobs, 3, &options));
        // Attention over the pages, and the rest of the layer, would come here.
    }
    for (std::size_t i = 0; i < batch.size(); i++) batch[i]->done += count[i];
}

// Every request at once: whole prompts first, then a token of each that is not at its end.
void serve(const Model &model, Cache &cache, std::vector<Request> &requests, const roperot_options &options)
{
    std::vector<float> q;
    for (std::size_t arrived = 1;; arrived++) {
        std::vector<Request *> batch;
        std::vector<int> count;
        for (std::size_t i = 0; i < requests.size() && i < arrived; i++) {
            Request &r = requests[i];
            if (r.done == r.total) continue;
            batch.push_back(&r);
            count.push_back(r.done == 0 ? r.prompt : 1);
        }
        if (batch.empty() && arrived > requests.size()) return;
        if (!batch.empty()) step(model, cache, batch, count, options, q);
    }
}

bool same_keys(const Cache &a, const Request &x, const Cache &b, const Request &y)
{
    for (int layer = 0; layer < layers; layer++)
        for (int position = 0; position < x.total; position++) {
            const std::size_t size = kv_heads * dim, i = x.slot(position) * size, j = y.slot(position) * size;
            if (std::memcmp(&a.keys[layer][i], &b.keys[layer][j], size * sizeof(float)) != 0 ||
                std::memcmp(&a.values[layer][i], &b.values[layer][j], size * sizeof(float)) != 0)
                return false;
        }
    return true;
}

} // namespace

int main()
{
    const Model model;
    Pool pool(3);
    roperot_options parallel = ROPEROT_OPTIONS_INIT;
    parallel.parallel_for = Pool::parallel_for;
    parallel.ctx = &pool;
    parallel.threads = 3;

    std::vector<Request> requests;
    for (int i = 0; i < 5; i++) requests.push_back({ i, 5 + 37 * i, 30 + 40 * i, 0, {} });
    Cache together;
    serve(model, together, requests, parallel);

    for (const Request &r : requests) {
        Cache own;
        std::vector<Request> alone{ { r.id, r.total, r.total, 0, {} } }; // its tokens as one prompt
        const roperot_options serial = ROPEROT_OPTIONS_INIT;
        serve(model, own, alone, serial);
        if (!same_keys(together, r, own, alone[0])) return std::fprintf(stderr, "request %d differs\n", r.id), 1;
        std::printf("request %d: %d tokens, the bits of a run of its own\n", r.id, r.total);
    }
    return 0;
}
