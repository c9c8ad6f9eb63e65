/* SPDX-License-Identifier: Apache-2.0 */
/* coney/base64.h, by OpenSSL, whose functions take no sizes above INT_MAX. */
#include "coney/base64.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "coney/xalloc.h"

/* To OpenSSL a dash is the end of what is to be decoded. */
static bool may_be_base64(struct bytes text)
{
    return text.size <= INT_MAX && !(text.size && memchr(text.data, '-', text.size));
}

uint8_t *base64_decode(struct bytes text, size_t *size)
{
    EVP_ENCODE_CTX *context = EVP_ENCODE_CTX_new();
    uint8_t *out = xmalloc(text.size / 4 * 3 + 3);
    int first = 0, last = 0;
    bool done = context && may_be_base64(text);

    if (done) {
        EVP_DecodeInit(context);
        done = EVP_DecodeUpdate(context, out, &first, text.data, (int)text.size) >= 0 &&
               EVP_DecodeFinal(context, out + first, &last) >= 0;
    }
    EVP_ENCODE_CTX_free(context);
    *size = (size_t)first + (size_t)last;
    if (done)
        return out;
    free(out);
    return NULL;
}

char *base64_encode(struct bytes bytes)
{
    char *out = xmalloc((bytes.size + 2) / 3 * 4 + 1);

    *out = 0;
    if (bytes.size)
        EVP_EncodeBlock((unsigned char *)out, bytes.data, (int)bytes.size);
    return out;
}
