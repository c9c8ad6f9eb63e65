/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Until when a request must be there. evhttp closes connections that are silent for too long, and an octet
 * now and then breaks a silence: so requests have to come at some speed as well.
 *
 * Of the HTTP thread, all of it.
 */
#ifndef ADMIN_DEADLINES_H
#define ADMIN_DEADLINES_H

struct bufferevent;
struct deadlines;
struct event_base;

/* None yet; SILENCE_S is what evhttp grants. NULL when the system refuses. */
struct deadlines *deadlines_new(struct event_base *base, int silence_s);

/* After all connections are freed; DEADLINES may be NULL. */
void deadlines_free(struct deadlines *deadlines);

/* STREAM is for somebody who was just accepted; it has no socket yet, and closes it when it is freed. */
void deadlines_begin(struct deadlines *deadlines, struct bufferevent *stream);

/* A request is there, and nothing has to come by STREAM until its answer was sent. */
void deadlines_met(struct deadlines *deadlines, struct bufferevent *stream);
void deadlines_answered(struct deadlines *deadlines, struct bufferevent *stream);

#endif
