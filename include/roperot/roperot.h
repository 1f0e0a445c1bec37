/* SPDX-License-Identifier: MIT
 * The public interface of libroperot: everything a program may rely on, and nothing about how it is done. */
#ifndef ROPEROT_ROPEROT_H
#define ROPEROT_ROPEROT_H

/*
 * roperot rotates query and key tensors by rotary position embedding (RoPE, arXiv 2104.09864) on CPUs.
 *
 * A vector of `rotary_dim` channels is read as rotary_dim/2 pairs (x0, x1). At position p, pair j becomes
 *
 *     y0 = x0 * cos(p w_j) - x1 * sin(p w_j)          w_j = inv_freq[j], by default base^(-2j / rotary_dim)
 *     y1 = x0 * sin(p w_j) + x1 * cos(p w_j)
 *
 * Five nouns: frequencies (w_j and one attention factor), axis map (which position axis drives pair j), plan (all of
 * that, immutable), tensor (a view), positions (a view). One verb: roperot_apply; and roperot_run, which does it in one
 * pass with what stands around it in a layer: norm, paged store. A complete program:
 *
 *     roperot_config config = ROPEROT_CONFIG_INIT;
 *     config.head_dim = 128;
 *     config.base = 500000.0;
 *     roperot_plan *plan;
 *     if (roperot_plan_create(&config, &plan) != ROPEROT_OK) return report(roperot_last_error());
 *     roperot_positions at = roperot_positions_offset(17);                        // token t is at position 17 + t
 *     roperot_tensor qk[2] = { roperot_tensor_shd(q, ROPEROT_F32, tokens, 32, 128),
 *                              roperot_tensor_shd(k, ROPEROT_F32, tokens, 8, 128) };
 *     if (roperot_apply(plan, &at, qk, NULL, 2, NULL) != ROPEROT_OK) return report(roperot_last_error());
 *     roperot_plan_destroy(plan);
 *
 * Promises
 *  - The same inputs give the same bits on every ISA, CPU and thread count, for every token range, stride and cache
 *    kind, in place or not (a NaN result is a NaN; its payload and sign are unspecified).
 *  - A plan is immutable. Any number of threads may apply it at once; destroy it after they have finished.
 *  - roperot_apply and roperot_run allocate nothing (but see roperot_last_error), take no lock, print nothing, never
 *    abort, and use at most 8 and 12 KiB of stack. They touch no byte outside their views, and write none
 *    that the call does not own.
 *  - When a call fails, nothing has been written to any tensor.
 *  - Tensors, tables and positions need the natural alignment of their element type only.
 *  - Results are promised for callers in round-to-nearest without flush-to-zero; MXCSR/FPCR is obeyed, never changed.
 *
 * Structs that may grow start with `size`: set them from their ..._INIT and change fields. All `size` bytes must be
 * readable: those that this library does not know are read, and must be zero. A size that is smaller than the first
 * published version, a non-zero byte that this library does not know, or a non-zero reserved field is
 * ROPEROT_ERROR_VERSION. Enums are passed as int32_t. Nothing here changes meaning within one major version.
 */

#include <stddef.h>
#include <stdint.h>

#define ROPEROT_VERSION_MAJOR 0
#define ROPEROT_VERSION_MINOR 1
#define ROPEROT_VERSION_PATCH 0
#define ROPEROT_VERSION ((ROPEROT_VERSION_MAJOR << 16) | (ROPEROT_VERSION_MINOR << 8) | ROPEROT_VERSION_PATCH)

/* On Windows, a program that uses the DLL defines ROPEROT_DLL (the CMake target does); without it, calls go through the
 * import library's thunks, and a static library needs nothing. */
#if defined _WIN32 && defined ROPEROT_BUILDING
#define ROPEROT_API __declspec(dllexport)
#elif defined _WIN32 && defined ROPEROT_DLL
#define ROPEROT_API __declspec(dllimport)
#elif defined __GNUC__
#define ROPEROT_API __attribute__((visibility("default")))
#else
#define ROPEROT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ---------------------------------------------------------------------------------------------------- */

typedef enum roperot_status {
    ROPEROT_OK = 0,
    ROPEROT_ERROR_ARGUMENT,   /* a null pointer, an unknown enum value or flag, a parameter outside its range */
    ROPEROT_ERROR_SHAPE,      /* shapes or strides of tensors or tables that are negative, overflow or do not agree */
    ROPEROT_ERROR_DTYPE,      /* an unknown element type or a conversion that is not offered */
    ROPEROT_ERROR_ALIAS,      /* views that overlap where they must not */
    ROPEROT_ERROR_POSITION,   /* a position outside the plan's bounds, a coordinate that is not finite or not within
                                 2^31 of 0, a slot outside its pages */
    ROPEROT_ERROR_ISA,        /* an instruction set that is unknown, not built in, or that this CPU cannot run */
    ROPEROT_ERROR_MEMORY,     /* no memory, or a cache larger than a quarter of the machine's */
    ROPEROT_ERROR_VERSION     /* a struct size or a reserved field that this library does not know */
} roperot_status;

/* The name of a status ("ROPEROT_OK", ...); "unknown status" for any other number. Static storage. */
ROPEROT_API const char *roperot_status_name(int32_t status);

/* The calling thread's last failure in one sentence: the argument, its value, what is allowed. "" if none has failed.
 * Valid until the next roperot call of this thread. A successful call does not clear it. With glibc its room is 320
 * bytes of static thread-local storage; another C library may allocate it at a thread's first failure. */
ROPEROT_API const char *roperot_last_error(void);

/* ROPEROT_VERSION of the library that is loaded. */
ROPEROT_API uint32_t roperot_version(void);

/* One line: version, compiler, ISAs built in, where cos and sin come from. Static storage. */
ROPEROT_API const char *roperot_build_info(void);

/* ---- instruction sets ------------------------------------------------------------------------------------------ */

typedef enum roperot_isa {
    ROPEROT_ISA_AUTO = 0,
    ROPEROT_ISA_SCALAR,
    ROPEROT_ISA_AVX2,     /* with F16C */
    ROPEROT_ISA_AVX512,   /* F, BW, DQ, VL */
    ROPEROT_ISA_NEON,
    ROPEROT_ISA_SVE,
    ROPEROT_ISA_RVV,
    ROPEROT_ISA_WASM      /* WebAssembly's SIMD128: a module with it runs on engines that have it */
} roperot_isa;

/* "auto", "scalar", "avx2", "avx512", "neon", "sve", "rvv", "wasm"; NULL for any other number. */
ROPEROT_API const char *roperot_isa_name(int32_t isa);

/* 1 if the ISA is built in and this CPU and operating system can run it, else 0. AUTO is usable if best() is not 0. */
ROPEROT_API int32_t roperot_isa_usable(int32_t isa);

