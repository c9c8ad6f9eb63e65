/* SPDX-License-Identifier: Apache-2.0 */
/* tls_kit.h */
#include "tls_kit.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/session/peer.h"

static char folder[64];

static void must(bool good)
{
    if (!good)
        abort();
}

/* ---- certificates ---- */

static X509_NAME *make_name(const struct kit_part *parts)
{
    X509_NAME *name = X509_NAME_new();

    for (; parts->nid; parts++) {
        X509_NAME_ENTRY *entry =
            X509_NAME_ENTRY_create_by_NID(NULL, parts->nid, parts->type, parts->value, parts->size);

        must(entry && X509_NAME_add_entry(name, entry, -1, parts->set) == 1);
        X509_NAME_ENTRY_free(entry);
    }
    return name;
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    must(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

struct kit_pair kit_certificate(const struct kit_part *parts, GENERAL_NAMES *alternative_names,
                                const struct kit_pair *issuer, long from_s, long to_s)
{
    static long serial = 1;
    struct kit_pair pair = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *name = make_name(parts);

    must(pair.certificate && pair.key);
    X509_set_version(pair.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(pair.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(pair.certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(pair.certificate), to_s);
    X509_set_pubkey(pair.certificate, pair.key);
    X509_set_subject_name(pair.certificate, name);
    X509_set_issuer_name(pair.certificate, issuer ? X509_get_subject_name(issuer->certificate) : name);
    if (!issuer)
        add_extension(pair.certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (alternative_names)
        must(X509_add1_ext_i2d(pair.certificate, NID_subject_alt_name, alternative_names, 0, 0) == 1);
    must(X509_sign(pair.certificate, issuer ? issuer->key : pair.key, EVP_sha256()) > 0);
    X509_NAME_free(name);
    return pair;
}

struct kit_pair kit_simple(const char *common_name, const struct kit_pair *issuer)
{
    const struct kit_part parts[] = {{NID_commonName, V_ASN1_UTF8STRING, common_name, -1, 0}, {0}};

    return kit_certificate(parts, NULL, issuer, -60, 3600);
}

void kit_pair_free(struct kit_pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
}

/* ---- files ---- */

void kit_open(void)
{
    snprintf(folder, sizeof folder, "/tmp/coney-test-XXXXXX");
    must(mkdtemp(folder));
}

void kit_close(void)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;

    must(entries);
    while ((entry = readdir(entries)))
        if (entry->d_name[0] != '.')
            unlink(kit_path(entry->d_name));
    closedir(entries);
    rmdir(folder);
}

const char *kit_path(const char *name)
{
    static char paths[8][sizeof folder + 256];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof *paths, "%s/%.255s", folder, name);
    return path;
}

static FILE *create(const char *name)
{
    FILE *out = fopen(kit_path(name), "w");

    must(out);
    return out;
}

void kit_write(const char *name, const char *text)
{
    FILE *out = create(name);

    fputs(text, out);
    fclose(out);
}

void kit_write_certificate(const char *name, const struct kit_pair *pair, const struct kit_pair *chain)
{
    FILE *out = create(name);

    must(PEM_write_X509(out, pair->certificate) == 1);
    if (chain)
        must(PEM_write_X509(out, chain->certificate) == 1);
    fclose(out);
}

void kit_write_key(const char *name, const struct kit_pair *pair, const char *password)
{
    FILE *out = create(name);

    must(PEM_write_PKCS8PrivateKey(out, pair->key, password ? EVP_aes_256_cbc() : NULL, password,
                                   password ? (int)strlen(password) : 0, NULL, NULL) == 1);
    fclose(out);
}

void kit_write_revocation(const char *name, const struct kit_pair *issuer, const struct kit_pair *revoked)
{
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *next = X509_gmtime_adj(NULL, 3600);
    FILE *out = create(name);

    X509_CRL_set_version(list, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer->certificate));
    X509_CRL_set1_lastUpdate(list, now);
    X509_CRL_set1_nextUpdate(list, next);
    if (revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();

        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->certificate));
        X509_REVOKED_set_revocationDate(entry, now);
        must(X509_CRL_add0_revoked(list, entry) == 1);
    }
    must(X509_CRL_sign(list, issuer->key, EVP_sha256()) > 0 && PEM_write_X509_CRL(out, list) == 1);
    fclose(out);
    X509_CRL_free(list);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
}

