/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files, for definitions and payloads. Where these fail, errno tells why. */
#ifndef CTL_FILES_H
#define CTL_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "coney/buffer.h"

/* Append what PATH holds, or standard input if it is NULL. */
bool file_read(struct buffer *into, const char *path);

/* Write PATH anew; a file that was not there becomes its owner's alone. */
bool file_write(const char *path, const char *content, size_t size);

#endif
