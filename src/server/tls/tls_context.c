/* SPDX-License-Identifier: Apache-2.0 */
/* tls_context.h. What is not configured is as Mozilla's "intermediate" has it (guidelines 5.7). */
#include "coney/tls_context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coney/config.h"
#include "coney/tls_load.h"
#include "coney/xalloc.h"
#include "tls_tickets.h"

#define CIPHERS_DEFAULT                                                                        \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"   \
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
#define GROUPS   "X25519:prime256v1:secp384r1"
#define DH_GROUP "ffdhe2048" /* for DHE-RSA of TLS 1.2 (RFC 7919) */

/* Octets read at once: several records, for one system call. The buffer lives while there is something in it.
 */
#define READ_AHEAD_SIZE (64 * 1024)

struct named_context {
    const char *name; /* a host name, or "*." and a domain for each host right below it that has none */
    SSL_CTX *context;
};

struct tls_contexts {
    SSL_CTX *first;
    struct named_context *named;
    size_t named_count;
    struct tls_tickets *tickets;          /* NULL: none */
    struct tls_certificate *certificates; /* in service, that for all others first */
    size_t certificate_count;
    unsigned users;
};

/* What is being made, and for what. */
struct making {
    struct tls_contexts *contexts;
    const struct config_tls *config;
    char *why;
};

/* ---- reasons ---- */

static bool refuse(struct making *making, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was being done, and what OpenSSL says to it. */
static bool refuse(struct making *making, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tls_refuse_list(making->why, TLS_WHY_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- names that clients ask for ---- */

static SSL_CTX *find_named(const struct tls_contexts *contexts, const char *name)
{
    const char *domain = strchr(name, '.');
    SSL_CTX *found = NULL;

    for (size_t i = 0; i < contexts->named_count; i++) {
        const struct named_context *named = &contexts->named[i];

        if (strcasecmp(named->name, name) == 0)
            return named->context;
        if (!found && named->name[0] == '*' && domain && domain > name &&
            strcasecmp(named->name + 1, domain) == 0)
            found = named->context;
    }
    return found;
}

static int on_server_name(SSL *tls, int *alert, void *arg)
{
    const struct tls_contexts *contexts = arg;
    const char *name = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);

    SSL_CTX *context = name ? find_named(contexts, name) : NULL;

    (void)alert;
    if (!context)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(tls, context);
    return SSL_TLSEXT_ERR_OK;
}

/* ALPN: "amqp" where it is offered. Who offers others only gets no answer, and may go on. */
static int on_alpn(SSL *tls, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
                   unsigned in_size, void *arg)
{
    static const unsigned char ours[] = "\4amqp";
    unsigned char *chosen;

    (void)tls;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- certificates and keys ---- */

static void note_expiry(struct tls_certificate *noted, const X509 *certificate)
{
    struct tm end = {0};
    int64_t expiry;

    if (!certificate || !ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end))
        return;
    expiry = timegm(&end);
    if (!noted->expiry || expiry < noted->expiry)
        noted->expiry = expiry;
}

/* Of a certificate and what stands with it in its file. */
static void note_expiries(struct tls_certificate *noted, SSL_CTX *context)
{
    STACK_OF(X509) *chain = NULL;

    note_expiry(noted, SSL_CTX_get0_certificate(context));
    SSL_CTX_get0_chain_certs(context, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++)
        note_expiry(noted, sk_X509_value(chain, i));
}

static bool take_authorities(struct making *making, SSL_CTX *context)
{
    const char *path = making->config->cacertfile;
    STACK_OF(X509_NAME) * names;

    if (!*path)
        return true;
    if (SSL_CTX_load_verify_file(context, path) != 1)
        return refuse(making, "%s: cannot be taken as certificates of authorities", path);
    names = SSL_load_client_CA_file(path);
    if (!names)
        return refuse(making, "%s: cannot be taken as certificates of authorities", path);
    SSL_CTX_set_client_CA_list(context, names);
    return true;
}

static bool take_revocations(struct making *making, SSL_CTX *context)
{
    const char *path = making->config->crlfile;
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509_LOOKUP *lookup;

    if (!*path)
        return true;
    lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (!lookup || X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) < 1)
        return refuse(making, "%s: cannot be taken as a revocation list", path);
    return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
}

/* ---- what is spoken ---- */

static bool has_word(const struct config_words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->words[i], word) == 0)
            return true;
    return false;
}

