/* SPDX-License-Identifier: Apache-2.0 */
/* tls_peer.h. Names are UTF-8; one with a NUL in it is no name, since it would be read as another. */
#include "tls_peer.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/xalloc.h"

/* ---- texts ---- */

/* TEXT as UTF-8, to be freed; NULL when it is none. */
static char *to_utf8(const ASN1_STRING *text)
{
    unsigned char *utf8 = NULL;
    int size = ASN1_STRING_to_UTF8(&utf8, text);
    char *out = NULL;

    if (size >= 0 && !memchr(utf8, '\0', (size_t)size)) {
        out = xcalloc((size_t)size + 1, 1);
        memcpy(out, utf8, (size_t)size);
    }
    OPENSSL_free(utf8);
    return out;
}

static void append(struct buffer *out, const char *text)
{
    buffer_append(out, (const uint8_t *)text, strlen(text));
}

static char *to_string(struct buffer *out)
{
    char *text = xcalloc(out->size + 1, 1);

    if (out->size)
        memcpy(text, out->data, out->size);
    buffer_free(out);
    return text;
}

/* ---- the distinguished name ---- */

/* What RabbitMQ has a name for; it writes the others as numbers. */
static const char *attribute_name(int nid)
{
    switch (nid) {
    case NID_commonName:
        return "CN";
    case NID_countryName:
        return "C";
    case NID_domainComponent:
        return "DC";
    case NID_generationQualifier:
        return "GENERATIONQUALIFIER";
    case NID_givenName:
        return "GIVENNAME";
    case NID_initials:
        return "INITIALS";
    case NID_localityName:
        return "L";
    case NID_organizationName:
        return "O";
    case NID_organizationalUnitName:
        return "OU";
    case NID_pkcs9_emailAddress:
        return "EMAILADDRESS";
    case NID_pseudonym:
        return "PSEUDONYM";
    case NID_serialNumber:
        return "SERIALNUMBER";
    case NID_stateOrProvinceName:
        return "ST";
    case NID_surname:
        return "SN";
    case NID_title:
        return "TITLE";
    case NID_userId:
        return "UID";
    default:
        return NULL;
    }
}

/* RFC 4514, 2.4, with what is not printable in hexadecimal, as RabbitMQ has it: users are called so. */
static void append_escaped(struct buffer *out, const char *value)
{
    size_t size = strlen(value);
    char hex[4];

    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)value[i];
        bool at_edge = (i == 0 && (c == '#' || c == ' ')) || (i == size - 1 && c == ' ');

        if (c < ' ' || c >= '~') {
            snprintf(hex, sizeof hex, "\\%02X", c);
            append(out, hex);
            continue;
        }
        if (at_edge || strchr(",+\"\\<>;", c))
            append(out, "\\");
        buffer_append(out, &c, 1);
    }
}

/* All of it: one that was cut would be another's. */
static void append_number(struct buffer *out, const ASN1_OBJECT *object)
{
    int size = OBJ_obj2txt(NULL, 0, object, 1);

    if (size > 0)
        out->size += (size_t)OBJ_obj2txt((char *)buffer_reserve(out, (size_t)size + 1), size + 1, object, 1);
}

static bool append_entry(struct buffer *out, const X509_NAME_ENTRY *entry)
{
    const ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
    const char *name = attribute_name(OBJ_obj2nid(object));
    char *value = to_utf8(X509_NAME_ENTRY_get_data(entry));

    if (!value)
        return false;
    if (name)
        append(out, name);
    else
        append_number(out, object);
    append(out, "=");
    append_escaped(out, value);
    free(value);
    return true;
}

/* The first of the entries up to LAST that are one relative name with it. */
static int first_of_set(const X509_NAME *name, int last)
{
    int set = X509_NAME_ENTRY_set(X509_NAME_get_entry(name, last));

    while (last > 0 && X509_NAME_ENTRY_set(X509_NAME_get_entry(name, last - 1)) == set)
        last--;
    return last;
}

/* Most specific first, as RFC 4514 wants it: the reverse of the certificate's order. What is one relative
 * name of several parts stays in order. */
char *tls_peer_name(const X509_NAME *name)
{
    struct buffer out = {0};

    for (int end = X509_NAME_entry_count(name); end > 0;) {
        int first = first_of_set(name, end - 1);

        for (int i = first; i < end; i++) {
            if (out.size)
                append(&out, i > first ? "+" : ",");
            if (!append_entry(&out, X509_NAME_get_entry(name, i))) {
                buffer_free(&out);
                return NULL;
            }
        }
        end = first;
    }
    return out.size ? to_string(&out) : NULL;
}

/* All of them, should there be several. */
static char *common_name(const X509_NAME *name)
{
    struct buffer out = {0};

    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0;) {
        char *value = to_utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));

        if (!value) {
            buffer_free(&out);
            return NULL;
        }
        if (out.size)
            append(&out, ",");
        append(&out, value);
        free(value);
    }
    return out.size ? to_string(&out) : NULL;
}

/* ---- alternative names ---- */

static char *address_text(const ASN1_OCTET_STRING *address)
{
    char text[INET6_ADDRSTRLEN];
    int size = ASN1_STRING_length(address);

    if (size != 4 && size != 16)
        return NULL;
    return inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof text)
               ? xstrdup(text)
               : NULL;
}

static char *other_text(const ASN1_TYPE *value)
{
    switch (value->type) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_PRINTABLESTRING:
        return to_utf8(value->value.asn1_string);
    default:
        return NULL;
    }
}

static char *alternative_text(const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
    case GEN_EMAIL:
    case GEN_URI:
        return to_utf8(name->d.ia5);
    case GEN_IPADD:
        return address_text(name->d.iPAddress);
    case GEN_OTHERNAME:
        return other_text(name->d.otherName->value);
    default:
        return NULL;
    }
}

static char *alternative_name(const X509 *certificate, enum config_cert_san san, uint32_t index)
{
    static const int types[] = {[CERT_SAN_DNS] = GEN_DNS,
                                [CERT_SAN_IP] = GEN_IPADD,
                                [CERT_SAN_EMAIL] = GEN_EMAIL,
                                [CERT_SAN_URI] = GEN_URI,
                                [CERT_SAN_OTHER_NAME] = GEN_OTHERNAME};
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    char *out = NULL;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != types[san])
            continue;
        if (index-- == 0) {
            out = alternative_text(name);
            break;
        }
    }
    GENERAL_NAMES_free(names);
    return out;
}

char *tls_peer_name_in(const X509 *certificate, enum config_cert_login from, enum config_cert_san san,
                       uint32_t index)
{
    switch (from) {
    case CERT_LOGIN_COMMON_NAME:
        return common_name(X509_get_subject_name(certificate));
    case CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME:
    case CERT_LOGIN_SUBJECT_ALT_NAME:
        return alternative_name(certificate, san, index);
    default:
        return tls_peer_name(X509_get_subject_name(certificate));
    }
}

char *tls_peer_login(const struct ssl_st *tls, enum config_cert_login from, enum config_cert_san san,
                     uint32_t index)
{
    const X509 *certificate = SSL_get0_peer_certificate(tls);

    if (!certificate || !(SSL_get_verify_mode(tls) & SSL_VERIFY_PEER) ||
        SSL_get_verify_result(tls) != X509_V_OK)
        return NULL;
    return tls_peer_name_in(certificate, from, san, index);
}
