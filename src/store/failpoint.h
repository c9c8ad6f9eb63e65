/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named places where the node may be made to end, to fail or to dawdle, for tests of the real program:
 *
 *     CONEY_FAIL=checkpoint_before_commit:kill@2      the second time: kill -9
 *     CONEY_FAIL=journal_before_sync:error EIO@37     the 37th time: as if the call after it had said EIO
 *     CONEY_FAIL=journal_before_sync:delay 200@1      from the first time on: 200 ms each time
 *
 * They are always compiled in, so that what is tested is what is shipped; without the variable each costs a
 * look at a flag that never changes, and none is on the path of a message: all are beside system calls.
 */
#ifndef STORE_FAILPOINT_H
#define STORE_FAILPOINT_H

#include <stdbool.h>

extern bool failpoint_is_set;

/* Read CONEY_FAIL. False when it is set to what is no failpoint. */
bool failpoint_read(void);

int failpoint_hit(const char *name);

/* 0, or the negative errno that whatever follows shall have failed with. */
static inline int failpoint(const char *name)
{
    return failpoint_is_set ? failpoint_hit(name) : 0;
}

#endif