/* Why an ISA is not usable ("not built in", "this CPU has no AVX-512 BW", ...), or "usable". Never NULL. */
ROPEROT_API const char *roperot_isa_reason(int32_t isa);

/* What AUTO picks. The environment variable ROPEROT_ISA (a name as above), read once per process, decides if it is set
 * (not in a program with raised privileges); 0 if it names something unknown or unusable, and then every plan with isa
 * AUTO fails with ROPEROT_ERROR_ISA. */
ROPEROT_API int32_t roperot_isa_best(void);

/* ---- frequencies and axis maps: pure functions on plain arrays -------------------------------------------------- */

/* Symbols: d = rotary_dim in channels (or exponent_dim), j = pair (0 <= j < rotary_dim/2), b = base, w0_j = b^(-2i/d)
 * in radians per position (the f64 nearest to it), i = j or frequency_index[j], f = factor, L0 = original_length and L
 * = length in positions, A = the attention factor, which multiplies cos and sin: 1 unless a kind says otherwise, and
 * for every kind attention_factor where that is not 0. Every kind is evaluated in f64 by one written sequence of
 * operations, the same bits on every machine. Formulas with their sources, and the call for each model family:
 * docs/schemes.md. */
typedef enum roperot_scaling_kind {
    /* w0_j. Source: RoFormer, arXiv 2104.09864. */
    ROPEROT_SCALING_DEFAULT = 0,

    /* w0_j / f. Position interpolation, arXiv 2306.15595; rope_type "linear". f = 1 / ggml's freq_scale. */
    ROPEROT_SCALING_LINEAR,

    /* b' = b f^(d/(d-2)), w_j = b'^(-2j/d). "NTK-aware" (bloc97); Hunyuan's alpha, lucidrains' theta_rescale_factor. */
    ROPEROT_SCALING_NTK,

    /* w_j = (b f)^(-2j/d) / f^(2/d). Su's "NTK-RoPE-fixed"; vLLM's rope_type "ntk" without mixed_b. */
    ROPEROT_SCALING_NTK_FIXED,

    /* w_j = w0_j exp(-a (j+1)^mixed_b), a = ln f / (d/2)^mixed_b. Su's "NTK-RoPE-mixed"; vLLM's "ntk" with mixed_b. */
    ROPEROT_SCALING_NTK_MIXED,

    /* b' = b (f max(L, L0)/L0 - (f - 1))^(d/(d-2)), w_j = b'^(-2j/d). transformers' rope_type "dynamic" with L0 =
     * max_position_embeddings. length is the caller's: keys rotated at one L do not fit queries rotated at another. */
    ROPEROT_SCALING_DYNAMIC_NTK,

    /* YaRN, arXiv 2309.00071, as transformers' rope_type "yarn":
     *     c(n) = d ln(L0 / (2 pi n)) / (2 ln b), low = c(beta_fast), high = c(beta_slow); truncate: floor and ceil;
     *     low = max(low, 0), high = min(high, d - 1); if equal, high += 0.001
     *     e_j = (1 - clip((j - low) / (high - low), 0, 1)) ext_factor, w_j = w0_j/f (1 - e_j) + w0_j e_j
     *     A = g(mscale) / g(mscale_all_dim) if neither is 0, else g(1);  g(m) = 0.1 m ln f + 1, and 1 where f <= 1;
     *     times attn_factor. ext_factor is vLLM's extrapolation_factor; it and attn_factor are 1 in transformers. */
    ROPEROT_SCALING_YARN,

    /* What ggml_rope_ext computes, in f64, with u_j = w0_j / factors[j] (factors NULL: 1), s = freq_scale, low and high
     * always floored and ceiled, clamped to [0, d - 1]:
     *     e_j = (1 - clip((j - low) / max(0.001, high - low), 0, 1)) ext_factor, w_j = s u_j (1 - e_j) + u_j e_j
     *     A = attn_factor (1 + 0.1 ln(1/s)) if ext_factor != 0, else attn_factor, and then L0 is not read.
     * L0 may be 0 (ggml's n_ctx_orig where nobody gives it): c(n) is -infinity for b > 1, +infinity for b < 1. */
    ROPEROT_SCALING_YARN_GGML,

    /* l = 2 pi / w0_j; l < L0/high_freq_factor: w0_j; l > L0/low_freq_factor: w0_j/f; between them, with t =
     * (L0/l - low_freq_factor) / (high_freq_factor - low_freq_factor): (1 - t) w0_j/f + t w0_j. rope_type "llama3". */
    ROPEROT_SCALING_LLAMA3,

    /* w0_j / factors[j]: pass long_factor or short_factor, the choice is the caller's. A = sqrt(1 + ln f / ln L0), 1
     * where f <= 1; f = max_position_embeddings / L0 unless the config says factor. arXiv 2402.13753; "longrope". */
    ROPEROT_SCALING_LONGROPE,

    /* w0_j / f for the first floor(partial_rotary_factor d / 2) pairs, 0 for the others: rotary_dim is the whole head
     * (the denominator of the exponent too). transformers' rope_type "proportional" (Gemma 4). */
    ROPEROT_SCALING_PROPORTIONAL,

    /* w0_j / (f factors[j]). ggml's freq_factors (rope_freqs.weight), f = 1 / freq_scale. */
    ROPEROT_SCALING_FACTORS,

    /* factors[j] itself, in radians per position, any finite number (a plan takes |w| <= 65536). base is not read. */
    ROPEROT_SCALING_RAW,

    /* 1 / factors[j]: positions per radian (MLX's freqs); not 0, infinity means no rotation. base is not read. */
    ROPEROT_SCALING_PERIODS
} roperot_scaling_kind;

/* Each comment: the range, then the default, which is what ROPEROT_SCALING_INIT sets. */
typedef struct roperot_scaling {
    uint32_t size;
    int32_t kind;                    /* a roperot_scaling_kind; members that a kind does not mention are not read */
    double factor;                   /* f > 0, 1 */
    double attention_factor;         /* A > 0; 0: as the kind defines it */
    int64_t original_length;         /* L0 >= 1 (longrope: 2); no default */
    int64_t length;                  /* L >= 1: dynamic NTK; no default */
    double beta_fast, beta_slow;     /* > 0: rotations within L0 where the ramp starts and ends; 32, 1 */
    double mscale, mscale_all_dim;   /* >= 0; 0: not given */
    double ext_factor, attn_factor;  /* finite, 1; attn_factor > 0. ggml without YaRN: pass ext_factor 0, as it does */
    double freq_scale;               /* s > 0, 1: ggml's name for 1/f */
    double low_freq_factor, high_freq_factor; /* 0 < low <= high; 1, 4 */
    double mixed_b;                  /* > 0, 0.625 */
    double partial_rotary_factor;    /* in (0, 1], 1 */
    const double *factors;           /* factor_count values, finite and > 0 unless the kind says otherwise */
    int32_t factor_count;            /* rotary_dim / 2 (0 with factors NULL) */
    int32_t truncate;                /* 1; 0: "truncate": false (gpt-oss) */
    const int32_t *frequency_index;  /* w0_j's exponent where it is not j, as roperot_axis_map fills it: values >= 0 and
                                        below d; NULL. Factors, ramps and (j+1) go on going by j */
    int32_t frequency_count;         /* rotary_dim / 2 (0 with frequency_index NULL) */
    int32_t exponent_dim;            /* d where it is not rotary_dim: even, 2 .. 65536; 0. For an axial map of two
                                        sections it is rotary_dim / 2 */
} roperot_scaling;

