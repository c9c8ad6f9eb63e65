/* SPDX-License-Identifier: Apache-2.0 */
/* connection.start-ok: what a program says of itself, and of its user (client.h). Apart from the client, for
 * those who log in on a stream of their own. */
#include <string.h>

#include "coney/buffer.h"
#include "coney/client.h"
#include "coney/table.h"

static void build_properties(struct buffer *out, const char *product, const char *connection_name)
{
    static const char *const capabilities[] = {"publisher_confirms", "exchange_exchange_bindings",
                                               "basic.nack",         "consumer_cancel_notify",
                                               "connection.blocked", "authentication_failure_close"};
    struct table_builder builder = table_builder_init(out);

    table_put_longstr(&builder, "product", bytes_from_string(product));
    table_put_longstr(&builder, "version", BYTES_LITERAL(PACKAGE_VERSION));
    table_put_longstr(&builder, "platform", BYTES_LITERAL("C"));
    if (connection_name)
        table_put_longstr(&builder, "connection_name", bytes_from_string(connection_name));
    table_put_table_begin(&builder, "capabilities");
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        table_put_bool(&builder, capabilities[i], true);
    table_put_end(&builder);
}

static void build_response(struct buffer *out, const struct client_target *target)
{
    if (strcmp(target->mechanism, "PLAIN") != 0)
        return; /* EXTERNAL: the certificate says it */
    buffer_append(out, "", 1);
    buffer_append_bytes(out, target->user);
    buffer_append(out, "", 1);
    buffer_append_bytes(out, target->password);
}

struct method client_start_ok(const struct client_target *target, const char *product,
                              struct buffer *properties, struct buffer *response)
{
    struct method method = {.id = METHOD_CONNECTION_START_OK};

    build_properties(properties, product, target->connection_name);
    build_response(response, target);
    method.connection_start_ok.client_properties = buffer_bytes(properties);
    method.connection_start_ok.mechanism = bytes_from_string(target->mechanism);
    method.connection_start_ok.response = buffer_bytes(response);
    method.connection_start_ok.locale = BYTES_LITERAL("en_US");
    return method;
}
