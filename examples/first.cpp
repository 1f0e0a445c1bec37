// The same calls from C++17, the plan owned by a unique_ptr; shows that the header needs no wrapper.
#include <roperot/roperot.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

struct Destroy {
    void operator()(roperot_plan *plan) const { roperot_plan_destroy(plan); }
};
using Plan = std::unique_ptr<roperot_plan, Destroy>;

void check(std::int32_t status)
{
    if (status != ROPEROT_OK) throw std::runtime_error(roperot_last_error());
}

Plan make_plan(int head_dim, double base)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = head_dim;
    config.base = base;
    roperot_plan *plan = nullptr;
    check(roperot_plan_create(&config, &plan));
    return Plan(plan);
}

} // namespace

int main()
{
    constexpr int tokens = 8, heads = 32, dim = 128;
    std::vector<float> q(tokens * heads * dim, 0.0f);
    q[0] = 1.0f;
    const Plan plan = make_plan(dim, 500000.0);
    const roperot_positions positions = roperot_positions_offset(17);
    const roperot_tensor view = roperot_tensor_shd(q.data(), ROPEROT_F32, tokens, heads, dim);
    check(roperot_apply(plan.get(), &positions, &view, nullptr, 1, nullptr));
    std::printf("(1, 0) at position 17: (%.7f, %.7f)\n", q[0], q[dim / 2]);
}
