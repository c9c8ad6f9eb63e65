/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that takes its time, for benchmarks: every fdatasync() and fsync() lasts CONEY_SYNC_DELAY_US
 * microseconds longer, whatever program is started so:
 *
 *     CONEY_SYNC_DELAY_US=1000 LD_PRELOAD=$PWD/tests/store/slow-sync.so coneyd ...
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec delay;

__attribute__((constructor)) static void read_delay(void)
{
    const char *text = getenv("CONEY_SYNC_DELAY_US");
    long us = text ? strtol(text, NULL, 10) : 0;

    if (us > 0)
        delay = (struct timespec){us / 1000000, us % 1000000 * 1000};
}

static int sync_slowly(long number, int descriptor)
{
    int result = (int)syscall(number, descriptor);
    int error = errno;
    struct timespec left = delay;

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    errno = error;
    return result;
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's begin with underscores
int fdatasync(int descriptor)
{
    return sync_slowly(SYS_fdatasync, descriptor);
}

int fsync(int descriptor) // NOLINT(readability-inconsistent-declaration-parameter-name): likewise
{
    return sync_slowly(SYS_fsync, descriptor);
}
