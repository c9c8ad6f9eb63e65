/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per event, to standard error, the journal, or a file. May be called from any thread; a
 * line is written whole. Once log_start() was called a thread of its own writes: a caller only formats its
 * line and never waits for an output. What comes faster than it can be written is counted and left out.
 *
 * A file that logs defines LOG_CATEGORY ahead of its includes, unless it is LOG_CATEGORY_DEFAULT.
 *
 * What a peer sent must pass through log_escape() on its way in, so that it can be told from our own words.
 * Octets that are no printable ASCII are escaped in any case.
 *
 * A call that says much is limited: of the same text in a row the first few lines of each period are written,
 * of different ones some hundreds; then one line tells how many were left out.
 */
#ifndef CONEY_LOG_H
#define CONEY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_CRITICAL,
    LOG_LEVEL_NONE, /* of an output: nothing */
};

enum log_category {
    LOG_CATEGORY_DEFAULT,
    LOG_CATEGORY_CONNECTION,
    LOG_CATEGORY_CHANNEL,
    LOG_CATEGORY_QUEUE,
    LOG_CATEGORY_STORAGE,
    LOG_CATEGORY_COUNT
};

#ifndef LOG_CATEGORY
#define LOG_CATEGORY LOG_CATEGORY_DEFAULT
#endif

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_output {
    enum log_level least[LOG_CATEGORY_COUNT]; /* lines below are not written */
    enum log_format format;
};

struct log_settings {
    struct log_output console; /* standard error */
    struct log_output file;
    const char *path;    /* of the file; NULL: none */
    uint32_t period_ms;  /* of the limits; 0: the default of this and the next two */
    uint32_t same_max;   /* lines of one call in a period that are like the one before */
    uint32_t differ_max; /* ... and that are not */
};

/* From now on log so. Until the first call: from info on, as text, to standard error. False with errno when
 * the file cannot be opened; nothing has changed then. */
bool log_configure(const struct log_settings *settings);

/* Log from LEVEL on to standard error alone. */
void log_set_level(enum log_level level);

/* The file was moved away: open it anew. */
void log_reopen(void);

/* Begin to write in a thread of its own; false when there can be none: callers go on writing themselves. */
bool log_start(void);

/* Lines that were not written so far: LOST came too fast, LEFT_OUT were more than a place may say. */
void log_missing(uint64_t *lost, uint64_t *left_out);

/* Write what waits, for at most MS milliseconds. */
void log_flush(uint32_t ms);

/* Write what waits, but do not wait for an output that takes nothing, and end the thread. */
void log_stop(void);

/* A place in the code that logs. */
#define LOG_SITE_TEXT 160
struct log_site {
    enum log_level level;
    enum log_category category;
    /* the log's own, behind its lock */
    bool is_listed;
    struct log_site *next;
    uint64_t period_end; /* ns; 0: no period is running */
    uint32_t written, alike, left_out;
    bool differ;              /* not all that was left out was alike */
    char text[LOG_SITE_TEXT]; /* of the last line, perhaps cut */
};

extern _Atomic unsigned char log_least[LOG_CATEGORY_COUNT];

/* For the macros below, each with a SITE of its own: written, or counted when that place says too much
 * (log.c). */
void log_write(struct log_site *site, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Say it as of CATEGORY, whatever the file's is. */
#define log_of(of_category, at_level, ...)                                                     \
    do {                                                                                       \
        static struct log_site log_site_ = {.level = (at_level), .category = (of_category)};   \
                                                                                               \
        if ((at_level) >= atomic_load_explicit(&log_least[of_category], memory_order_relaxed)) \
            log_write(&log_site_, __VA_ARGS__);                                                \
    } while (0)

#define log_at(at_level, ...) log_of(LOG_CATEGORY, at_level, __VA_ARGS__)

#define log_debug(...)    log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)     log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...)  log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)    log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_critical(...) log_at(LOG_LEVEL_CRITICAL, __VA_ARGS__)

/* TEXT with everything but printable ASCII as \xNN, cut to fit OUT; returns OUT. */
const char *log_escape(struct bytes text, char *out, size_t size);

#endif
