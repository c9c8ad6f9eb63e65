/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections (management-http-api.md 3.3): what the server knows of a session, and what the vhost knows of
 * the connection. Listed are those too that still log in, to whoever may see all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/clients.h"
#include "admin/json.h"
#include "admin/listing.h"
#include "admin/router.h"
#include "admin/stats/stats.h"
#include "coney/node_access.h"
#include "coney/table.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

/* The loop of a key stands above its serial. */
#define LOOP_SHIFT  56
#define SERIAL_MASK ((UINT64_C(1) << LOOP_SHIFT) - 1)

/* ---- names ---- */

const char *channel_name_text(const struct session_name *name, uint16_t number, char out[CHANNEL_NAME_SIZE])
{
    char connection[SESSION_NAME_SIZE];

    snprintf(out, CHANNEL_NAME_SIZE, "%s (%u)", session_name_text(name, connection), number);
    return out;
}

json_t *pid_json(struct request *request, uint64_t serial, uint16_t number)
{
    char pid[400];

    snprintf(pid, sizeof pid, "<%s.1.%llu.%u>", node_name(request->server), (unsigned long long)serial,
             number);
    return json_text(bytes_from_string(pid));
}

bool may_see_client(const struct request *request, struct bytes user)
{
    return access_is_monitor(request) || bytes_equal(user, request->user.name);
}

void put_process(json_t *object)
{
    json_put_count(object, "reductions", 0);
    json_put(object, "reductions_details", json_rate(0));
    json_put(object, "garbage_collection",
             json_pack("{s:i,s:i,s:i,s:i,s:i}", "fullsweep_after", 0, "max_heap_size", 0,
                       "min_bin_vheap_size", 0, "min_heap_size", 0, "minor_gcs", 0));
}

/* ---- on a loop: copy, no more ---- */

struct row {
    struct session_view view; /* strings are the arena's */
    struct session_tls tls;
    bool is_there, is_counted;
    uint32_t channels;
};

struct found {
    struct session_name name;
    uint32_t place;
};

struct collecting {
    const struct request *request; /* whose user may see them; NULL: all */
    struct bytes vhost, user;      /* data NULL: all */
    uint32_t place;
    bool has_more;
    struct found found[LISTING_SLICE];
    size_t count;
};

static bool is_wanted(const struct collecting *collecting, const struct session_view *view)
{
    return (!collecting->request || may_see_client(collecting->request, view->user)) &&
           (!collecting->vhost.data || bytes_equal(view->vhost, collecting->vhost)) &&
           (!collecting->user.data || bytes_equal(view->user, collecting->user));
}

static void note_session(void *context, const struct session_view *view)
{
    struct collecting *collecting = context;

    if (is_wanted(collecting, view))
        collecting->found[collecting->count++] = (struct found){view->name, view->place};
}

static void collect_slice(struct loop *loop, void *argument)
{
    struct collecting *collecting = argument;

    collecting->count = 0;
    collecting->has_more = sessions_show(loop, &collecting->place, LISTING_SLICE, note_session, collecting);
}

struct fetching {
    struct arena arena;
    const struct listing_key *keys;
    struct row *rows, *row;
    size_t count;
    unsigned loop;
    struct bytes vhost;
};

static char *keep_string(struct arena *arena, const char *text)
{
    return text
               ? (char *)(uintptr_t)arena_copy(arena, (struct bytes){(const uint8_t *)text, strlen(text) + 1})
                     .data
               : NULL;
}

static void copy_session(void *context, const struct session_view *view)
{
    struct fetching *fetching = context;
    struct row *row = fetching->row;
    struct arena *arena = &fetching->arena;

    *row = (struct row){.is_there = true, .view = *view};
    row->view.user = arena_copy(arena, view->user);
    row->view.vhost = arena_copy(arena, view->vhost);
    row->view.client_properties = arena_copy(arena, view->client_properties);
    if (!view->tls)
        return;
    row->tls = *view->tls;
    row->tls.subject = keep_string(arena, view->tls->subject);
    row->tls.issuer = keep_string(arena, view->tls->issuer);
    row->tls.validity = keep_string(arena, view->tls->validity);
    row->view.tls = &row->tls;
}

static unsigned loop_of(const struct listing_key *key)
{
    return (unsigned)(key->id >> LOOP_SHIFT);
}

