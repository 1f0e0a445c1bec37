/* SPDX-License-Identifier: MIT
 * Statuses, the thread's last error and versioned structs; it must not know any other part of the library. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

/* glibc allocates what a dlopen'd library keeps per thread at the thread's first access, and ends the process if there
 * is no memory. In the static block of every thread there is room before anything fails; dlopen itself says no if its
 * 1.7 KB are gone. Other C libraries have other rules: musl, for one, allocates in time and refuses this model. */
#if defined __GLIBC__ && defined __GNUC__
#define IN_STATIC_BLOCK __attribute__((tls_model("initial-exec")))
#else
#define IN_STATIC_BLOCK
#endif
static _Thread_local char last_error[320] IN_STATIC_BLOCK;

int32_t roperot_fail(int32_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    return status;
}

int32_t roperot_null_error(const char *argument, const char *type)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s is NULL; it must point to a %s", argument, type);
}

int32_t roperot_null_plan_error(void)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "plan is NULL; it must be one that roperot_plan_create made");
}

int32_t roperot_field_error(const char *name, const char *field, int64_t value, const char *allowed)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s.%s is %lld; it must be %s", name, field, (long long)value, allowed);
}

/* The name of a struct in a list. */
static void name_at(char whole[48], const char *name, int32_t index, const char *member)
{
    snprintf(whole, 48, "%s[%d]%s", name, (int)index, member);
}

int32_t roperot_field_error_at(const char *name, int32_t index, const char *member, const char *field, int64_t value,
                               const char *allowed)
{
    char whole[48];
    name_at(whole, name, index, member);
    return roperot_field_error(whole, field, value, allowed);
}

const char *roperot_last_error(void)
{
    return last_error;
}

const char *roperot_status_name(int32_t status)
{
    switch (status) {
    case ROPEROT_OK: return "ROPEROT_OK";
    case ROPEROT_ERROR_ARGUMENT: return "ROPEROT_ERROR_ARGUMENT";
    case ROPEROT_ERROR_SHAPE: return "ROPEROT_ERROR_SHAPE";
    case ROPEROT_ERROR_DTYPE: return "ROPEROT_ERROR_DTYPE";
    case ROPEROT_ERROR_ALIAS: return "ROPEROT_ERROR_ALIAS";
    case ROPEROT_ERROR_POSITION: return "ROPEROT_ERROR_POSITION";
    case ROPEROT_ERROR_ISA: return "ROPEROT_ERROR_ISA";
    case ROPEROT_ERROR_MEMORY: return "ROPEROT_ERROR_MEMORY";
    case ROPEROT_ERROR_VERSION: return "ROPEROT_ERROR_VERSION";
    default: return "unknown status";
    }
}

/* Of a struct whose size is another one than here. */
static int32_t check_other_size(const void *data, uint32_t size, uint32_t first, uint32_t known, const char *name)
{
    if (size < first)
        return roperot_fail(ROPEROT_ERROR_VERSION, "%s.size is %u; it must be at least %u (use the INIT macro)", name,
                            (unsigned)size, (unsigned)first);
    const unsigned char *const bytes = data;
    for (uint32_t i = known; i < size; i++)
        if (bytes[i])
            return roperot_fail(
                ROPEROT_ERROR_VERSION,
                "%s.size is %u and byte %u is not zero; this library (%d.%d.%d) knows the first %u bytes", name,
                (unsigned)size, (unsigned)i, ROPEROT_VERSION_MAJOR, ROPEROT_VERSION_MINOR, ROPEROT_VERSION_PATCH,
                (unsigned)known);
    return ROPEROT_OK;
}

int32_t roperot_check_size(const void *data, uint32_t first, uint32_t known, const char *name)
{
    uint32_t size;
    memcpy(&size, data, sizeof size);
    return size == known ? ROPEROT_OK : check_other_size(data, size, first, known, name);
}

int32_t roperot_check_size_at(const void *data, uint32_t first, uint32_t known, const char *name, int32_t index,
                              const char *member)
{
    uint32_t size;
    char whole[48];
    memcpy(&size, data, sizeof size);
    if (size == known) return ROPEROT_OK;
    name_at(whole, name, index, member);
    return check_other_size(data, size, first, known, whole);
}

uint32_t roperot_version(void)
{
    return ROPEROT_VERSION;
}

const char *roperot_build_info(void)
{
    return ROPEROT_BUILD_INFO;
}
