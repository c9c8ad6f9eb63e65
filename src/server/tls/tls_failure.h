/* SPDX-License-Identifier: Apache-2.0 */
/* Why OpenSSL failed, for the log: the peer may get no alert, or none that says it. */
#ifndef SERVER_TLS_FAILURE_H
#define SERVER_TLS_FAILURE_H

#include <stdbool.h>

/* What OpenSSL says of the call that this thread made last; NULL: nothing, so it was the socket. *IS_OURS: it
 * is this node that has no memory. */
const char *tls_failure(bool *is_ours);

#endif
