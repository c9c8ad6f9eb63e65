/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AMQP on behalf of one request: what the API does to exchanges, queues and messages it does as a client of
 * this node, as the user who asks. So names, arguments, permissions and durability are what they are for any
 * client, and so are the texts of refusals.
 *
 * A connection with one channel, a worker's own, which waits for each reply. Its first failure is its end.
 */
#ifndef ADMIN_AMQP_H
#define ADMIN_AMQP_H

#include <stdbool.h>

#include "admin/http/request.h"
#include "coney/client.h"

struct amqp;

/* Connect to VHOST as who asks REQUEST, which must outlive it. NULL after answering. */
struct amqp *amqp_open(struct request *request, struct bytes vhost);

/* The connection is over; what was said and has no reply may not have been done. NULL is fine. */
void amqp_free(struct amqp *amqp);

/* The same once all that was said is done: what was got and not settled is back in its queue. */
void amqp_close(struct amqp *amqp);

/* Send METHOD and wait for its reply, which TAKE, if it is not NULL, is given. False: it failed. */
bool amqp_call(struct amqp *amqp, const struct method *method, client_reply_fn *take, void *context);

/* Send METHOD, which has no reply. */
void amqp_send(struct amqp *amqp, const struct method *method);

enum amqp_fate { AMQP_ROUTED, AMQP_UNROUTED, AMQP_REJECTED, AMQP_FAILED };

/* Publish with confirms, as mandatory, and wait for what becomes of it. */
enum amqp_fate amqp_publish(struct amqp *amqp, struct bytes exchange, struct bytes routing_key,
                            struct bytes properties, struct bytes body);

/* How RabbitMQ words a failure differs (management-http-api.md 1.3). */
enum amqp_wording {
    AMQP_PLAIN,   /* of declare, delete, bind: the text without its code's name; refused: "Access refused." */
    AMQP_CHANNEL, /* of get: 404 and 401 with the text as it is, 400 with the code's number before it */
    AMQP_ALL_BAD, /* of publish: 400 whatever it is */
};

/* Whether AMQP has failed, rather than that nothing came of it. */
bool amqp_has_failed(const struct amqp *amqp);

/* Answer the request with why AMQP failed. */
void amqp_reply_failure(struct amqp *amqp, enum amqp_wording wording);

/* Do it all: connect to VHOST, call METHOD, and free. False after answering. */
bool amqp_do(struct request *request, struct bytes vhost, const struct method *method);

#endif
