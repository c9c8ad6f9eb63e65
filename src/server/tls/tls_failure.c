/* SPDX-License-Identifier: Apache-2.0 */
/* tls_failure.h. OpenSSL's queue has the cause first, and behind it what failed because of it; what no
 * peer can bring about is fatal to it. */
#include "tls_failure.h"

#include <openssl/err.h>

const char *tls_failure(bool *is_ours)
{
    const char *reason = NULL;
    bool has_no_memory = false;
    unsigned long error;

    *is_ours = false;
    while ((error = ERR_get_error()) != 0) {
        reason = ERR_reason_error_string(error);
        has_no_memory = has_no_memory || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
        *is_ours = *is_ours || ERR_FATAL_ERROR(error);
        if (!reason)
            reason = "OpenSSL has no word for it";
    }
    return has_no_memory ? "OpenSSL has no memory" : reason;
}
