/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: each file that does not fit, names that have certificates, tickets and the ageing of their keys.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "coney/tls_context.h"
#include "coney/tls_files.h"
#include "server/tls/tls_tickets.h"
#include "tls_kit.h"

#define HOUR 3600

static struct kit_pair ca, server, other;
static struct config_tls config;

static void set_up(void)
{
    kit_open();
    ca = kit_simple("ca", NULL);
    server = kit_simple("server", &ca);
    other = kit_simple("other", &ca);
    kit_write_certificate("ca.pem", &ca, NULL);
    kit_write_certificate("server.pem", &server, NULL);
    kit_write_key("server.key", &server, NULL);
    kit_write_certificate("other.pem", &other, NULL);
    kit_write_key("other.key", &other, NULL);
    kit_write("rubbish", "nothing of use\n");
    kit_write("empty", "");
    config = kit_config();
}

static void tear_down(void)
{
    kit_pair_free(&ca);
    kit_pair_free(&server);
    kit_pair_free(&other);
    kit_close();
}

TestSuite(tls_context, .init = set_up, .fini = tear_down);

/* A path that lives as long as the test. */
static char *lasting(const char *name)
{
    static char paths[16][300];
    static unsigned next;

    cr_assert_lt(next, 16);
    snprintf(paths[next], sizeof *paths, "%s", kit_path(name));
    return paths[next++];
}

static struct tls_contexts *make(void)
{
    char why[TLS_WHY_SIZE];
    struct tls_contexts *contexts = tls_contexts_new(&config, why);

    cr_assert_not_null(contexts, "%s", why);
    return contexts;
}

/* It is refused for a reason that begins with the path of FILE, empty: no path, and then has TEXT. */
static void refused(const char *file, const char *text)
{
    char why[TLS_WHY_SIZE];
    const char *path = *file ? kit_path(file) : "";
    struct tls_contexts *contexts = tls_contexts_new(&config, why);

    cr_assert_null(contexts);
    cr_assert(strncmp(why, path, strlen(path)) == 0, "%s", why);
    cr_assert_not_null(strstr(why, text), "%s", why);
}

/* ---- files ---- */

Test(tls_context, good_files)
{
    tls_contexts_leave(make());
}

Test(tls_context, missing_files)
{
    config.certfile = lasting("nowhere");
    refused("nowhere", "cannot be taken as a certificate: No such file or directory");
    config = kit_config();
    config.keyfile = lasting("nowhere");
    refused("nowhere", "cannot be taken as the key of");
    refused("nowhere", "No such file or directory");
    config = kit_config();
    config.cacertfile = lasting("nowhere");
    refused("nowhere", "cannot be taken as certificates of authorities: No such file or directory");
    config = kit_config();
    config.crlfile = lasting("nowhere");
    refused("nowhere", "cannot be taken as a revocation list: No such file or directory");
}

Test(tls_context, files_that_are_not_pem)
{
    const char *const names[] = {"rubbish", "empty"};

    for (size_t i = 0; i < 2; i++) {
        config = kit_config();
        config.certfile = lasting(names[i]);
        refused(names[i], "cannot be taken as a certificate");
        config = kit_config();
        config.keyfile = lasting(names[i]);
        refused(names[i], "cannot be taken as the key of");
        config = kit_config();
        config.cacertfile = lasting(names[i]);
        refused(names[i], "cannot be taken as certificates of authorities");
        config = kit_config();
        config.crlfile = lasting(names[i]);
        refused(names[i], "cannot be taken as a revocation list");
    }
}

Test(tls_context, files_in_each_others_places)
{
    config.certfile = lasting("server.key");
    refused("server.key", "cannot be taken as a certificate");
    config = kit_config();
    config.keyfile = lasting("server.pem");
    refused("server.pem", "cannot be taken as the key of");
    config = kit_config();
    config.crlfile = lasting("server.pem");
    refused("server.pem", "cannot be taken as a revocation list");
}

