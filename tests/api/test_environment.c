/* SPDX-License-Identifier: MIT
 * ROPEROT_ISA naming something unknown or unusable: AUTO fails, nothing else does; it must not know which ISAs exist.
 */
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "support/assertions.h"
#include "support/harness.h"

static const char *asked; /* the variable's value; it is unset again before the cases run */

/* What roperot_isa_reason says of the ISA that the variable names. */
static const char *own_reason(void)
{
    int32_t isa = ROPEROT_ISA_SCALAR;
    while (roperot_isa_name(isa) && strcmp(roperot_isa_name(isa), asked) != 0) isa++;
    return roperot_isa_reason(isa);
}

static void auto_fails(const void *arg)
{
    (void)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    roperot_plan *plan = NULL;
    c.head_dim = 8;
    CHECK(roperot_isa_best() == 0, "ROPEROT_ISA=%s, and best is %d", asked, roperot_isa_best());
    CHECK(!roperot_isa_usable(ROPEROT_ISA_AUTO), "AUTO is usable");
    CHECK(strcmp(roperot_isa_reason(ROPEROT_ISA_AUTO), "usable") != 0, "AUTO's reason is \"usable\"");
    expect_error(roperot_plan_create(&c, &plan), ROPEROT_ERROR_ISA, "ROPEROT_ISA", asked);
    expect_error(roperot_plan_create(&c, &plan), ROPEROT_ERROR_ISA, "ROPEROT_ISA", own_reason());
    CHECK(!plan, "a plan all the same");
}

static void others_work(const void *arg)
{
    (void)arg;
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++) {
        roperot_config c = ROPEROT_CONFIG_INIT;
        if (!roperot_isa_usable(isa)) continue;
        c.head_dim = 8;
        c.isa = isa;
        roperot_plan_destroy(expect_plan(&c));
    }
    CHECK(roperot_isa_usable(ROPEROT_ISA_SCALAR), "scalar is not usable");
}

int main(int argc, char **argv)
{
    asked = getenv("ROPEROT_ISA");
    if (!asked) harness_skip_all("needs ROPEROT_ISA to name something that cannot be used");
    asked = strdup(asked);
    roperot_isa_best(); /* read once per process: unsetting it afterwards changes nothing */
    unsetenv("ROPEROT_ISA");
    harness_add(auto_fails, NULL, "auto-fails");
    harness_add(others_work, NULL, "others-work");
    return harness_run(argc, argv, "environment");
}
