/* SPDX-License-Identifier: MIT
 * What tests of the public interface assert over and over; it must not know what a rotation gives. */
#include "support/assertions.h"

#include <string.h>

#include "support/harness.h"

roperot_plan *expect_plan(const roperot_config *config)
{
    roperot_plan *plan = NULL;
    const int32_t status = roperot_plan_create(config, &plan);
    CHECK(status == ROPEROT_OK && plan, "plan_create: %s: %s", roperot_status_name(status), roperot_last_error());
    return plan;
}

void expect_error(int32_t status, int32_t want, const char *argument, const char *value)
{
    const char *const sentence = roperot_last_error();
    CHECK(status == want, "%s, not %s; the last sentence is: %s", roperot_status_name(status),
          roperot_status_name(want), sentence);
    CHECK(strlen(sentence) > 8, "the sentence is only \"%s\"", sentence);
    CHECK(strstr(sentence, argument), "the sentence does not name \"%s\": %s", argument, sentence);
    CHECK(strstr(sentence, value), "the sentence does not say \"%s\": %s", value, sentence);
    static const char *const allowed[] = { " must ",  " allowed",   " need",    " takes ",
                                           " knows ", " are known", "no memory" };
    int told = 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) told |= strstr(sentence, allowed[i]) != NULL;
    CHECK(told, "the sentence does not say what is allowed: %s", sentence);
}
