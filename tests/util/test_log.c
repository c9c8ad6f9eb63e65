/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: what a line looks like, where it goes, that nothing in it can be taken for a line of ours, that
 * floods are summed up, and that nobody waits for an output that takes nothing.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include "coney/log.h"

static char folder[64], path[128];
static char said[1 << 20];

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/coney-log-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
}

static void tear_down(void)
{
    char moved[160];

    snprintf(moved, sizeof moved, "%s.1", path);
    unlink(moved);
    unlink(path);
    rmdir(folder);
}

TestSuite(log, .init = set_up, .fini = tear_down);

/* To the file alone, from info on. */
static struct log_settings settings_for(enum log_format format)
{
    struct log_settings settings = {.path = path, .file.format = format};

    for (int i = 0; i < LOG_CATEGORY_COUNT; i++) {
        settings.console.least[i] = LOG_LEVEL_NONE;
        settings.file.least[i] = LOG_LEVEL_INFO;
    }
    return settings;
}

static void to_file(enum log_format format)
{
    struct log_settings settings = settings_for(format);

    cr_assert(log_configure(&settings));
}

static const char *read_file(const char *from)
{
    FILE *file = fopen(from, "r");
    size_t size;

    cr_assert_not_null(file);
    size = fread(said, 1, sizeof said - 1, file);
    said[size] = '\0';
    fclose(file);
    return said;
}

/* What was written, without the times. */
static const char *texts(void)
{
    const char *from = read_file(path);
    char *to = said;

    while (*from != '\0') {
        const char *text = strstr(from, " [");
        size_t size;

        cr_assert_not_null(text, "%s", from);
        size = strcspn(text + 1, "\n") + 1;
        memmove(to, text + 1, size);
        to += size;
        from = text + 1 + size;
    }
    *to = '\0';
    return said;
}

