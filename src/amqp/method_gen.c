/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders and encoders, one per method, and what else the table says of each.
 *
 * Generated from methods.tsv by generate-methods. Do not edit: change the table or the generator and run it
 * (make regenerate-methods).
 */
/* clang-format off */

#include "coney/method.h"
#include "coney/table.h"
#include "method_cursor.h"

static enum method_status decode_connection_start(struct cursor *c, struct method_connection_start *m)
{
    if (!take_octet(c, &m->version_major))
        return METHOD_MALFORMED;
    if (!take_octet(c, &m->version_minor))
        return METHOD_MALFORMED;
    if (!take_longstr(c, &m->server_properties))
        return METHOD_MALFORMED;
    if (!take_longstr(c, &m->mechanisms))
        return METHOD_MALFORMED;
    if (!take_longstr(c, &m->locales))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!table_is_valid(m->server_properties, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_connection_start_ok(struct cursor *c, struct method_connection_start_ok *m)
{
    if (!take_longstr(c, &m->client_properties))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->mechanism))
        return METHOD_MALFORMED;
    if (!take_longstr(c, &m->response))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->locale))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->mechanism))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->locale))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->client_properties, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_connection_secure(struct cursor *c, struct method_connection_secure *m)
{
    if (!take_longstr(c, &m->challenge))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_connection_secure_ok(struct cursor *c, struct method_connection_secure_ok *m)
{
    if (!take_longstr(c, &m->response))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_connection_tune(struct cursor *c, struct method_connection_tune *m)
{
    if (!take_short(c, &m->channel_max))
        return METHOD_MALFORMED;
    if (!take_long(c, &m->frame_max))
        return METHOD_MALFORMED;
    if (!take_short(c, &m->heartbeat))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_connection_tune_ok(struct cursor *c, struct method_connection_tune_ok *m)
{
    if (!take_short(c, &m->channel_max))
        return METHOD_MALFORMED;
    if (!take_long(c, &m->frame_max))
        return METHOD_MALFORMED;
    if (!take_short(c, &m->heartbeat))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_connection_open(struct cursor *c, struct method_connection_open *m)
{
    if (!take_shortstr(c, &m->virtual_host))
        return METHOD_MALFORMED;
    if (!skip_shortstr(c))
        return METHOD_MALFORMED;
    if (!skip_octets(c, 1))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->virtual_host))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_connection_open_ok(struct cursor *c)
{
    if (!skip_shortstr(c))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_connection_close(struct cursor *c, struct method_connection_close *m)
{
    if (!take_short(c, &m->reply_code))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->reply_text))
        return METHOD_MALFORMED;
    if (!take_short(c, &m->class_id))
        return METHOD_MALFORMED;
    if (!take_short(c, &m->method_id))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->reply_text))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_connection_blocked(struct cursor *c, struct method_connection_blocked *m)
{
    if (!take_shortstr(c, &m->reason))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->reason))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_connection_update_secret(struct cursor *c, struct method_connection_update_secret *m)
{
    if (!take_longstr(c, &m->new_secret))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->reason))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->reason))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_channel_open(struct cursor *c)
{
    if (!skip_shortstr(c))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_channel_open_ok(struct cursor *c)
{
    if (!skip_longstr(c))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_channel_flow(struct cursor *c, struct method_channel_flow *m)
{
    uint8_t bits;

    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->active = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_channel_flow_ok(struct cursor *c, struct method_channel_flow_ok *m)
{
    uint8_t bits;

    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->active = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_channel_close(struct cursor *c, struct method_channel_close *m)
{
    if (!take_short(c, &m->reply_code))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->reply_text))
        return METHOD_MALFORMED;
    if (!take_short(c, &m->class_id))
        return METHOD_MALFORMED;
    if (!take_short(c, &m->method_id))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->reply_text))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_access_request(struct cursor *c, struct method_access_request *m)
{
    uint8_t bits;

    if (!take_shortstr(c, &m->realm))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->exclusive = (bits & 0x01) != 0;
    m->passive = (bits & 0x02) != 0;
    m->active = (bits & 0x04) != 0;
    m->write = (bits & 0x08) != 0;
    m->read = (bits & 0x10) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->realm))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_access_request_ok(struct cursor *c, struct method_access_request_ok *m)
{
    if (!take_short(c, &m->ticket))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_exchange_declare(struct cursor *c, struct method_exchange_declare *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->type))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->passive = (bits & 0x01) != 0;
    m->durable = (bits & 0x02) != 0;
    m->auto_delete = (bits & 0x04) != 0;
    m->internal = (bits & 0x08) != 0;
    m->nowait = (bits & 0x10) != 0;
    if (!take_longstr(c, &m->arguments))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->exchange))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->type))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->arguments, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_exchange_delete(struct cursor *c, struct method_exchange_delete *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->if_unused = (bits & 0x01) != 0;
    m->nowait = (bits & 0x02) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->exchange))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_exchange_bind(struct cursor *c, struct method_exchange_bind *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->destination))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->source))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->nowait = (bits & 0x01) != 0;
    if (!take_longstr(c, &m->arguments))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->destination))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->source))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->routing_key))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->arguments, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_exchange_unbind(struct cursor *c, struct method_exchange_unbind *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->destination))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->source))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->nowait = (bits & 0x01) != 0;
    if (!take_longstr(c, &m->arguments))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->destination))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->source))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->routing_key))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->arguments, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_queue_declare(struct cursor *c, struct method_queue_declare *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->passive = (bits & 0x01) != 0;
    m->durable = (bits & 0x02) != 0;
    m->exclusive = (bits & 0x04) != 0;
    m->auto_delete = (bits & 0x08) != 0;
    m->nowait = (bits & 0x10) != 0;
    if (!take_longstr(c, &m->arguments))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->arguments, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_queue_declare_ok(struct cursor *c, struct method_queue_declare_ok *m)
{
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_long(c, &m->message_count))
        return METHOD_MALFORMED;
    if (!take_long(c, &m->consumer_count))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_queue_bind(struct cursor *c, struct method_queue_bind *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->nowait = (bits & 0x01) != 0;
    if (!take_longstr(c, &m->arguments))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->exchange))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->routing_key))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->arguments, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_queue_purge(struct cursor *c, struct method_queue_purge *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->nowait = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_queue_purge_ok(struct cursor *c, struct method_queue_purge_ok *m)
{
    if (!take_long(c, &m->message_count))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_queue_delete(struct cursor *c, struct method_queue_delete *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->if_unused = (bits & 0x01) != 0;
    m->if_empty = (bits & 0x02) != 0;
    m->nowait = (bits & 0x04) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_queue_delete_ok(struct cursor *c, struct method_queue_delete_ok *m)
{
    if (!take_long(c, &m->message_count))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_queue_unbind(struct cursor *c, struct method_queue_unbind *m)
{
    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (!take_longstr(c, &m->arguments))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->exchange))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->routing_key))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->arguments, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_basic_qos(struct cursor *c, struct method_basic_qos *m)
{
    uint8_t bits;

    if (!take_long(c, &m->prefetch_size))
        return METHOD_MALFORMED;
    if (!take_short(c, &m->prefetch_count))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->global = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_consume(struct cursor *c, struct method_basic_consume *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->consumer_tag))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->no_local = (bits & 0x01) != 0;
    m->no_ack = (bits & 0x02) != 0;
    m->exclusive = (bits & 0x04) != 0;
    m->nowait = (bits & 0x08) != 0;
    if (!take_longstr(c, &m->arguments))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    if (!utf8_is_valid(m->consumer_tag))
        return METHOD_BAD_UTF8;
    if (!table_is_valid(m->arguments, TABLE_DEPTH_MAX))
        return METHOD_BAD_TABLE;
    return METHOD_OK;
}