Test(tls_context, key_of_another_certificate)
{
    config.keyfile = lasting("other.key");
    refused("other.key", "key values mismatch");
}

Test(tls_context, key_of_another_kind)
{
    struct kit_pair rsa = {NULL, EVP_RSA_gen(2048)};

    kit_write_key("rsa.key", &rsa, NULL);
    config.keyfile = lasting("rsa.key");
    refused("rsa.key", "is not the key of");
    kit_pair_free(&rsa);
}

Test(tls_context, encrypted_key)
{
    static char good[] = "a secret", wrong[] = "another";

    kit_write_key("encrypted.key", &server, good);
    config.keyfile = lasting("encrypted.key");
    refused("encrypted.key", "cannot be taken as the key of");
    config.password = wrong;
    refused("encrypted.key", "bad decrypt");
    config.password = good;
    tls_contexts_leave(make());
}

Test(tls_context, what_is_not_configured)
{
    static char none[] = "";

    config.certfile = none;
    refused("", "TLS listeners need ssl_options.certfile and ssl_options.keyfile");
    config = kit_config();
    config.verify_peer = true;
    config.cacertfile = none;
    refused("", "ssl_options.verify = verify_peer needs ssl_options.cacertfile");
}

Test(tls_context, ciphers_that_nobody_knows)
{
    static char old[] = "ROT13-SHA1", new[] = "TLS_ROT13_SHA1";
    char *words[] = {old};

    config.ciphers = (struct config_words){words, 1};
    refused("", "ssl_options.ciphers: none of them is known: ROT13-SHA1");
    words[0] = new;
    refused("", "ssl_options.ciphers: none of them is known: TLS_ROT13_SHA1");
}

Test(tls_context, expiry_is_the_first_in_the_chain)
{
    const struct kit_part parts[] = {{NID_commonName, V_ASN1_UTF8STRING, "soon", -1, 0}, {0}};
    struct kit_pair soon = kit_certificate(parts, NULL, &ca, -60, 600);
    struct tls_contexts *contexts = make();
    int64_t left = tls_contexts_expiry(contexts) - time(NULL);

    cr_assert(left > HOUR - 60 && left <= HOUR, "%lld", (long long)left);
    tls_contexts_leave(contexts);
    kit_write_certificate("server.pem", &server, &soon);
    contexts = make();
    left = tls_contexts_expiry(contexts) - time(NULL);
    cr_assert(left > 540 && left <= 600, "%lld", (long long)left);
    tls_contexts_leave(contexts);
    kit_pair_free(&soon);
}

/* ---- whether files are as they were ---- */

Test(tls_context, state_of_files_changes_with_them)
{
    uint64_t before = tls_files_state(&config), after;
    struct config_tls *copy = tls_config_copy(&config);

    cr_assert_eq(tls_files_state(copy), before);
    tls_config_free(copy);
    kit_write_key("server.key", &server, NULL);
    after = tls_files_state(&config);
    cr_assert_neq(after, before, "written");
    before = after;
    rename(kit_path("other.key"), kit_path("server.key"));
    after = tls_files_state(&config);
    cr_assert_neq(after, before, "replaced");
    before = after;
    unlink(kit_path("server.key"));
    after = tls_files_state(&config);
    cr_assert_neq(after, before, "removed");
    cr_assert_eq(tls_files_state(&config), after);
}

Test(tls_context, state_of_files_follows_links)
{
    uint64_t before;

    rename(kit_path("server.key"), kit_path("one.key"));
    cr_assert_eq(symlink(kit_path("one.key"), kit_path("server.key")), 0);
    before = tls_files_state(&config);
    unlink(kit_path("server.key"));
    cr_assert_eq(symlink(kit_path("other.key"), kit_path("server.key")), 0);
    cr_assert_neq(tls_files_state(&config), before);
}

/* ---- names ---- */

