/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for HTTP listeners: libevent's, on the HTTP thread. Certificates are read anew when their files change,
 * all of them or, when one does not fit, none.
 */
#ifndef ADMIN_HTTPS_H
#define ADMIN_HTTPS_H

#include <stddef.h>

struct bufferevent;
struct config_tls;
struct event_base;
struct https;

/* What CONFIG names, for listeners on BASE. NULL with WHY when it is not sound. */
struct https *https_new(struct event_base *base, const struct config_tls *config, char *why, size_t why_size);

/* NULL is fine. */
void https_free(struct https *https);

/* On BASE's thread: for evhttp_set_bevcb(), with the struct https. */
struct bufferevent *https_accept(struct event_base *base, void *https);

#endif
