/* SPDX-License-Identifier: Apache-2.0 */
/* A catalog's contents in words, for tests to compare. */
#ifndef TESTS_CATALOG_TEXT_H
#define TESTS_CATALOG_TEXT_H

#include "store/catalog.h"

/* All that CATALOG has, a line for each row: to be freed. *RESULT is what catalog_read() said. */
char *catalog_text(struct catalog *catalog, int *result);

#endif
