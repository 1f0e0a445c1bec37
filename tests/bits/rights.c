/* SPDX-License-Identifier: MIT
 * ROPEROT_ISA decides nothing in a program that has more rights than its caller; it must not know how the library finds
 * that out. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <roperot/roperot.h>

#include "bits.h"

/* How the program that is asked answers: an exit status. */
enum { ANSWER = 16, HAS_MORE_RIGHTS = 1, HAS_AN_ISA = 2 };
enum { MOST_GROUPS = 64, SOME_GROUP = 65534 };

static int answer(void)
{
    return ANSWER | (getauxval(AT_SECURE) ? HAS_MORE_RIGHTS : 0) | (roperot_isa_best() ? HAS_AN_ISA : 0);
}

/* The answer of the program at `path`, to which ROPEROT_ISA names nonsense; without ANSWER if it did not start. */
static int ask(char *path)
{
    char *const arguments[] = { path, (char[]){ "answer" }, NULL };
    char *const variables[] = { (char[]){ "ROPEROT_ISA=nonsense" }, NULL };
    const pid_t child = fork();
    if (child == 0) {
        execve(path, arguments, variables);
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* A group that this process may give to a file and does not run as. */
static gid_t other_group(void)
{
    gid_t groups[MOST_GROUPS];
    const int count = getgroups(MOST_GROUPS, groups);
    for (int i = 0; i < count; i++)
        if (groups[i] != getgid()) return groups[i];
    return SOME_GROUP;
}

static int copy(int from, int to)
{
    char block[1 << 16];
    ssize_t got;
    while ((got = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)got) != got) return 0;
    return got == 0;
}

/* A copy of this program at `path` that runs as another group: NULL, or why there is none. */
static const char *copy_with_rights(const char *path)
{
    const int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, S_IRWXU);
    const int copied = from >= 0 && to >= 0 && copy(from, to);
    const int given = copied && !fchown(to, (uid_t)-1, other_group()) && !fchmod(to, S_ISGID | S_IRWXU | S_IXGRP);
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    return given ? NULL : copied ? "this user may not give files to another group" : "the program cannot be copied";
}

static void with_more_rights(char *path)
{
    static const char what[] = "a program with more rights than its caller ignores ROPEROT_ISA";
    const char *const why = copy_with_rights(path);
    const int got = why ? 0 : ask(path);
    unlink(path);
    if (why)
        bits_skip(what, why);
    else if (!(got & HAS_MORE_RIGHTS))
        bits_skip(what, "set-group-ID does nothing here (an emulator, nosuid or no_new_privs)");
    else
        bits_point(!(got & HAS_AN_ISA), "%s", what);
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc > 1 && strcmp(argv[1], "answer") == 0) return answer();
    bits_plan(2);
    snprintf(path, sizeof path, "%s", argv[0]);
    const int got = ask(path);
    if (got & ANSWER)
        bits_point(got & (HAS_AN_ISA | HAS_MORE_RIGHTS), "ROPEROT_ISA decides what AUTO means");
    else
        bits_skip("ROPEROT_ISA decides what AUTO means", "an emulated program cannot start another");
    snprintf(path, sizeof path, "%s.rights", argv[0]);
    with_more_rights(path);
    return bits_end();
}
