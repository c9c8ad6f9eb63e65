/* SPDX-License-Identifier: Apache-2.0 */
/* What connections, channels and consumers have in common in the API: whose they are, and how they are
 * called. */
#ifndef ADMIN_CLIENTS_H
#define ADMIN_CLIENTS_H

#include "admin/http/request.h"
#include "coney/sessions.h"
#include "coney/survey.h"

/* Room for "127.0.0.1:50123 -> 127.0.0.1:5672 (1)". */
#define CHANNEL_NAME_SIZE (SESSION_NAME_SIZE + 16)

const char *channel_name_text(const struct session_name *name, uint16_t number, char out[CHANNEL_NAME_SIZE]);

/* "<rabbit@host.1.SERIAL.0>", as rabbitmqctl shows a connection; of a channel, NUMBER is the last. */
json_t *pid_json(struct request *request, uint64_t serial, uint16_t number);

/* Whether the asker may see what belongs to USER: monitors see all. */
bool may_see_client(const struct request *request, struct bytes user);

/* Put what RabbitMQ tells of an Erlang process, which there is none of. */
void put_process(json_t *object);

/* Answer with the channels of VHOST's connection, called by its id there. */
void list_channels_of(struct request *request, struct bytes vhost, uint64_t connection);

#endif
