/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of AMQP 0-9-1 as RabbitMQ speaks it. Included through coney/method.h.
 *
 * Generated from methods.tsv by generate-methods. Do not edit: change the table or the generator and run it
 * (make regenerate-methods).
 */
/* clang-format off */

#ifndef CONEY_METHOD_GEN_H
#define CONEY_METHOD_GEN_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

/* class-id << 16 | method-id */
enum method_id {
    METHOD_CONNECTION_START = 0x000A000A,
    METHOD_CONNECTION_START_OK = 0x000A000B,
    METHOD_CONNECTION_SECURE = 0x000A0014,
    METHOD_CONNECTION_SECURE_OK = 0x000A0015,
    METHOD_CONNECTION_TUNE = 0x000A001E,
    METHOD_CONNECTION_TUNE_OK = 0x000A001F,
    METHOD_CONNECTION_OPEN = 0x000A0028,
    METHOD_CONNECTION_OPEN_OK = 0x000A0029,
    METHOD_CONNECTION_CLOSE = 0x000A0032,
    METHOD_CONNECTION_CLOSE_OK = 0x000A0033,
    METHOD_CONNECTION_BLOCKED = 0x000A003C,
    METHOD_CONNECTION_UNBLOCKED = 0x000A003D,
    METHOD_CONNECTION_UPDATE_SECRET = 0x000A0046,
    METHOD_CONNECTION_UPDATE_SECRET_OK = 0x000A0047,
    METHOD_CHANNEL_OPEN = 0x0014000A,
    METHOD_CHANNEL_OPEN_OK = 0x0014000B,
    METHOD_CHANNEL_FLOW = 0x00140014,
    METHOD_CHANNEL_FLOW_OK = 0x00140015,
    METHOD_CHANNEL_CLOSE = 0x00140028,
    METHOD_CHANNEL_CLOSE_OK = 0x00140029,
    METHOD_ACCESS_REQUEST = 0x001E000A,
    METHOD_ACCESS_REQUEST_OK = 0x001E000B,
    METHOD_EXCHANGE_DECLARE = 0x0028000A,
    METHOD_EXCHANGE_DECLARE_OK = 0x0028000B,
    METHOD_EXCHANGE_DELETE = 0x00280014,
    METHOD_EXCHANGE_DELETE_OK = 0x00280015,
    METHOD_EXCHANGE_BIND = 0x0028001E,
    METHOD_EXCHANGE_BIND_OK = 0x0028001F,
    METHOD_EXCHANGE_UNBIND = 0x00280028,
    METHOD_EXCHANGE_UNBIND_OK = 0x00280033,
    METHOD_QUEUE_DECLARE = 0x0032000A,
    METHOD_QUEUE_DECLARE_OK = 0x0032000B,
    METHOD_QUEUE_BIND = 0x00320014,
    METHOD_QUEUE_BIND_OK = 0x00320015,
    METHOD_QUEUE_PURGE = 0x0032001E,
    METHOD_QUEUE_PURGE_OK = 0x0032001F,
    METHOD_QUEUE_DELETE = 0x00320028,
    METHOD_QUEUE_DELETE_OK = 0x00320029,
    METHOD_QUEUE_UNBIND = 0x00320032,
    METHOD_QUEUE_UNBIND_OK = 0x00320033,
    METHOD_BASIC_QOS = 0x003C000A,
    METHOD_BASIC_QOS_OK = 0x003C000B,
    METHOD_BASIC_CONSUME = 0x003C0014,
    METHOD_BASIC_CONSUME_OK = 0x003C0015,
    METHOD_BASIC_CANCEL = 0x003C001E,
    METHOD_BASIC_CANCEL_OK = 0x003C001F,
    METHOD_BASIC_PUBLISH = 0x003C0028,
    METHOD_BASIC_RETURN = 0x003C0032,
    METHOD_BASIC_DELIVER = 0x003C003C,
    METHOD_BASIC_GET = 0x003C0046,
    METHOD_BASIC_GET_OK = 0x003C0047,
    METHOD_BASIC_GET_EMPTY = 0x003C0048,
    METHOD_BASIC_ACK = 0x003C0050,
    METHOD_BASIC_REJECT = 0x003C005A,
    METHOD_BASIC_RECOVER_ASYNC = 0x003C0064,
    METHOD_BASIC_RECOVER = 0x003C006E,
    METHOD_BASIC_RECOVER_OK = 0x003C006F,
    METHOD_BASIC_NACK = 0x003C0078,
    METHOD_CONFIRM_SELECT = 0x0055000A,
    METHOD_CONFIRM_SELECT_OK = 0x0055000B,
    METHOD_TX_SELECT = 0x005A000A,
    METHOD_TX_SELECT_OK = 0x005A000B,
    METHOD_TX_COMMIT = 0x005A0014,
    METHOD_TX_COMMIT_OK = 0x005A0015,
    METHOD_TX_ROLLBACK = 0x005A001E,
    METHOD_TX_ROLLBACK_OK = 0x005A001F,
};

