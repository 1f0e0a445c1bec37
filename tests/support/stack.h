/* SPDX-License-Identifier: MIT
 * How deep the stack of a call goes; it must not know what is called. */
#ifndef ROPEROT_TESTS_STACK_H
#define ROPEROT_TESTS_STACK_H

#include <stddef.h>

/* Sanitizers put redzones into every frame. */
#if defined __has_feature
#define SANITIZED                                                                                                      \
    (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer))
#elif defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* 1 if frames are as they are in use: neither sanitized nor counted nor without optimisation. */
#if defined __OPTIMIZE__ && !defined ROPEROT_TESTS_COVERAGE
enum { STACK_IS_USUAL = !SANITIZED };
#else
enum { STACK_IS_USUAL = 0 };
#endif

/* Bytes of stack that fn(arg) takes at most, its own frame and callees included, on a thread whose stack is painted. It
 * is called twice: what a first call has to resolve (lazy binding) is not counted. At least 512. 0 if there is no
 * thread to be had. */
size_t stack_used(void (*fn)(void *arg), void *arg);

#endif