static enum method_status decode_basic_consume_ok(struct cursor *c, struct method_basic_consume_ok *m)
{
    if (!take_shortstr(c, &m->consumer_tag))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->consumer_tag))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_basic_cancel(struct cursor *c, struct method_basic_cancel *m)
{
    uint8_t bits;

    if (!take_shortstr(c, &m->consumer_tag))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->nowait = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->consumer_tag))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_basic_cancel_ok(struct cursor *c, struct method_basic_cancel_ok *m)
{
    if (!take_shortstr(c, &m->consumer_tag))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->consumer_tag))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_basic_publish(struct cursor *c, struct method_basic_publish *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->mandatory = (bits & 0x01) != 0;
    m->immediate = (bits & 0x02) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_return(struct cursor *c, struct method_basic_return *m)
{
    if (!take_short(c, &m->reply_code))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->reply_text))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_deliver(struct cursor *c, struct method_basic_deliver *m)
{
    uint8_t bits;

    if (!take_shortstr(c, &m->consumer_tag))
        return METHOD_MALFORMED;
    if (!take_longlong(c, &m->delivery_tag))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->redelivered = (bits & 0x01) != 0;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_get(struct cursor *c, struct method_basic_get *m)
{
    uint8_t bits;

    if (!skip_octets(c, 2))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->queue))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->no_ack = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    if (!utf8_is_valid(m->queue))
        return METHOD_BAD_UTF8;
    return METHOD_OK;
}

static enum method_status decode_basic_get_ok(struct cursor *c, struct method_basic_get_ok *m)
{
    uint8_t bits;