static void fetch_on_loop(struct loop *loop, void *argument)
{
    struct fetching *fetching = argument;

    for (size_t i = 0; i < fetching->count; i++) {
        const struct listing_key *key = &fetching->keys[i];

        fetching->row = &fetching->rows[i];
        if (loop_of(key) == fetching->loop)
            session_show_one(loop, key->number, key->id & SERIAL_MASK, copy_session, fetching);
    }
}

/* ---- inside a vhost ---- */

static void count_channels(struct vhost *vhost, void *argument)
{
    struct fetching *fetching = argument;
    struct survey_connection connection;

    for (size_t i = 0; i < fetching->count; i++) {
        struct row *row = &fetching->rows[i];

        if (!row->is_there || !bytes_equal(row->view.vhost, fetching->vhost))
            continue;
        row->is_counted = true;
        if (survey_connection(vhost, row->view.connection, &connection))
            row->channels = connection.channels;
    }
}

/* ---- outside: rows ---- */

static void put_tls(json_t *out, const struct session_tls *tls)
{
    const char *const names[] = {"ssl_protocol",      "ssl_key_exchange", "ssl_cipher",        "ssl_hash",
                                 "peer_cert_subject", "peer_cert_issuer", "peer_cert_validity"};

    json_put(out, "ssl", json_boolean(tls));
    if (!tls) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            json_put(out, names[i], json_null());
        return;
    }
    json_put(out, names[0], json_string(tls->protocol));
    json_put(out, names[1], json_string(tls->key_exchange));
    json_put(out, names[2], json_string(tls->cipher));
    json_put(out, names[3], json_string(tls->hash));
    json_put(out, names[4], json_text(bytes_from_string(tls->subject ? tls->subject : "")));
    json_put(out, names[5], json_text(bytes_from_string(tls->issuer ? tls->issuer : "")));
    json_put(out, names[6], json_text(bytes_from_string(tls->validity ? tls->validity : "")));
}

static const char *state_of(const struct session_view *view)
{
    static const char *const stages[] = {[SESSION_IS_STARTING] = "starting",
                                         [SESSION_IS_TUNING] = "tuning",
                                         [SESSION_IS_OPENING] = "opening",
                                         [SESSION_IS_IN] = "running",
                                         [SESSION_IS_CLOSING] = "closing"};

    if (view->stage != SESSION_IS_IN)
        return stages[view->stage];
    return view->is_blocked ? "blocked" : view->is_slowed ? "flow" : "running";
}

static void put_client(json_t *out, const struct session_view *view)
{
    struct field field;

    json_put(out, "user", json_text(view->user));
    json_put(out, "user_who_performed_action", json_text(view->user));
    json_put(out, "vhost", json_text(view->vhost));
    json_put(out, "auth_mechanism", view->mechanism ? json_string(view->mechanism) : json_null());
    json_put(out, "client_properties", json_table(view->client_properties));
    if (table_get(view->client_properties, "connection_name", &field) && field.type == FIELD_LONGSTR)
        json_put(out, "user_provided_name", json_text(field.bytes));
    json_put_count(out, "channel_max", view->channel_max);
    json_put_count(out, "frame_max", view->frame_max);
    json_put_count(out, "timeout", view->heartbeat);
    json_put(out, "connected_at", json_integer(view->connected_at));
}

static void put_traffic(json_t *out, struct request *request, const struct session_view *view)
{
    json_put_count(out, "recv_oct", view->recv_octets);
    json_put(out, "recv_oct_details", json_rate(0));
    json_put_count(out, "recv_cnt", view->recv_count);
    json_put_count(out, "send_oct", view->send_octets);
    json_put(out, "send_oct_details", json_rate(0));
    json_put_count(out, "send_cnt", view->send_count);
    json_put_count(out, "send_pend", view->is_writing);
    stats_add_data(request, stats_key_of_connection(view->name.serial), out);
}

static json_t *connection_json(struct request *request, const struct row *row)
{
    const struct session_view *view = &row->view;
    char name[SESSION_NAME_SIZE];
    json_t *out = json_object();

    json_put(out, "name", json_string(session_name_text(&view->name, name)));
    json_put(out, "pid", pid_json(request, view->name.serial, 0));
    json_put(out, "node", json_string(node_name(request->server)));
    json_put(out, "type", json_string("network"));
    json_put(out, "protocol", json_string("AMQP 0-9-1"));
    json_put(out, "state", json_string(state_of(view)));
    json_put(out, "host", json_string(view->name.host));
    json_put_count(out, "port", view->name.port);
    json_put(out, "peer_host", json_string(view->name.peer_host));
    json_put_count(out, "peer_port", view->name.peer_port);
    put_client(out, view);
    json_put_count(out, "channels", row->channels);
    put_tls(out, view->tls);
    put_traffic(out, request, view);
    put_process(out);
    return out;
}

