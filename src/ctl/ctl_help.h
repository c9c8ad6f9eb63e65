/* SPDX-License-Identifier: Apache-2.0 */
/* How verbs are used: usage lines, the list of verbs, one verb's help, completion. All of it is read from the
 * tables of verbs. */
#ifndef CTL_CTL_HELP_H
#define CTL_CTL_HELP_H

#include <stdio.h>

#include "ctl.h"

/* How the verb at hand is used, or the program if there is none. */
void help_usage(struct ctl *ctl, FILE *to);

/* Everything about the verb at hand. */
void help_verb(struct ctl *ctl, FILE *to);

/* The list of all verbs under the program's name. */
void help_all(struct ctl *ctl, FILE *to);

/* The verb that the user may have meant by NAME; NULL if none is near. */
const struct verb *help_nearest(const struct ctl *ctl, const char *name);

#endif