    if (!take_longlong(c, &m->delivery_tag))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->redelivered = (bits & 0x01) != 0;
    if (!take_shortstr(c, &m->exchange))
        return METHOD_MALFORMED;
    if (!take_shortstr(c, &m->routing_key))
        return METHOD_MALFORMED;
    if (!take_long(c, &m->message_count))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_get_empty(struct cursor *c)
{
    if (!skip_shortstr(c))
        return METHOD_MALFORMED;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_ack(struct cursor *c, struct method_basic_ack *m)
{
    uint8_t bits;

    if (!take_longlong(c, &m->delivery_tag))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->multiple = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_reject(struct cursor *c, struct method_basic_reject *m)
{
    uint8_t bits;

    if (!take_longlong(c, &m->delivery_tag))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->requeue = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_recover_async(struct cursor *c, struct method_basic_recover_async *m)
{
    uint8_t bits;

    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->requeue = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_recover(struct cursor *c, struct method_basic_recover *m)
{
    uint8_t bits;

    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->requeue = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_basic_nack(struct cursor *c, struct method_basic_nack *m)
{
    uint8_t bits;

    if (!take_longlong(c, &m->delivery_tag))
        return METHOD_MALFORMED;
    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->multiple = (bits & 0x01) != 0;
    m->requeue = (bits & 0x02) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

static enum method_status decode_confirm_select(struct cursor *c, struct method_confirm_select *m)
{
    uint8_t bits;

    if (!take_octet(c, &bits))
        return METHOD_MALFORMED;
    m->nowait = (bits & 0x01) != 0;
    if (c->next != c->end)
        return METHOD_MALFORMED;
    return METHOD_OK;
}

enum method_status method_decode(struct method *out, struct bytes payload)
{
    struct cursor c;

    if (payload.size < 4)
        return METHOD_MALFORMED;
    out->id = (enum method_id)get_u32(payload.data);
    c = (struct cursor){payload.data + 4, payload.data + payload.size};
    switch (out->id) {
    case METHOD_CONNECTION_START:
        return decode_connection_start(&c, &out->connection_start);
    case METHOD_CONNECTION_START_OK:
        return decode_connection_start_ok(&c, &out->connection_start_ok);
    case METHOD_CONNECTION_SECURE:
        return decode_connection_secure(&c, &out->connection_secure);
    case METHOD_CONNECTION_SECURE_OK:
        return decode_connection_secure_ok(&c, &out->connection_secure_ok);
    case METHOD_CONNECTION_TUNE:
        return decode_connection_tune(&c, &out->connection_tune);
    case METHOD_CONNECTION_TUNE_OK:
        return decode_connection_tune_ok(&c, &out->connection_tune_ok);
    case METHOD_CONNECTION_OPEN:
        return decode_connection_open(&c, &out->connection_open);
    case METHOD_CONNECTION_OPEN_OK:
        return decode_connection_open_ok(&c);
    case METHOD_CONNECTION_CLOSE:
        return decode_connection_close(&c, &out->connection_close);
    case METHOD_CONNECTION_BLOCKED:
        return decode_connection_blocked(&c, &out->connection_blocked);
    case METHOD_CONNECTION_UPDATE_SECRET:
        return decode_connection_update_secret(&c, &out->connection_update_secret);
    case METHOD_CHANNEL_OPEN:
        return decode_channel_open(&c);
    case METHOD_CHANNEL_OPEN_OK:
        return decode_channel_open_ok(&c);
    case METHOD_CHANNEL_FLOW:
        return decode_channel_flow(&c, &out->channel_flow);
    case METHOD_CHANNEL_FLOW_OK:
        return decode_channel_flow_ok(&c, &out->channel_flow_ok);
    case METHOD_CHANNEL_CLOSE:
        return decode_channel_close(&c, &out->channel_close);
    case METHOD_ACCESS_REQUEST:
        return decode_access_request(&c, &out->access_request);
    case METHOD_ACCESS_REQUEST_OK:
        return decode_access_request_ok(&c, &out->access_request_ok);
    case METHOD_EXCHANGE_DECLARE:
        return decode_exchange_declare(&c, &out->exchange_declare);
    case METHOD_EXCHANGE_DELETE:
        return decode_exchange_delete(&c, &out->exchange_delete);
    case METHOD_EXCHANGE_BIND:
        return decode_exchange_bind(&c, &out->exchange_bind);
    case METHOD_EXCHANGE_UNBIND:
        return decode_exchange_unbind(&c, &out->exchange_unbind);
    case METHOD_QUEUE_DECLARE:
        return decode_queue_declare(&c, &out->queue_declare);
    case METHOD_QUEUE_DECLARE_OK:
        return decode_queue_declare_ok(&c, &out->queue_declare_ok);
    case METHOD_QUEUE_BIND:
        return decode_queue_bind(&c, &out->queue_bind);
    case METHOD_QUEUE_PURGE:
        return decode_queue_purge(&c, &out->queue_purge);
    case METHOD_QUEUE_PURGE_OK:
        return decode_queue_purge_ok(&c, &out->queue_purge_ok);
    case METHOD_QUEUE_DELETE:
        return decode_queue_delete(&c, &out->queue_delete);
    case METHOD_QUEUE_DELETE_OK:
        return decode_queue_delete_ok(&c, &out->queue_delete_ok);
    case METHOD_QUEUE_UNBIND:
        return decode_queue_unbind(&c, &out->queue_unbind);
    case METHOD_BASIC_QOS:
        return decode_basic_qos(&c, &out->basic_qos);
    case METHOD_BASIC_CONSUME:
        return decode_basic_consume(&c, &out->basic_consume);
    case METHOD_BASIC_CONSUME_OK:
        return decode_basic_consume_ok(&c, &out->basic_consume_ok);
    case METHOD_BASIC_CANCEL:
        return decode_basic_cancel(&c, &out->basic_cancel);
    case METHOD_BASIC_CANCEL_OK:
        return decode_basic_cancel_ok(&c, &out->basic_cancel_ok);
    case METHOD_BASIC_PUBLISH:
        return decode_basic_publish(&c, &out->basic_publish);
    case METHOD_BASIC_RETURN:
        return decode_basic_return(&c, &out->basic_return);
    case METHOD_BASIC_DELIVER:
        return decode_basic_deliver(&c, &out->basic_deliver);
    case METHOD_BASIC_GET:
        return decode_basic_get(&c, &out->basic_get);
    case METHOD_BASIC_GET_OK:
        return decode_basic_get_ok(&c, &out->basic_get_ok);
    case METHOD_BASIC_GET_EMPTY:
        return decode_basic_get_empty(&c);
    case METHOD_BASIC_ACK:
        return decode_basic_ack(&c, &out->basic_ack);
    case METHOD_BASIC_REJECT:
        return decode_basic_reject(&c, &out->basic_reject);
    case METHOD_BASIC_RECOVER_ASYNC:
        return decode_basic_recover_async(&c, &out->basic_recover_async);
    case METHOD_BASIC_RECOVER:
        return decode_basic_recover(&c, &out->basic_recover);
    case METHOD_BASIC_NACK:
        return decode_basic_nack(&c, &out->basic_nack);
    case METHOD_CONFIRM_SELECT:
        return decode_confirm_select(&c, &out->confirm_select);
    case METHOD_CONNECTION_CLOSE_OK:
    case METHOD_CONNECTION_UNBLOCKED:
    case METHOD_CONNECTION_UPDATE_SECRET_OK:
    case METHOD_CHANNEL_CLOSE_OK:
    case METHOD_EXCHANGE_DECLARE_OK:
    case METHOD_EXCHANGE_DELETE_OK:
    case METHOD_EXCHANGE_BIND_OK:
    case METHOD_EXCHANGE_UNBIND_OK:
    case METHOD_QUEUE_BIND_OK:
    case METHOD_QUEUE_UNBIND_OK:
    case METHOD_BASIC_QOS_OK:
    case METHOD_BASIC_RECOVER_OK:
    case METHOD_CONFIRM_SELECT_OK:
    case METHOD_TX_SELECT:
    case METHOD_TX_SELECT_OK:
    case METHOD_TX_COMMIT:
    case METHOD_TX_COMMIT_OK:
    case METHOD_TX_ROLLBACK:
    case METHOD_TX_ROLLBACK_OK:
        return c.next == c.end ? METHOD_OK : METHOD_MALFORMED;
    }
    return METHOD_UNKNOWN;
}

size_t method_encoded_size(const struct method *method)
{
    switch (method->id) {
    case METHOD_CONNECTION_START:
        return 18 + method->connection_start.server_properties.size + method->connection_start.mechanisms.size + method->connection_start.locales.size;
    case METHOD_CONNECTION_START_OK:
        return 14 + method->connection_start_ok.client_properties.size + method->connection_start_ok.mechanism.size + method->connection_start_ok.response.size + method->connection_start_ok.locale.size;
    case METHOD_CONNECTION_SECURE:
        return 8 + method->connection_secure.challenge.size;
    case METHOD_CONNECTION_SECURE_OK:
        return 8 + method->connection_secure_ok.response.size;
    case METHOD_CONNECTION_TUNE:
    case METHOD_CONNECTION_TUNE_OK:
        return 12;
    case METHOD_CONNECTION_OPEN:
        return 7 + method->connection_open.virtual_host.size;
    case METHOD_CONNECTION_OPEN_OK:
    case METHOD_CHANNEL_OPEN:
    case METHOD_CHANNEL_FLOW:
    case METHOD_CHANNEL_FLOW_OK:
    case METHOD_BASIC_GET_EMPTY:
    case METHOD_BASIC_RECOVER_ASYNC:
    case METHOD_BASIC_RECOVER:
    case METHOD_CONFIRM_SELECT:
        return 5;
    case METHOD_CONNECTION_CLOSE:
        return 11 + method->connection_close.reply_text.size;
    case METHOD_CONNECTION_CLOSE_OK:
    case METHOD_CONNECTION_UNBLOCKED:
    case METHOD_CONNECTION_UPDATE_SECRET_OK:
    case METHOD_CHANNEL_CLOSE_OK:
    case METHOD_EXCHANGE_DECLARE_OK:
    case METHOD_EXCHANGE_DELETE_OK:
    case METHOD_EXCHANGE_BIND_OK:
    case METHOD_EXCHANGE_UNBIND_OK:
    case METHOD_QUEUE_BIND_OK:
    case METHOD_QUEUE_UNBIND_OK:
    case METHOD_BASIC_QOS_OK:
    case METHOD_BASIC_RECOVER_OK:
    case METHOD_CONFIRM_SELECT_OK:
    case METHOD_TX_SELECT:
    case METHOD_TX_SELECT_OK:
    case METHOD_TX_COMMIT:
    case METHOD_TX_COMMIT_OK:
    case METHOD_TX_ROLLBACK:
    case METHOD_TX_ROLLBACK_OK:
        return 4;
    case METHOD_CONNECTION_BLOCKED:
        return 5 + method->connection_blocked.reason.size;
    case METHOD_CONNECTION_UPDATE_SECRET:
        return 9 + method->connection_update_secret.new_secret.size + method->connection_update_secret.reason.size;
    case METHOD_CHANNEL_OPEN_OK:
    case METHOD_QUEUE_PURGE_OK:
    case METHOD_QUEUE_DELETE_OK:
        return 8;
    case METHOD_CHANNEL_CLOSE:
        return 11 + method->channel_close.reply_text.size;
    case METHOD_ACCESS_REQUEST:
        return 6 + method->access_request.realm.size;
    case METHOD_ACCESS_REQUEST_OK:
        return 6;
    case METHOD_EXCHANGE_DECLARE:
        return 13 + method->exchange_declare.exchange.size + method->exchange_declare.type.size + method->exchange_declare.arguments.size;
    case METHOD_EXCHANGE_DELETE:
        return 8 + method->exchange_delete.exchange.size;
    case METHOD_EXCHANGE_BIND:
        return 14 + method->exchange_bind.destination.size + method->exchange_bind.source.size + method->exchange_bind.routing_key.size + method->exchange_bind.arguments.size;
    case METHOD_EXCHANGE_UNBIND:
        return 14 + method->exchange_unbind.destination.size + method->exchange_unbind.source.size + method->exchange_unbind.routing_key.size + method->exchange_unbind.arguments.size;
    case METHOD_QUEUE_DECLARE:
        return 12 + method->queue_declare.queue.size + method->queue_declare.arguments.size;
    case METHOD_QUEUE_DECLARE_OK:
        return 13 + method->queue_declare_ok.queue.size;
    case METHOD_QUEUE_BIND:
        return 14 + method->queue_bind.queue.size + method->queue_bind.exchange.size + method->queue_bind.routing_key.size + method->queue_bind.arguments.size;
    case METHOD_QUEUE_PURGE:
        return 8 + method->queue_purge.queue.size;
    case METHOD_QUEUE_DELETE:
        return 8 + method->queue_delete.queue.size;
    case METHOD_QUEUE_UNBIND:
        return 13 + method->queue_unbind.queue.size + method->queue_unbind.exchange.size + method->queue_unbind.routing_key.size + method->queue_unbind.arguments.size;
    case METHOD_BASIC_QOS:
        return 11;
    case METHOD_BASIC_CONSUME:
        return 13 + method->basic_consume.queue.size + method->basic_consume.consumer_tag.size + method->basic_consume.arguments.size;
    case METHOD_BASIC_CONSUME_OK:
        return 5 + method->basic_consume_ok.consumer_tag.size;
    case METHOD_BASIC_CANCEL:
        return 6 + method->basic_cancel.consumer_tag.size;
    case METHOD_BASIC_CANCEL_OK:
        return 5 + method->basic_cancel_ok.consumer_tag.size;
    case METHOD_BASIC_PUBLISH:
        return 9 + method->basic_publish.exchange.size + method->basic_publish.routing_key.size;
    case METHOD_BASIC_RETURN:
        return 9 + method->basic_return.reply_text.size + method->basic_return.exchange.size + method->basic_return.routing_key.size;
    case METHOD_BASIC_DELIVER:
        return 16 + method->basic_deliver.consumer_tag.size + method->basic_deliver.exchange.size + method->basic_deliver.routing_key.size;
    case METHOD_BASIC_GET:
        return 8 + method->basic_get.queue.size;
    case METHOD_BASIC_GET_OK:
        return 19 + method->basic_get_ok.exchange.size + method->basic_get_ok.routing_key.size;
    case METHOD_BASIC_ACK:
    case METHOD_BASIC_REJECT:
    case METHOD_BASIC_NACK:
        return 13;
    }
    return 4;
}

static uint8_t *encode_connection_start(uint8_t *p, const struct method_connection_start *m)
{
    p = put_u8(p, m->version_major);
    p = put_u8(p, m->version_minor);
    p = put_longstr(p, m->server_properties);
    p = put_longstr(p, m->mechanisms);
    p = put_longstr(p, m->locales);
    return p;
}

static uint8_t *encode_connection_start_ok(uint8_t *p, const struct method_connection_start_ok *m)
{
    p = put_longstr(p, m->client_properties);
    p = put_shortstr(p, m->mechanism);
    p = put_longstr(p, m->response);
    p = put_shortstr(p, m->locale);
    return p;
}

static uint8_t *encode_connection_secure(uint8_t *p, const struct method_connection_secure *m)
{
    p = put_longstr(p, m->challenge);
    return p;
}

static uint8_t *encode_connection_secure_ok(uint8_t *p, const struct method_connection_secure_ok *m)
{
    p = put_longstr(p, m->response);
    return p;
}

static uint8_t *encode_connection_tune(uint8_t *p, const struct method_connection_tune *m)
{
    p = put_u16(p, m->channel_max);
    p = put_u32(p, m->frame_max);
    p = put_u16(p, m->heartbeat);
    return p;
}

static uint8_t *encode_connection_tune_ok(uint8_t *p, const struct method_connection_tune_ok *m)
{
    p = put_u16(p, m->channel_max);
    p = put_u32(p, m->frame_max);
    p = put_u16(p, m->heartbeat);
    return p;
}

static uint8_t *encode_connection_open(uint8_t *p, const struct method_connection_open *m)
{
    p = put_shortstr(p, m->virtual_host);
    p = put_u8(p, 0);
    p = put_u8(p, 0);
    return p;
}

static uint8_t *encode_connection_open_ok(uint8_t *p)
{
    p = put_u8(p, 0);
    return p;
}

static uint8_t *encode_connection_close(uint8_t *p, const struct method_connection_close *m)
{
    p = put_u16(p, m->reply_code);
    p = put_shortstr(p, m->reply_text);
    p = put_u16(p, m->class_id);
    p = put_u16(p, m->method_id);
    return p;
}

static uint8_t *encode_connection_blocked(uint8_t *p, const struct method_connection_blocked *m)
{
    p = put_shortstr(p, m->reason);
    return p;
}

static uint8_t *encode_connection_update_secret(uint8_t *p, const struct method_connection_update_secret *m)
{
    p = put_longstr(p, m->new_secret);
    p = put_shortstr(p, m->reason);
    return p;
}

static uint8_t *encode_channel_open(uint8_t *p)
{
    p = put_u8(p, 0);
    return p;
}

static uint8_t *encode_channel_open_ok(uint8_t *p)
{
    p = put_u32(p, 0);
    return p;
}

static uint8_t *encode_channel_flow(uint8_t *p, const struct method_channel_flow *m)
{
    p = put_u8(p, (uint8_t)((uint8_t)m->active));
    return p;
}

static uint8_t *encode_channel_flow_ok(uint8_t *p, const struct method_channel_flow_ok *m)
{
    p = put_u8(p, (uint8_t)((uint8_t)m->active));
    return p;
}

static uint8_t *encode_channel_close(uint8_t *p, const struct method_channel_close *m)
{
    p = put_u16(p, m->reply_code);
    p = put_shortstr(p, m->reply_text);
    p = put_u16(p, m->class_id);
    p = put_u16(p, m->method_id);
    return p;
}

static uint8_t *encode_access_request(uint8_t *p, const struct method_access_request *m)
{
    p = put_shortstr(p, m->realm);
    p = put_u8(p, (uint8_t)((uint8_t)m->exclusive | (uint8_t)m->passive << 1 | (uint8_t)m->active << 2 | (uint8_t)m->write << 3 | (uint8_t)m->read << 4));
    return p;
}

static uint8_t *encode_access_request_ok(uint8_t *p, const struct method_access_request_ok *m)
{
    p = put_u16(p, m->ticket);
    return p;
}

static uint8_t *encode_exchange_declare(uint8_t *p, const struct method_exchange_declare *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->type);
    p = put_u8(p, (uint8_t)((uint8_t)m->passive | (uint8_t)m->durable << 1 | (uint8_t)m->auto_delete << 2 | (uint8_t)m->internal << 3 | (uint8_t)m->nowait << 4));
    p = put_longstr(p, m->arguments);
    return p;
}

static uint8_t *encode_exchange_delete(uint8_t *p, const struct method_exchange_delete *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->exchange);
    p = put_u8(p, (uint8_t)((uint8_t)m->if_unused | (uint8_t)m->nowait << 1));
    return p;
}

static uint8_t *encode_exchange_bind(uint8_t *p, const struct method_exchange_bind *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->destination);
    p = put_shortstr(p, m->source);
    p = put_shortstr(p, m->routing_key);
    p = put_u8(p, (uint8_t)((uint8_t)m->nowait));
    p = put_longstr(p, m->arguments);
    return p;
}

static uint8_t *encode_exchange_unbind(uint8_t *p, const struct method_exchange_unbind *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->destination);
    p = put_shortstr(p, m->source);
    p = put_shortstr(p, m->routing_key);
    p = put_u8(p, (uint8_t)((uint8_t)m->nowait));
    p = put_longstr(p, m->arguments);
    return p;
}

static uint8_t *encode_queue_declare(uint8_t *p, const struct method_queue_declare *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->queue);
    p = put_u8(p, (uint8_t)((uint8_t)m->passive | (uint8_t)m->durable << 1 | (uint8_t)m->exclusive << 2 | (uint8_t)m->auto_delete << 3 | (uint8_t)m->nowait << 4));
    p = put_longstr(p, m->arguments);
    return p;
}

static uint8_t *encode_queue_declare_ok(uint8_t *p, const struct method_queue_declare_ok *m)
{
    p = put_shortstr(p, m->queue);
    p = put_u32(p, m->message_count);
    p = put_u32(p, m->consumer_count);
    return p;
}

static uint8_t *encode_queue_bind(uint8_t *p, const struct method_queue_bind *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->queue);
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    p = put_u8(p, (uint8_t)((uint8_t)m->nowait));
    p = put_longstr(p, m->arguments);
    return p;
}

static uint8_t *encode_queue_purge(uint8_t *p, const struct method_queue_purge *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->queue);
    p = put_u8(p, (uint8_t)((uint8_t)m->nowait));
    return p;
}

