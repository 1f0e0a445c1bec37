/* SPDX-License-Identifier: MIT
 * What a config asks for, in one spelling; it must not know how it is answered. */
#ifndef ROPEROT_CONFIG_KEY_H
#define ROPEROT_CONFIG_KEY_H

#include "plan.h"

/* A checked config with every 0 read as what it stands for, and without what is not read. Lists and the table are still
 * the caller's. */
void roperot_config_key(const roperot_config *config, roperot_config *key);

#endif
