/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How nice a thread is. Always told from the first thread, which never changes: told as a figure of its own
 * it would put a thread before the loops of a process that is nice as a whole; told from its maker's it would
 * grow from thread to thread.
 */
#include "coney/nicer.h"

#include <sys/resource.h>
#include <unistd.h>

void be_nicer(int by)
{
    int first = getpriority(PRIO_PROCESS, (id_t)getpid());

    setpriority(PRIO_PROCESS, 0, first + by); /* 0: this thread alone; more than 19 is 19 */
}
