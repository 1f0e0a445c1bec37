/* SPDX-License-Identifier: MIT
 * The rotations of one dtype: both pairings, and from each to the other. Parameter: SRC = DST, undefined here. */

#define IN half
#define OUT half
#define VECS CAT3(same_, SRC, _half)
#define FAR CAT3(far_, SRC, _half)
#define IS_PLAIN 1
#include "rotate.inc.h"

#define IN interleaved
#define OUT interleaved
#define VECS CAT3(same_, SRC, _interleaved)
#define FAR CAT3(far_, SRC, _interleaved)
#define IS_PLAIN 1
#include "rotate.inc.h"

#define IN half
#define OUT interleaved
#define VECS repack
#define FAR far_others
#define IS_PLAIN 0
#include "rotate.inc.h"

#define IN interleaved
#define OUT half
#define VECS repack
#define FAR far_others
#define IS_PLAIN 0
#include "rotate.inc.h"

#undef SRC
#undef DST
