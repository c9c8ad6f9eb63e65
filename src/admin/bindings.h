/* SPDX-License-Identifier: Apache-2.0 */
/* What resources share about bindings (management-http-api.md 3.8). */
#ifndef ADMIN_BINDINGS_H
#define ADMIN_BINDINGS_H

#include "admin/http/request.h"
#include "coney/bytes.h"

/* The exchange that the segment at INDEX names: amq.default is the one without a name. */
struct bytes exchange_of_segment(const struct request *request, unsigned index);

/* Whether the broker made it, which nobody else may: without a name, or with one that begins with "amq." */
bool exchange_is_brokers(struct bytes name);

/* Answer with the bindings of QUEUE, or of EXCHANGE on one side, in the vhost of the path. */
void list_bindings_of_queue(struct request *request, struct bytes queue);
void list_bindings_of_exchange(struct request *request, struct bytes exchange, bool is_source);

#endif