/* inv_freq[j] in radians per position for j < pairs (pairs = rotary_dim / 2, rotary_dim even, 2 .. 65536), and
 * *attention_factor, by the rule that `scaling` names; scaling NULL is ROPEROT_SCALING_DEFAULT. A parameter that is not
 * finite or outside its range, a factor_count other than pairs, and a frequency that would not be finite are
 * ROPEROT_ERROR_ARGUMENT. inv_freq may be scaling->factors. attention_factor may be NULL.
 * Pure: no state, thread safe, independent of the caller's rounding mode. Nothing is written on failure. */
ROPEROT_API int32_t roperot_frequencies(const roperot_scaling *scaling, int32_t rotary_dim, double base,
                                        double *inv_freq, int32_t pairs, double *attention_factor);

/* Which position axis drives pair j. s = section; a section counts pairs, and all sections together are `pairs`, with
 * the interleaved kinds reaching exactly s pairs each. Any other map: fill roperot_config.axis yourself. */
typedef enum roperot_sections_kind {
    /* One axis: every pair 0. count 0. */
    ROPEROT_SECTIONS_NONE = 0,

    /* The first s[0] pairs axis 0, the next s[1] axis 1, ...; count 1..4, sections may be 0. M-RoPE of Qwen2-VL
     * (mrope_section [16, 24, 24]), ggml's MROPE (four rows). */
    ROPEROT_SECTIONS_CONTIGUOUS,

    /* j % 3 == 1 and j < 3 s[1]: axis 1; j % 3 == 2 and j < 3 s[2]: axis 2; else axis 0. count 3. Qwen3-VL, [24, 20,
     * 20]. */
    ROPEROT_SECTIONS_INTERLEAVED,

    /* ggml's IMROPE: as INTERLEAVED, but axis 0 only where j % 3 == 0 and j < 3 s[0]; anything else is axis 3, which
     * llama.cpp feeds with 0 for text. count 4, s[3] usually 0: with [24, 20, 20, 0] pairs 61 and 62 are axis 3. Only
     * the sum is checked, because that is how such a section list is used. */
    ROPEROT_SECTIONS_INTERLEAVED_GGML,

    /* 2-D vision: as CONTIGUOUS, and frequency_index restarts at 0 in each section. count 2..4. ggml's VISION,
     * Qwen2-VL's ViT (rows, then columns), Llama 4's vision tower (columns, rows; interleaved pairs). */
    ROPEROT_SECTIONS_AXIAL,

    /* Ernie-4.5-VL: s = h, w, t with h == w; the first h + w pairs alternate axis 1 and 2, the last t are axis 0.
     * count 3. */
    ROPEROT_SECTIONS_ERNIE,

    /* ggml's modes as its CPU operator reads any section list, whatever it adds up to (at least 1): the sector of pair
     * j is j mod (s[0] + s[1] + s[2] + s[3]), so that lists wrap around or are cut. count 4. The axis is the section of
     * the sector (MROPE, VISION), or by sector % 3 as INTERLEAVED_GGML (IMROPE). VISION: a frequency_index goes on with
     * every pair and restarts where a section's first sector comes, of equal first sectors for the first section only.
     * Use these for what ggml gives, and the kinds above for what a model's author meant. */
    ROPEROT_SECTIONS_GGML_MROPE,
    ROPEROT_SECTIONS_GGML_IMROPE,
    ROPEROT_SECTIONS_GGML_VISION
} roperot_sections_kind;

typedef struct roperot_sections {
    uint32_t size;
    int32_t kind, count;
    int32_t section[4]; /* >= 0; those from count on must be 0 */
    int32_t reserved;
} roperot_sections;

/* axis[j] = the position axis (0..3) that drives pair j, and, if frequency_index is not NULL, which frequency pair j
 * uses: inv_freq[j] = frequency[frequency_index[j]] (j itself, except where a kind restarts them per section). What is
 * the same, and needed where factors or a ramp go by j: pass it as roperot_scaling.frequency_index.
 * Both arrays are `pairs` long, 1 .. 32768. Sections that do not add up to `pairs` are ROPEROT_ERROR_ARGUMENT.
 * Pure, thread safe. Nothing is written on failure. */
ROPEROT_API int32_t roperot_axis_map(const roperot_sections *sections, int32_t pairs, uint8_t *axis,
                                     int32_t *frequency_index);

/* ---- tensors --------------------------------------------------------------------------------------------------- */

typedef enum roperot_dtype {
    ROPEROT_F32 = 1,
    ROPEROT_F16 = 2,
    ROPEROT_BF16 = 3,
    ROPEROT_E4M3 = 4, /* float8_e4m3fn; this one and the next two in pages only */
    ROPEROT_I8 = 5,
    ROPEROT_Q8_0 = 6  /* ggml's blocks of 32 channels: one f16 scale, 32 int8; 34 bytes */
} roperot_dtype;

/* A view of [batch, token, head, dim]. Passed in arrays; 88 bytes where pointers have 8, frozen. */
typedef struct roperot_tensor {
    void *data;           /* element [0, 0, 0, 0]; of a src it is written only in place */
    int32_t dtype, flags; /* ROPEROT_F32, _F16 or _BF16; flags must be 0 */
    int64_t shape[4];     /* batch, token, head, dim; dim = the plan's head_dim */
    int64_t stride[4];    /* in elements; stride[3] == 1, the others any sign; ignored where shape is 1 */
    const void *reserved; /* NULL */
} roperot_tensor;

/* ---- positions ------------------------------------------------------------------------------------------------- */

typedef enum roperot_positions_kind {
    ROPEROT_POSITIONS_OFFSET = 0, /* token t of every batch row: offset + t */
    ROPEROT_POSITIONS_IDS,        /* offset + ids[axis * axis_stride + b * batch_stride + t * token_stride] */
    ROPEROT_POSITIONS_STARTS,     /* offset + ids[axis * axis_stride + b * step] + t; step: batch_stride, or 1 for 0 */
    ROPEROT_POSITIONS_RAGGED      /* batch 1; token t of sequence s, cu[s] <= t < cu[s + 1]:
                                     offset + ids[axis * axis_stride + s * step] + t - cu[s] */
} roperot_positions_kind;

