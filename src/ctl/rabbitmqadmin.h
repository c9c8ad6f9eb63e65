/* SPDX-License-Identifier: Apache-2.0 */
/* rabbitmqadmin: its verbs with arguments KEY=VALUE, its options, its formats, its texts. coneyctl has the
 * verbs too. */
#ifndef CTL_RABBITMQADMIN_H
#define CTL_RABBITMQADMIN_H

#include "ctl.h"

/* Run under the name rabbitmqadmin: options, configuration file, verb. */
int admin_main(struct ctl *ctl);

/* Make rabbitmqadmin's options into a target, from the command line, ~/.rabbitmqadmin.conf and defaults. */
void admin_choose_target(struct ctl *ctl);

/* A mistake on the command line: "ERROR: ..." and exit code 1. */
void admin_usage(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* "*** text", exit code 1. */
void admin_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A line of result, unless -q is given. */
void admin_say(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print a list in the format asked for. BODY is what the broker sent, ITEMS the same parsed. COLUMNS are
 * those to show, none: all; JSON_KEYS names those whose value is shown as JSON. Both end with NULL. */
void admin_print(struct ctl *ctl, const char *body, const json_t *items, const char *const *columns,
                 const char *const *json_keys);

/* Does the format show columns that were not named? */
bool admin_shows_default_columns(const struct ctl *ctl);

#endif
