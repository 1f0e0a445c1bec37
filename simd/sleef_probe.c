/* SPDX-License-Identifier: MIT
 * Links if SLEEF has every function that this library calls for the target; it is never run, and must not know their
 * types, which take an ISA's flags. Releases of SLEEF after 3.9 are to drop the functions without fused multiply-add,
 * so that a version says nothing. */
char Sleef_cinz_sincosd1_u10purec(void), Sleef_cinz_powd1_u10purec(void), Sleef_cinz_logd1_u10purec(void),
    Sleef_cinz_expd1_u10purec(void);
#if defined __x86_64__
char Sleef_cinz_sincosd4_u10avx(void), Sleef_cinz_sincosd8_u10avx512fnofma(void);
#define OF_THE_TARGET Sleef_cinz_sincosd4_u10avx, Sleef_cinz_sincosd8_u10avx512fnofma
#elif defined __aarch64__
char Sleef_cinz_sincosd2_u10advsimdnofma(void);
#define OF_THE_TARGET Sleef_cinz_sincosd2_u10advsimdnofma
#else
#define OF_THE_TARGET Sleef_cinz_sincosd1_u10purec
#endif

int main(void)
{
    static char (*volatile const functions[])(void) = { Sleef_cinz_sincosd1_u10purec, Sleef_cinz_powd1_u10purec,
                                                        Sleef_cinz_logd1_u10purec, Sleef_cinz_expd1_u10purec,
                                                        OF_THE_TARGET };
    return functions[0] == functions[1];
}
