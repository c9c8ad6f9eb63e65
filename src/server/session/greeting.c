/* SPDX-License-Identifier: Apache-2.0 */
/* greeting.h. */
#include "greeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "coney/buffer.h"
#include "coney/table.h"
#include "coney/xalloc.h"
#include "server/server.h"

struct greeting {
    struct greeting *older;
    struct buffer properties;
    char cluster_name[SHORTSTR_MAX + 1];
};

/* Keys sorted by name, capabilities in RabbitMQ's order (connection-and-channel.md 3.1). */
static void make_properties(struct greeting *greeting, const struct server *server,
                            const struct utsname *system)
{
    static const char *const capabilities[] = {
        "publisher_confirms",           "exchange_exchange_bindings", "basic.nack",
        "consumer_cancel_notify",       "connection.blocked",         "consumer_priorities",
        "authentication_failure_close", "per_consumer_qos",           "direct_reply_to",
    };
    const struct config *config = atomic_load(&server->config);
    struct table_builder builder = table_builder_init(&greeting->properties);
    char platform[sizeof system->sysname + sizeof system->machine + 64];

    snprintf(platform, sizeof platform, "coney %s (C, %s %s)", PACKAGE_VERSION, system->sysname,
             system->machine);
    table_put_table_begin(&builder, "capabilities");
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        table_put_bool(&builder, capabilities[i], true);
    table_put_end(&builder);
    table_put_longstr(&builder, "cluster_name", bytes_from_string(greeting->cluster_name));
    table_put_longstr(&builder, "coney_version", bytes_from_string(PACKAGE_VERSION));
    table_put_longstr(&builder, "copyright", BYTES_LITERAL("Copyright (c) the coney authors"));
    table_put_longstr(&builder, "information", BYTES_LITERAL("Licensed under the Apache License 2.0"));
    table_put_longstr(&builder, "platform", bytes_from_string(platform));
    table_put_longstr(&builder, "product", bytes_from_string(config->product_name));
    table_put_longstr(&builder, "version", bytes_from_string(config->product_version));
}

void greeting_set(struct server *server, const char *cluster_name)
{
    struct greeting *greeting = xcalloc(1, sizeof *greeting);
    struct utsname system;

    if (uname(&system) < 0)
        memset(&system, 0, sizeof system);
    if (cluster_name && *cluster_name)
        snprintf(greeting->cluster_name, sizeof greeting->cluster_name, "%s", cluster_name);
    else
        snprintf(greeting->cluster_name, sizeof greeting->cluster_name, "coney@%s", system.nodename);
    make_properties(greeting, server, &system);
    pthread_mutex_lock(&server->lock);
    if (!*server->node_name)
        snprintf(server->node_name, sizeof server->node_name, "rabbit@%s", system.nodename);
    greeting->older = atomic_load(&server->greeting);
    atomic_store(&server->greeting, greeting);
    pthread_mutex_unlock(&server->lock);
}

struct bytes greeting_properties(const struct server *server)
{
    return buffer_bytes(&atomic_load(&server->greeting)->properties);
}

const char *greeting_cluster_name(const struct server *server)
{
    return atomic_load(&server->greeting)->cluster_name;
}

void greeting_free(struct server *server)
{
    struct greeting *greeting = atomic_load(&server->greeting);

    while (greeting) {
        struct greeting *older = greeting->older;

        buffer_free(&greeting->properties);
        free(greeting);
        greeting = older;
    }
}
