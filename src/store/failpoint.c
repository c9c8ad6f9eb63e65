/* SPDX-License-Identifier: Apache-2.0 */
/* failpoint.h: the one that CONEY_FAIL names, parsed once before any thread is started. */
#include "failpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool failpoint_is_set;

static char chosen[64];
static int error;         /* to return; 0: none */
static unsigned delay_ms; /* 0 and no error: the end */
static unsigned long wanted;
static _Atomic unsigned long hits;

bool failpoint_read(void)
{
    const char *text = getenv("CONEY_FAIL");
    char action[16] = "", argument[16] = "", *end;
    int used = 0;

    if (!text || !*text)
        return true;
    if (sscanf(text, "%63[a-z_]:%15[a-z]%n %15[A-Z0-9]%n", chosen, action, &used, argument, &used) < 2 ||
        text[used] != '@')
        return false;
    wanted = strtoul(text + used + 1, &end, 10);
    if (*end || !wanted)
        return false;
    if (strcmp(action, "error") == 0)
        error = strcmp(argument, "ENOSPC") == 0 ? -ENOSPC : strcmp(argument, "EIO") == 0 ? -EIO : 0;
    else if (strcmp(action, "delay") == 0)
        delay_ms = (unsigned)strtoul(argument, NULL, 10);
    failpoint_is_set = error || delay_ms || strcmp(action, "kill") == 0;
    return failpoint_is_set;
}

int failpoint_hit(const char *name)
{
    unsigned long hit;

    if (strcmp(name, chosen) != 0)
        return 0;
    hit = atomic_fetch_add(&hits, 1) + 1;
    if (delay_ms && hit >= wanted) {
        const struct timespec nap = {(time_t)(delay_ms / 1000), (long)(delay_ms % 1000) * 1000000};

        nanosleep(&nap, NULL);
    }
    if (hit != wanted || delay_ms)
        return 0;
    if (!error)
        raise(SIGKILL);
    return error;
}
