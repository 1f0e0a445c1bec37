/* SPDX-License-Identifier: MIT
 * The limits that the public header states, each once; it must not know who checks them. */
#ifndef ROPEROT_BOUNDS_H
#define ROPEROT_BOUNDS_H

#include <stdint.h>

enum {
    ROPEROT_MAX_AXES = 4,
    ROPEROT_MAX_CHANNELS = 65536, /* of head_dim and rotary_dim */
    ROPEROT_MAX_PAIRS = ROPEROT_MAX_CHANNELS / 2,
    ROPEROT_MAX_NORM_CHANNELS = 1 << 24, /* of all heads together: an f32 holds every count */
    ROPEROT_MAX_RANKS = 65536,
    ROPEROT_POSITION_BITS = 31
};

#define ROPEROT_MAX_POSITIONS ((int64_t)1 << ROPEROT_POSITION_BITS) /* and coordinates are below it */
#define ROPEROT_MAX_FREQUENCY 65536.0                               /* radians per position */

#endif
