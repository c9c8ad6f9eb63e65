/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coneyd --check and --dump: what is wrong with a data directory, and what is in it, in words and as JSON.
 */
#ifndef CONEYD_INSPECT_H
#define CONEYD_INSPECT_H

#include <stdbool.h>

/* Print what is wrong with FOLDER, a line each, then a summary. Returns the exit code: EX_OK, EX_DATAERR,
 * EX_TEMPFAIL when a node uses it, or EX_IOERR. */
int coneyd_check(const char *folder);

/* Print what is in FOLDER to stdout, a JSON object on each line, BODIES in base64 if they are asked for; what
 * is wrong goes to stderr. Returns as above. */
int coneyd_dump(const char *folder, bool bodies);

#endif
