/* The first program with roperot: rotates the query and key heads of eight tokens. */
#include <roperot/roperot.h>
#include <stdio.h>

int main(void)
{
    enum { TOKENS = 8, Q_HEADS = 32, K_HEADS = 8, DIM = 128 };
    static float q[TOKENS * Q_HEADS * DIM] = { 1 }, k[TOKENS * K_HEADS * DIM] = { 1 };

    roperot_config config = ROPEROT_CONFIG_INIT; /* half-split pairs, as in Llama */
    config.head_dim = DIM;
    config.base = 500000.0;
    roperot_plan *plan;
    if (roperot_plan_create(&config, &plan) != ROPEROT_OK) { /* once: plans are shared by layers and threads */
        fprintf(stderr, "%s\n", roperot_last_error());
        return 1;
    }
    const roperot_positions positions = roperot_positions_offset(17); /* token t is at position 17 + t */
    const roperot_tensor qk[2] = { roperot_tensor_shd(q, ROPEROT_F32, TOKENS, Q_HEADS, DIM),
                                   roperot_tensor_shd(k, ROPEROT_F32, TOKENS, K_HEADS, DIM) };
    const int32_t status = roperot_apply(plan, &positions, qk, NULL, 2, NULL); /* in place */
    if (status != ROPEROT_OK) fprintf(stderr, "%s\n", roperot_last_error());
    roperot_plan_destroy(plan);
    printf("(1, 0) at position 17: (%.7f, %.7f)\n", (double)q[0], (double)q[DIM / 2]);
    return status != ROPEROT_OK;
}
