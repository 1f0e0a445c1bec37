/* SPDX-License-Identifier: MIT
 * The rotations that convert, in both pairings. Parameters: SRC, DST, undefined here. */

#define IN half
#define OUT half
#define VECS convert_half
#define FAR far_others
#define IS_PLAIN 0
#include "rotate.inc.h"

#define IN interleaved
#define OUT interleaved
#define VECS convert_interleaved
#define FAR far_others
#define IS_PLAIN 0
#include "rotate.inc.h"

#undef SRC
#undef DST
