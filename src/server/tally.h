/* SPDX-License-Identifier: Apache-2.0 */
/* How many there are of each key: connections by user, by address. A key that has none takes no memory.
 * Whoever calls holds a lock. */
#ifndef SERVER_TALLY_H
#define SERVER_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

struct tally; /* NULL: an empty one */

uint64_t tally_of(const struct tally *tally, struct bytes key);

/* One more of KEY, unless there are MOST already: then false. */
bool tally_add(struct tally **tally, struct bytes key, uint64_t most);

/* One less; there is one. */
void tally_remove(struct tally **tally, struct bytes key);

#endif