static bool take_versions(struct making *making, SSL_CTX *context)
{
    bool has_12 = has_word(&making->config->versions, "tlsv1.2");
    bool has_13 = has_word(&making->config->versions, "tlsv1.3");

    if (SSL_CTX_set_min_proto_version(context, has_12 || !has_13 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, has_13 || !has_12 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
        return refuse(making, "ssl_options.versions: not offered by OpenSSL");
    return true;
}

/* The names of WORDS that are TLS 1.3's, or those that are not, with colons between; NULL: none. */
static char *join_ciphers(const struct config_words *words, bool of_13)
{
    size_t size = 1, used = 0;
    char *out;

    for (size_t i = 0; i < words->count; i++)
        size += strlen(words->words[i]) + 1;
    out = xcalloc(size, 1);
    for (size_t i = 0; i < words->count; i++)
        if ((strncmp(words->words[i], "TLS_", 4) == 0) == of_13)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ":" : "", words->words[i]);
    if (used)
        return out;
    free(out);
    return NULL;
}

static bool take_ciphers(struct making *making, SSL_CTX *context)
{
    char *old = join_ciphers(&making->config->ciphers, false);
    char *new = join_ciphers(&making->config->ciphers, true);
    bool good = SSL_CTX_set_cipher_list(context, old ? old : CIPHERS_DEFAULT) == 1;

    if (!good)
        refuse(making, "ssl_options.ciphers: none of them is known: %s", old ? old : CIPHERS_DEFAULT);
    else if (new &&SSL_CTX_set_ciphersuites(context, new) != 1)
        good = refuse(making, "ssl_options.ciphers: none of them is known: %s", new);
    free(old);
    free(new);
    return good;
}

static void take_verification(const struct config_tls *config, SSL_CTX *context)
{
    int mode = SSL_VERIFY_NONE;

    if (config->verify_peer)
        mode = SSL_VERIFY_PEER | (config->fail_if_no_peer_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(context, mode, NULL);
    SSL_CTX_set_verify_depth(context, (int)config->depth);
}

static void take_options(const struct config_tls *config, SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_ENABLE_KTLS |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_clear_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (config->honor_cipher_order || config->honor_ecc_order)
        SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* An idle connection owns no buffer; a write goes on where it stopped, from wherever the octets are then.
     */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_SIZE);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
}

static bool take_dh_group(SSL_CTX *context)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){DH_GROUP}, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    EVP_PKEY *group = NULL;
    bool good = making && EVP_PKEY_fromdata_init(making) == 1 &&
                EVP_PKEY_fromdata(making, &group, EVP_PKEY_KEY_PARAMETERS, params) == 1 &&
                SSL_CTX_set0_tmp_dh_pkey(context, group) == 1;

    if (!good)
        EVP_PKEY_free(group);
    EVP_PKEY_CTX_free(making);
    return good;
}

/* ---- whole contexts ---- */

static SSL_CTX *new_context(struct making *making, const char *certfile, const char *keyfile)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (!context) {
        refuse(making, "OpenSSL cannot make a context");
        return NULL;
    }
    take_options(making->config, context);
    take_verification(making->config, context);
    /* SSL_CTX_set1_groups_list() is a macro that casts const away. */
    if (SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)GROUPS) == 1 &&
        take_dh_group(context) && tls_tickets_use(making->contexts->tickets, context) &&
        take_versions(making, context) && take_ciphers(making, context) &&
        take_authorities(making, context) && take_revocations(making, context) &&
        tls_load_pair(context, certfile, keyfile, making->config->password, making->why, TLS_WHY_SIZE))
        return context;
    if (!*making->why)
        refuse(making, "OpenSSL refuses what coney asks of it");
    SSL_CTX_free(context);
    return NULL;
}

