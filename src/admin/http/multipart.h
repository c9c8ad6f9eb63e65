/* SPDX-License-Identifier: Apache-2.0 */
/* multipart/form-data (RFC 7578), as browsers and curl -F send files. */
#ifndef ADMIN_MULTIPART_H
#define ADMIN_MULTIPART_H

#include <stdbool.h>

#include "coney/bytes.h"

/* Whether CONTENT_TYPE, which may be NULL, says so. */
bool is_multipart(const char *content_type);

/* The contents of the field NAME in BODY; false when there is none, or BODY is not what CONTENT_TYPE says. */
bool multipart_field(const char *content_type, struct bytes body, const char *name, struct bytes *out);

#endif
