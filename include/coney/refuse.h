/* SPDX-License-Identifier: Apache-2.0 */
/* How whoever checks what people wrote says no. */
#ifndef CONEY_REFUSE_H
#define CONEY_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

/* Say why in WHY, of SIZE octets. Gives false. */
bool refuse(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
