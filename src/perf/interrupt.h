/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts (SIGINT, SIGTERM): the first asks to end in order, the second ends the program at once. */
#ifndef PERF_INTERRUPT_H
#define PERF_INTERRUPT_H

#include <stdbool.h>

/* From now on. */
void interrupt_catch(void);

bool interrupt_came(void);

#endif
