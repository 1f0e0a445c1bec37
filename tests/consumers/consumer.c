/* SPDX-License-Identifier: MIT
 * A program of somebody else: rotates with every usable ISA and prints one hash, which must be the same however the
 * library was built and found; it must not know anything but the public header. */
#include <roperot/roperot.h>
#include <stdio.h>

enum { TOKENS = 5, HEADS = 3, DIM = 80 };

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *const at = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * 1099511628211u;
    return hash;
}

static int rotate(int32_t isa, int32_t cache, uint64_t *hash)
{
    float x[TOKENS * HEADS * DIM];
    for (int i = 0; i < TOKENS * HEADS * DIM; i++) x[i] = (float)(i % 251) / 64.0f - 1.0f;
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = DIM;
    config.cache = cache;
    config.max_positions = 100000;
    config.isa = isa;
    roperot_plan *plan;
    if (roperot_plan_create(&config, &plan) != ROPEROT_OK) return 1;
    const roperot_positions positions = roperot_positions_offset(54321);
    const roperot_tensor tensor = roperot_tensor_shd(x, ROPEROT_F32, TOKENS, HEADS, DIM);
    const int32_t status = roperot_apply(plan, &positions, &tensor, NULL, 1, NULL);
    roperot_plan_destroy(plan);
    *hash = hash_bytes(14695981039346656037u, x, sizeof x);
    return status != ROPEROT_OK;
}

int main(void)
{
    uint64_t first = 0;
    for (int32_t isa = ROPEROT_ISA_SCALAR; roperot_isa_name(isa); isa++) {
        if (!roperot_isa_usable(isa)) continue;
        for (int32_t cache = ROPEROT_CACHE_FULL; cache <= ROPEROT_CACHE_FACTORED; cache++) {
            uint64_t hash;
            if (rotate(isa, cache, &hash) || (first && hash != first)) {
                fprintf(stderr, "%s: other bits, or: %s\n", roperot_isa_name(isa), roperot_last_error());
                return 1;
            }
            first = hash;
        }
    }
    printf("%016llx\n", (unsigned long long)first);
    fprintf(stderr, "%s\n", roperot_build_info());
    return 0;
}
