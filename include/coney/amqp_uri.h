/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp:// and amqps:// URIs, as RabbitMQ's own clients and its shovels read them:
 *
 *     amqps://user:password@host:5671/vhost?heartbeat=30&cacertfile=/etc/ca.pem&verify=verify_peer
 *
 * Everything may be left out but the scheme. Without a host the node itself is meant. A vhost that is left
 * out, or empty, is the caller's default. User, password, host, vhost and the files are percent-decoded.
 *
 * Query parameters: heartbeat (s), connection_timeout (ms), channel_max, frame_max, auth_mechanism (plain or
 * external; amqplain is taken for plain; of several the first counts); with amqps also cacertfile, certfile,
 * keyfile, password (of the key), verify (verify_peer or verify_none), depth, server_name_indication (a name
 * or disable), fail_if_no_peer_cert (which says nothing to a client).
 *
 * One thing differs: the peer's certificate is verified unless the URI says verify_none, by the system's
 * authorities when there is no cacertfile.
 */
#ifndef CONEY_AMQP_URI_H
#define CONEY_AMQP_URI_H

#include <stdbool.h>
#include <stdint.h>

struct client_target;
struct ssl_ctx_st;

#define AMQP_URI_WHY_SIZE 256

/* Texts are owned, without NUL octets, and NULL where the URI says nothing. */
struct amqp_uri {
    bool is_tls;
    char *host;
    uint16_t port; /* the scheme's, unless another is named */
    char *vhost;   /* never NULL */
    char *user;
    char *password;
    bool is_external;
    bool has_heartbeat;
    uint16_t heartbeat;
    uint32_t timeout_ms; /* 0: says nothing; and the next two */
    uint16_t channel_max;
    uint32_t frame_max;
    bool verifies;
    int depth; /* -1: says nothing */
    char *ca_file;
    char *certificate_file;
    char *key_file;
    char *key_password;
    char *server_name; /* "": none */
};

/* Read TEXT. False with a reason in WHY, which has no password in it; OUT then owns nothing. */
bool amqp_uri_parse(struct amqp_uri *out, const char *text, const char *default_vhost,
                    char why[AMQP_URI_WHY_SIZE]);

/* Free what URI owns, not URI itself. */
void amqp_uri_free(struct amqp_uri *uri);

/* TEXT without user, password and query, for people to see; also if it cannot be parsed. Owned by the caller.
 */
char *amqp_uri_hide(const char *text);

/* What the URI says of TLS: NULL with WHY when one of its files is not sound. To be given back with
 * SSL_CTX_free(). */
struct ssl_ctx_st *amqp_uri_tls(const struct amqp_uri *uri, char why[AMQP_URI_WHY_SIZE]);

/* Fill in what the URI says, guest for whom it does not name, and HEARTBEAT, unless it says another. It is
 * borrowed. */
void amqp_uri_target(const struct amqp_uri *uri, uint16_t heartbeat, struct client_target *target);

#endif