struct method_connection_start {
    struct bytes server_properties;
    struct bytes mechanisms;
    struct bytes locales;
    uint8_t version_major;
    uint8_t version_minor;
};

struct method_connection_start_ok {
    struct bytes client_properties;
    struct bytes mechanism;
    struct bytes response;
    struct bytes locale;
};

struct method_connection_secure {
    struct bytes challenge;
};

struct method_connection_secure_ok {
    struct bytes response;
};

struct method_connection_tune {
    uint32_t frame_max;
    uint16_t channel_max;
    uint16_t heartbeat;
};

struct method_connection_tune_ok {
    uint32_t frame_max;
    uint16_t channel_max;
    uint16_t heartbeat;
};

struct method_connection_open {
    struct bytes virtual_host;
};

struct method_connection_close {
    struct bytes reply_text;
    uint16_t reply_code;
    uint16_t class_id;
    uint16_t method_id;
};

struct method_connection_blocked {
    struct bytes reason;
};

struct method_connection_update_secret {
    struct bytes new_secret;
    struct bytes reason;
};

struct method_channel_flow {
    bool active;
};

struct method_channel_flow_ok {
    bool active;
};

struct method_channel_close {
    struct bytes reply_text;
    uint16_t reply_code;
    uint16_t class_id;
    uint16_t method_id;
};

struct method_access_request {
    struct bytes realm;
    bool exclusive;
    bool passive;
    bool active;
    bool write;
    bool read;
};

struct method_access_request_ok {
    uint16_t ticket;
};

struct method_exchange_declare {
    struct bytes exchange;
    struct bytes type;
    struct bytes arguments;
    bool passive;
    bool durable;
    bool auto_delete;
    bool internal;
    bool nowait;
};

struct method_exchange_delete {
    struct bytes exchange;
    bool if_unused;
    bool nowait;
};

struct method_exchange_bind {
    struct bytes destination;
    struct bytes source;
    struct bytes routing_key;
    struct bytes arguments;
    bool nowait;
};

struct method_exchange_unbind {
    struct bytes destination;
    struct bytes source;
    struct bytes routing_key;
    struct bytes arguments;
    bool nowait;
};

struct method_queue_declare {
    struct bytes queue;
    struct bytes arguments;
    bool passive;
    bool durable;
    bool exclusive;
    bool auto_delete;
    bool nowait;
};

struct method_queue_declare_ok {
    struct bytes queue;
    uint32_t message_count;
    uint32_t consumer_count;
};

struct method_queue_bind {
    struct bytes queue;
    struct bytes exchange;
    struct bytes routing_key;
    struct bytes arguments;
    bool nowait;
};

struct method_queue_purge {
    struct bytes queue;
    bool nowait;
};

struct method_queue_purge_ok {
    uint32_t message_count;
};

struct method_queue_delete {
    struct bytes queue;
    bool if_unused;
    bool if_empty;
    bool nowait;
};

struct method_queue_delete_ok {
    uint32_t message_count;
};

