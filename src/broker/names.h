/* SPDX-License-Identifier: Apache-2.0 */
/* Names as clients send them: CR and LF are taken out of those of queues and exchanges on declare, delete,
 * bind and unbind, and nowhere else (exchanges-queues-bindings.md 1). */
#ifndef BROKER_NAMES_H
#define BROKER_NAMES_H

#include "coney/bytes.h"

#define NAME_SIZE (SHORTSTR_MAX + 1)

/* NAME without CR and LF: itself, or a copy in BUFFER. */
static inline struct bytes name_clean(struct bytes name, char buffer[NAME_SIZE])
{
    size_t size = 0;

    if (!name.size || (!memchr(name.data, '\r', name.size) && !memchr(name.data, '\n', name.size)))
        return name;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] != '\r' && name.data[i] != '\n')
            buffer[size++] = (char)name.data[i];
    return (struct bytes){(const uint8_t *)buffer, size};
}

/* The prefix kept for the broker. */
static inline bool name_is_reserved(struct bytes name)
{
    return name.size >= 4 && memcmp(name.data, "amq.", 4) == 0;
}

#endif
