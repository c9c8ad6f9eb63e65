/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers as the API shows them (management-http-api.md 3.5), for the resources that do. */
#ifndef ADMIN_CONSUMERS_H
#define ADMIN_CONSUMERS_H

#include <jansson.h>

#include "admin/http/request.h"
#include "coney/arena.h"
#include "coney/sessions.h"
#include "coney/survey.h"

/* A consumer as it was seen inside: strings are an arena's. */
struct consumer_row {
    struct survey_consumer consumer;
    struct session_name session;
};

/* Inside the vhost: copy. */
void consumer_copy(struct consumer_row *row, struct arena *arena, const struct survey_consumer *consumer);

json_t *consumer_json(struct request *request, const char *vhost, const struct consumer_row *row);

/* {name, pid, peer_host, peer_port} of a connection. */
json_t *connection_details(struct request *request, const struct session_name *session);

#endif
