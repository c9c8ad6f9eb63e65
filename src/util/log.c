/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h. A line is formatted on the caller's stack, its octets are made harmless, and under the lock it is
 * counted against its place's limits and put on the list that the writer takes as a whole. Only the writer
 * touches outputs; while there is no writer, callers do, under the lock.
 *
 * Invariants, under `lock`:
 * 1. `waiting` is the size of what is on the list, and never above WAITING_MAX by more than one line.
 * 2. A site with a running period is on `sites`.
 * 3. `output` belongs to whoever writes, behind output_lock, which may be held for as long as an output takes
 *    nothing. So what is to change in it waits in `wanted`, and nobody but the writer waits for it. Locks are
 *    taken in the order output_lock, lock.
 */
#include "coney/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coney/clock.h"
#include "coney/xalloc.h"

#define LINE_SIZE_MAX  1024 /* octets of text */
#define ESCAPED_MAX    (4 * LINE_SIZE_MAX)
#define WAITING_MAX    ((size_t)1 << 20)
#define PERIOD_MS      10000
#define SAME_MAX       5
#define DIFFER_MAX     300
#define STOP_PATIENCE  1000 /* ms */
#define WRITE_PATIENCE 1000 /* ms that an output may take nothing */
#define NS_OF_MS(ms)   ((uint64_t)(ms)*1000000)

struct line {
    struct line *next;
    struct timespec when;
    enum log_level level;
    enum log_category category;
    size_t size;
    char text[];
};