static unsigned lines_with(const char *text, const char *part)
{
    unsigned count = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

Test(log, a_line_has_time_level_and_text)
{
    to_file(LOG_FORMAT_TEXT);
    log_info("one");
    log_warning("%s %d", "two", 2);
    log_critical("three");
    log_debug("below");
    cr_expect_str_eq(texts(), "[info] one\n[warning] two 2\n[critical] three\n");
    read_file(path);
    cr_expect_eq(strspn(said, "0123456789-"), 10, "%s", said);
    cr_expect_eq(strspn(said + 11, "0123456789:."), 15, "%s", said);
    cr_expect_eq(said[26], '+', "%s", said);
    cr_expect_eq(said[29], ':', "%s", said);
}

Test(log, json_lines)
{
    to_file(LOG_FORMAT_JSON);
    log_error("a \"quote\" and a \\ and\na line");
    read_file(path);
    cr_expect(strstr(said, "\"level\":\"error\",\"domain\":\"coney.connection\",\"pid\":") != NULL, "%s",
              said);
    cr_expect(strstr(said, "\"msg\":\"a \\\"quote\\\" and a \\\\ and\\\\x0aa line\"}\n") != NULL, "%s", said);
    cr_expect_eq(lines_with(said, "\n"), 1);
}

Test(log, what_is_no_printable_ascii_is_escaped)
{
    char octets[257], escaped[16];

    to_file(LOG_FORMAT_TEXT);
    for (int i = 0; i < 255; i++)
        octets[i] = (char)(i + 1);
    octets[255] = '\0';
    log_info("%s", octets);
    texts();
    for (const char *c = said; *c != '\0'; c++)
        cr_assert((*c >= 0x20 && *c < 0x7f) || (*c == '\n' && c[1] == '\0'), "%02x", (unsigned char)*c);
    cr_expect(strstr(said, "\\x1b") != NULL);
    cr_expect(strstr(said, "\\x7f\\x80") != NULL);
    cr_expect_str_eq(log_escape(BYTES_LITERAL("a\\\n"), escaped, sizeof escaped), "a\\x5c\\x0a",
                     "so what is ours can be told");
}

Test(log, a_long_line_is_cut_visibly)
{
    static char text[5000];

    to_file(LOG_FORMAT_TEXT);
    memset(text, 'x', sizeof text - 1);
    log_info("%s", text);
    memset(text, '\x01', sizeof text - 1);
    log_info("%s", text);
    read_file(path);
    cr_expect_eq(lines_with(said, "\n"), 2);
    cr_expect_eq(lines_with(said, "xxx...\n"), 1);
    cr_expect_eq(lines_with(said, "\\x01...\n"), 1);
}

Test(log, levels_are_by_category_and_output)
{
    struct log_settings settings = settings_for(LOG_FORMAT_TEXT);

    settings.file.least[LOG_CATEGORY_CONNECTION] = LOG_LEVEL_DEBUG;
    settings.file.least[LOG_CATEGORY_QUEUE] = LOG_LEVEL_NONE;
    cr_assert(log_configure(&settings));
    log_debug("seen");
#undef LOG_CATEGORY
#define LOG_CATEGORY LOG_CATEGORY_QUEUE
    log_critical("of a queue");
#undef LOG_CATEGORY
#define LOG_CATEGORY LOG_CATEGORY_STORAGE
    log_debug("of the store");
#undef LOG_CATEGORY
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
    cr_expect_str_eq(texts(), "[debug] seen\n");
}

Test(log, a_file_that_cannot_be_opened_changes_nothing)
{
    struct log_settings settings = settings_for(LOG_FORMAT_JSON);

    to_file(LOG_FORMAT_TEXT);
    settings.path = "/nonexistent/log";
    cr_assert_not(log_configure(&settings));
    cr_expect_eq(errno, ENOENT);
    log_info("still here");
    cr_expect_str_eq(texts(), "[info] still here\n");
}

Test(log, a_file_that_was_moved_is_opened_anew)
{
    char moved[160];
    struct stat found;

    snprintf(moved, sizeof moved, "%s.1", path);
    to_file(LOG_FORMAT_TEXT);
    cr_assert(log_start());
    log_info("before");
    log_flush(5000);
    cr_assert_eq(rename(path, moved), 0);
    log_reopen();
    log_info("after");
    log_stop();
    cr_expect_str_eq(texts(), "[info] after\n");
    cr_expect(strstr(read_file(moved), "before") != NULL);
    cr_assert_eq(stat(path, &found), 0);
    cr_expect_eq(found.st_mode & 07777, 0640 & ~umask(0), "nobody else may read it");
}

/* ---- limits ---- */

static void say(const char *text, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        log_info("%s", text);
}

Test(log, what_is_repeated_is_summed_up)
{
    to_file(LOG_FORMAT_TEXT);
    say("again", 100);
    say("other", 1);
    say("again", 1);
    cr_expect_str_eq(texts(), "[info] again\n[info] again\n[info] again\n[info] again\n[info] again\n"
                              "[info] again ... repeated 95 times\n[info] other\n[info] again\n");
}

Test(log, a_flood_of_different_lines_is_summed_up)
{
    struct log_settings settings = settings_for(LOG_FORMAT_TEXT);

    settings.differ_max = 3;
    cr_assert(log_configure(&settings));
    for (int i = 0; i < 50; i++)
        log_info("line %d", i);
    log_info("elsewhere");
    log_flush(1000);
    cr_expect_str_eq(texts(), "[info] line 0\n[info] line 1\n[info] line 2\n[info] elsewhere\n"
                              "[info] line 49 ... and 47 more of the kind\n");
}

Test(log, a_period_is_summed_up_though_nothing_more_is_said, .timeout = 60)
{
    struct log_settings settings = settings_for(LOG_FORMAT_TEXT);

    settings.period_ms = 50;
    cr_assert(log_configure(&settings));
    cr_assert(log_start());
    say("again", 10);
    while (strstr(texts(), "repeated 5 times") == NULL)
        sched_yield();
    say("again", 1);
    log_stop();
    cr_expect_eq(lines_with(texts(), "[info] again\n"), 6, "a new period has room");
}

Test(log, what_was_left_out_is_told_at_the_end, .timeout = 60)
{
    to_file(LOG_FORMAT_TEXT);
    cr_assert(log_start());
    say("again", 10);
    while (lines_with(texts(), "[info] again\n") < 5)
        sched_yield();
    log_stop();
    cr_expect_not_null(strstr(texts(), "[info] again ... repeated 5 times\n"), "%s", texts());
}

/* ---- threads ---- */

static void *say_much(void *which)
{
    for (int i = 0; i < 500; i++)
        log_info("thread %s line %d .", (const char *)which, i);
    return NULL;
}

Test(log, lines_of_threads_are_whole)
{
    struct log_settings settings = settings_for(LOG_FORMAT_TEXT);
    pthread_t threads[4];
    char name[] = "ABCD";
    unsigned lines = 0;

    settings.differ_max = 1000000;
    cr_assert(log_configure(&settings));
    cr_assert(log_start());
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, say_much, name), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    log_stop();
    texts();
    for (char *rest, *line = strtok_r(said, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        int number, end = 0;

        sscanf(line, "[info] thread ABCD line %d .%n", &number, &end);
        cr_assert_eq(end, (int)strlen(line), "%s", line);
        lines++;
    }
    cr_expect_eq(lines, 2000);
}

/* Standard error is a pipe that nobody reads. */
Test(log, nobody_waits_for_an_output_that_takes_nothing, .timeout = 60)
{
    struct log_settings settings = settings_for(LOG_FORMAT_TEXT);
    struct timespec before, after;
    int ends[2], kept = dup(STDERR_FILENO);
    double took;

    settings.path = NULL;
    settings.console = settings.file;
    settings.differ_max = 1000000;
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    cr_assert(log_configure(&settings));
    cr_assert(log_start());
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 50000; i++)
        log_info("line %d that fills the pipe, and then the list of what waits", i);
    log_reopen();
    log_set_level(LOG_LEVEL_DEBUG);
    log_stop();
    clock_gettime(CLOCK_MONOTONIC, &after);
    dup2(kept, STDERR_FILENO);
    took = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    cr_expect_lt(took, 30, "50,000 lines, and the second that log_stop() waits, took %g s", took);
}