typedef enum roperot_positions_type {
    ROPEROT_POSITIONS_I32 = 1,
    ROPEROT_POSITIONS_I64 = 2,
    ROPEROT_POSITIONS_F32 = 3, /* real coordinates, IDS only: angles on the fly, any finite |x| < 2^31 */
    ROPEROT_POSITIONS_F64 = 4
} roperot_positions_type;

/* How long ids is, only the caller knows. A call reads it for the batch and tokens of its tensors (STARTS: for the
 * batch, RAGGED: for the sequences), on each axis. Ids that are fewer are read beyond their end; ids of another tensor
 * are positions like any others, and the call rotates by them if they are in bounds. Neither can be noticed. All
 * tensors of a call share its positions: tensors with ids of their own take a call each. */
typedef struct roperot_positions {
    uint32_t size;
    int32_t kind;                                   /* a roperot_positions_kind */
    int32_t type;                                   /* of ids; ignored by OFFSET and where ids is NULL */
    int32_t axes;                                   /* the plan's, or 1 (0 means 1): the same position on every axis */
    int64_t offset;                                 /* added to every position and coordinate */
    const void *ids;                                /* NULL = zeros for STARTS and RAGGED; unused by OFFSET */
    int64_t axis_stride, batch_stride, token_stride; /* in elements, any sign; 0 broadcasts, but for the step of STARTS
                                                       and RAGGED: packed unless batch_stride says otherwise */
    const void *cu_seqlens;                         /* RAGGED: sequences + 1 non-decreasing ends, from 0 to tokens */
    int32_t cu_type;                                /* 1 int32, 2 int64 */
    int32_t sequences;
} roperot_positions;

/* Which tokens of a packed stream a rank of context parallelism holds, and at which positions they are. n = tokens of a
 * sequence, R = ranks, r = rank, i = token of the sequence in [0, n). */
typedef enum roperot_shard_kind {
    /* i in [r n/R, (r + 1) n/R): one slice of every sequence. n must be a multiple of R. */
    ROPEROT_SHARD_CONTIGUOUS = 0,

    /* With c = n / (2 R), the slices r and 2R - 1 - r of 2R, in this order: causal attention costs every rank the same.
     * n must be a multiple of 2R. Megatron-LM, Transformer Engine (its padded cu_seqlens), torch's head-tail. */
    ROPEROT_SHARD_ZIGZAG,

    /* g mod R == r, g = token of the packed stream, so that ranks differ by at most one token. Any n. SGLang. */
    ROPEROT_SHARD_ROUND_ROBIN
} roperot_shard_kind;

typedef struct roperot_shard {
    uint32_t size;
    int32_t kind;                 /* a roperot_shard_kind */
    int32_t ranks, rank;          /* 0 <= rank < ranks <= 65536 */
    int64_t tokens;               /* of all ranks together; with cu_seqlens its end, or 0 */
    const void *cu_seqlens;       /* global: sequences + 1 non-decreasing ends from 0 on; NULL: one sequence of
                                     `tokens` */
    int32_t cu_type;              /* 1 int32, 2 int64 */
    int32_t sequences;
    const void *starts;           /* the first position of sequence s on axis a is starts[a * start_axis_stride + s];
                                   * NULL: its first token's place in the packed stream; zeros: each starts at 0 */
    int32_t start_type, axes;     /* as cu_type; axes 1 .. 4, 0 means 1 */
    int64_t start_axis_stride;    /* in elements; 0: one list for all axes */
} roperot_shard;

/* The rank's tokens in the order in which it holds them, sequence by sequence. *count is how many there are; token (or
 * NULL) gets where each is in the packed stream, to gather tensors and position ids of any kind by; ids (or NULL) gets
 * its position starts + i on each axis, ids[a * axis_stride + k] for k < *count: what ROPEROT_POSITIONS_IDS takes.
 * A capacity (of token, and of each row of ids) or, with several axes, an axis_stride below *count is
 * ROPEROT_ERROR_SHAPE, a length that a kind cannot divide too. Nothing is written on failure, *count apart from that
 * of a capacity. Pure, thread safe. For [0, 4, 8], ZIGZAG and 2 ranks, rank 0 has tokens 0, 3, 4, 7, at these positions
 * with starts NULL and at 0, 3, 0, 3 with zeros: within a sequence their differences are the same. */
ROPEROT_API int32_t roperot_shard_positions(const roperot_shard *shard, int64_t capacity, int64_t *token, int64_t *ids,
                                            int64_t axis_stride, int64_t *count);

/* ---- cos/sin tables -------------------------------------------------------------------------------------------- */

typedef enum roperot_table_width {
    ROPEROT_TABLE_HALF = 0,       /* one value per pair */
    ROPEROT_TABLE_FULL_HALVES = 1, /* two per pair: c0 .. c(n-1), c0 .. c(n-1) (Hugging Face) */
    ROPEROT_TABLE_FULL_REPEAT = 2  /* two per pair: c0, c0, c1, c1, ... */
} roperot_table_width;

/* Somebody's cos/sin rows: column k of row p is cos[p * row_stride + k * element_stride], and sin likewise; pair j is
 * in column j, or with FULL_REPEAT in columns 2j and 2j + 1, of which the first is read. Borrowed by a plan (and then
 * outliving it, unchanged), or filled by roperot_cos_sin. cos||sin in one row: sin = cos + columns; sin||cos: the other
 * way round; (cos, sin) interleaved: element_stride 2, sin = cos + 1. Borrowing copies nothing if the values are f32
 * with one column per pair, element_stride 1, attention_factor 1, and no NaN among them.
 *
 * A table may have a row of its own for each head (LTX-2): head h of position p is p * row_stride + h * head_stride. It
 * says how many heads, since every tensor that it rotates must have as many: [heads, positions, pairs] storage is
 * row_stride = pairs, head_stride = positions * pairs. */
typedef struct roperot_table {
    uint32_t size;
    int32_t dtype;
    void *cos, *sin;
    int64_t rows, row_stride, element_stride; /* strides in elements: of rows any sign, of elements at least 1 */
    int32_t width;                            /* a roperot_table_width */
    int32_t reserved;
    int64_t heads;                            /* 0: a row serves all heads; else each head has rows of its own */
    int64_t head_stride;                      /* in elements, any sign; not read for one head, 0 for none */
} roperot_table;

/* ---- plans ----------------------------------------------------------------------------------------------------- */

enum { ROPEROT_PAIR_HALF = 1,         /* (j, j + rotary_dim/2): NeoX, Llama in Hugging Face, "rotate half" */
       ROPEROT_PAIR_INTERLEAVED = 2   /* (2j, 2j + 1): RoFormer, GPT-J, Llama as Meta published it */ };