_Atomic unsigned char log_least[LOG_CATEGORY_COUNT] = {LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO,
                                                       LOG_LEVEL_INFO, LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warning", "error", "critical"};
static const char *const category_names[] = {"default", "connection", "channel", "queue", "storage"};

struct outputs {
    struct log_output console, file;
    char *path;
    int fd;          /* of the file; -1: none */
    bool is_journal; /* standard error goes to systemd's journal */
};

static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;
static struct outputs output = {
    .console.least = {LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    .fd = -1,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER; /* something waits, or stopping */
static pthread_cond_t done = PTHREAD_COND_INITIALIZER; /* the writer has written what it took */
static struct line *first, **last = &first;
static size_t waiting;
static uint64_t lost, all_lost, all_left_out; /* the first since it was told */
static bool has_writer, is_stopping, is_writing;
static pthread_t writer;
static struct log_site *sites;
static struct outputs *wanted; /* NULL: the output stays */
static bool wants_reopen;
static uint64_t period_ns = NS_OF_MS(PERIOD_MS);
static uint32_t same_max = SAME_MAX, differ_max = DIFFER_MAX;

/* ---- octets ---- */

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

/* What is no printable ASCII as \xNN. Backslashes stay: those of log_escape() are in here. */
static size_t make_harmless(const char *text, char out[ESCAPED_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c < 0x7f) {
            out[at++] = (char)c;
        } else {
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = digits[c >> 4];
            out[at++] = digits[c & 15];
        }
    }
    out[at] = 0;
    return at;
}

/* ---- writing: behind output_lock ---- */

/* All of it, unless FD takes nothing for a while. There is nobody to tell that the log cannot be written. */
static void write_all(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = write(fd, text, size);
        struct pollfd ready = {.fd = fd, .events = POLLOUT};

        if (n > 0) {
            text += n;
            size -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (poll(&ready, 1, WRITE_PATIENCE) <= 0)
                return;
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

/* "2026-11-22 01:19:37.678109+00:00", as RabbitMQ has it. */
static size_t print_time(char *out, size_t size, const struct timespec *when)
{
    struct tm tm;
    char zone[8];
    size_t at;

    localtime_r(&when->tv_sec, &tm);
    at = strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm);
    strftime(zone, sizeof zone, "%z", &tm);
    return at + (size_t)snprintf(out + at, size - at, ".%06ld%.3s:%s", when->tv_nsec / 1000, zone, zone + 3);
}

static size_t print_text(char *out, size_t size, const struct line *line)
{
    size_t at = print_time(out, size, &line->when);

    return at + (size_t)snprintf(out + at, size - at, " [%s] %s\n", level_names[line->level], line->text);
}

static size_t print_json(char *out, size_t size, const struct line *line)
{
    size_t at = (size_t)snprintf(out, size, "{\"time\":\"");

    at += print_time(out + at, size - at, &line->when);
    at += (size_t)snprintf(out + at, size - at,
                           "\",\"level\":\"%s\",\"domain\":\"coney.%s\",\"pid\":%ld,\"msg\":\"",
                           level_names[line->level], category_names[line->category], (long)getpid());
    for (const char *text = line->text; *text && at + 8 < size; text++) {
        if (*text == '"' || *text == '\\')
            out[at++] = '\\';
        out[at++] = *text;
    }
    return at + (size_t)snprintf(out + at, size - at, "\"}\n");
}

/* The journal takes a syslog priority, and has a clock of its own. */
static size_t print_journal(char *out, size_t size, const struct line *line, enum log_format format)
{
    static const int priorities[] = {7, 6, 4, 3, 2};
    size_t at = (size_t)snprintf(out, size, "<%d>", priorities[line->level]);

    if (format == LOG_FORMAT_JSON)
        return at + print_json(out + at, size - at, line);
    return at + (size_t)snprintf(out + at, size - at, "%s\n", line->text);
}

static void write_line(const struct line *line)
{
    char text[2 * ESCAPED_MAX + 256];
    const struct log_output *console = &output.console, *file = &output.file;

    if (line->level >= console->least[line->category])
        write_all(STDERR_FILENO, text,
                  output.is_journal ? print_journal(text, sizeof text, line, console->format)
                  : console->format == LOG_FORMAT_JSON ? print_json(text, sizeof text, line)
                                                       : print_text(text, sizeof text, line));
    if (output.fd >= 0 && line->level >= file->least[line->category])
        write_all(output.fd, text,
                  file->format == LOG_FORMAT_JSON ? print_json(text, sizeof text, line)
                                                  : print_text(text, sizeof text, line));
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void outputs_free(struct outputs *outputs)
{
    if (outputs->fd >= 0)
        close(outputs->fd);
    free(outputs->path);
}

static void change_output(void)
{
    struct outputs *next;
    bool is_reopened;

    pthread_mutex_lock(&lock);
    next = wanted;
    wanted = NULL;
    is_reopened = wants_reopen;
    wants_reopen = false;
    pthread_mutex_unlock(&lock);
    if (next) {
        outputs_free(&output);
        output = *next;
        free(next);
    }
    if (is_reopened && output.fd >= 0) {
        int fd = open_file(output.path);

        if (fd < 0)
            return; /* the old one is better than none */
        close(output.fd);
        output.fd = fd;
    }
}

static void write_list(struct line *line)
{
    pthread_mutex_lock(&output_lock);
    change_output();
    while (line) {
        struct line *next = line->next;

        write_line(line);
        free(line);
        line = next;
    }
    pthread_mutex_unlock(&output_lock);
}

/* ---- the list: behind lock ---- */

static void append(enum log_level level, enum log_category category, const char *text, size_t size)
{
    struct line *line;

    if (waiting > WAITING_MAX) {
        lost++;
        all_lost++;
        return;
    }
    line = xmalloc(sizeof *line + size + 1);
    *line = (struct line){.level = level, .category = category, .size = size};
    clock_gettime(CLOCK_REALTIME, &line->when);
    memcpy(line->text, text, size + 1);
    *last = line;
    last = &line->next;
    waiting += sizeof *line + size;
}

static struct line *take_all(void)
{
    struct line *list;

    if (lost) {
        char text[80];
        int size = snprintf(text, sizeof text, "%llu log lines were lost: they came too fast to be written",
                            (unsigned long long)lost);

        lost = 0;
        waiting = 0;
        append(LOG_LEVEL_WARNING, LOG_CATEGORY_DEFAULT, text, (size_t)size);
    }
    list = first;
    first = NULL;
    last = &first;
    waiting = 0;
    return list;
}

/* ---- limits: behind lock ---- */

/* Say how many lines were left out. */
static void sum_up(struct log_site *site)
{
    char text[LOG_SITE_TEXT + 64];
    int size;

    if (!site->left_out)
        return;
    size = snprintf(text, sizeof text,
                    site->differ ? "%s ... and %u more of the kind" : "%s ... repeated %u times", site->text,
                    (unsigned)site->left_out);
    append(site->level, site->category, text, (size_t)size);
    site->left_out = 0;
    site->differ = false;
}

static void end_period(struct log_site *site)
{
    sum_up(site);
    site->period_end = 0;
    site->written = site->alike = 0;
}

/* End the periods that are over; those that are not, too, if ALL. Returns when the next is over, or 0. */
static uint64_t end_periods(bool all)
{
    uint64_t now = clock_ns(), next = 0;
    struct log_site **at = &sites;

    while (*at) {
        struct log_site *site = *at;

        if (all || site->period_end <= now) {
            end_period(site);
            site->is_listed = false;
            *at = site->next;
            continue;
        }
        if (site->left_out && (!next || site->period_end < next))
            next = site->period_end;
        at = &site->next;
    }
    return next;
}

static void begin_period(struct log_site *site, uint64_t now)
{
    site->period_end = now + period_ns;
    if (site->is_listed)
        return;
    site->is_listed = true;
    site->next = sites;
    sites = site;
}

/* Whether a line of SITE may be written. */
static bool is_within_limits(struct log_site *site, const char *text)
{
    uint64_t now = clock_ns();
    bool is_alike = strncmp(site->text, text, sizeof site->text - 1) == 0, is_written;

    if (site->period_end && site->period_end <= now)
        end_period(site);
    if (!site->period_end)
        begin_period(site, now);
    site->alike = is_alike ? site->alike + 1 : 0;
    is_written = site->alike < same_max && site->written < differ_max;
    if (is_written) {
        if (!is_alike)
            sum_up(site);
        site->written++;
    } else {
        site->differ = site->differ || !is_alike;
        site->left_out++;
        all_left_out++;
    }
    snprintf(site->text, sizeof site->text, "%s", text);
    return is_written;
}

/* ---- saying ---- */

/* Write what is on the list, where there is no writer. Called and left behind lock. */
static void write_here(void)
{
    struct line *list = take_all();

    pthread_mutex_unlock(&lock);
    write_list(list);
    pthread_mutex_lock(&lock);
}

void log_write(struct log_site *site, const char *format, ...)
{
    char text[LINE_SIZE_MAX + 1], harmless[ESCAPED_MAX + 1];
    va_list arguments;
    size_t size;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n >= (int)sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    size = make_harmless(n < 0 ? format : text, harmless);
    pthread_mutex_lock(&lock);
    if (is_within_limits(site, harmless))
        append(site->level, site->category, harmless, size);
    if (has_writer)
        pthread_cond_signal(&wake);
    else
        write_here();
    pthread_mutex_unlock(&lock);
}

/* ---- the writer ---- */

static struct timespec in_ns(uint64_t ns)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    ns += (uint64_t)at.tv_nsec;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

/* Behind lock: until something is to be written or a summary is due. */
static void wait_for_lines(void)
{
    uint64_t next = end_periods(is_stopping), now = clock_ns();
    struct timespec until;

    if (first || lost || is_stopping || wanted || wants_reopen)
        return;
    if (!next) {
        pthread_cond_wait(&wake, &lock);
        return;
    }
    until = in_ns(next > now ? next - now : 0);
    pthread_cond_timedwait(&wake, &lock, &until);
}

static void *run_writer(void *arg)
{
    (void)arg;
    pthread_setname_np(pthread_self(), "coney-log");
    pthread_mutex_lock(&lock);
    while (has_writer) {
        struct line *list;

        wait_for_lines();
        list = take_all();
        is_writing = true;
        pthread_mutex_unlock(&lock);
        write_list(list);
        pthread_mutex_lock(&lock);
        is_writing = false;
        if (is_stopping && !first)
            has_writer = false;
        pthread_cond_broadcast(&done);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

bool log_start(void)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&lock);
    is_stopping = false;
    has_writer = true;
    started = pthread_create(&writer, NULL, run_writer, NULL) == 0;
    has_writer = started;
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void log_missing(uint64_t *was_lost, uint64_t *was_left_out)
{
    pthread_mutex_lock(&lock);
    *was_lost = all_lost;
    *was_left_out = all_left_out;
    pthread_mutex_unlock(&lock);
}

void log_flush(uint32_t ms)
{
    struct timespec until = in_ns(NS_OF_MS(ms));

    pthread_mutex_lock(&lock);
    end_periods(true);
    pthread_cond_signal(&wake);
    while (has_writer && (first || is_writing))
        if (pthread_cond_timedwait(&done, &lock, &until) != 0)
            break;
    if (!has_writer)
        write_here();
    pthread_mutex_unlock(&lock);
}

void log_stop(void)
{
    struct timespec until = in_ns(NS_OF_MS(STOP_PATIENCE));
    bool ended;

    pthread_mutex_lock(&lock);
    if (!has_writer) {
        pthread_mutex_unlock(&lock);
        return;
    }
    is_stopping = true;
    end_periods(true);
    pthread_cond_signal(&wake);
    while (has_writer)
        if (pthread_cond_timedwait(&done, &lock, &until) != 0)
            break;
    ended = !has_writer;
    pthread_mutex_unlock(&lock);
    /* One that is stuck in an output that takes nothing is left behind. */
    if (ended)
        pthread_join(writer, NULL);
    else
        pthread_detach(writer);
}

/* ---- settings ---- */

/* systemd says which file it has connected, and it may have been redirected since. */
static bool is_journal_connected(void)
{
    const char *named = getenv("JOURNAL_STREAM");
    struct stat found;
    char is[64];

    if (!named || fstat(STDERR_FILENO, &found) < 0)
        return false;
    snprintf(is, sizeof is, "%llu:%llu", (unsigned long long)found.st_dev, (unsigned long long)found.st_ino);
    return strcmp(is, named) == 0;
}

/* What is below the least level of all outputs is not even formatted. */
static void set_least(const struct outputs *outputs)
{
    for (int i = 0; i < LOG_CATEGORY_COUNT; i++) {
        enum log_level least = outputs->console.least[i];

        if (outputs->fd >= 0 && outputs->file.least[i] < least)
            least = outputs->file.least[i];
        atomic_store_explicit(&log_least[i], (unsigned char)least, memory_order_relaxed);
    }
}

/* Behind lock: see that what is wanted is done. */
static void change_soon(void)
{
    if (has_writer)
        pthread_cond_signal(&wake);
    else
        write_here();
}

bool log_configure(const struct log_settings *settings)
{
    int fd = settings->path ? open_file(settings->path) : -1;
    struct outputs *next;

    if (settings->path && fd < 0)
        return false;
    next = xmalloc(sizeof *next);
    *next = (struct outputs){.console = settings->console,
                             .file = settings->file,
                             .path = settings->path ? xstrdup(settings->path) : NULL,
                             .fd = fd,
                             .is_journal = is_journal_connected()};
    set_least(next);
    pthread_mutex_lock(&lock);
    if (wanted) {
        outputs_free(wanted);
        free(wanted);
    }
    wanted = next;
    period_ns = NS_OF_MS(settings->period_ms ? settings->period_ms : PERIOD_MS);
    same_max = settings->same_max ? settings->same_max : SAME_MAX;
    differ_max = settings->differ_max ? settings->differ_max : DIFFER_MAX;
    change_soon();
    pthread_mutex_unlock(&lock);
    return true;
}

void log_set_level(enum log_level level)
{
    struct log_settings settings = {0};

    for (int i = 0; i < LOG_CATEGORY_COUNT; i++)
        settings.console.least[i] = level;
    log_configure(&settings);
}

void log_reopen(void)
{
    pthread_mutex_lock(&lock);
    wants_reopen = true;
    change_soon();
    pthread_mutex_unlock(&lock);
}
