/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that shakes hands: what succeeds becomes a session, the rest is closed and counted; files that
 * are replaced; its end with anything under way. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coney/log.h"
#include "desk.h"
#include "server/session/peer.h"
#include "server/tls/tls.h"
#include "tls_kit.h"

#define SECONDS_MAX 60
#define PATIENCE_MS 30000

static struct desk desk;
static struct tls *tls;
static struct kit_pair ca, server, other;
static struct config_tls config;

static void set_up(void)
{
    struct rlimit limit;
    char why[TLS_WHY_SIZE];

    alarm(SECONDS_MAX);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    desk_open(&desk, "log.level=none");
    kit_open();
    ca = kit_simple("ca", NULL);
    server = kit_simple("server", &ca);
    other = kit_simple("other", &ca);
    kit_write_certificate("ca.pem", &ca, NULL);
    kit_write_certificate("server.pem", &server, NULL);
    kit_write_key("server.key", &server, NULL);
    config = kit_config();
    tls = tls_new(desk.server, &config, why);
    cr_assert_not_null(tls, "%s", why);
    cr_assert(tls_start(tls));
}

static void tear_down(void)
{
    tls_stop(tls);
    while (!desk_is_empty(&desk))
        desk_turn(&desk);
    tls_free(tls);
    desk_close(&desk);
    kit_pair_free(&ca);
    kit_pair_free(&server);
    kit_pair_free(&other);
    kit_close();
}

TestSuite(tls, .init = set_up, .fini = tear_down);

static void let_others_go_on(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

#define WAIT_UNTIL(condition) \
    while (!(condition))      \
    let_others_go_on() /* until the alarm */

/* ---- clients ---- */

/* A socket that was accepted: the client's end, which blocks. */
static int arrive(uint64_t timeout_ms)
{
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0, "%s", strerror(errno));
    cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    tls_accepted(tls, ends[0], &(struct peer){.family = PEER_UNIX}, timeout_ms);
    return ends[1];
}

static SSL *shake(int fd)
{
    SSL_CTX *context = kit_client(NULL);
    SSL *client = SSL_new(context);

    SSL_set_fd(client, fd);
    cr_assert_eq(SSL_connect(client), 1);
    SSL_CTX_free(context);
    return client;
}

/* The name in the certificate that a new client gets to see. */
static const char *shown(void)
{
    int fd = arrive(PATIENCE_MS);
    struct kit_ends ends = {.client = shake(fd)};
    const char *name = kit_shown_name(&ends);

    SSL_free(ends.client);
    close(fd);
    return name;
}

/* What a client says first, and no more of it than SIZE octets. */
static size_t hello(char *octets, size_t size)
{
    SSL_CTX *context = kit_client(NULL);
    SSL *client = SSL_new(context);
    BIO *out = BIO_new(BIO_s_mem());
    int n;

    SSL_set_bio(client, BIO_new(BIO_s_mem()), out);
    SSL_connect(client);
    n = BIO_read(out, octets, (int)size);
    SSL_free(client);
    SSL_CTX_free(context);
    return (size_t)n;
}

static void hears_end(int fd)
{
    char octets[4096];
    ssize_t n;

    while ((n = recv(fd, octets, sizeof octets, 0)) > 0)
        ;
    cr_assert(n == 0 || errno == ECONNRESET, "%s", strerror(errno));
    close(fd);
}

/* ---- handshakes ---- */

Test(tls, success_becomes_a_session)
{
    int fd = arrive(PATIENCE_MS);
    SSL *client = shake(fd);
    char octets[1000];
    int n;

    WAIT_UNTIL(tls_counters(tls).handshakes == 1);
    cr_assert_eq(SSL_write(client, "AMQP\0\0\x09\x01", 8), 8);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while ((n = SSL_read(client, octets, sizeof octets)) <= 0)
        desk_turn(&desk);
    cr_assert_gt(n, 100);
    cr_assert_arr_eq(octets, "\1\0\0", 3);
    cr_assert_eq(tls_counters(tls).failures, 0);
    SSL_free(client);
    close(fd);
}

Test(tls, failures_are_closed_and_counted)
{
    static const char *const said[] = {"AMQP\0\0\x09\x01", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x02zz",
                                       "\x80\x01\x01"};

    for (unsigned i = 0; i < 4; i++) {
        int fd = arrive(PATIENCE_MS);

        cr_assert_gt(send(fd, said[i], i ? strlen(said[i]) : 8, 0), 0);
        if (i == 2)
            send(fd, "zz", 2, 0);
        hears_end(fd);
        WAIT_UNTIL(tls_counters(tls).failures == i + 1);
    }
    close(arrive(PATIENCE_MS));
    WAIT_UNTIL(tls_counters(tls).failures == 5);
    cr_assert_eq(tls_counters(tls).handshakes, 0);
    cr_assert_str_eq(shown(), "server");
}