static uint8_t *encode_queue_purge_ok(uint8_t *p, const struct method_queue_purge_ok *m)
{
    p = put_u32(p, m->message_count);
    return p;
}

static uint8_t *encode_queue_delete(uint8_t *p, const struct method_queue_delete *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->queue);
    p = put_u8(p, (uint8_t)((uint8_t)m->if_unused | (uint8_t)m->if_empty << 1 | (uint8_t)m->nowait << 2));
    return p;
}

static uint8_t *encode_queue_delete_ok(uint8_t *p, const struct method_queue_delete_ok *m)
{
    p = put_u32(p, m->message_count);
    return p;
}

static uint8_t *encode_queue_unbind(uint8_t *p, const struct method_queue_unbind *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->queue);
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    p = put_longstr(p, m->arguments);
    return p;
}

static uint8_t *encode_basic_qos(uint8_t *p, const struct method_basic_qos *m)
{
    p = put_u32(p, m->prefetch_size);
    p = put_u16(p, m->prefetch_count);
    p = put_u8(p, (uint8_t)((uint8_t)m->global));
    return p;
}

static uint8_t *encode_basic_consume(uint8_t *p, const struct method_basic_consume *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->queue);
    p = put_shortstr(p, m->consumer_tag);
    p = put_u8(p, (uint8_t)((uint8_t)m->no_local | (uint8_t)m->no_ack << 1 | (uint8_t)m->exclusive << 2 | (uint8_t)m->nowait << 3));
    p = put_longstr(p, m->arguments);
    return p;
}

