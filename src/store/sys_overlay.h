/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h over another one that is only read: what is written stays in memory. So the store's own code, which
 * rolls back a transaction or removes what nobody needs when it opens something, can look at a data directory
 * without changing it.
 *
 * For one thread. A file that is written to is held in memory as a whole.
 */
#ifndef STORE_SYS_OVERLAY_H
#define STORE_SYS_OVERLAY_H

#include "coney/sys.h"

/* Borrows BASE, of which nothing but reading is asked. Locks are taken for granted: whoever needs one takes
 * it of BASE. sys_free() forgets all changes. */
struct sys *sys_overlay_new(struct sys *base);

#endif
