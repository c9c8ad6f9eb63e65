/* SPDX-License-Identifier: Apache-2.0 */
/* vhost.h: what somebody outside ends, be it connections or all that does not last. */
#include "vhost_fields.h"

bool vhost_close_connection(struct vhost *vhost, uint64_t id, const char *text)
{
    struct connection *connection = connection_find(vhost, id);

    if (!connection)
        return false;
    connection_fail(connection, (enum method_id)0, REPLY_CONNECTION_FORCED, "%s", text);
    return true;
}

uint32_t vhost_send_away(struct vhost *vhost, const char *text)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < vhost->slot_count; i++) {
        struct connection *connection = vhost->slots[i].connection;

        if (!connection || connection->is_internal)
            continue;
        connection_fail(connection, (enum method_id)0, REPLY_CONNECTION_FORCED, "%s", text);
        left++;
    }
    return left;
}

void vhost_delete_transient(struct vhost *vhost)
{
    struct exchange *exchange = vhost->exchanges;
    struct queue *queue, *next;

    HASH_ITER (hh, vhost->queues, queue, next)
        if (!queue->durable)
            queue_delete(queue);
    while (exchange) {
        if (exchange->durable) {
            exchange = exchange->hh.next;
            continue;
        }
        exchange_delete(exchange);
        exchange = vhost->exchanges; /* others may have gone with it */
    }
}