static uint8_t *encode_basic_consume_ok(uint8_t *p, const struct method_basic_consume_ok *m)
{
    p = put_shortstr(p, m->consumer_tag);
    return p;
}

static uint8_t *encode_basic_cancel(uint8_t *p, const struct method_basic_cancel *m)
{
    p = put_shortstr(p, m->consumer_tag);
    p = put_u8(p, (uint8_t)((uint8_t)m->nowait));
    return p;
}

static uint8_t *encode_basic_cancel_ok(uint8_t *p, const struct method_basic_cancel_ok *m)
{
    p = put_shortstr(p, m->consumer_tag);
    return p;
}

static uint8_t *encode_basic_publish(uint8_t *p, const struct method_basic_publish *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    p = put_u8(p, (uint8_t)((uint8_t)m->mandatory | (uint8_t)m->immediate << 1));
    return p;
}

static uint8_t *encode_basic_return(uint8_t *p, const struct method_basic_return *m)
{
    p = put_u16(p, m->reply_code);
    p = put_shortstr(p, m->reply_text);
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    return p;
}

static uint8_t *encode_basic_deliver(uint8_t *p, const struct method_basic_deliver *m)
{
    p = put_shortstr(p, m->consumer_tag);
    p = put_u64(p, m->delivery_tag);
    p = put_u8(p, (uint8_t)((uint8_t)m->redelivered));
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    return p;
}

