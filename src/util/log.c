/* SPDX-License-Identifier: Apache-2.0 */
/* log.h: a line is formatted on the stack and written by one call, so lines of threads never mix. */
#include "coney/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_SIZE 1024

static enum log_level least = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    least = level;
}

static void write_line(enum log_level level, const char *name, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void write_line(enum log_level level, const char *name, const char *format, va_list arguments)
{
    char line[LINE_MAX_SIZE];
    struct timespec now;
    struct tm tm;
    size_t at;
    int n;

    if (level < least)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    at = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", &tm);
    at += (size_t)snprintf(line + at, sizeof line - at, ".%03ld [%s] ", now.tv_nsec / 1000000, name);
    n = vsnprintf(line + at, sizeof line - at - 1, format, arguments);
    at += n < 0 ? 0 : (size_t)n;
    if (at > sizeof line - 2)
        at = sizeof line - 2;
    line[at++] = '\n';
    /* There is nobody to tell that the log cannot be written. */
    if (write(STDERR_FILENO, line, at) < 0)
        return;
}

#define DEFINE_LEVEL(function, level, name)         \
    void function(const char *format, ...)          \
    {                                               \
        va_list arguments;                          \
                                                    \
        va_start(arguments, format);                \
        write_line(level, name, format, arguments); \
        va_end(arguments);                          \
    }

DEFINE_LEVEL(log_debug, LOG_LEVEL_DEBUG, "debug")
DEFINE_LEVEL(log_info, LOG_LEVEL_INFO, "info")
DEFINE_LEVEL(log_warning, LOG_LEVEL_WARNING, "warning")
DEFINE_LEVEL(log_error, LOG_LEVEL_ERROR, "error")

const char *log_escape(struct bytes text, char *out, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < text.size && at + 5 < size; i++) {
        uint8_t c = text.data[i];

        if (c >= 0x20 && c < 0x7f && c != '\\')
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", c);
    }
    out[at] = 0;
    return out;
}