/* ---- lists ---- */

/* Call NOTE for each session that COLLECTING wants, outside of the loops. False when the server stops, or
 * when NOTE says that it is enough. */
static bool each_session(struct request *request, struct collecting *collecting,
                         bool (*note)(void *context, const struct found *found, unsigned loop), void *context)
{
    for (unsigned loop = 0; loop < sessions_loop_count(request->server); loop++) {
        collecting->place = 0;
        do {
            if (visit_loop(request->server, loop, collect_slice, collecting) != VISIT_DONE)
                return false;
            for (size_t i = 0; i < collecting->count; i++)
                if (!note(context, &collecting->found[i], loop))
                    return false;
        } while (collecting->has_more);
    }
    return true;
}

static bool note_key(void *context, const struct found *found, unsigned loop)
{
    char name[SESSION_NAME_SIZE];

    session_name_text(&found->name, name);
    listing_add(context, NULL, bytes_from_string(name), found->name.serial | (uint64_t)loop << LOOP_SHIFT,
                found->place);
    return true;
}

static bool collect(struct listing *listing, struct bytes vhost, struct bytes user)
{
    struct collecting *collecting = xmalloc(sizeof *collecting);
    bool done;

    *collecting = (struct collecting){.request = listing->request, .vhost = vhost, .user = user};
    done = each_session(listing->request, collecting, note_key, listing);
    free(collecting);
    if (!done)
        reply_stopping(listing->request);
    return done;
}

static bool collect_all(struct listing *listing, const char *vhost)
{
    (void)vhost;
    return collect(listing, (struct bytes){NULL, 0}, listing->argument);
}

static bool collect_in_vhost(struct listing *listing, const char *vhost)
{
    (void)vhost;
    return collect(listing, listing->argument, (struct bytes){NULL, 0});
}

/* The first row whose vhost was not asked yet. */
static bool next_vhost(struct fetching *fetching)
{
    for (size_t i = 0; i < fetching->count; i++) {
        const struct row *row = &fetching->rows[i];

        if (row->is_there && row->view.connection && !row->is_counted) {
            fetching->vhost = row->view.vhost;
            return true;
        }
    }
    return false;
}

static void fetch(struct listing *listing, const struct listing_key *keys, size_t count, json_t **rows)
{
    struct request *request = listing->request;
    struct fetching fetching = {.keys = keys, .count = count};

    fetching.rows = xcalloc(count, sizeof *fetching.rows);
    for (; fetching.loop < sessions_loop_count(request->server); fetching.loop++)
        visit_loop(request->server, fetching.loop, fetch_on_loop, &fetching);
    while (next_vhost(&fetching))
        if (visit_vhost(request->server, fetching.vhost, count_channels, &fetching) != VISIT_DONE)
            break;
    for (size_t i = 0; i < count; i++)
        rows[i] = fetching.rows[i].is_there ? connection_json(request, &fetching.rows[i]) : NULL;
    free(fetching.rows);
    arena_clear(&fetching.arena);
}

static const struct listing_source connections = {.collect = collect_all, .fetch = fetch, .is_of_node = true};
static const struct listing_source connections_in_vhost = {
    .collect = collect_in_vhost, .fetch = fetch, .is_of_node = true};
static const struct listing_source connections_of_user = {
    .collect = collect_all, .fetch = fetch, .is_of_node = true, .is_not_paged = true};

static void list_all(struct request *request)
{
    listing_run(request, &connections, NULL, (struct bytes){NULL, 0});
}

static void list_vhost(struct request *request)
{
    listing_run(request, &connections_in_vhost, NULL, request_segment(request, 2));
}

static bool is_own(struct request *request, struct bytes user, bool may_monitor)
{
    if (bytes_equal(user, request->user.name) ||
        (may_monitor ? access_is_monitor(request) : access_is_administrator(request)))
        return true;
    reply_refused(request, "User not authorised to access object");
    return false;
}

static void list_user(struct request *request)
{
    if (is_own(request, request_segment(request, 3), true))
        listing_run(request, &connections_of_user, NULL, request_segment(request, 3));
}

/* ---- one ---- */

