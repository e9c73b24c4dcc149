/* Preloaded into a program, kills it just before its $KILL_AT-th change to a file below
   $KILL_BELOW, or has its $FAIL_AT-th one fail as on a full disk, and at its end writes how many
   there were to $KILL_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long changes;

static long number(const char *name) {
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

/* Returns whether this change is to fail. */
static int change(const char *path) {
    const char *below = getenv("KILL_BELOW");
    if (!below || strncmp(path, below, strlen(below)) != 0)
        return 0;
    long at = __atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
    if (at == number("KILL_AT"))
        kill(getpid(), SIGKILL);
    if (at != number("FAIL_AT"))
        return 0;
    errno = ENOSPC;
    return 1;
}

static int change_of(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return change(path);
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("KILL_COUNT");
    FILE *file = path && changes ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld", changes);
        fclose(file);
    }
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) \
        real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return change_of(file) ? -1 : real(file, bytes, length);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return change_of(file) ? -1 : real(file, bytes, length, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return change_of(file) ? -1 : real(file, bytes, length, at);
}

int ftruncate(int file, off_t length) {
    REAL(int, "ftruncate", int, off_t);
    return change_of(file) ? -1 : real(file, length);
}

int ftruncate64(int file, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    return change_of(file) ? -1 : real(file, length);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return change(to) ? -1 : real(from, to);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return change(path) ? -1 : real(path);
}
