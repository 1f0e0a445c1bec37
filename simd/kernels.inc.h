/* SPDX-License-Identifier: MIT
 * Every kernel of one ISA and its table. Parameters: ISA (a token), ISA_ID, ISA_NAME and a vocabulary (vec_*.h); it
 * must not know any ISA.
 *
 * The vocabulary names its lists of vectors: same_<dtype>_<pairing> for one dtype and pairing, convert_<pairing> for a
 * conversion, repack from half-split to interleaved and back. A list is comma-separated, of at most four, each half as
 * wide as the one before (behind a vector of no fixed width: NEON's f32x4, or none); f32x1 ends all of them unnamed. */

#include "coefficients.inc.h"
#include "heads.inc.h"

#define SRC f32
#define DST f32
#include "rotate_same.inc.h"
#define SRC f16
#define DST f16
#include "rotate_same.inc.h"
#define SRC bf16
#define DST bf16
#include "rotate_same.inc.h"
#define SRC f32
#define DST f16
#include "rotate_convert.inc.h"
#define SRC f32
#define DST bf16
#include "rotate_convert.inc.h"
#define SRC f16
#define DST f32
#include "rotate_convert.inc.h"
#define SRC bf16
#define DST f32
#include "rotate_convert.inc.h"

#define T f16
#define MEMORY f16
#include "eager.inc.h"
#define T f16
#define MEMORY f32
#include "eager.inc.h"
#define T bf16
#define MEMORY bf16
#include "eager.inc.h"
#define T bf16
#define MEMORY f32
#include "eager.inc.h"

#define EAGER_ENTRY(t, memory, in, out)                                                                                \
    .eager[ROPEROT_INDEX_##t][ROPEROT_INDEX_##memory][ROPEROT_INDEX_##in][ROPEROT_INDEX_##out] =                       \
        CAT6(rotate_eager_, t##_##memory, _##in##_, out, _, ISA),
#define ROTATE_ENTRY(src, dst, in, out)                                                                                \
    .rotate[ROPEROT_INDEX_##src][ROPEROT_INDEX_##dst][ROPEROT_INDEX_##in][ROPEROT_INDEX_##out] =                       \
        CAT6(rotate_, src##_##dst, _##in##_, out, _, ISA),

const roperot_kernels CAT(roperot_kernels_, ISA) = {
    .isa = ISA_ID,
    .name = ISA_NAME,
    ROPEROT_ROTATE_LIST(ROTATE_ENTRY) ROPEROT_EAGER_LIST(EAGER_ENTRY).factors = CAT(factors_f64_, ISA),
    .combine = CAT(combine_f64_, ISA),
    .combine_rows = CAT(combine_rows_f64_, ISA),
    .fence = CAT(fence_, ISA),
    .angles = CAT(angles_f64_, ISA),
    .angles_mixed = CAT(angles_mixed_f64_, ISA),
    .angles_f32 = CAT(angles_f32_, ISA),
    .blend = CAT(blend_f32_, ISA),
    .heads = HEAD_KERNELS,
};
