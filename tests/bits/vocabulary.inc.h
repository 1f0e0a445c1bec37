/* SPDX-License-Identifier: MIT
 * One vector of a vocabulary as a vocabulary_vector; it must not know any ISA.
 * Parameters: VEC, FAMILY (planar, even_odd, interleaved, doubles), for planar vectors HAS_MASKS, for interleaved ones
 * HAS_16BIT. This file undefines VEC. */

#define T        CAT(VEC, _t)
#define V(verb)  CAT3(VEC, _, verb)
#define F(verb)  CAT3(wrap_, VEC, _##verb)
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

#define FAMILY_planar      1
#define FAMILY_even_odd    2
#define FAMILY_interleaved 3
#define FAMILY_doubles     4
#define IS(family)         (CAT(FAMILY_, FAMILY) == FAMILY_##family)

#define BINARY(verb, in, load, out, store)                                                                             \
    static void F(verb)(const void *a, const void *b, void *result)                                                    \
    {                                                                                                                  \
        const in *const left = a, *const right = b;                                                                    \
        out *const to = result;                                                                                        \
        V(store)(to, V(verb)(V(load)(left), V(load)(right)));                                                          \
    }

#if IS(planar)

static ptrdiff_t F(lanes)(void)
{
    return V(pairs)();
}