/* Some more of what FD has, behind the line that was not whole before; false if there is nothing now. */
static bool read_lines(int fd)
{
    const char *end = strrchr(said, '\n');
    size_t kept = strlen(end != NULL ? end + 1 : said);
    ssize_t n;

    memmove(said, said + strlen(said) - kept, kept + 1);
    n = read(fd, said + kept, 4096);
    if (n > 0)
        said[kept + (size_t)n] = '\0';
    return n > 0;
}

Test(log, what_was_lost_is_counted, .timeout = 60)
{
    struct log_settings settings = settings_for(LOG_FORMAT_TEXT);
    int ends[2], kept = dup(STDERR_FILENO);
    bool told = false;
    unsigned waited = 0;

    settings.path = NULL;
    settings.console = settings.file;
    settings.differ_max = 1000000;
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    cr_assert(log_configure(&settings));
    cr_assert(log_start());
    for (int i = 0; i < 50000; i++)
        log_info("line %d that fills the pipe, and then the list of what waits", i);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (!told && waited < 100000) {
        if (read_lines(ends[0])) {
            told = strstr(said, "log lines were lost") != NULL;
        } else {
            log_flush(10);
            waited++;
        }
    }
    dup2(kept, STDERR_FILENO);
    cr_expect(told);
    log_stop();
}

/* ---- the journal ---- */

Test(log, the_journal_gets_priorities)
{
    struct log_settings settings = settings_for(LOG_FORMAT_TEXT);
    int kept = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    char stream[64];
    struct stat found;

    settings.path = NULL;
    settings.console = settings.file;
    cr_assert_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    cr_assert_eq(fstat(fd, &found), 0);
    snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)found.st_dev, (unsigned long)found.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    cr_assert(log_configure(&settings));
    log_info("one");
    log_error("two");
    setenv("JOURNAL_STREAM", "1:2", 1);
    cr_assert(log_configure(&settings));
    log_info("redirected since");
    dup2(kept, STDERR_FILENO);
    read_file(path);
    cr_expect_eq(strncmp(said, "<6>one\n<3>two\n2", 15), 0, "%s", said);
}
