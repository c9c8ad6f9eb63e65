/* SPDX-License-Identifier: Apache-2.0 */
/* consumers.h. */
#include "consumers.h"

#include "clients.h"
#include "coney/node_access.h"
#include "coney/vhost.h"
#include "json.h"

void consumer_copy(struct consumer_row *row, struct arena *arena, const struct survey_consumer *consumer)
{
    row->consumer = *consumer;
    row->consumer.user = arena_copy(arena, consumer->user);
    row->consumer.tag = arena_copy(arena, consumer->tag);
    row->consumer.queue = arena_copy(arena, consumer->queue);
    session_name_of(consumer->owner, &row->session);
}

json_t *connection_details(struct request *request, const struct session_name *session)
{
    char name[SESSION_NAME_SIZE];

    return json_pack("{s:s,s:o,s:s,s:i}", "name", session_name_text(session, name), "pid",
                     pid_json(request, session->serial, 0), "peer_host", session->peer_host, "peer_port",
                     session->peer_port);
}

static json_t *channel_details(struct request *request, const struct consumer_row *row)
{
    char connection[SESSION_NAME_SIZE], channel[CHANNEL_NAME_SIZE];
    uint16_t number = row->consumer.channel;
    json_t *out = json_object();

    session_name_text(&row->session, connection);
    json_put(out, "name", json_string(channel_name_text(&row->session, number, channel)));
    json_put(out, "pid", pid_json(request, row->session.serial, number));
    json_put_count(out, "number", number);
    json_put(out, "node", json_string(node_name(request->server)));
    json_put(out, "connection_name", json_string(connection));
    json_put(out, "peer_host", json_string(row->session.peer_host));
    json_put_count(out, "peer_port", row->session.peer_port);
    json_put(out, "user", json_text(row->consumer.user));
    return out;
}

json_t *consumer_json(struct request *request, const char *vhost, const struct consumer_row *row)
{
    const struct survey_consumer *consumer = &row->consumer;
    json_t *out = json_object(), *queue = json_object();

    json_put(queue, "name", json_text(consumer->queue));
    json_put(queue, "vhost", json_text(bytes_from_string(vhost)));
    json_put(out, "queue", queue);
    json_put(out, "consumer_tag", json_text(consumer->tag));
    json_put(out, "channel_details", channel_details(request, row));
    json_put(out, "ack_required", json_boolean(consumer->ack_required));
    json_put(out, "exclusive", json_boolean(consumer->exclusive));
    json_put_count(out, "prefetch_count", consumer->prefetch);
    json_put(out, "arguments",
             consumer->priority ? json_pack("{s:I}", "x-priority", (json_int_t)consumer->priority)
                                : json_object());
    json_put(out, "active", json_boolean(consumer->is_active));
    json_put(out, "activity_status",
             json_string(!consumer->is_single_active ? "up"
                         : consumer->is_active       ? "single_active"
                                                     : "waiting"));
    json_put_count(out, "consumer_timeout",
                   consumer->timeout_ms == VHOST_NEVER ? 0 : (uint64_t)consumer->timeout_ms);
    return out;
}