static uint8_t *encode_basic_get(uint8_t *p, const struct method_basic_get *m)
{
    p = put_u16(p, 0);
    p = put_shortstr(p, m->queue);
    p = put_u8(p, (uint8_t)((uint8_t)m->no_ack));
    return p;
}

static uint8_t *encode_basic_get_ok(uint8_t *p, const struct method_basic_get_ok *m)
{
    p = put_u64(p, m->delivery_tag);
    p = put_u8(p, (uint8_t)((uint8_t)m->redelivered));
    p = put_shortstr(p, m->exchange);
    p = put_shortstr(p, m->routing_key);
    p = put_u32(p, m->message_count);
    return p;
}

static uint8_t *encode_basic_get_empty(uint8_t *p)
{
    p = put_u8(p, 0);
    return p;
}

static uint8_t *encode_basic_ack(uint8_t *p, const struct method_basic_ack *m)
{
    p = put_u64(p, m->delivery_tag);
    p = put_u8(p, (uint8_t)((uint8_t)m->multiple));
    return p;
}

static uint8_t *encode_basic_reject(uint8_t *p, const struct method_basic_reject *m)
{
    p = put_u64(p, m->delivery_tag);
    p = put_u8(p, (uint8_t)((uint8_t)m->requeue));
    return p;
}

static uint8_t *encode_basic_recover_async(uint8_t *p, const struct method_basic_recover_async *m)
{
    p = put_u8(p, (uint8_t)((uint8_t)m->requeue));
    return p;
}

static uint8_t *encode_basic_recover(uint8_t *p, const struct method_basic_recover *m)
{
    p = put_u8(p, (uint8_t)((uint8_t)m->requeue));
    return p;
}

static uint8_t *encode_basic_nack(uint8_t *p, const struct method_basic_nack *m)
{
    p = put_u64(p, m->delivery_tag);
    p = put_u8(p, (uint8_t)((uint8_t)m->multiple | (uint8_t)m->requeue << 1));
    return p;
}

static uint8_t *encode_confirm_select(uint8_t *p, const struct method_confirm_select *m)
{
    p = put_u8(p, (uint8_t)((uint8_t)m->nowait));
    return p;
}

