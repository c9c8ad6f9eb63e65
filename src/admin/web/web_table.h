/* SPDX-License-Identifier: Apache-2.0 */
/* web_table.h: between web.c, which finds, and what src/admin/web/embed writes, which is found. */
#ifndef CONEY_ADMIN_WEB_TABLE_H
#define CONEY_ADMIN_WEB_TABLE_H

#include "web.h"

extern const struct web_file web_files[]; /* sorted by path as strcmp() has it */
extern const size_t web_files_count;

#endif