enum { ROPEROT_ANGLES_EXACT = 0,      /* cos and sin of the exact product p * w_j */
       ROPEROT_ANGLES_F32             /* of fl32(fl32(p) * fl32(w_j)): what PyTorch models were trained with */ };
enum { ROPEROT_CACHE_AUTO = 0,        /* BORROWED if table is set; NONE with MIXED frequencies; else FULL if
                                         max_positions is given and it fits in 64 MiB, or with F32 angles; else
                                         FACTORED */
       ROPEROT_CACHE_FULL,            /* one f32 row per position */
       ROPEROT_CACHE_FACTORED,        /* 64 KiB per pair serve every position below 2^31 */
       ROPEROT_CACHE_BORROWED,        /* the caller's table */
       ROPEROT_CACHE_NONE             /* nothing is kept: MIXED frequencies, whose rows are made for each token */ };
enum { ROPEROT_BOUNDS_ERROR = 0,      /* a position outside the bounds is ROPEROT_ERROR_POSITION */
       ROPEROT_BOUNDS_IDENTITY,       /* such a token is copied: not rotated, not scaled, only re-paired or converted */
       ROPEROT_BOUNDS_CLAMP           /* each axis goes to the nearest end */ };

enum { ROPEROT_ARITHMETIC_F32 = 0,   /* x * c - x' * s in f32 (no FMA), one rounding to the tensor's dtype */
       ROPEROT_ARITHMETIC_EAGER = 1   /* tensors of F16 and BF16: cos, sin, each product and the sum are rounded to the
                                         dtype of src, which are the bits of transformers' eager models in 16 bits;
                                         apply offers them no other dtype as dst. F32 tensors: as above */ };

enum { ROPEROT_FREQUENCIES_PER_PAIR = 0, /* pair j turns by inv_freq[j] times its position on axis[j] */
       ROPEROT_FREQUENCIES_MIXED = 1     /* pair j turns by the sum over the axes a of inv_freq[a * pairs + j] times its
                                            position on a (RoPE-Mixed, golden gate): products exact, summed in
                                            double-double, a rising. EXACT angles; no axis map, no table */ };

typedef struct roperot_config {
    uint32_t size;
    int32_t head_dim;        /* 2 .. 65536; an odd one needs an explicit rotary_dim */
    int32_t rotary_dim;      /* even, >= 2; 0 = head_dim. Other channels pass through: byte for byte in one dtype, else
                                converted with one rounding */
    int32_t rotary_offset;   /* even; first rotated channel */
    int32_t pairing;         /* ROPEROT_PAIR_HALF or _INTERLEAVED; 0 is an error */
    int32_t pairing_out;     /* the same for what is written; 0 = pairing. Another one: out of place, one dtype */
    int32_t pairs, axes;     /* pairs: length of inv_freq and axis, rotary_dim / 2; 0 will do with both NULL;
                                axes 1..4, 0 = 1 */
    double base;             /* finite, > 0; used when inv_freq is NULL and the cache is not BORROWED */
    double attention_factor; /* > 0, finite as f32: multiplies cos and sin (YaRN, longrope) */
    const double *inv_freq;  /* copied; NULL = base^(-2j / rotary_dim). Finite, |w| <= 65536; 0 and negative allowed.
                                MIXED: [axes][pairs], and not NULL */
    const uint8_t *axis;     /* copied; axis[j] < axes; needed when axes > 1. MIXED: NULL */
    int32_t angles, cache;   /* angles: not used with a borrowed table */
    int64_t max_positions;   /* valid positions are [0, max_positions): 1 .. 2^31; 0 = 2^31 (BORROWED: table->rows) */
    const roperot_table *table;
    int32_t bounds;
    int32_t isa;             /* ROPEROT_ISA_AUTO, or exactly this one or ROPEROT_ERROR_ISA */
    int32_t arithmetic;      /* ROPEROT_ARITHMETIC_... */
    int32_t frequencies;     /* ROPEROT_FREQUENCIES_... */
} roperot_config;

typedef struct roperot_plan roperot_plan;

/* Builds a plan and its cache. *plan is NULL on failure. Reads `config` and what it points to only during the call,
 * except a borrowed table. Thread safe. */
ROPEROT_API int32_t roperot_plan_create(const roperot_config *config, roperot_plan **plan);

/* Frees a plan; no call may be using it. NULL is fine. */
ROPEROT_API void roperot_plan_destroy(roperot_plan *plan);

typedef struct roperot_plan_info {
    uint32_t size;
    int32_t isa, head_dim, rotary_dim, rotary_offset, pairing, pairing_out, pairs, axes, angles, cache, bounds;
    int64_t max_positions, cache_bytes;
    double attention_factor;
    const double *inv_freq; /* the plan's own, pairs long, MIXED (cache NONE): axes * pairs; NULL: BORROWED */
    const uint8_t *axis;    /* the plan's own, pairs long; NULL: one axis, or MIXED */
    int32_t arithmetic, frequencies; /* ROPEROT_ARITHMETIC_..., ROPEROT_FREQUENCIES_... */
    int64_t heads;                   /* that tensors must have: those of a table with rows per head; 0: any */
} roperot_plan_info;

/* What a plan resolved to: no AUTO and no 0 remains. Pointers live as long as the plan. Thread safe. */
ROPEROT_API int32_t roperot_plan_describe(const roperot_plan *plan, roperot_plan_info *info);

/* Plans found again: a hash of what a config asks for, and whether a plan was made of a config that asks for the same,
 * 1 or 0. Every number and every value of inv_freq and axis counts, each 0 read as what it stands for, and nothing that
 * plan_create would not read; of a borrowed table its address and shape, not its values. A base and the list of
 * frequencies that it makes are two configs, as are AUTO and what it picks where it has a choice (with a table, F32
 * angles or MIXED it has none). Equal configs have equal hashes, which are never 0, within one version of the library.
 * A config that plan_create refuses by its members: 0 from both, and roperot_last_error says why. What only building
 * shows (an unusable ISA, a base whose frequencies exceed 65536, no memory) is not looked for. Both allocate nothing
 * and are thread safe. */
ROPEROT_API uint64_t roperot_config_hash(const roperot_config *config);
ROPEROT_API int32_t roperot_plan_is(const roperot_plan *plan, const roperot_config *config);

/* The kernel that rotates src_dtype into dst_dtype: rotate_[eager_]<src>[_to_<dst>]_<pairing>[_to_<pairing_out>]_<isa>.
 * NULL for a NULL plan, an unknown dtype and a conversion that is not offered. Lives as long as the plan. Thread
 * safe. */
ROPEROT_API const char *roperot_plan_kernel(const roperot_plan *plan, int32_t src_dtype, int32_t dst_dtype);

