/* SPDX-License-Identifier: Apache-2.0 */
/* The names that certificates give to users; those of distinguished names are what RabbitMQ 3.10 makes of the
 * same certificates. */
#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/tls/tls_peer.h"
#include "tls_kit.h"

#define UTF8(nid, text)                     \
    {                                       \
        nid, V_ASN1_UTF8STRING, text, -1, 0 \
    }
#define BESIDE(nid, text)                    \
    {                                        \
        nid, V_ASN1_UTF8STRING, text, -1, -1 \
    }
#define END \
    {       \
        0   \
    }
#define SAN(type, index)      CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME, CERT_SAN_##type, index
#define DISTINGUISHED         CERT_LOGIN_DISTINGUISHED_NAME, CERT_SAN_DNS, 0
#define COMMON                CERT_LOGIN_COMMON_NAME, CERT_SAN_DNS, 0
#define MODE_WITH_CERTIFICATE (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT)

/* Show a server, which verifies by MODE, a certificate of PARTS and NAMES, and have the user's name. */
static char *login_verified(const struct kit_part *parts, GENERAL_NAMES *names, int mode, bool is_trusted,
                            enum config_cert_login from, enum config_cert_san san, uint32_t index)
{
    struct kit_pair shown = kit_certificate(parts, names, NULL, -60, 3600);
    struct kit_pair server = kit_simple("server", NULL);
    SSL_CTX *client_context = kit_client(&shown), *context = SSL_CTX_new(TLS_server_method());
    struct kit_ends ends;
    char *name;

    SSL_CTX_use_certificate(context, server.certificate);
    SSL_CTX_use_PrivateKey(context, server.key);
    SSL_CTX_set_verify(context, mode, NULL);
    if (is_trusted)
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), shown.certificate);
    cr_assert(kit_shake(&ends, client_context, context, NULL, NULL));
    name = tls_peer_login(ends.server, from, san, index);
    kit_ends_free(&ends);
    SSL_CTX_free(context);
    SSL_CTX_free(client_context);
    kit_pair_free(&server);
    kit_pair_free(&shown);
    return name;
}

static void expect(const struct kit_part *parts, GENERAL_NAMES *names, enum config_cert_login from,
                   enum config_cert_san san, uint32_t index, const char *wanted)
{
    char *name = login_verified(parts, names, MODE_WITH_CERTIFICATE, true, from, san, index);

    if (!wanted)
        cr_assert_null(name, "%s", name);
    else
        cr_assert(name && strcmp(name, wanted) == 0, "%s, wanted %s", name ? name : "nothing", wanted);
    free(name);
}

/* ---- distinguished names ---- */

Test(tls_peer, distinguished_name_is_most_specific_first)
{
    static const struct kit_part parts[] = {{NID_countryName, V_ASN1_PRINTABLESTRING, "DE", -1, 0},
                                            UTF8(NID_organizationName, "org"),
                                            UTF8(NID_commonName, "client"),
                                            END};

    expect(parts, NULL, DISTINGUISHED, "CN=client,O=org,C=DE");
}

Test(tls_peer, distinguished_name_of_every_known_attribute)
{
    static const struct kit_part parts[] = {UTF8(NID_stateOrProvinceName, "st"),
                                            UTF8(NID_localityName, "l"),
                                            UTF8(NID_organizationalUnitName, "ou"),
                                            UTF8(NID_surname, "sn"),
                                            UTF8(NID_givenName, "gn"),
                                            UTF8(NID_initials, "i"),
                                            UTF8(NID_generationQualifier, "gq"),
                                            UTF8(NID_title, "t"),
                                            {NID_serialNumber, V_ASN1_PRINTABLESTRING, "42", -1, 0},
                                            UTF8(NID_pseudonym, "ps"),
                                            {NID_domainComponent, V_ASN1_IA5STRING, "dc", -1, 0},
                                            {NID_pkcs9_emailAddress, V_ASN1_IA5STRING, "a@b.c", -1, 0},
                                            UTF8(NID_userId, "uid"),
                                            END};

    expect(parts, NULL, DISTINGUISHED,
           "UID=uid,EMAILADDRESS=a@b.c,DC=dc,PSEUDONYM=ps,SERIALNUMBER=42,TITLE=t,GENERATIONQUALIFIER=gq,"
           "INITIALS=i,GIVENNAME=gn,SN=sn,OU=ou,L=l,ST=st");
}