#define EACH(dtype)                                                                                                    \
    static void F(load_##dtype)(const void *a, void *result)                                                           \
    {                                                                                                                  \
        V(store_f32)(result, V(load_##dtype)(a));                                                                      \
    }                                                                                                                  \
    static void F(store_##dtype)(const void *a, void *result)                                                          \
    {                                                                                                                  \
        V(store_##dtype)(result, V(load_f32)(a));                                                                      \
    }                                                                                                                  \
    static void F(stream_##dtype)(const void *a, void *result)                                                         \
    {                                                                                                                  \
        V(stream_##dtype)(result, V(load_f32)(a));                                                                     \
    }                                                                                                                  \
    static void F(load2_##dtype)(const void *a, void *result0, void *result1)                                          \
    {                                                                                                                  \
        T x0, x1;                                                                                                      \
        V(load2_##dtype)(a, &x0, &x1);                                                                                 \
        V(store_f32)(result0, x0);                                                                                     \
        V(store_f32)(result1, x1);                                                                                     \
    }                                                                                                                  \
    static void F(store2_##dtype)(const void *a, const void *b, void *result)                                          \
    {                                                                                                                  \
        V(store2_##dtype)(result, V(load_f32)(a), V(load_f32)(b));                                                     \
    }                                                                                                                  \
    static void F(stream2_##dtype)(const void *a, const void *b, void *result)                                         \
    {                                                                                                                  \
        V(stream2_##dtype)(result, V(load_f32)(a), V(load_f32)(b));                                                    \
    }
EACH(f32)
EACH(f16)
EACH(bf16)
#undef EACH
BINARY(add, float, load_f32, float, store_f32)
BINARY(sub, float, load_f32, float, store_f32)
BINARY(mul, float, load_f32, float, store_f32)
#if HAS_MASKS
BINARY(or, float, load_f32, float, store_f32)
static void F(and_mask)(const void *a, const void *b, void *result)
{
    V(store_f32)(result, V(and_mask)(V(load_f32)(a), b));
}
#endif

static const vocabulary_vector CAT(vector_, VEC) = {
    .name = TEXT(VEC),
    .family = VOCABULARY_PLANAR,
    .lanes = F(lanes),
    .load = { F(load_f32), F(load_f16), F(load_bf16) },
    .store = { F(store_f32), F(store_f16), F(store_bf16) },
    .stream = { F(stream_f32), F(stream_f16), F(stream_bf16) },
    .load2 = { F(load2_f32), F(load2_f16), F(load2_bf16) },
    .store2 = { F(store2_f32), F(store2_f16), F(store2_bf16) },
    .stream2 = { F(stream2_f32), F(stream2_f16), F(stream2_bf16) },
    .add = F(add),
    .sub = F(sub),
    .mul = F(mul),
#if HAS_MASKS
    .and_mask = F(and_mask),
    .or = F(or),
#endif
};

#elif IS(even_odd)

static ptrdiff_t F(lanes)(void)
{
    return V(pairs)();
}
static void F(load_f32)(const void *a, void *result)
{
    V(store_bf16)(result, V(load_f32)(a));
}
static void F(load_bf16)(const void *a, void *result)
{
    V(store_bf16)(result, V(load_bf16)(a));
}
static void F(stream_bf16)(const void *a, void *result)
{
    V(stream_bf16)(result, V(load_f32)(a));
}
BINARY(add, float, load_f32, bf16_t, store_bf16)
BINARY(sub, float, load_f32, bf16_t, store_bf16)
BINARY(mul, float, load_f32, bf16_t, store_bf16)

static const vocabulary_vector CAT(vector_, VEC) = {
    .name = TEXT(VEC),
    .family = VOCABULARY_EVEN_ODD,
    .lanes = F(lanes),
    .load = { F(load_f32), NULL, F(load_bf16) },
    .store = { NULL, NULL, F(load_f32) },
    .stream = { NULL, NULL, F(stream_bf16) },
    .add = F(add),
    .sub = F(sub),
    .mul = F(mul),
};

#elif IS(interleaved)

/* An interleaved vector has no load: a register comes from the operands of f32, whose first one holds the elements, or
 * every second one twice, as the family says. */
static ptrdiff_t F(lanes)(void)
{
    return 2 * V(pairs)();
}

INLINE T F(left)(const void *a)
{
    T left, right;
    V(operands_f32)(a, &left, &right);
    return left;
}

#define BINARY_LANES(verb)                                                                                             \
    static void F(verb)(const void *a, const void *b, void *result)                                                    \
    {                                                                                                                  \
        V(store_f32)(result, V(verb)(F(left)(a), F(left)(b)));                                                         \
    }
BINARY_LANES(add)
BINARY_LANES(mul)
#undef BINARY_LANES

static void F(coefficients)(const void *cos, const void *sin, void *result0, void *result1)
{
    T a, b;
    V(coefficients)(cos, sin, &a, &b);
    V(store_f32)(result0, a);
    V(store_f32)(result1, b);
}

#define EACH(dtype)                                                                                                    \
    static void F(store_##dtype)(const void *a, void *result)                                                          \
    {                                                                                                                  \
        V(store_##dtype)(result, F(left)(a));                                                                          \
    }                                                                                                                  \
    static void F(stream_##dtype)(const void *a, void *result)                                                         \
    {                                                                                                                  \
        V(stream_##dtype)(result, F(left)(a));                                                                         \
    }                                                                                                                  \
    static void F(load2_##dtype)(const void *a, void *result0, void *result1)                                          \
    {                                                                                                                  \
        T left, right;                                                                                                 \
        V(operands_##dtype)(a, &left, &right);                                                                         \
        V(store_f32)(result0, left);                                                                                   \
        V(store_f32)(result1, right);                                                                                  \
    }
EACH(f32)
#if HAS_16BIT
EACH(f16)
EACH(bf16)
#endif
#undef EACH

static const vocabulary_vector CAT(vector_, VEC) = {
    .name = TEXT(VEC),
    .lanes = F(lanes),
    .add = F(add),
    .mul = F(mul),
    .coefficients = F(coefficients),
#if HAS_16BIT
    .family = VOCABULARY_SWAP,
    .store = { F(store_f32), F(store_f16), F(store_bf16) },
    .stream = { F(stream_f32), F(stream_f16), F(stream_bf16) },
    .load2 = { F(load2_f32), F(load2_f16), F(load2_bf16) },
#else
    .family = VOCABULARY_DUP,
    .store = { F(store_f32), NULL, NULL },
    .stream = { F(stream_f32), NULL, NULL },
    .load2 = { F(load2_f32), NULL, NULL },
#endif
};

#else

static ptrdiff_t F(lanes)(void)
{
    return V(pairs)();
}
static void F(copy)(const void *a, void *result)
{
    V(store)(result, V(load)(a));
}
static void F(set1)(const void *a, void *result)
{
    V(store)(result, V(set1)(*(const double *)a));
}
static void F(to_f32)(const void *a, void *result)
{
    V(store_f32)(result, V(load)(a));
}
static void F(stream_f32)(const void *a, void *result)
{
    V(stream_f32)(result, V(load)(a));
}
BINARY(add, double, load, double, store)
BINARY(sub, double, load, double, store)
BINARY(mul, double, load, double, store)

#define SINCOS(verb)                                                                                                   \
    static void F(verb)(const void *a, void *result0, void *result1)                                                   \
    {                                                                                                                  \
        T s, c;                                                                                                        \
        V(verb)(V(load)(a), &s, &c);                                                                                   \
        V(store)(result0, s);                                                                                          \
        V(store)(result1, c);                                                                                          \
    }
SINCOS(sincos)
SINCOS(sincos_fixed)
#undef SINCOS

static const vocabulary_vector CAT(vector_, VEC) = {
    .name = TEXT(VEC),
    .family = VOCABULARY_DOUBLES,
    .lanes = F(lanes),
    .copy = F(copy),
    .set1 = F(set1),
    .store = { F(to_f32), NULL, NULL },
    .stream = { F(stream_f32), NULL, NULL },
    .add = F(add),
    .sub = F(sub),
    .mul = F(mul),
    .sincos = F(sincos),
    .sincos_fixed = F(sincos_fixed),
};

#endif

#undef T
#undef V
#undef F
#undef TEXT_
#undef TEXT
#undef FAMILY_planar
#undef FAMILY_even_odd
#undef FAMILY_interleaved
#undef FAMILY_doubles
#undef IS
#undef BINARY
#undef VEC
