/* SPDX-License-Identifier: Apache-2.0 */
/* Lists that are short enough for all rows to be made at once: users, rights, policies, parameters. */
#ifndef ADMIN_ROWS_H
#define ADMIN_ROWS_H

#include "listing.h"

struct rows {
    struct request *request;
    /* Call rows_add() for each thing in VHOST; NULL: in the node. False after answering. */
    bool (*make)(struct rows *rows, const char *vhost);
    bool is_of_node;       /* make once, not for each vhost */
    struct bytes argument; /* the maker's own */

    struct listing *listing;
    json_t *kept;
};

/* ROW, which is taken over, is sorted by NAME; VHOST is the maker's. */
void rows_add(struct rows *rows, const char *vhost, struct bytes name, json_t *row);

/* The same with each of LIST, which is given back, by the "name" that it has. */
void rows_add_all(struct rows *rows, const char *vhost, json_t *list);

/* The one of LIST, which is given back, whose "name" is NAME: a new reference; NULL when there is none. */
json_t *rows_pick(json_t *list, struct bytes name);

/* Answer ROWS->request with the list: of VHOST, or with NULL of wherever the asker may look. */
void rows_run(struct rows *rows, const char *vhost);

#endif
