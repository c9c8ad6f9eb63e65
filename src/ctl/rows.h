/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of objects in the formats of --formatter. A table is shown as a whole: the caller has the rows as an
 * array of the API's objects, and says which columns there are and where in an object each is found.
 */
#ifndef CTL_ROWS_H
#define CTL_ROWS_H

#include "ctl.h"
#include "terms.h"

struct column {
    const char *name;
    const char *field;   /* in the API's object, dots lead inward; NULL: as the name */
    const char *other;   /* looked at if the first is missing; may be NULL */
    enum term_kind kind; /* by default TERM_PLAIN */
};

/* The value of COLUMN in ROW, borrowed; NULL if there is none. */
json_t *column_value(const json_t *row, const struct column *column);

/* Print ROWS, an array of objects, with COLUMNS[0..COUNT). */
void rows_print(struct ctl *ctl, const json_t *rows, const struct column *const *columns, size_t count);

/* The same, for tables whose columns are not chosen by the user. */
void rows_print_all(struct ctl *ctl, const json_t *rows, const struct column *columns, size_t count);

/* The same, with an empty line or [] where there are no rows, as rabbitmqctl has it for short lists. */
void rows_print_short(struct ctl *ctl, const json_t *rows, const struct column *columns, size_t count);

#endif
