/* SPDX-License-Identifier: Apache-2.0 */
/* coney/visit.h, the loops' side: a visit on its way. */
#ifndef SERVER_VISIT_H
#define SERVER_VISIT_H

#include "coney/visit.h"
#include "mail.h"

struct runner;
struct visit;

/* As visit_vhost(), in a vhost that is deleted too. */
enum visit_result visit_runner(struct runner *runner, void (*work)(struct vhost *vhost, void *argument),
                               void *argument);

/* As visit_vhosts(), and DELETED in each vhost that is deleted. */
enum visit_result visit_runners(struct server *server, void (*work)(struct vhost *vhost, void *argument),
                                void (*deleted)(struct vhost *vhost, void *argument), void *argument);

/* LOOP: MAIL_VISIT has come. */
void visit_take(struct mail *mail, struct loop *loop);

/* LOOP: the job that brought VISIT into its vhost is back. */
void visit_returns(struct visit *visit);

/* Tell whether loops must stay for visits under way. */
bool visits_are_under_way(struct server *server);

#endif
