/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with padding, as JSON bodies and credentials have it. */
#ifndef CONEY_BASE64_H
#define CONEY_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

/* The octets that TEXT stands for, the caller's to free; NULL when it is no base64. Blanks and line breaks
 * mean nothing, as to RabbitMQ: tools write lines of 76 characters. */
uint8_t *base64_decode(struct bytes text, size_t *size);

/* BYTES as a NUL-terminated string, the caller's to free. */
char *base64_encode(struct bytes bytes);

#endif
