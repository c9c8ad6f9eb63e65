/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the names that clients' certificates give to users. The input is which name is asked for (one octet),
 * the size of a distinguished name (one octet), that name in DER, and behind it alternative names in DER. A
 * name is text that can be compared and logged; a distinguished one is printable ASCII.
 */
#include "server/tls/tls_peer.h"

#include <openssl/x509v3.h>

#include "coney/bytes.h"
#include "fuzz.h"

static void set_subject(X509 *certificate, const uint8_t *der, long size)
{
    X509_NAME *name = d2i_X509_NAME(NULL, &der, size);

    if (name)
        X509_set_subject_name(certificate, name); /* refuses what it cannot copy */
    X509_NAME_free(name);
}

static void set_alternatives(X509 *certificate, const uint8_t *der, size_t size)
{
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;

    CHECK(ASN1_OCTET_STRING_set(octets, der, (int)size) == 1);
    extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, octets);
    CHECK(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
}

static void check_name(const char *name, bool is_distinguished)
{
    CHECK(utf8_is_valid(bytes_from_string(name)));
    for (; is_distinguished && *name; name++)
        CHECK(*name >= ' ' && *name <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    X509 *certificate = X509_new();
    enum config_cert_login from;
    enum config_cert_san san;
    char *name;

    if (size > 2 && size - 2 >= data[1]) {
        from = (enum config_cert_login)((data[0] & 3) % (CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME + 1));
        san = (enum config_cert_san)((data[0] >> 2 & 7) % (CERT_SAN_OTHER_NAME + 1));
        set_subject(certificate, data + 2, data[1]);
        set_alternatives(certificate, data + 2 + data[1], size - 2 - data[1]);
        name = tls_peer_name_in(certificate, from, san, data[0] >> 5);
        if (name)
            check_name(name, from == CERT_LOGIN_DISTINGUISHED_NAME);
        free(name);
    }
    X509_free(certificate);
    return 0;
}
