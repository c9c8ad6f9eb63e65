/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Surveys that may end early: a cursor that has begun is known to its vhost, which moves it on when what it
 * stands at goes; so it may not be freed before the vhost has let it go, also when the vhost is deleted or
 * the server stops meanwhile.
 */
#ifndef ADMIN_CURSOR_H
#define ADMIN_CURSOR_H

#include "coney/survey.h"

struct server;

/* At the beginning of the vhost's things of a kind. */
struct survey_cursor *cursor_new(enum survey_of of);

/* Leave the survey of VHOST if it has not come to its end, and free CURSOR. */
void cursor_free(struct server *server, struct bytes vhost, struct survey_cursor *cursor);

#endif
