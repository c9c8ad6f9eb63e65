/* SPDX-License-Identifier: Apache-2.0 */
/* From a name to a connection: addresses that answer and those that do not, and TLS. */
#include <criterion/criterion.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coney/amqp_uri.h"
#include "peer.h"

/* A socket that listens on 127.0.0.1, or will once listen() is called. */
static int bind_socket(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A peer whose client connects to HOST and PORT. */
static void open_peer(struct peer *peer, const char *host, uint16_t port, bool looks_up, SSL_CTX *tls)
{
    struct client_target target = peer_target;

    alarm(60);
    *peer = (struct peer){.base = event_base_new(), .fd = -1};
    target.host = host;
    target.port = port;
    target.tls = tls;
    target.timeout_ms = 10000;
    if (looks_up)
        target.dns =
            evdns_base_new(peer->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    peer->client = client_open(peer->base, &target, &peer_events, peer);
    if (looks_up) {
        peer_turn(peer);
        evdns_base_free(target.dns, 1);
    }
}

static void accept_client(struct peer *peer, int listener)
{
    time_t until = time(NULL) + 20;

    do {
        cr_assert_lt(time(NULL), until);
        peer_turn(peer);
        peer->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (peer->fd < 0);
    peer_turn(peer);
}

Test(client_connect, takes_the_address_that_answers)
{
    static const struct {
        const char *host;
        bool looks_up;
    } hosts[] = {{"127.0.0.1", false}, {"localhost", false}, {"localhost", true}, {"127.0.0.1", true}};

    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct peer peer;
        uint16_t port;
        int listener = bind_socket(&port);

        cr_assert_eq(listen(listener, 5), 0);
        open_peer(&peer, hosts[i].host, port, hosts[i].looks_up, NULL);
        accept_client(&peer, listener);
        peer_login(&peer, 4096);
        peer_close(&peer);
        close(listener);
    }
}

Test(client_connect, says_whom_it_does_not_reach)
{
    struct peer peer;
    char expected[200];
    uint16_t port;
    int listener = bind_socket(&port); /* and nobody listens */

    open_peer(&peer, "127.0.0.1", port, false, NULL);
    snprintf(expected, sizeof expected,
             "closed: network 0 cannot connect to 127.0.0.1:%u: Connection refused", port);
    peer_wait(&peer, expected);
    peer_close(&peer);
    open_peer(&peer, "::1", port, false, NULL);
    snprintf(expected, sizeof expected, "closed: network 0 cannot connect to [::1]:%u: ", port);
    peer_wait(&peer, expected);
    peer_close(&peer);
    open_peer(&peer, "no.such.host.invalid", port, false, NULL);
    peer_wait(&peer, "closed: network 0 cannot connect to no.such.host.invalid:");
    peer_close(&peer);
    close(listener);
}

Test(client_connect, is_freed_while_it_connects)
{
    struct peer peer;
    uint16_t port;
    int listener = bind_socket(&port);

    cr_assert_eq(listen(listener, 5), 0);
    open_peer(&peer, "localhost", port, true, NULL);
    client_free(peer.client);
    peer.client = NULL;
    for (unsigned i = 0; i < 3; i++)
        peer_turn(&peer);
    cr_expect_str_eq(peer_told(&peer), "");
    peer_close(&peer);
    close(listener);
}

Test(client_connect, is_closed_while_it_connects)
{
    struct peer peer;
    uint16_t port;
    int listener = bind_socket(&port);

    cr_assert_eq(listen(listener, 5), 0);
    open_peer(&peer, "127.0.0.1", port, false, NULL);
    event_base_loop(peer.base, EVLOOP_ONCE); /* it has begun; that it is connected comes next */
    client_close(peer.client);
    peer_wait(&peer, "closed:");
    cr_expect_str_eq(peer_told(&peer), "closed: closed 0 closed");
    peer_close(&peer);
    close(listener);
}

/* ---- TLS ---- */

struct certificate {
    X509 *certificate;
    EVP_PKEY *key;
};

/* Signed by itself, for NAME, for an hour. */
static struct certificate make_certificate(const char *name)
{
    struct certificate made = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *subject = X509_get_subject_name(made.certificate);

    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.certificate, subject);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), 3600);
    X509_set_version(made.certificate, 2);
    X509_set_pubkey(made.certificate, made.key);
    cr_assert(X509_sign(made.certificate, made.key, EVP_sha256()));
    return made;
}

static void free_certificate(struct certificate *certificate)
{
    X509_free(certificate->certificate);
    EVP_PKEY_free(certificate->key);
}

static FILE *create(char path[32])
{
    FILE *file;
    int fd;

    snprintf(path, 32, "/tmp/coney-XXXXXX");
    fd = mkstemp(path);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    cr_assert_not_null(file);
    return file;
}

static void write_key(char path[32], EVP_PKEY *key, const char *password)
{
    FILE *file = create(path);

    cr_assert(PEM_write_PKCS8PrivateKey(file, key, password ? EVP_aes_256_cbc() : NULL, NULL, 0, NULL,
                                        (void *)(uintptr_t)password));
    fclose(file);
}

static void write_certificate(char path[32], X509 *certificate)
{
    FILE *file = create(path);

    cr_assert(PEM_write_X509(file, certificate));
    fclose(file);
}

/* Expect a URI with these files to be refused with a text that begins with a file's name and WHY; NULL: to be
 * fine. */