struct search {
    struct bytes name; /* or pid */
    uint64_t serial;   /* of a pid; 0: it is a name */
    struct listing_key key;
    bool is_found;
};

/* N of "<NODE.1.N.0>". */
static uint64_t serial_of_pid(const char *pid)
{
    const char *dots = *pid == '<' ? strrchr(pid, '.') : NULL;
    char *copy, *dot;
    uint64_t serial;

    if (!dots)
        return 0;
    copy = xstrdup(pid);
    copy[dots - pid] = '\0';
    dot = strrchr(copy, '.');
    serial = dot ? strtoull(dot + 1, NULL, 10) : 0;
    free(copy);
    return serial;
}

static bool compare(void *context, const struct found *found, unsigned loop)
{
    struct search *search = context;
    char name[SESSION_NAME_SIZE];

    if (search->serial ? found->name.serial != search->serial
                       : !bytes_equal_string(search->name, session_name_text(&found->name, name)))
        return true;
    search->key.id = found->name.serial | (uint64_t)loop << LOOP_SHIFT;
    search->key.number = found->place;
    search->is_found = true;
    return false;
}

static void done(struct fetching *fetching)
{
    free(fetching->rows);
    arena_clear(&fetching->arena);
}

/* Find the connection that the path names, and what it is; false after answering. Who may not see it is
 * refused, rather than told that it is not there. */
static bool find(struct request *request, struct search *search, struct fetching *fetching, bool may_monitor)
{
    struct collecting *collecting = xcalloc(1, sizeof *collecting);

    *search =
        (struct search){.name = request_segment(request, 2), .serial = serial_of_pid(request->segments[2])};
    each_session(request, collecting, compare, search);
    free(collecting);
    *fetching = (struct fetching){.keys = &search->key, .count = 1, .loop = loop_of(&search->key)};
    fetching->rows = xcalloc(1, sizeof *fetching->rows);
    if (search->is_found)
        visit_loop(request->server, fetching->loop, fetch_on_loop, fetching);
    if (!fetching->rows->is_there)
        reply_not_found(request);
    else if (is_own(request, fetching->rows->view.user, may_monitor))
        return true;
    done(fetching);
    return false;
}

static void show(struct request *request)
{
    struct fetching fetching;
    struct search search;

    if (!find(request, &search, &fetching, true))
        return;
    if (next_vhost(&fetching))
        visit_vhost(request->server, fetching.vhost, count_channels, &fetching);
    reply_row(request, connection_json(request, fetching.rows));
    done(&fetching);
}

static void list_channels(struct request *request)
{
    struct fetching fetching;
    struct search search;

    if (!find(request, &search, &fetching, true))
        return;
    if (fetching.rows->view.connection)
        list_channels_of(request, fetching.rows->view.vhost, fetching.rows->view.connection);
    else
        reply_json(request, 200, json_array());
    done(&fetching);
}

static const char *reason_of(const struct request *request)
{
    const char *reason = request->reason;

    return reason && *reason && utf8_is_valid(bytes_from_string(reason)) ? reason
                                                                         : "Closed via management plugin";
}

static void close_key(struct request *request, const struct listing_key *key)
{
    session_close(request->server, loop_of(key), key->number, key->id & SERIAL_MASK, reason_of(request));
}

static void close_one(struct request *request)
{
    struct fetching fetching;
    struct search search;

    if (!find(request, &search, &fetching, false))
        return;
    close_key(request, &search.key);
    done(&fetching);
    reply_empty(request, 204);
}

static void close_user(struct request *request)
{
    struct bytes user = request_segment(request, 3);
    struct listing listing = {.request = request, .argument = user};

    if (is_own(request, user, false) && collect_all(&listing, NULL)) {
        for (size_t i = 0; i < listing.count; i++)
            close_key(request, &listing.keys[i]);
        reply_empty(request, 204);
    }
    listing_clear(&listing);
}

const struct route routes_connections[] = {
    {"connections", {[VERB_GET] = {list_all, ACCESS_ANY}}},
    {"connections/:name", {[VERB_GET] = {show, ACCESS_ANY}, [VERB_DELETE] = {close_one, ACCESS_ANY}}},
    {"connections/username/:user",
     {[VERB_GET] = {list_user, ACCESS_ANY}, [VERB_DELETE] = {close_user, ACCESS_ANY}}},
    {"connections/:name/channels", {[VERB_GET] = {list_channels, ACCESS_ANY}}},
    {"vhosts/:vhost/connections", {[VERB_GET] = {list_vhost, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
