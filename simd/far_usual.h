/* SPDX-License-Identifier: MIT
 * Beyond the caches: vectors of a strip and heads of a group, of ISAs for which nothing better was measured; it must
 * not know which these are. */
#ifndef ROPEROT_FAR_USUAL_H
#define ROPEROT_FAR_USUAL_H

#define far_f32_half         4, 4
#define far_f32_interleaved  4, 4
#define far_f16_half         4, 4
#define far_f16_interleaved  4, 4
#define far_bf16_half        4, 4
#define far_bf16_interleaved 4, 4
#define far_others           1, 4

#endif