/* Fills dst with the cos and sin (times the attention factor) that the plan would use for batch x tokens positions:
 * row b * tokens + t, in dst's dtype (one rounding from f32), strides and width. dst->rows >= batch * tokens, and its
 * heads are those of the plan's own table, 0 without one; dst must not overlap itself, the positions or the plan's
 * table (byte ranges count, from the first byte to the last). A position out of bounds, such as any negative one (there
 * is no ROPEROT_SIGNED_POSITIONS here), is an error, clamped, or, with IDENTITY, cos 1 and sin 0 whatever the attention
 * factor. Allocates nothing. Thread safe. */
ROPEROT_API int32_t roperot_cos_sin(const roperot_plan *plan, const roperot_positions *positions, int64_t batch,
                                    int64_t tokens, const roperot_table *dst);

/* ---- the verb -------------------------------------------------------------------------------------------------- */

enum { ROPEROT_INVERSE = 1,          /* the transpose: backward pass, un-rotate (times the attention factor, too);
                                        src is in pairing_out, dst in pairing */
       ROPEROT_PURE_ROTATION = 2,    /* attention factor 1: shifting a K cache */
       ROPEROT_SIGNED_POSITIONS = 4  /* p < 0 rotates back; positions in (-max_positions, max_positions) */ };

typedef struct roperot_options {
    uint32_t size, flags;           /* ROPEROT_INVERSE | ... */
    int64_t token_begin, token_end; /* only tokens with begin <= b * tokens + t < end; begin >= 0; an empty range, such
                                       as one with a negative end, is OK */
    /* An executor, or NULL. It calls task(arg, index) exactly once for each index in [0, tasks), in any order, on any
     * threads, at the same time or not, and returns when all have returned. A task does not fail, wait or allocate; it
     * needs the stack of a call. A call may use it several times, one after the other. An index that is left out leaves
     * its tokens as they were, one that is called twice may rotate them twice: neither is noticed. */
    void (*parallel_for)(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg);
    void *ctx;
    int32_t threads, reserved;      /* with parallel_for: at most this many tasks, 0: as many as CPUs were online when
                                       the first plan was made; small calls stay in this thread */
    void *scratch;                  /* NULL, or memory that keeps the row of the last position for the next call */
    int64_t scratch_bytes;          /* at least roperot_scratch_bytes(plan) */
} roperot_options;

/* How large options.scratch must be for this plan; 0 if the plan never makes rows of factors, or only such as are
 * longer than 512 pairs, and has no use for one (and for NULL).
 *
 * The layers of a decode step rotate at one position, and a plan of factors (CACHE_FACTORED) makes its row anew for
 * each of them. With a scratch it is made once: the row stays there, with the plan and the position that it belongs to,
 * and what comes at that position takes it. The bits are those without a scratch.
 * A scratch belongs to the caller: a multiple of 64 in address, all zero before its first use, then never written by
 * anybody else, and apart from everything else in a call (which is not checked). It serves one call at a time: a thread
 * each, or a sequence each. It may go from plan to plan, be copied, thrown away at any time, and outlive its plan; one
 * for several plans has the size of the largest. Calls with parallel_for do not use it, nor do real coordinates, axes
 * at different positions, rows longer than 512 pairs (256 in roperot_run, and with ids on several axes), and the
 * negative or inverse rows of other caches. */
ROPEROT_API int64_t roperot_scratch_bytes(const roperot_plan *plan);

/* Rotates src[i] into dst[i] for i < count; dst NULL = in place. All tensors share batch and tokens; each has its own
 * dtype, heads and strides. src and dst have one dtype, or one of them is f32.
 * Zero batch, tokens, heads or count is OK and touches nothing (strides and pointers of tensors are not checked then).
 * Aliasing: dst[i] equal to src[i] in data, dtype and strides is in place (needs pairing_out == pairing). Otherwise
 * their byte ranges, from the first byte touched to the last, must be disjoint, or both views share batch and token
 * strides and no row block (one token's heads x dim) of one meets any row block, of any token, of the other (parts of
 * one packed QKV row). The same rule applies to every pair of tensors in a call if at least one of them is written.
 * A written tensor that overlaps itself, and any other overlap, is ROPEROT_ERROR_ALIAS. Positions and a borrowed table
 * must not lie in what is written, which is not checked. A plan whose table has rows per head takes tensors of as many
 * heads. options NULL = defaults. Thread safe. */
ROPEROT_API int32_t roperot_apply(const roperot_plan *plan, const roperot_positions *positions,
                                  const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                                  const roperot_options *options);

/* An executor for roperot_options.parallel_for: on OpenMP's threads in a library built with -Dopenmp=enabled
 * (build_info says so), else one task after the other. ctx is not used. */
ROPEROT_API void roperot_parallel_openmp(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg);

/* ---- jobs: norm, rotation and paged store in one call ------------------------------------------------------------ */

enum { ROPEROT_NORM_RMS = 1,        /* n = x * r, r = 1 / sqrt(mean(x^2) + epsilon) */
       ROPEROT_NORM_LAYER = 2       /* n = (x - m) * r, m = mean(x), r = 1 / sqrt(mean((x - m)^2) + epsilon) */ };
enum { ROPEROT_NORM_ROUND_NONE = 0, /* n * w stays f32 on its way into the rotation (vLLM's CUDA kernels, ggml) */
       ROPEROT_NORM_ROUND_ONCE,     /* T(n * w), T = rounding to src's dtype, or from's (vLLM and SGLang on CPUs) */
       ROPEROT_NORM_ROUND_TWICE     /* T(T(n) * w) (transformers) */ };
enum { ROPEROT_NORM_UNIT_OFFSET = 1, /* w = 1 + weight, formed in f32 (Gemma) */
       ROPEROT_NORM_AFTER = 2,      /* after the rotation (Llama 4, Hunyuan), which is rounded to T first unless the
                                       rounding is NONE; else before it */
       ROPEROT_NORM_ALL_HEADS = 4   /* one r for all heads of a token; weight and bias have heads * head_dim values,
                                       at most 2^24 (OLMo-2, MiniMax-M2, Wan) */ };

/* A norm over the channels of a head, also over those that are not rotated. The same bits on every ISA: sums are taken
 * in f32 in 16 lanes, lane l adds the terms of channels l, l + 16, .. in order, product and sum rounded apart; the
 * lanes fold to 8, 4, 2, 1 (lane l adds lane l + 8, ..), heads (ALL_HEADS) in their order. mean is the sum divided by
 * the count; r takes a correctly rounded root and division; then (x * r) * w, (x - m) first and + bias last for
 * LAYER. */
typedef struct roperot_norm {
    uint32_t size;
    int32_t kind, rounding, flags; /* ROPEROT_NORM_RMS or _LAYER, _ROUND_..., _UNIT_OFFSET | _AFTER | _ALL_HEADS */
    double epsilon;                /* finite, >= 0; used as f32 */
    const void *weight, *bias;     /* head_dim (heads * head_dim) values. weight NULL: 1, which cannot be offset; bias:
                                      LAYER only, NULL: 0 */
    int32_t weight_dtype;          /* ROPEROT_F32, _F16 or _BF16, of weight and bias; not read if both are NULL */
    int32_t reserved;
} roperot_norm;