static struct tls_certificate *note_certificate(struct tls_contexts *contexts, const char *name,
                                                const char *certfile, SSL_CTX *context)
{
    struct tls_certificate *noted = &contexts->certificates[contexts->certificate_count++];

    *noted = (struct tls_certificate){.name = xstrdup(name), .file = xstrdup(certfile)};
    note_expiries(noted, context);
    return noted;
}

static bool add_first(struct making *making)
{
    const char *certfile = making->config->certfile;

    making->contexts->first = new_context(making, certfile, making->config->keyfile);
    if (!making->contexts->first)
        return false;
    note_certificate(making->contexts, "", certfile, making->contexts->first);
    return true;
}

static bool add_named(struct making *making, const struct config_certificate *certificate)
{
    struct tls_contexts *contexts = making->contexts;
    SSL_CTX *context = new_context(making, certificate->certfile, certificate->keyfile);
    const struct tls_certificate *noted;

    if (!context)
        return false;
    noted = note_certificate(contexts, certificate->name, certificate->certfile, context);
    contexts->named[contexts->named_count++] = (struct named_context){noted->name, context};
    return true;
}

static bool is_complete(struct making *making)
{
    const struct config_tls *config = making->config;

    if (!*config->certfile || !*config->keyfile)
        return refuse(making, "TLS listeners need ssl_options.certfile and ssl_options.keyfile");
    if (config->verify_peer && !*config->cacertfile)
        return refuse(making, "ssl_options.verify = verify_peer needs ssl_options.cacertfile");
    for (size_t i = 0; i < config->sni.count; i++) {
        const struct config_certificate *entry = &config->sni.entries[i];

        if (!entry->certfile || !*entry->certfile || !entry->keyfile || !*entry->keyfile)
            return refuse(making, "ssl_options.sni.%s needs certfile and keyfile", entry->name);
    }
    return true;
}

struct tls_contexts *tls_contexts_new(const struct config_tls *config, char why[TLS_WHY_SIZE])
{
    struct tls_contexts *contexts = xcalloc(1, sizeof *contexts);
    struct making making = {contexts, config, why};
    bool good;

    *why = '\0';
    ERR_clear_error();
    contexts->users = 1;
    contexts->tickets = config->session_tickets ? tls_tickets_new() : NULL;
    contexts->named = xcalloc(config->sni.count + 1, sizeof *contexts->named);
    contexts->certificates = xcalloc(config->sni.count + 1, sizeof *contexts->certificates);
    good = is_complete(&making) && add_first(&making);
    for (size_t i = 0; good && i < config->sni.count; i++)
        good = add_named(&making, &config->sni.entries[i]);
    if (!good) {
        tls_contexts_leave(contexts);
        return NULL;
    }
    SSL_CTX_set_tlsext_servername_callback(contexts->first, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(contexts->first, contexts);
    return contexts;
}

struct tls_contexts *tls_contexts_enter(struct tls_contexts *contexts)
{
    contexts->users++;
    return contexts;
}

void tls_contexts_leave(struct tls_contexts *contexts)
{
    if (!contexts || --contexts->users)
        return;
    for (size_t i = 0; i < contexts->named_count; i++)
        SSL_CTX_free(contexts->named[i].context);
    for (size_t i = 0; i < contexts->certificate_count; i++) {
        free(contexts->certificates[i].name);
        free(contexts->certificates[i].file);
    }
    free(contexts->certificates);
    free(contexts->named);
    SSL_CTX_free(contexts->first);
    tls_tickets_free(contexts->tickets); /* connections of these contexts make no tickets any more */
    free(contexts);
}

struct ssl_ctx_st *tls_contexts_first(const struct tls_contexts *contexts)
{
    return contexts->first;
}

struct tls_tickets *tls_contexts_tickets(const struct tls_contexts *contexts)
{
    return contexts->tickets;
}

int64_t tls_contexts_expiry(const struct tls_contexts *contexts)
{
    int64_t first = 0;

    for (size_t i = 0; i < contexts->certificate_count; i++) {
        int64_t expiry = contexts->certificates[i].expiry;

        if (expiry && (!first || expiry < first))
            first = expiry;
    }
    return first;
}

const struct tls_certificate *tls_contexts_certificates(const struct tls_contexts *contexts, size_t *count)
{
    *count = contexts->certificate_count;
    return contexts->certificates;
}