uint8_t *method_encode(uint8_t *out, const struct method *method)
{
    out = put_u32(out, (uint32_t)method->id);
    switch (method->id) {
    case METHOD_CONNECTION_START:
        return encode_connection_start(out, &method->connection_start);
    case METHOD_CONNECTION_START_OK:
        return encode_connection_start_ok(out, &method->connection_start_ok);
    case METHOD_CONNECTION_SECURE:
        return encode_connection_secure(out, &method->connection_secure);
    case METHOD_CONNECTION_SECURE_OK:
        return encode_connection_secure_ok(out, &method->connection_secure_ok);
    case METHOD_CONNECTION_TUNE:
        return encode_connection_tune(out, &method->connection_tune);
    case METHOD_CONNECTION_TUNE_OK:
        return encode_connection_tune_ok(out, &method->connection_tune_ok);
    case METHOD_CONNECTION_OPEN:
        return encode_connection_open(out, &method->connection_open);
    case METHOD_CONNECTION_OPEN_OK:
        return encode_connection_open_ok(out);
    case METHOD_CONNECTION_CLOSE:
        return encode_connection_close(out, &method->connection_close);
    case METHOD_CONNECTION_BLOCKED:
        return encode_connection_blocked(out, &method->connection_blocked);
    case METHOD_CONNECTION_UPDATE_SECRET:
        return encode_connection_update_secret(out, &method->connection_update_secret);
    case METHOD_CHANNEL_OPEN:
        return encode_channel_open(out);
    case METHOD_CHANNEL_OPEN_OK:
        return encode_channel_open_ok(out);
    case METHOD_CHANNEL_FLOW:
        return encode_channel_flow(out, &method->channel_flow);
    case METHOD_CHANNEL_FLOW_OK:
        return encode_channel_flow_ok(out, &method->channel_flow_ok);
    case METHOD_CHANNEL_CLOSE:
        return encode_channel_close(out, &method->channel_close);
    case METHOD_ACCESS_REQUEST:
        return encode_access_request(out, &method->access_request);
    case METHOD_ACCESS_REQUEST_OK:
        return encode_access_request_ok(out, &method->access_request_ok);
    case METHOD_EXCHANGE_DECLARE:
        return encode_exchange_declare(out, &method->exchange_declare);
    case METHOD_EXCHANGE_DELETE:
        return encode_exchange_delete(out, &method->exchange_delete);
    case METHOD_EXCHANGE_BIND:
        return encode_exchange_bind(out, &method->exchange_bind);
    case METHOD_EXCHANGE_UNBIND:
        return encode_exchange_unbind(out, &method->exchange_unbind);
    case METHOD_QUEUE_DECLARE:
        return encode_queue_declare(out, &method->queue_declare);
    case METHOD_QUEUE_DECLARE_OK:
        return encode_queue_declare_ok(out, &method->queue_declare_ok);
    case METHOD_QUEUE_BIND:
        return encode_queue_bind(out, &method->queue_bind);
    case METHOD_QUEUE_PURGE:
        return encode_queue_purge(out, &method->queue_purge);
    case METHOD_QUEUE_PURGE_OK:
        return encode_queue_purge_ok(out, &method->queue_purge_ok);
    case METHOD_QUEUE_DELETE:
        return encode_queue_delete(out, &method->queue_delete);
    case METHOD_QUEUE_DELETE_OK:
        return encode_queue_delete_ok(out, &method->queue_delete_ok);
    case METHOD_QUEUE_UNBIND:
        return encode_queue_unbind(out, &method->queue_unbind);
    case METHOD_BASIC_QOS:
        return encode_basic_qos(out, &method->basic_qos);
    case METHOD_BASIC_CONSUME:
        return encode_basic_consume(out, &method->basic_consume);
    case METHOD_BASIC_CONSUME_OK:
        return encode_basic_consume_ok(out, &method->basic_consume_ok);
    case METHOD_BASIC_CANCEL:
        return encode_basic_cancel(out, &method->basic_cancel);
    case METHOD_BASIC_CANCEL_OK:
        return encode_basic_cancel_ok(out, &method->basic_cancel_ok);
    case METHOD_BASIC_PUBLISH:
        return encode_basic_publish(out, &method->basic_publish);
    case METHOD_BASIC_RETURN:
        return encode_basic_return(out, &method->basic_return);
    case METHOD_BASIC_DELIVER:
        return encode_basic_deliver(out, &method->basic_deliver);
    case METHOD_BASIC_GET:
        return encode_basic_get(out, &method->basic_get);
    case METHOD_BASIC_GET_OK:
        return encode_basic_get_ok(out, &method->basic_get_ok);
    case METHOD_BASIC_GET_EMPTY:
        return encode_basic_get_empty(out);
    case METHOD_BASIC_ACK:
        return encode_basic_ack(out, &method->basic_ack);
    case METHOD_BASIC_REJECT:
        return encode_basic_reject(out, &method->basic_reject);
    case METHOD_BASIC_RECOVER_ASYNC:
        return encode_basic_recover_async(out, &method->basic_recover_async);
    case METHOD_BASIC_RECOVER:
        return encode_basic_recover(out, &method->basic_recover);
    case METHOD_BASIC_NACK:
        return encode_basic_nack(out, &method->basic_nack);
    case METHOD_CONFIRM_SELECT:
        return encode_confirm_select(out, &method->confirm_select);
    case METHOD_CONNECTION_CLOSE_OK:
    case METHOD_CONNECTION_UNBLOCKED:
    case METHOD_CONNECTION_UPDATE_SECRET_OK:
    case METHOD_CHANNEL_CLOSE_OK:
    case METHOD_EXCHANGE_DECLARE_OK:
    case METHOD_EXCHANGE_DELETE_OK:
    case METHOD_EXCHANGE_BIND_OK:
    case METHOD_EXCHANGE_UNBIND_OK:
    case METHOD_QUEUE_BIND_OK:
    case METHOD_QUEUE_UNBIND_OK:
    case METHOD_BASIC_QOS_OK:
    case METHOD_BASIC_RECOVER_OK:
    case METHOD_CONFIRM_SELECT_OK:
    case METHOD_TX_SELECT:
    case METHOD_TX_SELECT_OK:
    case METHOD_TX_COMMIT:
    case METHOD_TX_COMMIT_OK:
    case METHOD_TX_ROLLBACK:
    case METHOD_TX_ROLLBACK_OK:
        return out;
    }
    return out;
}

