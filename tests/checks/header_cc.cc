// SPDX-License-Identifier: MIT
// The public header alone, in C++17 with every warning an error: initialisers, helpers and linkage; nothing else of the
// project is known here.
#include <roperot/roperot.h>

static_assert(sizeof(void *) != 8 || sizeof(roperot_tensor) == 88, "frozen");
static_assert(sizeof(void *) != 8 || sizeof(roperot_config) == 104, "ABI");
static_assert(sizeof(void *) != 8 || sizeof(roperot_options) == 64, "ABI");

int main()
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_table table = ROPEROT_TABLE_INIT;
    roperot_options options = ROPEROT_OPTIONS_INIT;
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    roperot_sections sections = ROPEROT_SECTIONS_INIT;
    roperot_scaling scaling = ROPEROT_SCALING_INIT;
    float x[16] = {};
    float y[2][4];
    x[0] = 1;
    config.head_dim = 8;
    table.cos = y[0];
    table.sin = y[1];
    table.rows = 1;
    table.row_stride = 4;
    options.flags = ROPEROT_INVERSE | ROPEROT_PURE_ROTATION;
    roperot_plan *plan = nullptr;
    if (roperot_plan_create(&config, &plan) != ROPEROT_OK) return 1;
    const roperot_positions at = roperot_positions_offset(3);
    const roperot_tensor view = roperot_tensor_shd(x, ROPEROT_F32, 1, 2, 8);
    if (roperot_apply(plan, &at, &view, nullptr, 1, &options) != ROPEROT_OK) return 2;
    if (roperot_cos_sin(plan, &at, 1, 1, &table) != ROPEROT_OK) return 3;
    if (roperot_plan_describe(plan, &info) != ROPEROT_OK || info.pairs != 4) return 4;
    roperot_plan_destroy(plan);
    return sections.size == sizeof sections && scaling.size == sizeof scaling ? 0 : 5;
}