static void shows(struct tls_contexts *contexts, const char *asked, const char *wanted)
{
    SSL_CTX *client = kit_client(NULL);
    struct kit_ends ends;

    cr_assert(kit_shake(&ends, client, tls_contexts_first(contexts), asked, NULL));
    cr_assert_str_eq(kit_shown_name(&ends), wanted, "%s: %s", asked, kit_shown_name(&ends));
    kit_ends_free(&ends);
    SSL_CTX_free(client);
}

Test(tls_context, names_have_certificates)
{
    static char names[][20] = {"*.example.com", "mq.example.com"};
    struct kit_pair wild = kit_simple("wild", &ca);
    struct config_certificate entries[2];
    struct tls_contexts *contexts;

    kit_write_certificate("wild.pem", &wild, NULL);
    kit_write_key("wild.key", &wild, NULL);
    entries[0] = (struct config_certificate){names[0], lasting("wild.pem"), lasting("wild.key")};
    entries[1] = (struct config_certificate){names[1], lasting("other.pem"), lasting("other.key")};
    config.sni = (struct config_certificates){entries, 2};
    contexts = make();
    shows(contexts, NULL, "server");
    shows(contexts, "mq.example.com", "other"); /* though the wildcard comes before it */
    shows(contexts, "MQ.EXAMPLE.COM", "other");
    shows(contexts, "a.Example.com", "wild");
    shows(contexts, "a.b.example.com", "server");
    shows(contexts, "example.com", "server");
    shows(contexts, "aexample.com", "server");
    tls_contexts_leave(contexts);
    entries[1].keyfile = lasting("wild.key");
    refused("wild.key", "key values mismatch");
    kit_pair_free(&wild);
}

/* ---- clients' certificates ---- */

static bool lets_in(struct tls_contexts *contexts, const struct kit_pair *shown)
{
    SSL_CTX *client = kit_client(shown);
    struct kit_ends ends;
    bool done = kit_shake(&ends, client, tls_contexts_first(contexts), NULL, NULL);

    kit_ends_free(&ends);
    SSL_CTX_free(client);
    return done;
}

Test(tls_context, revoked_and_foreign_clients)
{
    struct kit_pair stranger = kit_simple("stranger", NULL);
    struct tls_contexts *contexts;

    config.verify_peer = true;
    kit_write_revocation("revoked.pem", &ca, &other);
    contexts = make();
    cr_assert(lets_in(contexts, NULL));
    cr_assert(lets_in(contexts, &other));
    cr_assert_not(lets_in(contexts, &stranger));
    tls_contexts_leave(contexts);
    config.fail_if_no_peer_cert = true;
    config.crlfile = lasting("revoked.pem");
    contexts = make();
    cr_assert_not(lets_in(contexts, NULL));
    cr_assert_not(lets_in(contexts, &other));
    cr_assert(lets_in(contexts, &server));
    tls_contexts_leave(contexts);
    kit_pair_free(&stranger);
}

/* ---- tickets ---- */

static SSL_CTX *client_of(const struct kit_pair *shown, int version)
{
    SSL_CTX *client = kit_client(shown);

    SSL_CTX_set_min_proto_version(client, version);
    SSL_CTX_set_max_proto_version(client, version);
    return client;
}

