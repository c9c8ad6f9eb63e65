/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to who may do what while the server runs, for whoever administers it. Any thread may ask for one:
 * what concerns users is done at once, what concerns vhosts goes by the first loop into each vhost as a
 * batch. Changes that are asked for one after the other by one thread are made in that order.
 */
#ifndef SERVER_CHANGES_H
#define SERVER_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

struct mail;
struct server;
struct user_spec;

/* Told when a change is made everywhere and kept: on the thread that did the last of it, which must not be
 * held up. CALL may be NULL. */
struct change_done {
    void (*call)(void *argument);
    void *argument;
};

enum change_result {
    CHANGE_BEGUN,
    CHANGE_NO_USER,
    CHANGE_NO_VHOST,
    CHANGE_REFUSED, /* WHY says what is wrong */
};

#define CHANGE_WHY_SIZE 256

/* Put a user, as PUT /api/users does; takes some tens of milliseconds when SPEC has a password. Connections
 * of the user stay, whatever changed. */
enum change_result changes_put_user(struct server *server, const struct user_spec *spec,
                                    char why[CHANGE_WHY_SIZE]);

/* Remove a user with all rights, and close the user's connections. */
enum change_result changes_remove_user(struct server *server, struct bytes name, struct change_done done);

enum change_result changes_set_permission(struct server *server, struct bytes vhost, struct bytes user,
                                          struct bytes configure, struct bytes write, struct bytes read,
                                          struct change_done done, char why[CHANGE_WHY_SIZE]);
enum change_result changes_clear_permission(struct server *server, struct bytes vhost, struct bytes user,
                                            struct change_done done);

enum change_result changes_set_topic_permission(struct server *server, struct bytes vhost, struct bytes user,
                                                struct bytes exchange, struct bytes write, struct bytes read,
                                                struct change_done done, char why[CHANGE_WHY_SIZE]);
enum change_result changes_clear_topic_permission(struct server *server, struct bytes vhost,
                                                  struct bytes user, struct bytes exchange,
                                                  struct change_done done);

/* Negative: no limit. */
enum change_result changes_set_vhost_limits(struct server *server, struct bytes vhost,
                                            int64_t connections_max, int64_t queues_max,
                                            struct change_done done);

/* First loop: MAIL_CHANGE has come. */
void changes_take(struct mail *mail);

#endif
