/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: PerfTest's names, what goes together, and what is refused with which words. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "coney/table.h"
#include "perf/options.h"

#define WORDS_MAX 80

/* Read TEXT, words with blanks between them: which is kept, since options point into it. */
static bool read_text(struct options *options, char *text, char *why)
{
    char *words[WORDS_MAX], *rest = NULL;
    int count = 0;

    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return options_read(options, count, words, why);
}

static void refuses(const char *text, const char *part)
{
    char why[OPTIONS_WHY_SIZE] = "", copy[300];
    struct options options;

    snprintf(copy, sizeof copy, "%s", text);
    cr_expect_not(read_text(&options, copy, why), "%s", text);
    cr_expect_not_null(strstr(why, part), "%s: %s", text, why);
    options_free(&options);
}

Test(perf_options, have_defaults)
{
    char text[] = "", why[OPTIONS_WHY_SIZE];
    struct options options;

    cr_assert(read_text(&options, text, why), "%s", why);
    cr_expect_eq(options.producers, 1);
    cr_expect_eq(options.consumers, 1);
    cr_expect_eq(options.rates.count, 0);
    cr_expect_eq(options.ack_every, 1);
    cr_expect(options.is_auto_delete);
    cr_assert_eq(options.uri_count, 1);
    cr_expect_eq(strncmp(options.id, "test-", 5), 0);
    options_free(&options);
}

Test(perf_options, have_the_names_of_perftest)
{
    char text[] = "-h amqp://h -x 2 --consumers=3 -X 4 -Y 5 -s 10k -r 500 -R 100 -c 50 -q 20 -Q 40 -A 10 "
                  "-f persistent,mandatory -e logs -t topic -qp q-%03d -qpf 9 -qpt 11 -k key -z 2.5 -C 100 "
                  "-D 200 -vs 10:1 "
                  "-vs 20:2 -ad false -qa x-max-length=5 -mp priority=3 -i 0.5 -d mine -st 1 -M 8192 -b 10";
    char why[OPTIONS_WHY_SIZE];
    struct options options;
    struct field field;

    cr_assert(read_text(&options, text, why), "%s", why);
    cr_expect_str_eq(options.uris[0], "amqp://h");
    cr_expect(options.producers == 2 && options.consumers == 3);
    cr_expect(options.producer_channels == 4 && options.consumer_channels == 5);
    cr_expect_eq(options.size, 10000);
    cr_expect(options.rates.count == 1 && options.rates.steps[0].value == 500.0);
    cr_expect_eq(options.consumer_rate, 100.0);
    cr_expect(options.confirm == 50 && options.qos == 20 && options.global_qos == 40 &&
              options.ack_every == 10);
    cr_expect(options.is_persistent && options.is_mandatory && !options.is_auto_delete);
    cr_assert_eq(options.queue_count, 3);
    cr_expect_str_eq(options.queues[0], "q-009");
    cr_expect_str_eq(options.queues[2], "q-011");
    cr_expect_eq(options.sizes.count, 2);
    cr_expect(options.pmessages == 100 && options.cmessages == 200 && options.time == 2.5);
    cr_expect(table_get(buffer_bytes(&options.arguments), "x-max-length", &field));
    cr_expect_str_eq(options.id, "mine");
    cr_expect(options.frame_max == 8192 && options.heartbeat == 10);
    options_free(&options);
}

Test(perf_options, take_several_uris)
{
    char text[] = "-h amqp://a:p,w@h --uris amqp://b,amqp://c", why[OPTIONS_WHY_SIZE];
    struct options options;

    cr_assert(read_text(&options, text, why));
    cr_assert_eq(options.uri_count, 3);
    cr_expect_str_eq(options.uris[0], "amqp://a:p,w@h");
    cr_expect_str_eq(options.uris[2], "amqp://c");
    options_free(&options);
}

Test(perf_options, ack_before_the_prefetch_is_used_up)
{
    char text[] = "-q 10 -A 100", why[OPTIONS_WHY_SIZE];
    struct options options;

    cr_assert(read_text(&options, text, why));
    cr_expect_eq(options.ack_every, 10);
    options_free(&options);
}

Test(perf_options, make_a_rate_of_an_interval)
{
    char text[] = "-P 0.5", why[OPTIONS_WHY_SIZE];
    struct options options;

    cr_assert(read_text(&options, text, why));
    cr_expect(options.rates.count == 1 && options.rates.steps[0].value == 2.0);
    options_free(&options);
}

Test(perf_options, say_what_is_wrong)
{
    refuses("--siez 3", "no option --siez");
    refuses("-hh", "no option -hh");
    refuses("-uri x", "no option -uri");
    refuses("stray", "'stray'");
    refuses("-s", "-s wants OCTETS");
    refuses("-s x", "--size wants a number, not 'x'");
    refuses("--autoack=1", "takes no value");
    refuses("-vr 100", "VALUE:SECONDS");
    refuses("-f durable", "persistent and mandatory, not 'durable'");
    refuses("-qp a -qpt 3", "one %d");
    refuses("-qp a%s -qpt 3", "one %d");
    refuses("-qp a%d", "--queue-pattern-to");
    refuses("-qp a%d -qpt 3 -u b", "exclude");
    refuses("-qa x", "NAME=VALUE");
    refuses("-mp priority=x", "'priority'");
    refuses("-r 5 -vr 1:1", "excludes");
    refuses("--churn tables", "bindings, not 'tables'");
    refuses("--check -s 10", "at least 32");
    refuses("--check -vs 100:1 -vs 10:1", "at least 32");
    refuses("--check -y 0", "producers and consumers");
    refuses("--drain", "--pmessages");
    refuses("--drain -C 5 -y 0", "producers and consumers");
    refuses("-na -a", "exclude");
    refuses("-A 0", "at least 1");
    refuses("-q 70000", "at most 65535");
    refuses("-ad maybe", "true or false");
    refuses("-p", "--queue");
    refuses("--threads 0", "from 1 to 256");
    refuses("-i 0", "more than 0");
}

Test(perf_options, fill_in_patterns)
{
    char *name = options_pattern("a-%d-b", 7);

    cr_expect_str_eq(name, "a-7-b");
    free(name);
    name = options_pattern("%05d", 42);
    cr_expect_str_eq(name, "00042");
    free(name);
    cr_expect_null(options_pattern("a", 1));
    cr_expect_null(options_pattern("%d%d", 1));
    cr_expect_null(options_pattern("%n", 1));
    cr_expect_null(options_pattern("%999999d", 1));
    cr_expect_null(options_pattern("%", 1));
}

Test(perf_options, are_all_in_the_help)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    cr_assert_not_null(out);
    options_help(out);
    fclose(out);
    cr_expect_not_null(strstr(text, "-qpt, --queue-pattern-to N"));
    cr_expect_not_null(strstr(text, "  --drain "));
    free(text);
}
