/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that waits and durations are measured by. Alone in its file, so that a test may link its own. */
#ifndef CONEY_CLOCK_H
#define CONEY_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some time before the program began, never stepping back. From any thread. */
uint64_t clock_ns(void);

#endif
