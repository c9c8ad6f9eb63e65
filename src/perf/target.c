/* SPDX-License-Identifier: Apache-2.0 */
/* target.h: from a URI and options to an address and a TLS context. */
#include "target.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "options.h"

static void replace(char **text, const char *by)
{
    if (!by)
        return;
    free(*text);
    *text = xstrdup(by);
}

static bool look_up(struct target *target, char *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *host = target->uri.host ? target->uri.host : "127.0.0.1";
    char service[8];
    int error;

    snprintf(service, sizeof service, "%u", target->uri.port);
    error = getaddrinfo(host, service, &hints, &found);
    if (error) {
        snprintf(why, TARGET_WHY_SIZE, "%s: %s", host, gai_strerror(error));
        return false;
    }
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool take_tls(struct target *target, const struct options *options, char *why)
{
    char reason[AMQP_URI_WHY_SIZE];

    if (!target->uri.is_tls)
        return true;
    replace(&target->uri.ca_file, options->cacert);
    replace(&target->uri.certificate_file, options->cert);
    replace(&target->uri.key_file, options->key);
    replace(&target->uri.server_name, options->server_name);
    if (options->is_insecure)
        target->uri.verifies = false;
    target->tls = amqp_uri_tls(&target->uri, reason);
    if (!target->tls) {
        snprintf(why, TARGET_WHY_SIZE, "%s", reason);
        return false;
    }
    SSL_CTX_set_mode(target->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return true;
}

bool target_open(struct target *target, const char *text, const struct options *options,
                 char why[TARGET_WHY_SIZE])
{
    char reason[AMQP_URI_WHY_SIZE];

    *target = (struct target){.frame_max = options->frame_max, .heartbeat = (uint16_t)options->heartbeat};
    if (!amqp_uri_parse(&target->uri, text, "/", reason)) {
        snprintf(why, TARGET_WHY_SIZE, "--uri: %s; it reads amqp://USER:PASSWORD@HOST:PORT/VHOST", reason);
        return false;
    }
    target->shown = amqp_uri_hide(text);
    if (!look_up(target, why) || !take_tls(target, options, why)) {
        target_free(target);
        return false;
    }
    amqp_uri_target(&target->uri, target->heartbeat, &target->login);
    target->heartbeat = target->login.heartbeat;
    if (target->login.frame_max)
        target->frame_max = target->login.frame_max;
    return true;
}

void target_free(struct target *target)
{
    SSL_CTX_free(target->tls);
    amqp_uri_free(&target->uri);
    free(target->shown);
    *target = (struct target){0};
}
