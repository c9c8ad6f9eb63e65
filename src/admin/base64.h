/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with padding, as JSON bodies and credentials have it. */
#ifndef ADMIN_BASE64_H
#define ADMIN_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

/* The octets that TEXT stands for, the caller's to free; NULL when it is no base64. */
uint8_t *base64_decode(struct bytes text, size_t *size);

/* BYTES as a NUL-terminated string, the caller's to free. */
char *base64_encode(struct bytes bytes);

#endif
