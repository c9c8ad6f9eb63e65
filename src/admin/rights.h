/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of what a vhost says of rights and policies, made inside it and read outside. */
#ifndef ADMIN_RIGHTS_H
#define ADMIN_RIGHTS_H

#include <jansson.h>

#include "coney/arena.h"
#include "coney/survey.h"
#include "coney/visit.h"

struct right {
    struct bytes user, exchange, configure, write,
        read; /* the arena's; exchange and configure: as it is one */
};

struct rights {
    struct arena arena;
    bool are_topics;
    struct right *items;
    size_t count, capacity;
};

/* Those of VHOST, or its topic permissions; to be freed in any case. */
enum visit_result rights_get(struct rights *rights, struct server *server, struct bytes vhost,
                             bool are_topics);
void rights_free(struct rights *rights);

/* {"user", "vhost", "configure", "write", "read"}, or with "exchange" instead of "configure". */
json_t *right_json(const struct rights *rights, const struct right *right, struct bytes vhost);

#endif
