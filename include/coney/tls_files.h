/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the configuration that names TLS files: a copy of it, and whether they are as they were. */
#ifndef CONEY_TLS_FILES_H
#define CONEY_TLS_FILES_H

#include <stdint.h>

struct config_tls;

/* A deep copy, to be given back with tls_config_free(). */
struct config_tls *tls_config_copy(const struct config_tls *config);
void tls_config_free(struct config_tls *config);

/* A number that changes when one of the files that CONFIG names is replaced, written, removed or made. */
uint64_t tls_files_state(const struct config_tls *config);

#endif