Test(tls_peer, other_attributes_are_numbers)
{
    static const struct kit_part parts[] = {UTF8(NID_streetAddress, "s 1"), UTF8(NID_businessCategory, "bc"),
                                            UTF8(NID_dnQualifier, "dq"), END};

    expect(parts, NULL, DISTINGUISHED, "2.5.4.46=dq,2.5.4.15=bc,2.5.4.9=s 1");
}

Test(tls_peer, no_number_is_cut)
{
    static const char number[] = "1.3.6.1.4.1.99999999.99999999.99999999.99999999.99999999.99999999.99999999."
                                 "99999999.99999999.1";
    const struct kit_part parts[] = {UTF8(OBJ_create(number, NULL, NULL), "long"), END};
    char wanted[sizeof number + 8];

    snprintf(wanted, sizeof wanted, "%s=long", number);
    expect(parts, NULL, DISTINGUISHED, wanted);
}

Test(tls_peer, parts_of_one_relative_name_stay_in_order)
{
    static const struct kit_part parts[] = {
        UTF8(NID_organizationName, "o"), UTF8(NID_organizationalUnitName, "one"),
        BESIDE(NID_userId, "u1"),        BESIDE(NID_commonName, "mine"),
        UTF8(NID_commonName, "last"),    END};

    /* DER sorts a set by its octets: CN (2.5.4.3), OU (2.5.4.11), UID. */
    expect(parts, NULL, DISTINGUISHED, "CN=last,OU=one+CN=mine+UID=u1,O=o");
}

Test(tls_peer, special_characters_are_escaped)
{
    static const struct kit_part parts[] = {UTF8(NID_stateOrProvinceName, " a, b "),
                                            UTF8(NID_organizationName, "#Org \"x\" <y>; \\ z+= #"),
                                            UTF8(NID_localityName, " "),
                                            UTF8(NID_title, "T\x01\x7f~"),
                                            UTF8(NID_commonName, "J\xc3\xbcrgen"),
                                            END};

    expect(parts, NULL, DISTINGUISHED,
           "CN=J\\C3\\BCrgen,TITLE=T\\01\\7F\\7E,L=\\ ,O=\\#Org \\\"x\\\" \\<y\\>\\; \\\\ z\\+= #,ST=\\ a\\, "
           "b\\ ");
}

Test(tls_peer, texts_of_all_kinds_become_utf8)
{
    static const struct kit_part parts[] = {{NID_organizationName, V_ASN1_T61STRING, "\xfc", -1, 0},
                                            {NID_commonName, V_ASN1_BMPSTRING, "\x00\xfc\x20\xac", 4, 0},
                                            END};

    expect(parts, NULL, COMMON, "\xc3\xbc\xe2\x82\xac");
    expect(parts, NULL, DISTINGUISHED, "CN=\\C3\\BC\\E2\\82\\AC,O=\\C3\\BC");
}

Test(tls_peer, nul_in_a_name_makes_it_none)
{
    static const struct kit_part parts[] = {{NID_commonName, V_ASN1_UTF8STRING, "admin\0.evil", 11, 0}, END};

    expect(parts, NULL, DISTINGUISHED, NULL);
    expect(parts, NULL, COMMON, NULL);
}

Test(tls_peer, empty_subject_has_no_name)
{
    static const struct kit_part parts[] = {END};

    expect(parts, NULL, DISTINGUISHED, NULL);
    expect(parts, NULL, COMMON, NULL);
}

/* ---- common names ---- */

Test(tls_peer, common_name_is_not_escaped)
{
    static const struct kit_part parts[] = {UTF8(NID_commonName, "a, b+\\c"), UTF8(NID_organizationName, "o"),
                                            END};

    expect(parts, NULL, COMMON, "a, b+\\c");
}

Test(tls_peer, several_common_names_are_joined)
{
    static const struct kit_part parts[] = {UTF8(NID_commonName, "one"), UTF8(NID_organizationName, "o"),
                                            UTF8(NID_commonName, "two"), END};

    expect(parts, NULL, COMMON, "one,two");
}