const char *method_name(enum method_id id)
{
    switch (id) {
    case METHOD_CONNECTION_START:
        return "connection.start";
    case METHOD_CONNECTION_START_OK:
        return "connection.start-ok";
    case METHOD_CONNECTION_SECURE:
        return "connection.secure";
    case METHOD_CONNECTION_SECURE_OK:
        return "connection.secure-ok";
    case METHOD_CONNECTION_TUNE:
        return "connection.tune";
    case METHOD_CONNECTION_TUNE_OK:
        return "connection.tune-ok";
    case METHOD_CONNECTION_OPEN:
        return "connection.open";
    case METHOD_CONNECTION_OPEN_OK:
        return "connection.open-ok";
    case METHOD_CONNECTION_CLOSE:
        return "connection.close";
    case METHOD_CONNECTION_CLOSE_OK:
        return "connection.close-ok";
    case METHOD_CONNECTION_BLOCKED:
        return "connection.blocked";
    case METHOD_CONNECTION_UNBLOCKED:
        return "connection.unblocked";
    case METHOD_CONNECTION_UPDATE_SECRET:
        return "connection.update-secret";
    case METHOD_CONNECTION_UPDATE_SECRET_OK:
        return "connection.update-secret-ok";
    case METHOD_CHANNEL_OPEN:
        return "channel.open";
    case METHOD_CHANNEL_OPEN_OK:
        return "channel.open-ok";
    case METHOD_CHANNEL_FLOW:
        return "channel.flow";
    case METHOD_CHANNEL_FLOW_OK:
        return "channel.flow-ok";
    case METHOD_CHANNEL_CLOSE:
        return "channel.close";
    case METHOD_CHANNEL_CLOSE_OK:
        return "channel.close-ok";
    case METHOD_ACCESS_REQUEST:
        return "access.request";
    case METHOD_ACCESS_REQUEST_OK:
        return "access.request-ok";
    case METHOD_EXCHANGE_DECLARE:
        return "exchange.declare";
    case METHOD_EXCHANGE_DECLARE_OK:
        return "exchange.declare-ok";
    case METHOD_EXCHANGE_DELETE:
        return "exchange.delete";
    case METHOD_EXCHANGE_DELETE_OK:
        return "exchange.delete-ok";
    case METHOD_EXCHANGE_BIND:
        return "exchange.bind";
    case METHOD_EXCHANGE_BIND_OK:
        return "exchange.bind-ok";
    case METHOD_EXCHANGE_UNBIND:
        return "exchange.unbind";
    case METHOD_EXCHANGE_UNBIND_OK:
        return "exchange.unbind-ok";
    case METHOD_QUEUE_DECLARE:
        return "queue.declare";
    case METHOD_QUEUE_DECLARE_OK:
        return "queue.declare-ok";
    case METHOD_QUEUE_BIND:
        return "queue.bind";
    case METHOD_QUEUE_BIND_OK:
        return "queue.bind-ok";
    case METHOD_QUEUE_PURGE:
        return "queue.purge";
    case METHOD_QUEUE_PURGE_OK:
        return "queue.purge-ok";
    case METHOD_QUEUE_DELETE:
        return "queue.delete";
    case METHOD_QUEUE_DELETE_OK:
        return "queue.delete-ok";
    case METHOD_QUEUE_UNBIND:
        return "queue.unbind";
    case METHOD_QUEUE_UNBIND_OK:
        return "queue.unbind-ok";
    case METHOD_BASIC_QOS:
        return "basic.qos";
    case METHOD_BASIC_QOS_OK:
        return "basic.qos-ok";
    case METHOD_BASIC_CONSUME:
        return "basic.consume";
    case METHOD_BASIC_CONSUME_OK:
        return "basic.consume-ok";
    case METHOD_BASIC_CANCEL:
        return "basic.cancel";
    case METHOD_BASIC_CANCEL_OK:
        return "basic.cancel-ok";
    case METHOD_BASIC_PUBLISH:
        return "basic.publish";
    case METHOD_BASIC_RETURN:
        return "basic.return";
    case METHOD_BASIC_DELIVER:
        return "basic.deliver";
    case METHOD_BASIC_GET:
        return "basic.get";
    case METHOD_BASIC_GET_OK:
        return "basic.get-ok";
    case METHOD_BASIC_GET_EMPTY:
        return "basic.get-empty";
    case METHOD_BASIC_ACK:
        return "basic.ack";
    case METHOD_BASIC_REJECT:
        return "basic.reject";
    case METHOD_BASIC_RECOVER_ASYNC:
        return "basic.recover-async";
    case METHOD_BASIC_RECOVER:
        return "basic.recover";
    case METHOD_BASIC_RECOVER_OK:
        return "basic.recover-ok";
    case METHOD_BASIC_NACK:
        return "basic.nack";
    case METHOD_CONFIRM_SELECT:
        return "confirm.select";
    case METHOD_CONFIRM_SELECT_OK:
        return "confirm.select-ok";
    case METHOD_TX_SELECT:
        return "tx.select";
    case METHOD_TX_SELECT_OK:
        return "tx.select-ok";
    case METHOD_TX_COMMIT:
        return "tx.commit";
    case METHOD_TX_COMMIT_OK:
        return "tx.commit-ok";
    case METHOD_TX_ROLLBACK:
        return "tx.rollback";
    case METHOD_TX_ROLLBACK_OK:
        return "tx.rollback-ok";
    }
    return "unknown";
}

bool method_is_from_client(enum method_id id)
{
    switch (id) {
    case METHOD_CONNECTION_START_OK:
    case METHOD_CONNECTION_SECURE_OK:
    case METHOD_CONNECTION_TUNE_OK:
    case METHOD_CONNECTION_OPEN:
    case METHOD_CONNECTION_CLOSE:
    case METHOD_CONNECTION_CLOSE_OK:
    case METHOD_CONNECTION_UPDATE_SECRET:
    case METHOD_CHANNEL_OPEN:
    case METHOD_CHANNEL_FLOW:
    case METHOD_CHANNEL_CLOSE:
    case METHOD_CHANNEL_CLOSE_OK:
    case METHOD_ACCESS_REQUEST:
    case METHOD_EXCHANGE_DECLARE:
    case METHOD_EXCHANGE_DELETE:
    case METHOD_EXCHANGE_BIND:
    case METHOD_EXCHANGE_UNBIND:
    case METHOD_QUEUE_DECLARE:
    case METHOD_QUEUE_BIND:
    case METHOD_QUEUE_PURGE:
    case METHOD_QUEUE_DELETE:
    case METHOD_QUEUE_UNBIND:
    case METHOD_BASIC_QOS:
    case METHOD_BASIC_CONSUME:
    case METHOD_BASIC_CANCEL:
    case METHOD_BASIC_CANCEL_OK:
    case METHOD_BASIC_PUBLISH:
    case METHOD_BASIC_GET:
    case METHOD_BASIC_ACK:
    case METHOD_BASIC_REJECT:
    case METHOD_BASIC_RECOVER_ASYNC:
    case METHOD_BASIC_RECOVER:
    case METHOD_BASIC_NACK:
    case METHOD_CONFIRM_SELECT:
    case METHOD_TX_SELECT:
    case METHOD_TX_COMMIT:
    case METHOD_TX_ROLLBACK:
        return true;
    default:
        return false;
    }
}

bool method_has_content(enum method_id id)
{
    switch (id) {
    case METHOD_BASIC_PUBLISH:
    case METHOD_BASIC_RETURN:
    case METHOD_BASIC_DELIVER:
    case METHOD_BASIC_GET_OK:
        return true;
    default:
        return false;
    }
}

bool method_arguments(const struct method *method, struct bytes *out)
{
    switch (method->id) {
    case METHOD_EXCHANGE_DECLARE:
        *out = method->exchange_declare.arguments;
        break;
    case METHOD_EXCHANGE_BIND:
        *out = method->exchange_bind.arguments;
        break;
    case METHOD_EXCHANGE_UNBIND:
        *out = method->exchange_unbind.arguments;
        break;
    case METHOD_QUEUE_DECLARE:
        *out = method->queue_declare.arguments;
        break;
    case METHOD_QUEUE_BIND:
        *out = method->queue_bind.arguments;
        break;
    case METHOD_QUEUE_UNBIND:
        *out = method->queue_unbind.arguments;
        break;
    case METHOD_BASIC_CONSUME:
        *out = method->basic_consume.arguments;
        break;
    default:
        return false;
    }
    return out->size > 0;
}