/* Connect with *SESSION, which is replaced by the new one; tell whether it was resumed. */
static bool resumes(struct tls_contexts *contexts, SSL_CTX *client, SSL_SESSION **session)
{
    struct kit_ends ends;
    bool is_resumed;

    cr_assert(kit_shake(&ends, client, tls_contexts_first(contexts), NULL, *session));
    is_resumed = SSL_session_reused(ends.server);
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(ends.client);
    SSL_set_shutdown(ends.client, SSL_SENT_SHUTDOWN); /* or the session would count as bad */
    kit_ends_free(&ends);
    return is_resumed;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

Test(tls_context, tickets_resume_and_end_with_the_contexts)
{
    for (size_t i = 0; i < 2; i++) {
        struct tls_contexts *contexts = make();
        SSL_CTX *client = client_of(NULL, versions[i]);
        SSL_SESSION *session = NULL;

        cr_assert_not(resumes(contexts, client, &session));
        cr_assert(resumes(contexts, client, &session));
        cr_assert(resumes(contexts, client, &session));
        tls_contexts_leave(contexts);
        contexts = make();
        cr_assert_not(resumes(contexts, client, &session));
        cr_assert(resumes(contexts, client, &session));
        tls_contexts_leave(contexts);
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
    }
}

Test(tls_context, ticket_keys_grow_old)
{
    for (size_t i = 0; i < 2; i++) {
        struct tls_contexts *contexts = make();
        struct tls_tickets *tickets = tls_contexts_tickets(contexts);
        SSL_CTX *client = client_of(NULL, versions[i]);
        SSL_SESSION *session = NULL, *old;

        resumes(contexts, client, &session);
        old = SSL_SESSION_dup(session);
        tls_tickets_age(tickets, HOUR - 5);
        cr_assert(resumes(contexts, client, &session), "in its hour");
        tls_tickets_age(tickets, 10);
        cr_assert(resumes(contexts, client, &session), "in the next: and there is a new ticket");
        tls_tickets_age(tickets, HOUR + 5);
        cr_assert(resumes(contexts, client, &session), "which is good for another");
        cr_assert_not(resumes(contexts, client, &old), "the first key is two hours old");
        SSL_SESSION_free(session);
        SSL_SESSION_free(old);
        SSL_CTX_free(client);
        tls_contexts_leave(contexts);
    }
}

Test(tls_context, ticket_keys_are_forgotten_in_silence)
{
    struct tls_contexts *contexts = make();
    struct tls_tickets *tickets = tls_contexts_tickets(contexts);
    SSL_CTX *client = client_of(NULL, TLS1_2_VERSION);
    SSL_SESSION *session = NULL;

    resumes(contexts, client, &session);
    tls_tickets_age(tickets, 2 * HOUR + 5);
    tls_tickets_tend(tickets);
    cr_assert_not(resumes(contexts, client, &session));
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
    tls_contexts_leave(contexts);
}

Test(tls_context, no_tickets_without_the_option)
{
    config.session_tickets = false;
    for (size_t i = 0; i < 2; i++) {
        struct tls_contexts *contexts = make();
        SSL_CTX *client = client_of(NULL, versions[i]);
        SSL_SESSION *session = NULL;

        cr_assert_null(tls_contexts_tickets(contexts));
        cr_assert_not(resumes(contexts, client, &session));
        cr_assert_not(resumes(contexts, client, &session));
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
        tls_contexts_leave(contexts);
    }
}

/* A ticket is good for longer than the certificate that it was given for. */
Test(tls_context, ticket_ends_with_the_clients_certificate)
{
    const struct kit_part parts[] = {{NID_commonName, V_ASN1_UTF8STRING, "brief", -1, 0}, {0}};

    config.verify_peer = config.fail_if_no_peer_cert = true;
    for (size_t i = 0; i < 2; i++) {
        struct kit_pair brief = kit_certificate(parts, NULL, &ca, -60, 2);
        time_t end = time(NULL) + 2;
        struct tls_contexts *contexts = make();
        SSL_CTX *client = client_of(&brief, versions[i]);
        SSL_SESSION *session = NULL;
        struct kit_ends ends;

        resumes(contexts, client, &session);
        cr_assert(resumes(contexts, client, &session));
        while (time(NULL) <= end) /* OpenSSL asks the system's clock */
            usleep(10000);
        cr_assert_not(kit_shake(&ends, client, tls_contexts_first(contexts), NULL, session));
        kit_ends_free(&ends);
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
        tls_contexts_leave(contexts);
        kit_pair_free(&brief);
    }
}