static void expect_loaded(const char *certificate, const char *key, const char *password, const char *why)
{
    char text[200], said[AMQP_URI_WHY_SIZE] = "";
    struct amqp_uri uri;
    SSL_CTX *context;

    snprintf(text, sizeof text, "amqps://h?verify=verify_none&certfile=%s&keyfile=%s&password=%s",
             certificate, key, password);
    cr_assert(amqp_uri_parse(&uri, text, "/", said), "%s", said);
    context = amqp_uri_tls(&uri, said);
    cr_expect_eq(context != NULL, why == NULL, "%s", said);
    cr_expect(!why || (strncmp(said, key, strlen(key)) == 0 && strstr(said, why)), "%s", said);
    SSL_CTX_free(context);
    amqp_uri_free(&uri);
}

Test(client_connect, loads_a_certificate_with_its_key)
{
    struct certificate mine = make_certificate("me"), other = make_certificate("me");
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    char certificate[32], key[32], locked[32], of_other[32], of_rsa[32];

    write_certificate(certificate, mine.certificate);
    write_key(key, mine.key, NULL);
    write_key(locked, mine.key, "open sesame");
    write_key(of_other, other.key, NULL);
    write_key(of_rsa, rsa, NULL);
    expect_loaded(certificate, key, "", NULL);
    expect_loaded(certificate, locked, "open%20sesame", NULL);
    expect_loaded(certificate, locked, "wrong", ": cannot be taken as the key of ");
    expect_loaded(certificate, of_other, "", ": cannot be taken as the key of ");
    expect_loaded(certificate, of_rsa, "", ": is not the key of ");
    unlink(certificate);
    unlink(key);
    unlink(locked);
    unlink(of_other);
    unlink(of_rsa);
    EVP_PKEY_free(rsa);
    free_certificate(&mine);
    free_certificate(&other);
}

/* The broker's end: says connection.start when it is asked for it, and notes the name it was called by. */
struct secure_end {
    struct bufferevent *stream;
    char name[100];
};

static void on_protocol_header(struct bufferevent *stream, void *context)
{
    struct method start = {.id = METHOD_CONNECTION_START,
                           .connection_start = {.version_minor = 9, .mechanisms = BYTES_LITERAL("NONE")}};
    const char *name = SSL_get_servername(bufferevent_openssl_get_ssl(stream), TLSEXT_NAMETYPE_host_name);
    struct secure_end *end = context;
    struct buffer out = {0};
    char octets[8];

    if (bufferevent_read(stream, octets, sizeof octets) != 8)
        return;
    snprintf(end->name, sizeof end->name, "%s", name ? name : "");
    buffer_append_method(&out, 0, &start);
    evbuffer_add(bufferevent_get_output(stream), out.data, out.size);
    buffer_free(&out);
}

static void begin_end(struct secure_end *end, struct peer *peer, const struct certificate *certificate)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(context, certificate->certificate);
    SSL_CTX_use_PrivateKey(context, certificate->key);
    *end = (struct secure_end){0};
    end->stream = bufferevent_openssl_socket_new(peer->base, peer->fd, SSL_new(context),
                                                 BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    SSL_CTX_free(context);
    peer->fd = -1;
    bufferevent_setcb(end->stream, on_protocol_header, NULL, NULL, end);
    bufferevent_enable(end->stream, EV_READ | EV_WRITE);
}

/* Connect to HOST, whose certificate is for NAME and is TRUSTED or not; expect to be told ENDING. */
static void expect_tls_end(const char *host, const char *name, bool trusted, const char *called,
                           const char *ending)
{
    struct certificate certificate = make_certificate(name);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct secure_end end;
    struct peer peer;
    uint16_t port;
    int listener = bind_socket(&port);

    cr_assert_eq(listen(listener, 5), 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (trusted)
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.certificate);
    open_peer(&peer, host, port, false, context);
    SSL_CTX_free(context);
    accept_client(&peer, listener);
    begin_end(&end, &peer, &certificate);
    peer_wait(&peer, ending);
    cr_expect_str_eq(end.name, called);
    bufferevent_free(end.stream);
    peer_close(&peer);
    close(listener);
    free_certificate(&certificate);
}

#define WELL "closed: refused 0 the peer does not offer the mechanism PLAIN" /* its start was understood */
#define ILL  "closed: network 0 the connection ended before it was open: TLS: certificate verify failed: "

Test(client_connect, verifies_who_answers)
{
    expect_tls_end("localhost", "localhost", true, "localhost", WELL);
    expect_tls_end("localhost", "localhost", false, "", ILL "self-signed certificate");
    expect_tls_end("localhost", "otherhost", true, "", ILL "hostname mismatch");
    expect_tls_end("127.0.0.1", "localhost", true, "", ILL "IP address mismatch");
}

Test(client_connect, says_that_a_peer_does_not_speak_tls)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct peer peer;
    uint16_t port;
    int listener = bind_socket(&port);

    cr_assert_eq(listen(listener, 5), 0);
    open_peer(&peer, "localhost", port, false, context);
    SSL_CTX_free(context);
    accept_client(&peer, listener);
    cr_expect_eq(send(peer.fd, "AMQP\0\0\x09\x01", 8, 0), 8);
    peer_wait(&peer, "closed: network 0 the connection ended before it was open: TLS: ");
    peer_close(&peer);
    close(listener);
}
