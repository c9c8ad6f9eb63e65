/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of verbs, one for each file that has some, and what verbs of several files share. */
#ifndef CTL_VERBS_H
#define CTL_VERBS_H

#include "ctl.h"
#include "ctl_http.h"

/* Whose texts and behaviour are spoken under RabbitMQ's names. */
#define COMPATIBLE_VERSION "3.13.7"

extern const struct verb verbs_help[];
extern const struct verb verbs_list[];
extern const struct verb verbs_users[];
extern const struct verb verbs_access[];
extern const struct verb verbs_policies[];
extern const struct verb verbs_limits[];
extern const struct verb verbs_vhosts[];
extern const struct verb verbs_queues[];
extern const struct verb verbs_connections[];
extern const struct verb verbs_definitions[];
extern const struct verb verbs_status[];
extern const struct verb verbs_node[];
extern const struct verb verbs_checks[];
extern const struct verb verbs_plugins[];
extern const struct verb verbs_live[];
extern const struct verb verbs_admin[];
extern const struct verb verbs_refused[];

/* Is there such a user, such a vhost? */
bool user_exists(struct ctl *ctl, const char *user);
bool vhost_exists(struct ctl *ctl, const char *vhost);

/* Say that there is no such vhost, in rabbitmqctl's words, which have no "Error:". Returns the exit code. */
int missing_vhost(const char *vhost);

/* GET a list of the vhost's; one that is not there is reported and ends the program. */
json_t *vhost_rows(struct ctl *ctl, const char *path) __attribute__((returns_nonnull));

/* The same where the API has an empty list for a vhost that is not there. */
json_t *vhost_rows_or_none(struct ctl *ctl, const char *path) __attribute__((returns_nonnull));

/* Parse an ARGUMENT; reports what is wrong and returns NULL. */
json_t *json_argument(const char *argument);

/* Print a JSON value on one line, keys in order, as RabbitMQ does. */
void print_json_line(const json_t *value);

/* What --formatter json shows when something was done: {"node":...,"result":"ok"}. Returns CODE. */
int done(struct ctl *ctl, int code);

/* The sections of the status, also a part of the report. */
int run_status(struct ctl *ctl);
int run_environment(struct ctl *ctl);
int run_cluster_status(struct ctl *ctl);

/* Seconds of a clock that only goes forward. */
double seconds_now(void);
void pause_ms(long ms);

/* Does TEXT stand in LIST, ended by NULL? */
bool is_one_of(const char *text, const char *const *list);

#endif
