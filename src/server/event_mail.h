/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events (coney/events.h) on their way from wherever something happens to the vhost that carries them: by
 * mail to the first loop, and as a batch into the vhost.
 */
#ifndef SERVER_EVENT_MAIL_H
#define SERVER_EVENT_MAIL_H

#include "coney/bytes.h"
#include "coney/events.h"
#include "mail.h"

struct runner;
struct server;

/* The vhost whose exchange carries events, as RabbitMQ's event_exchange.vhost. */
#define EVENTS_VHOST "/"

/* VHOST is new, and nobody else knows it: it tells what happens. */
void events_join(struct server *server, struct runner *runner);

/* The sink of SERVER's vhosts; made with the server. */
void events_init(struct server *server);

/* First loop: MAIL_EVENT has come. */
void events_take(struct mail *mail);

/* The end of what events_tell() is given. */
#define EVENTS_END ((const char *)0)

/* Any thread: something happened that has but names: KEY, then pairs of a header's name and text, ended by
 * NULL. Texts are struct bytes by address. */
void events_tell(struct server *server, const char *key, ...);

#endif
