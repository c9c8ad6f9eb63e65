/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of things, as long as they may be: collected by name, sorted, filtered, cut into pages, and sent row
 * by row (management-http-api.md 1.4). What is kept of each thing meanwhile is its name; rows are made some
 * hundred at a time. A thing that goes meanwhile is left out.
 */
#ifndef ADMIN_LISTING_H
#define ADMIN_LISTING_H

#include "admin/http/request.h"
#include "admin/http/writer.h"
#include "coney/arena.h"
#include "coney/survey.h"

struct listing;

/* One thing. */
struct listing_key {
    const char *vhost; /* the listing's; NULL: of no vhost */
    struct bytes name; /* what it is sorted by, and filtered */
    uint64_t id;       /* the source's own, as is the next */
    uint32_t number;
    json_t *value; /* to be sorted by; NULL: by vhost and name */
};

struct listing_source {
    /* Call listing_add() for each thing in VHOST; NULL: in the node. False after answering. */
    bool (*collect)(struct listing *listing, const char *vhost);
    /* Make rows of COUNT things of one vhost; NULL for those that are gone. */
    void (*fetch)(struct listing *listing, const struct listing_key *keys, size_t count, json_t **rows);
    /* Instead of it, where there may be very many: append each row to OUT as text, with the members that
     * COLUMNS wants, and its end to ENDS. One that is gone is empty. */
    void (*write)(struct listing *listing, const struct listing_key *keys, size_t count,
                  const struct columns *columns, struct buffer *out, size_t *ends);
    bool is_of_node;   /* collect once, not for each vhost */
    bool is_not_paged; /* page and page_size mean nothing */
};

/* A slice of a survey inside a vhost. */
#define LISTING_SLICE 256

struct listing {
    struct request *request;
    const struct listing_source *source;
    struct arena arena; /* names */
    struct listing_key *keys;
    size_t count, capacity;
    const char *vhost;     /* the only one; NULL: all that the asker may see */
    struct bytes argument; /* the source's own: of what it lists */
};

/* NAME is copied. */
void listing_add(struct listing *listing, const char *vhost, struct bytes name, uint64_t id, uint32_t number);

/* A vhost's things on their way into a listing. */
struct listing_survey {
    struct listing *listing;
    const char *vhost;
    struct survey_cursor cursor;
};

/* For a source's collect(): have SLICE called inside VHOST with a struct listing_survey until that one's
 * cursor, of OF, is at its end. False after answering that the node stops. */
bool listing_collect(struct listing *listing, const char *vhost, enum survey_of of,
                     void (*slice)(struct vhost *vhost, void *survey));

/* Answer REQUEST with the list of what SOURCE has: in VHOST, or with NULL wherever the asker may look. */
void listing_run(struct request *request, const struct listing_source *source, const char *vhost,
                 struct bytes argument);

/* Whether what REQUEST was told can be all that there is: not when the node has begun to stop, since nothing
 * is seen from then on. Then the end is left out, and nobody takes a part for the whole. */
bool listing_is_whole(const struct request *request);

/* Give back what a listing that was collected without listing_run() has. */
void listing_clear(struct listing *listing);

#endif