enum { ROPEROT_PAGES_STRIDED = 0, /* channel c of token o of a page: o * token_stride + c * channel_stride */
       /* The packed blocks of vLLM's CPU attention and of its classic CUDA cache: a block is one head of one page,
        * dense, n = page_tokens, d = channels: */
       ROPEROT_PAGES_AMX_K = 1,   /* [n/16][d/2][16 tokens][2 channels]: n a multiple of 16, d of 2 */
       ROPEROT_PAGES_AMX_V = 2,   /* [d/16][n/2][16 channels][2 tokens]: n a multiple of 2, d of 16 */
       ROPEROT_PAGES_BFMMLA_K = 3, /* [n/8][d/4][4][2 tokens][4 channels]: n a multiple of 8, d of 4 */
       ROPEROT_PAGES_BFMMLA_V = 4, /* [d/2][n/4][2 channels][4 tokens]: n a multiple of 4, d of 2 */
       ROPEROT_PAGES_CHUNKED = 5  /* [d/x][n][x channels], x = 16 bytes: vLLM's [blocks, heads, d/x, n, x] keys */ };
enum { ROPEROT_SCALE_STATIC = 0,  /* scale is given: NULL is 1, else one f32 > 0 with a finite inverse, or one per head
                                     (scale_head_stride) */
       ROPEROT_SCALE_DYNAMIC = 1  /* scale is made: one per token and head, max(amax / qmax, scale_floor), and written;
                                     qmax is 448 for E4M3 and 127 for I8. Of pages that are read, it is read. */ };

/* A paged KV cache, where a job's heads are stored or come from. Slot s is token s % page_tokens of page
 * s / page_tokens; channel c of head h is data[page * page_stride + token * token_stride + h * head_stride + c *
 * channel_stride], in elements (Q8_0: all strides in bytes, channel_stride 0). Strides may have any sign; those of an
 * axis of size 1 are ignored. [blocks, block, heads, dim] and [blocks, heads, block, dim] are strides; so is ggml's
 * row of heads, and MLA's row of latent and rotated part (one head; data points at the part).
 *
 * What is stored is rounded once from f32 to F32, F16 or BF16. The quantised formats take the value rounded to src's
 * dtype first (but see ROPEROT_JOB_UNROUNDED), times 1 / scale, rounded once, then: E4M3 to nearest even, saturating at
 * 448, subnormals and -0 kept, NaN 0x7f; I8 to nearest even, clamped to -127 .. 127, NaN 0. amax is the largest |value|
 * of the head, NaN left out. A dynamic scale whose inverse is not finite stores zeros. Q8_0 is ggml's reference: d =
 * amax / 127 of 32 channels, codes by 1 / d half away from zero, d stored as f16. Reading multiplies code and scale in
 * f32. Q8_0 heads have a multiple of 32 channels. In a job that rotates heads of more than 512 channels, rotary_offset
 * and rotary_dim / 2 must be multiples of 32, too (ROPEROT_ERROR_SHAPE).
 *
 * Two lines of a call with one slot, and a slot that one line writes and another one reads, are the caller's error and
 * not looked for. */
typedef struct roperot_pages {
    uint32_t size;
    int32_t dtype;                  /* a roperot_dtype */
    void *data;                     /* page 0, token 0, head 0, channel 0 */
    int64_t pages, page_tokens;     /* at least 1 */
    int64_t page_stride, token_stride, head_stride, channel_stride;
    int32_t tile;                   /* ROPEROT_PAGES_...; not STRIDED: no Q8_0, token_stride and channel_stride 0 */
    int32_t slot_type;              /* 1 int32, 2 int64 */
    const void *slots;              /* of line (b, t): slots[b * slot_batch_stride + t * slot_token_stride]. < 0: the
                                       store is left out (see ROPEROT_JOB_SKIP); not below pages * page_tokens:
                                       ROPEROT_ERROR_POSITION, before anything is written */
    int64_t slot_batch_stride, slot_token_stride; /* in elements, any sign; 0 repeats: with batch > 1, [batch, tokens]
                                                     slots need slot_batch_stride = tokens */
    int32_t scaling, scale_reserved; /* ROPEROT_SCALE_...: of E4M3 and I8 */
    float scale_floor;              /* finite, >= 0: DYNAMIC only */
    float *scale;                   /* F32, F16, BF16 and Q8_0: NULL */
    int64_t scale_page_stride, scale_token_stride, scale_head_stride; /* in elements; STATIC: of heads only */
} roperot_pages;

enum { ROPEROT_JOB_UNROTATED = 1, /* V: normed, converted and stored only. Its head_dim is its own: 1 .. 65536 */
       ROPEROT_JOB_SKIP = 2,      /* a line whose slot in `to` is < 0 is not computed or written at all by this job.
                                     Without it only its store is left out. Other jobs are not affected: a q without
                                     `to` has no slots and is computed. Positions are checked in either case */
       ROPEROT_JOB_UNROUNDED = 4  /* quantised pages take the f32 value, not its rounding to src's dtype */ };

/* One tensor of a layer from its projection to where it is needed: src (or from) -> norm -> rotation -> factor -> dst
 * and to. Every job equals the chain of its parts, bit for bit: the norm into f32 (or rounded to T), the rotation of
 * roperot_apply, the product, and the rounding of each destination. */
typedef struct roperot_job {
    uint32_t size, flags;       /* ROPEROT_JOB_UNROTATED | ... */
    const roperot_tensor *src;  /* [batch, token, head, dim]; NULL with `from` */
    const roperot_tensor *dst;  /* NULL: nothing dense is written; the view of src: in place. Any of F32, F16, BF16 */
    const roperot_norm *norm;   /* NULL: none */
    const roperot_pages *from;  /* NULL, or instead of src: heads come from its slots (a cached K turned by its own
                                   deltas). A line whose slot is < 0 is left alone. T of such a job is the dtype of
                                   these pages if that is F32, F16 or BF16, else F32 */
    const roperot_pages *to;    /* NULL: none; with `from`, the same pages or others. At least one of dst and to */
    const float *factor;        /* NULL, or one f32 per line, multiplied after rotation and norm: a temperature */
    int64_t factor_batch_stride, factor_token_stride; /* in elements, any sign; 0 repeats: with batch > 1, [batch,
                                                         tokens] factors need factor_batch_stride = tokens */
    int64_t batch, tokens, heads, dim; /* of a job with `from`; with src: 0 */
} roperot_job;