struct method_queue_unbind {
    struct bytes queue;
    struct bytes exchange;
    struct bytes routing_key;
    struct bytes arguments;
};

struct method_basic_qos {
    uint32_t prefetch_size;
    uint16_t prefetch_count;
    bool global;
};

struct method_basic_consume {
    struct bytes queue;
    struct bytes consumer_tag;
    struct bytes arguments;
    bool no_local;
    bool no_ack;
    bool exclusive;
    bool nowait;
};

struct method_basic_consume_ok {
    struct bytes consumer_tag;
};

struct method_basic_cancel {
    struct bytes consumer_tag;
    bool nowait;
};

struct method_basic_cancel_ok {
    struct bytes consumer_tag;
};

struct method_basic_publish {
    struct bytes exchange;
    struct bytes routing_key;
    bool mandatory;
    bool immediate;
};

struct method_basic_return {
    struct bytes reply_text;
    struct bytes exchange;
    struct bytes routing_key;
    uint16_t reply_code;
};

struct method_basic_deliver {
    struct bytes consumer_tag;
    struct bytes exchange;
    struct bytes routing_key;
    uint64_t delivery_tag;
    bool redelivered;
};

struct method_basic_get {
    struct bytes queue;
    bool no_ack;
};

struct method_basic_get_ok {
    struct bytes exchange;
    struct bytes routing_key;
    uint64_t delivery_tag;
    uint32_t message_count;
    bool redelivered;
};

struct method_basic_ack {
    uint64_t delivery_tag;
    bool multiple;
};

struct method_basic_reject {
    uint64_t delivery_tag;
    bool requeue;
};

struct method_basic_recover_async {
    bool requeue;
};

struct method_basic_recover {
    bool requeue;
};

struct method_basic_nack {
    uint64_t delivery_tag;
    bool multiple;
    bool requeue;
};

struct method_confirm_select {
    bool nowait;
};

/* One method. Those without (unreserved) arguments have no member in the union. */
struct method {
    enum method_id id;
    union {
        struct method_connection_start connection_start;
        struct method_connection_start_ok connection_start_ok;
        struct method_connection_secure connection_secure;
        struct method_connection_secure_ok connection_secure_ok;
        struct method_connection_tune connection_tune;
        struct method_connection_tune_ok connection_tune_ok;
        struct method_connection_open connection_open;
        struct method_connection_close connection_close;
        struct method_connection_blocked connection_blocked;
        struct method_connection_update_secret connection_update_secret;
        struct method_channel_flow channel_flow;
        struct method_channel_flow_ok channel_flow_ok;
        struct method_channel_close channel_close;
        struct method_access_request access_request;
        struct method_access_request_ok access_request_ok;
        struct method_exchange_declare exchange_declare;
        struct method_exchange_delete exchange_delete;
        struct method_exchange_bind exchange_bind;
        struct method_exchange_unbind exchange_unbind;
        struct method_queue_declare queue_declare;
        struct method_queue_declare_ok queue_declare_ok;
        struct method_queue_bind queue_bind;
        struct method_queue_purge queue_purge;
        struct method_queue_purge_ok queue_purge_ok;
        struct method_queue_delete queue_delete;
        struct method_queue_delete_ok queue_delete_ok;
        struct method_queue_unbind queue_unbind;
        struct method_basic_qos basic_qos;
        struct method_basic_consume basic_consume;
        struct method_basic_consume_ok basic_consume_ok;
        struct method_basic_cancel basic_cancel;
        struct method_basic_cancel_ok basic_cancel_ok;
        struct method_basic_publish basic_publish;
        struct method_basic_return basic_return;
        struct method_basic_deliver basic_deliver;
        struct method_basic_get basic_get;
        struct method_basic_get_ok basic_get_ok;
        struct method_basic_ack basic_ack;
        struct method_basic_reject basic_reject;
        struct method_basic_recover_async basic_recover_async;
        struct method_basic_recover basic_recover;
        struct method_basic_nack basic_nack;
        struct method_confirm_select confirm_select;
    };
};

#endif