Test(tls, time_runs_out)
{
    char octets[600];
    size_t size = hello(octets, sizeof octets);
    int fds[3];

    for (size_t i = 0; i < 3; i++) {
        fds[i] = arrive(50);
        send(fds[i], octets, size * i / 2, 0);
    }
    for (size_t i = 0; i < 3; i++)
        hears_end(fds[i]);
    WAIT_UNTIL(tls_counters(tls).failures == 3);
}

/* As many as may begin at once have begun and are silent: they make room. */
Test(tls, the_silent_make_room)
{
    enum { CROWD = 700 };
    char octets[600];
    size_t size = hello(octets, sizeof octets);
    int fds[CROWD];

    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = arrive(PATIENCE_MS);
        send(fds[i], octets, size / 2, 0);
    }
    cr_assert_str_eq(shown(), "server");
    for (size_t i = 0; i < CROWD; i++)
        close(fds[i]);
    WAIT_UNTIL(tls_counters(tls).failures == CROWD);
}

/* ---- files ---- */

static void put_other(void)
{
    kit_write_certificate("server.pem", &other, NULL);
    kit_write_key("server.key", &other, NULL);
}

Test(tls, reload_takes_good_files)
{
    put_other();
    tls_reload(tls, &config);
    WAIT_UNTIL(tls_counters(tls).reloads == 1);
    cr_assert_str_eq(shown(), "other");
    cr_assert_eq(tls_counters(tls).failed_reloads, 0);
}

Test(tls, reload_takes_other_settings)
{
    struct config_tls changed = config;

    changed.verify_peer = changed.fail_if_no_peer_cert = true;
    tls_reload(tls, &changed);
    WAIT_UNTIL(tls_counters(tls).reloads == 1);
    hears_end(arrive(50));
    tls_reload(tls, &config);
    WAIT_UNTIL(tls_counters(tls).reloads == 2);
    cr_assert_str_eq(shown(), "server");
}

Test(tls, bad_files_leave_the_old_ones)
{
    static const char *const names[] = {"server.pem", "server.key", "ca.pem"};
    int64_t expiry = tls_counters(tls).expiry;

    for (unsigned i = 0; i < 3; i++) {
        kit_write(names[i], "rubbish\n");
        tls_reload(tls, &config);
        WAIT_UNTIL(tls_counters(tls).failed_reloads == i + 1);
        cr_assert_str_eq(shown(), "server");
        kit_write_certificate("ca.pem", &ca, NULL);
        kit_write_certificate("server.pem", &server, NULL);
        kit_write_key("server.key", &server, NULL);
        tls_reload(tls, &config);
        WAIT_UNTIL(tls_counters(tls).reloads == i + 1);
    }
    cr_assert_eq(tls_counters(tls).expiry, expiry);
}

Test(tls, files_that_change_are_read)
{
    const struct kit_part parts[] = {{NID_commonName, V_ASN1_UTF8STRING, "soon", -1, 0}, {0}};
    struct kit_pair soon = kit_certificate(parts, NULL, &ca, -60, 600);

    kit_write_certificate("server.pem", &soon, NULL);
    kit_write_key("server.key", &soon, NULL);
    WAIT_UNTIL(tls_counters(tls).reloads == 1);
    cr_assert_str_eq(shown(), "soon");
    cr_assert(llabs(tls_counters(tls).expiry - time(NULL) - 600) < 60);
    cr_assert_eq(tls_counters(tls).failed_reloads, 0);
    kit_pair_free(&soon);
}

/* ---- the end ---- */

Test(tls, end_with_everything_under_way)
{
    enum { CROWD = 600 }; /* more than may begin */
    char octets[600];
    size_t size = hello(octets, sizeof octets);
    int fds[CROWD], idle = arrive(PATIENCE_MS), late, fd = arrive(PATIENCE_MS);
    SSL *client = shake(fd);

    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = arrive(PATIENCE_MS);
        send(fds[i], octets, i % 2 ? size : size / 2, 0);
    }
    tls_reload(tls, &config);
    tls_stop(tls);
    for (size_t i = 0; i < CROWD; i++)
        hears_end(fds[i]);
    hears_end(idle);
    late = arrive(PATIENCE_MS); /* nobody takes it any more */
    tls_reload(tls, &config);
    SSL_free(client);
    close(fd);
    close(late);
}
