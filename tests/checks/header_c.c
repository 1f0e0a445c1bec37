/* SPDX-License-Identifier: MIT
 * The public header alone, in C11 with every warning an error: it compiles first, its sizes are the ABI's; nothing else
 * of the project is known here. */
#include <roperot/roperot.h>

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(roperot_tensor) == 88, "frozen");
_Static_assert(sizeof(roperot_positions) == 72, "ABI");
_Static_assert(sizeof(roperot_table) == 72, "ABI");
_Static_assert(sizeof(roperot_config) == 104, "ABI");
_Static_assert(sizeof(roperot_plan_info) == 104, "ABI");
_Static_assert(sizeof(roperot_options) == 64, "ABI");
_Static_assert(sizeof(roperot_sections) == 32, "ABI");
_Static_assert(sizeof(roperot_norm) == 48 && offsetof(roperot_norm, epsilon) == 16, "ABI");
_Static_assert(offsetof(roperot_norm, weight) == 24 && offsetof(roperot_norm, weight_dtype) == 40, "ABI");
_Static_assert(sizeof(roperot_pages) == 144 && offsetof(roperot_pages, data) == 8, "ABI");
_Static_assert(offsetof(roperot_pages, page_stride) == 32 && offsetof(roperot_pages, tile) == 64, "ABI");
_Static_assert(offsetof(roperot_pages, slots) == 72 && offsetof(roperot_pages, scaling) == 96, "ABI");
_Static_assert(offsetof(roperot_pages, scale_floor) == 104 && offsetof(roperot_pages, scale) == 112, "ABI");
_Static_assert(offsetof(roperot_pages, scale_head_stride) == 136, "ABI");
_Static_assert(sizeof(roperot_job) == 104 && offsetof(roperot_job, src) == 8, "ABI");
_Static_assert(offsetof(roperot_job, from) == 32 && offsetof(roperot_job, factor) == 48, "ABI");
_Static_assert(offsetof(roperot_job, batch) == 72 && offsetof(roperot_job, dim) == 96, "ABI");
_Static_assert(offsetof(roperot_tensor, shape) == 16 && offsetof(roperot_tensor, stride) == 48, "frozen");
_Static_assert(offsetof(roperot_tensor, reserved) == 80, "frozen");
_Static_assert(offsetof(roperot_positions, offset) == 16 && offsetof(roperot_positions, ids) == 24, "ABI");
_Static_assert(offsetof(roperot_positions, cu_seqlens) == 56 && offsetof(roperot_positions, sequences) == 68, "ABI");
_Static_assert(offsetof(roperot_table, cos) == 8 && offsetof(roperot_table, rows) == 24, "ABI");
_Static_assert(offsetof(roperot_table, width) == 48 && offsetof(roperot_table, reserved) == 52, "ABI");
_Static_assert(offsetof(roperot_table, heads) == 56 && offsetof(roperot_table, head_stride) == 64, "ABI");
_Static_assert(offsetof(roperot_config, pairing) == 16 && offsetof(roperot_config, base) == 32, "ABI");
_Static_assert(offsetof(roperot_config, inv_freq) == 48 && offsetof(roperot_config, angles) == 64, "ABI");
_Static_assert(offsetof(roperot_config, max_positions) == 72 && offsetof(roperot_config, isa) == 92, "ABI");
_Static_assert(offsetof(roperot_config, arithmetic) == 96 && offsetof(roperot_config, frequencies) == 100, "ABI");
_Static_assert(offsetof(roperot_plan_info, max_positions) == 48 && offsetof(roperot_plan_info, axis) == 80, "ABI");
_Static_assert(offsetof(roperot_plan_info, arithmetic) == 88 && offsetof(roperot_plan_info, heads) == 96, "ABI");
_Static_assert(offsetof(roperot_options, token_begin) == 8 && offsetof(roperot_options, threads) == 40, "ABI");
_Static_assert(offsetof(roperot_options, scratch) == 48 && offsetof(roperot_options, scratch_bytes) == 56, "ABI");
#endif

_Static_assert(ROPEROT_OK == 0 && ROPEROT_ERROR_ARGUMENT == 1 && ROPEROT_ERROR_VERSION == 8, "statuses count up");
_Static_assert(ROPEROT_ISA_AUTO == 0 && ROPEROT_ISA_SCALAR == 1 && ROPEROT_ISA_RVV == 6 && ROPEROT_ISA_WASM == 7,
               "ISAs count up");
