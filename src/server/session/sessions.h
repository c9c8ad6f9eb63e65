/* SPDX-License-Identifier: Apache-2.0 */
/* coney/sessions.h, the sessions' side: their places. On their loop. */
#ifndef SERVER_SESSIONS_H
#define SERVER_SESSIONS_H

#include "coney/sessions.h"

struct session;

void sessions_take_place(struct session *session);
void sessions_leave_place(struct session *session);

#endif
