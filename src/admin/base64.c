/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h, by OpenSSL, whose functions take no sizes above INT_MAX. */
#include "base64.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "coney/xalloc.h"

uint8_t *base64_decode(struct bytes text, size_t *size)
{
    size_t padding = 0;
    uint8_t *out;
    int decoded;

    if (text.size % 4 != 0 || text.size > INT_MAX)
        return NULL;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    out = xmalloc(text.size / 4 * 3 + 1);
    decoded = text.size ? EVP_DecodeBlock(out, text.data, (int)text.size) : 0;
    if (decoded < 0) {
        free(out);
        return NULL;
    }
    *size = (size_t)decoded - padding;
    return out;
}

char *base64_encode(struct bytes bytes)
{
    char *out = xmalloc((bytes.size + 2) / 3 * 4 + 1);

    *out = 0;
    if (bytes.size)
        EVP_EncodeBlock((unsigned char *)out, bytes.data, (int)bytes.size);
    return out;
}
