/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per event on standard error, "DATE TIME [level] text". May be called from any thread; a
 * line is written at once and whole. What a peer sent must pass through log_escape() on its way in.
 */
#ifndef CONEY_LOG_H
#define CONEY_LOG_H

#include <stdbool.h>

#include "coney/bytes.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR, LOG_LEVEL_NONE };

/* Lines below LEVEL are not written. To be set before threads start. */
void log_set_level(enum log_level level);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* TEXT with everything but printable ASCII as \xNN, cut to fit OUT; returns OUT. */
const char *log_escape(struct bytes text, char *out, size_t size);

#endif