struct config_tls kit_config(void)
{
    static char certfile[300], keyfile[300], cacertfile[300], none[] = "";

    snprintf(certfile, sizeof certfile, "%s", kit_path("server.pem"));
    snprintf(keyfile, sizeof keyfile, "%s", kit_path("server.key"));
    snprintf(cacertfile, sizeof cacertfile, "%s", kit_path("ca.pem"));
    return (struct config_tls){.certfile = certfile,
                               .keyfile = keyfile,
                               .cacertfile = cacertfile,
                               .crlfile = none,
                               .password = none,
                               .depth = 1,
                               .session_tickets = true};
}

/* ---- handshakes ---- */

SSL_CTX *kit_client(const struct kit_pair *pair)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    must(context);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
    if (pair)
        must(SSL_CTX_use_certificate(context, pair->certificate) == 1 &&
             SSL_CTX_use_PrivateKey(context, pair->key) == 1);
    return context;
}

static bool wants_more(SSL *tls, int result)
{
    int error = SSL_get_error(tls, result);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool kit_shake(struct kit_ends *ends, SSL_CTX *client, SSL_CTX *server, const char *name,
               SSL_SESSION *session)
{
    BIO *ours, *theirs;
    char octet;
    int done = 0, accepted = 0;

    *ends = (struct kit_ends){SSL_new(client), SSL_new(server)};
    must(BIO_new_bio_pair(&ours, 65536, &theirs, 65536) == 1);
    SSL_set_bio(ends->client, ours, ours);
    SSL_set_bio(ends->server, theirs, theirs);
    if (name)
        SSL_set_tlsext_host_name(ends->client, (char *)(uintptr_t)name);
    if (session)
        SSL_set_session(ends->client, session);
    while (done != 1 || accepted != 1) {
        if (done != 1 && (done = SSL_connect(ends->client)) != 1 && !wants_more(ends->client, done))
            return false;
        if (accepted != 1 && (accepted = SSL_accept(ends->server)) != 1 &&
            !wants_more(ends->server, accepted))
            return false;
    }
    return SSL_read(ends->client, &octet, 1) < 0 && wants_more(ends->client, -1); /* tickets, or an alert */
}

SSL *kit_connect(struct desk *desk, SSL_CTX *client, SSL_CTX *server, int buffer)
{
    struct kit_ends ends = {SSL_new(client), SSL_new(server)};
    int sockets[2], done = 0, accepted = 0;

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets) == 0);
    must(SSL_set_fd(ends.server, sockets[0]) == 1 && SSL_set_fd(ends.client, sockets[1]) == 1);
    while (done != 1 || accepted != 1) {
        if (done != 1 && (done = SSL_connect(ends.client)) != 1)
            must(wants_more(ends.client, done));
        if (accepted != 1 && (accepted = SSL_accept(ends.server)) != 1)
            must(wants_more(ends.server, accepted));
    }
    if (buffer)
        setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    SSL_set_mode(ends.client, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    server_secured(desk->server, stream_secured(sockets[0], ends.server),
                   &(struct peer){.family = PEER_UNIX});
    return ends.client;
}

void kit_ends_free(struct kit_ends *ends)
{
    SSL_free(ends->client);
    SSL_free(ends->server);
}

const char *kit_shown_name(const struct kit_ends *ends)
{
    static char name[100];
    X509 *certificate = SSL_get0_peer_certificate(ends->client);

    *name = '\0';
    if (certificate)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    return name;
}
