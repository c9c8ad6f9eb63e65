/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes allocations of a running program fail, one chosen by its number; to be loaded by LD_PRELOAD.
 *
 * The program is told what to do, and tells what it did, in the file that FAILING_MALLOC names, which is
 * mapped by it and by the test: struct control. Counting begins when the test writes `armed`, last of what it
 * writes. Mappings without a file count as well, as the broker's pools ask for those. What the C library
 * takes for itself, without calling malloc by name, does not.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAILURES 32
#define FRAMES   13

struct failure {
    uint64_t size;
    char thread[16];
    uint64_t frames[FRAMES]; /* where it was asked from, less the address that the program was loaded at */
};

struct control {
    _Atomic uint64_t armed; /* 0: nothing fails; else the first allocation that does, from 1 */
    _Atomic uint64_t run;   /* how many fail in a row */
    _Atomic uint64_t counted, failed;
    char thread[16]; /* only threads whose names begin so */
    uint64_t size_min;
    struct failure failures[FAILURES];
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct control *control;
static uint64_t base;

static int find_base(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    *(uint64_t *)context = info->dlpi_addr; /* the program is told first */
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAILING_MALLOC");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *frames[FRAMES];
    void *mapped;

    if (fd < 0)
        return;
    mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    dl_iterate_phdr(find_base, &base);
    backtrace(frames, FRAMES); /* its first call allocates */
    if (mapped != MAP_FAILED)
        control = mapped;
}

static int is_meant(size_t size)
{
    static _Thread_local char name[16]; /* of the thread, once it has one */

    if (size < control->size_min)
        return 0;
    if (!control->thread[0])
        return 1;
    pthread_getname_np(pthread_self(), name, sizeof name);
    return strncmp(name, control->thread, strlen(control->thread)) == 0;
}

static void note(uint64_t number, size_t size)
{
    struct failure *failure = &control->failures[number];
    void *frames[FRAMES + 2];
    int depth = backtrace(frames, FRAMES + 2);

    failure->size = size;
    pthread_getname_np(pthread_self(), failure->thread, sizeof failure->thread);
    for (int i = 0; i < FRAMES; i++)
        failure->frames[i] = i + 2 < depth ? (uint64_t)(uintptr_t)frames[i + 2] - base : 0;
}

static int fails(size_t size)
{
    static _Thread_local int is_inside;
    uint64_t armed, number;
    int error = errno;

    armed = control ? atomic_load_explicit(&control->armed, memory_order_acquire) : 0;
    if (!armed || is_inside || !is_meant(size))
        return 0;
    number = atomic_fetch_add(&control->counted, 1) + 1;
    if (number < armed || number - armed >= atomic_load(&control->run)) {
        errno = error;
        return 0;
    }
    is_inside = 1;
    number = atomic_fetch_add(&control->failed, 1);
    if (number < FAILURES)
        note(number, size);
    is_inside = 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return size && fails(size) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, count * size);
}

void *memalign(size_t alignment, size_t size)
{
    return fails(size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    int error = errno;
    void *memory = memalign(alignment, size);

    errno = error;
    if (!memory)
        return ENOMEM;
    *result = memory;
    return 0;
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (flags & MAP_ANONYMOUS && fails(size))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd,
                           offset); /* NOLINT(performance-no-int-to-ptr) */
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));