Test(tls_peer, no_common_name)
{
    static const struct kit_part parts[] = {UTF8(NID_organizationName, "o"), END};

    expect(parts, NULL, COMMON, NULL);
}

/* ---- alternative names ---- */

static const struct kit_part nobody[] = {UTF8(NID_commonName, "nobody"), END};

static GENERAL_NAMES *make_names(const char *text)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    GENERAL_NAMES *names;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, NULL, NULL, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, text);
    names = X509V3_EXT_d2i(extension);
    X509_EXTENSION_free(extension);
    return names;
}

Test(tls_peer, alternative_names_by_type_and_index)
{
    GENERAL_NAMES *names =
        make_names("DNS:a.example,IP:10.0.0.1,DNS:b.example,email:x@y.z,IP:2001:db8::1,URI:http://u/,"
                   "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:user@upn,otherName:1.2.3.4;IA5STRING:hello,"
                   "otherName:1.2.3.4;INTEGER:5,IP:0:0:0:0:0:ffff:102:304");

    expect(nobody, names, SAN(DNS, 0), "a.example");
    expect(nobody, names, SAN(DNS, 1), "b.example");
    expect(nobody, names, SAN(DNS, 2), NULL);
    expect(nobody, names, SAN(IP, 0), "10.0.0.1");
    expect(nobody, names, SAN(IP, 1), "2001:db8::1");
    expect(nobody, names, SAN(IP, 2), "::ffff:1.2.3.4");
    expect(nobody, names, SAN(EMAIL, 0), "x@y.z");
    expect(nobody, names, SAN(URI, 0), "http://u/");
    expect(nobody, names, SAN(OTHER_NAME, 0), "user@upn");
    expect(nobody, names, SAN(OTHER_NAME, 1), "hello");
    expect(nobody, names, SAN(OTHER_NAME, 2), NULL);
    expect(nobody, names, CERT_LOGIN_SUBJECT_ALT_NAME, CERT_SAN_DNS, 1, "b.example");
    GENERAL_NAMES_free(names);
}

Test(tls_peer, no_alternative_names)
{
    expect(nobody, NULL, SAN(DNS, 0), NULL);
}

static GENERAL_NAME *add_name(GENERAL_NAMES *names, int type, int string_type, const void *value, int size)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text = ASN1_STRING_type_new(string_type);

    ASN1_STRING_set(text, value, size);
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(names, name);
    return name;
}

Test(tls_peer, alternative_names_that_are_none)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();

    add_name(names, GEN_DNS, V_ASN1_IA5STRING, "good\0.evil", 10);
    add_name(names, GEN_DNS, V_ASN1_IA5STRING, "next", 4);
    add_name(names, GEN_IPADD, V_ASN1_OCTET_STRING, "\x0a\x00\x00", 3);
    expect(nobody, names, SAN(DNS, 0), NULL);
    expect(nobody, names, SAN(DNS, 1), "next");
    expect(nobody, names, SAN(IP, 0), NULL);
    GENERAL_NAMES_free(names);
}

/* ---- certificates that TLS has not verified ---- */

static int let_everybody_in(int is_good, X509_STORE_CTX *store)
{
    (void)is_good;
    (void)store;
    return 1;
}

Test(tls_peer, unverified_certificate_names_nobody)
{
    struct kit_pair shown = kit_simple("shown", NULL), server = kit_simple("server", NULL);
    SSL_CTX *client_context = kit_client(&shown), *context = SSL_CTX_new(TLS_server_method());
    struct kit_ends ends;

    SSL_CTX_use_certificate(context, server.certificate);
    SSL_CTX_use_PrivateKey(context, server.key);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, let_everybody_in);
    cr_assert(kit_shake(&ends, client_context, context, NULL, NULL));
    cr_assert_not_null(SSL_get0_peer_certificate(ends.server));
    cr_assert_null(tls_peer_login(ends.server, COMMON));
    kit_ends_free(&ends);
    SSL_CTX_free(context);
    SSL_CTX_free(client_context);
    kit_pair_free(&server);
    kit_pair_free(&shown);
}

Test(tls_peer, no_certificate_names_nobody)
{
    cr_assert_null(login_verified(nobody, NULL, SSL_VERIFY_NONE, true, COMMON));
}