_Static_assert(ROPEROT_F32 == 1 && ROPEROT_F16 == 2 && ROPEROT_BF16 == 3, "dtypes");
_Static_assert(ROPEROT_POSITIONS_OFFSET == 0 && ROPEROT_POSITIONS_RAGGED == 3, "positions kinds");
_Static_assert(ROPEROT_POSITIONS_I32 == 1 && ROPEROT_POSITIONS_F64 == 4, "positions types");
_Static_assert(ROPEROT_PAIR_HALF == 1 && ROPEROT_PAIR_INTERLEAVED == 2, "pairings");
_Static_assert(ROPEROT_ANGLES_EXACT == 0 && ROPEROT_ANGLES_F32 == 1, "angles");
_Static_assert(ROPEROT_CACHE_AUTO == 0 && ROPEROT_CACHE_BORROWED == 3 && ROPEROT_CACHE_NONE == 4, "caches");
_Static_assert(ROPEROT_FREQUENCIES_PER_PAIR == 0 && ROPEROT_FREQUENCIES_MIXED == 1, "frequencies");
_Static_assert(ROPEROT_BOUNDS_ERROR == 0 && ROPEROT_BOUNDS_CLAMP == 2, "bounds");
_Static_assert(ROPEROT_INVERSE == 1 && ROPEROT_PURE_ROTATION == 2 && ROPEROT_SIGNED_POSITIONS == 4, "flags");
_Static_assert(ROPEROT_E4M3 == 4 && ROPEROT_I8 == 5 && ROPEROT_Q8_0 == 6, "formats of pages");
_Static_assert(ROPEROT_NORM_RMS == 1 && ROPEROT_NORM_LAYER == 2 && ROPEROT_NORM_ROUND_TWICE == 2, "norms");
_Static_assert(ROPEROT_NORM_UNIT_OFFSET == 1 && ROPEROT_NORM_AFTER == 2 && ROPEROT_NORM_ALL_HEADS == 4, "norm flags");
_Static_assert(ROPEROT_PAGES_STRIDED == 0 && ROPEROT_PAGES_CHUNKED == 5 && ROPEROT_SCALE_DYNAMIC == 1, "pages");
_Static_assert(ROPEROT_JOB_UNROTATED == 1 && ROPEROT_JOB_SKIP == 2 && ROPEROT_JOB_UNROUNDED == 4, "job flags");
_Static_assert(ROPEROT_TABLE_HALF == 0 && ROPEROT_TABLE_FULL_REPEAT == 2, "widths");

/* What every INIT promises, and the helpers: 0 if all is as documented. */
int main(void)
{
    const roperot_config c = ROPEROT_CONFIG_INIT;
    const roperot_positions p = ROPEROT_POSITIONS_INIT;
    const roperot_table t = ROPEROT_TABLE_INIT;
    const roperot_options o = ROPEROT_OPTIONS_INIT;
    const roperot_plan_info i = ROPEROT_PLAN_INFO_INIT;
    const roperot_sections s = ROPEROT_SECTIONS_INIT;
    const roperot_scaling scaling = ROPEROT_SCALING_INIT;
    if (c.size != sizeof c || c.pairing != ROPEROT_PAIR_HALF || c.base < 10000 || c.base > 10000) return 1;
    if (c.attention_factor < 1 || c.attention_factor > 1 || c.axes != 1 || c.isa || c.table || c.inv_freq) return 2;
    if (p.size != sizeof p || p.kind != ROPEROT_POSITIONS_OFFSET || p.axes != 1 || p.offset || p.ids) return 3;
    if (t.size != sizeof t || t.dtype != ROPEROT_F32 || t.element_stride != 1 || t.cos || t.width || t.heads) return 4;
    if (o.size != sizeof o || o.flags || o.token_begin || o.token_end != INT64_MAX || o.parallel_for) return 5;
    if (i.size != sizeof i || s.size != sizeof s || scaling.size != sizeof scaling || scaling.kind) return 6;
    const roperot_norm n = ROPEROT_NORM_INIT;
    const roperot_pages g = ROPEROT_PAGES_INIT;
    const roperot_job j = ROPEROT_JOB_INIT;
    if (n.size != sizeof n || n.kind != ROPEROT_NORM_RMS || n.rounding || n.flags || n.weight || n.bias) return 12;
    if (n.epsilon < 1e-6 || n.epsilon > 1e-6 || n.weight_dtype != ROPEROT_F32 || n.reserved) return 13;
    if (g.size != sizeof g || g.dtype != ROPEROT_F32 || g.data || g.pages != 1 || g.page_tokens != 1) return 14;
    if (g.channel_stride != 1 || g.tile || g.slot_type != 2 || g.slots || g.slot_token_stride != 1) return 15;
    if (g.scaling || g.scale || g.scale_floor < 0 || g.scale_floor > 0 || g.scale_head_stride) return 16;
    if (j.size != sizeof j || j.flags || j.src || j.dst || j.norm || j.from || j.to || j.factor) return 17;
    if (j.factor_token_stride != 1 || j.factor_batch_stride || j.batch || j.dim) return 18;
    float x[24];
    const roperot_tensor b = roperot_tensor_bhsd(x, ROPEROT_F32, 1, 3, 2, 4), a = roperot_tensor_shd(x, 1, 2, 3, 4);
    if (b.shape[1] != 2 || b.shape[2] != 3 || b.stride[1] != 4 || b.stride[2] != 8 || b.stride[3] != 1) return 7;
    if (a.shape[0] != 1 || a.shape[1] != 2 || a.stride[1] != 12 || a.stride[2] != 4 || a.flags || a.reserved) return 8;
    const int64_t ids[2] = { 0, 1 };
    const roperot_positions q = roperot_positions_i64(ids, 2), at = roperot_positions_offset(5);
    if (q.kind != ROPEROT_POSITIONS_IDS || q.type != ROPEROT_POSITIONS_I64 || q.batch_stride != 2) return 9;
    if (q.token_stride != 1 || at.offset != 5 || at.kind != ROPEROT_POSITIONS_OFFSET) return 10;
    return roperot_version() == ROPEROT_VERSION ? 0 : 11;
}