/* Runs `count` jobs in one walk over the tokens: jobs[i] is jobs[0].size * i bytes behind jobs[0], and all sizes are
 * equal, and multiples of a job's alignment. All jobs share batch and tokens. Everything that roperot_apply promises
 * holds: nothing is written on an error, nothing is allocated, no byte outside views and pages is touched, ranges and
 * executors do not change the bits.
 *
 * A token that ROPEROT_BOUNDS_IDENTITY leaves alone is not rotated; norm, factor and stores are as for the others.
 * With ROPEROT_ARITHMETIC_EAGER the rotation takes its input rounded to T, src's dtype.
 * ROPEROT_INVERSE turns back; with a norm it is refused. positions may be NULL if every job is UNROTATED.
 * What is written (dst, to, the scales of to) must overlap nothing else of the call, by the rule of roperot_apply for
 * two tensors; pages and scales by their extents, or by their blocks if they have equal page (and token) strides in
 * bytes, as keys and values in turns, or codes and their scales in one page. Exempt are dst with the src and `to` with
 * the `from` of their own job, if they are the same view (and pairing_out is pairing). Positions, weights, factors and
 * a table must not lie in what is written, which is not checked; slots are. Stack: at most 12 KiB. Thread safe. */
ROPEROT_API int32_t roperot_run(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                                int32_t count, const roperot_options *options);

/* ---- initialisers and helpers ----------------------------------------------------------------------------------- */

#define ROPEROT_SCALING_INIT { sizeof(roperot_scaling), ROPEROT_SCALING_DEFAULT, 1.0, 0.0, 0, 0, 32.0, 1.0, 0.0, 0.0, \
                               1.0, 1.0, 1.0, 1.0, 4.0, 0.625, 1.0, NULL, 0, 1, NULL, 0, 0 }
#define ROPEROT_SECTIONS_INIT { sizeof(roperot_sections), 0, 0, { 0, 0, 0, 0 }, 0 }
#define ROPEROT_POSITIONS_INIT { sizeof(roperot_positions), ROPEROT_POSITIONS_OFFSET, 0, 1, 0, NULL, 0, 0, 0, NULL, \
                                 0, 0 }
#define ROPEROT_SHARD_INIT { sizeof(roperot_shard), ROPEROT_SHARD_CONTIGUOUS, 1, 0, 0, NULL, ROPEROT_POSITIONS_I32, 0, \
                             NULL, ROPEROT_POSITIONS_I64, 1, 0 }
#define ROPEROT_TABLE_INIT { sizeof(roperot_table), ROPEROT_F32, NULL, NULL, 0, 0, 1, ROPEROT_TABLE_HALF, 0, 0, 0 }
#define ROPEROT_CONFIG_INIT { sizeof(roperot_config), 0, 0, 0, ROPEROT_PAIR_HALF, 0, 0, 1, 10000.0, 1.0, NULL, NULL, \
                              ROPEROT_ANGLES_EXACT, ROPEROT_CACHE_AUTO, 0, NULL, ROPEROT_BOUNDS_ERROR, \
                              ROPEROT_ISA_AUTO, ROPEROT_ARITHMETIC_F32, ROPEROT_FREQUENCIES_PER_PAIR }
#define ROPEROT_PLAN_INFO_INIT { sizeof(roperot_plan_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, NULL, NULL, 0, \
                                 0, 0 }
#define ROPEROT_NORM_INIT { sizeof(roperot_norm), ROPEROT_NORM_RMS, ROPEROT_NORM_ROUND_NONE, 0, 1e-6, NULL, NULL, \
                            ROPEROT_F32, 0 }
#define ROPEROT_PAGES_INIT { sizeof(roperot_pages), ROPEROT_F32, NULL, 1, 1, 0, 0, 0, 1, ROPEROT_PAGES_STRIDED, 2, \
                             NULL, 0, 1, ROPEROT_SCALE_STATIC, 0, 0.0f, NULL, 0, 0, 0 }
#define ROPEROT_JOB_INIT { sizeof(roperot_job), 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 1, 0, 0, 0, 0 }
#define ROPEROT_OPTIONS_INIT { sizeof(roperot_options), 0, 0, INT64_MAX, NULL, NULL, 0, 0, NULL, 0 }

/* a * b of sizes, INT64_MAX where that is more, so that roperot_apply sees and refuses it. */
static inline int64_t roperot_size_mul(int64_t a, int64_t b)
{
    return a > 0 && b > 0 && a > INT64_MAX / b ? INT64_MAX : a <= 0 || b <= 0 ? 0 : a * b;
}

/* Contiguous views: [tokens, heads, dim], [batch, tokens, heads, dim] and [batch, heads, tokens, dim]. */
static inline roperot_tensor roperot_tensor_bshd(void *data, int32_t dtype, int64_t batch, int64_t tokens,
                                                 int64_t heads, int64_t dim)
{
    const roperot_tensor view = { data, dtype, 0, { batch, tokens, heads, dim },
                                  { roperot_size_mul(tokens, roperot_size_mul(heads, dim)),
                                    roperot_size_mul(heads, dim), dim, 1 }, NULL };
    return view;
}

static inline roperot_tensor roperot_tensor_shd(void *data, int32_t dtype, int64_t tokens, int64_t heads, int64_t dim)
{
    return roperot_tensor_bshd(data, dtype, 1, tokens, heads, dim);
}

static inline roperot_tensor roperot_tensor_bhsd(void *data, int32_t dtype, int64_t batch, int64_t heads,
                                                 int64_t tokens, int64_t dim)
{
    const roperot_tensor view = { data, dtype, 0, { batch, tokens, heads, dim },
                                  { roperot_size_mul(heads, roperot_size_mul(tokens, dim)), dim,
                                    roperot_size_mul(tokens, dim), 1 }, NULL };
    return view;
}

/* Token t of every batch row is at position first + t. */
static inline roperot_positions roperot_positions_offset(int64_t first)
{
    roperot_positions positions = ROPEROT_POSITIONS_INIT;
    positions.offset = first;
    return positions;
}

/* ids[b * batch_stride + t], in elements; batch_stride 0: the same ids for every batch row. */
static inline roperot_positions roperot_positions_i32(const int32_t *ids, int64_t batch_stride)
{
    roperot_positions positions = ROPEROT_POSITIONS_INIT;
    positions.kind = ROPEROT_POSITIONS_IDS;
    positions.type = ROPEROT_POSITIONS_I32;
    positions.ids = ids;
    positions.batch_stride = batch_stride;
    positions.token_stride = 1;
    return positions;
}

static inline roperot_positions roperot_positions_i64(const int64_t *ids, int64_t batch_stride)
{
    roperot_positions positions = ROPEROT_POSITIONS_INIT;
    positions.kind = ROPEROT_POSITIONS_IDS;
    positions.type = ROPEROT_POSITIONS_I64;
    positions.ids = ids;
    positions.batch_stride = batch_stride;
    positions.token_stride = 1;
    return positions;
}

#ifdef __cplusplus
}
#endif
#endif
