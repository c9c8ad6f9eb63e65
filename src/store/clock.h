/* SPDX-License-Identifier: Apache-2.0 */
/* The store's clock: ns that never step back. Alone in its file, so that a test may link its own. */
#ifndef STORE_CLOCK_H
#define STORE_CLOCK_H

#include <stdint.h>

uint64_t store_clock_ns(void);

#endif
