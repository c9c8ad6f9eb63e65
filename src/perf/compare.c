/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare.h. Scenario by scenario, all brokers, one after the other, and all of that again for each round,
 * every other round in the opposite order: what slowly changes on a machine then hits all of them alike.
 */
#include "compare.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coney/xalloc.h"
#include "interrupt.h"
#include "options.h"
#include "values.h"

#define BROKERS_MAX   16
#define SCENARIOS_MAX 64
#define ROUNDS_MAX    100
#define WORDS_MAX     128

struct broker {
    char *name; /* owned */
    const char *uri;
};

/* What one broker did in one scenario. */
struct cell {
    double values[ROUNDS_MAX];
    size_t count;
    unsigned failed;
};

struct comparing {
    struct broker brokers[BROKERS_MAX];
    size_t broker_count;
    struct scenario chosen[SCENARIOS_MAX];
    size_t chosen_count;
    char *made[SCENARIOS_MAX]; /* texts of scenarios that the command line has, owned */
    size_t made_count;
    uint64_t rounds;
    const char *seconds;
    const char *json;
    char **extra; /* words for all runs */
    int extra_count;
    struct cell *cells; /* by scenario, then broker */
    json_t *raw;        /* every run's object */
};

static struct cell *cell_at(const struct comparing *comparing, size_t scenario, size_t broker)
{
    return &comparing->cells[scenario * BROKERS_MAX + broker];
}

/* ---- the command line ---- */

static int refuse(const char *text, const char *word)
{
    fprintf(stderr, "coneyperf compare: %s%s%s\n", text, *word ? ": " : "", word);
    return EXIT_USE;
}

static int help(void)
{
    printf("Usage: coneyperf compare NAME=URI... [OPTION]... [-- OPTION...]\n"
           "Runs scenarios against several brokers in turn; ratios are to the first. What follows -- is for "
           "all runs.\n\n"
           "  --rounds N                  3\n"
           "  --seconds N                 of each run; 3\n"
           "  --scenario NAME             only this one; may be given again\n"
           "  --scenario 'NAME: OPTION...'  one of your own; a NAME that begins with latency compares "
           "latencies\n"
           "  --json FILE                 what every run said\n\nScenarios:\n\n");
    for (size_t i = 0; i < scenario_count; i++)
        printf("  %-12s %s\n", scenarios[i].name, scenarios[i].what);
    return EXIT_DONE;
}

static int choose(struct comparing *comparing, const char *text)
{
    const char *colon = strchr(text, ':');
    struct scenario *place = &comparing->chosen[comparing->chosen_count];

    if (comparing->chosen_count == SCENARIOS_MAX)
        return refuse("too many scenarios", "");
    if (colon) {
        char *name = xmemdup(text, strlen(text) + 1);

        name[colon - text] = 0;
        comparing->made[comparing->made_count++] = name;
        *place = (struct scenario){name, "", name + (colon - text) + 1, strncmp(name, "latency", 7) == 0};
        comparing->chosen_count++;
        return EXIT_DONE;
    }
    for (size_t i = 0; i < scenario_count; i++) {
        if (strcmp(scenarios[i].name, text) == 0) {
            *place = scenarios[i];
            comparing->chosen_count++;
            return EXIT_DONE;
        }
    }
    return refuse("there is no such scenario; --help lists them", text);
}

static int add_broker(struct comparing *comparing, const char *word)
{
    const char *equals = strchr(word, '=');
    struct broker *broker = &comparing->brokers[comparing->broker_count];

    if (!equals || equals == word || !strstr(equals, "://"))
        return refuse("a broker is NAME=URI", word);
    if (comparing->broker_count == BROKERS_MAX)
        return refuse("too many brokers", word);
    broker->name = xmemdup(word, (size_t)(equals - word) + 1);
    broker->name[equals - word] = 0;
    broker->uri = equals + 1;
    comparing->broker_count++;
    return EXIT_DONE;
}

static int take_option(struct comparing *comparing, const char *name, const char *value)
{
    double seconds;

    if (!value)
        return refuse("a value is missing behind", name);
    if (strcmp(name, "--scenario") == 0)
        return choose(comparing, value);
    if (strcmp(name, "--json") == 0) {
        comparing->json = value;
    } else if (strcmp(name, "--seconds") == 0) {
        comparing->seconds = value;
        if (!value_decimal(value, &seconds) || seconds <= 0)
            return refuse("--seconds wants a number", value);
    } else if (strcmp(name, "--rounds") == 0) {
        if (!value_number(value, ROUNDS_MAX, &comparing->rounds) || comparing->rounds == 0)
            return refuse("--rounds is from 1 to 100", value);
    } else {
        return refuse("there is no such option; --help lists them", name);
    }
    return EXIT_DONE;
}

static int read_words(struct comparing *comparing, int argc, char **argv)
{
    int code = EXIT_DONE;

    for (int i = 0; i < argc && code == EXIT_DONE; i++) {
        if (strcmp(argv[i], "--") == 0) {
            comparing->extra = argv + i + 1;
            comparing->extra_count = argc - i - 1;
            break;
        }
        if (argv[i][0] == '-') {
            code = take_option(comparing, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
            i++;
        } else {
            code = add_broker(comparing, argv[i]);
        }
    }
    if (code == EXIT_DONE && comparing->broker_count == 0)
        code = refuse("which brokers? NAME=URI...", "");
    if (comparing->chosen_count == 0)
        for (; comparing->chosen_count < scenario_count; comparing->chosen_count++)
            comparing->chosen[comparing->chosen_count] = scenarios[comparing->chosen_count];
    return code;
}

/* ---- a run ---- */

/* The words of a run: WORDS points into TEXT, which is cut up, and to what the others point to. */
static void make_words(const struct comparing *comparing, const struct scenario *scenario,
                       const struct broker *broker, char *text, char *words[WORDS_MAX])
{
    static char program[] = "coneyperf", uri[] = "--uri", quiet[] = "--quiet", json[] = "--json",
                dash[] = "-", time[] = "--time";
    char *rest = NULL;
    int count = 0;

    words[count++] = program;
    words[count++] = uri;
    words[count++] = (char *)(uintptr_t)broker->uri;
    words[count++] = quiet;
    words[count++] = json;
    words[count++] = dash;
    if (!strstr(scenario->options, "-C ")) {
        words[count++] = time;
        words[count++] = (char *)(uintptr_t)comparing->seconds;
    }
    for (char *word = strtok_r(text, " ", &rest); word && count < WORDS_MAX / 2;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    for (int i = 0; i < comparing->extra_count && count < WORDS_MAX - 1; i++)
        words[count++] = comparing->extra[i];
    words[count] = NULL;
}

/* Run this program with WORDS: what it printed, or NULL when it failed. */
static json_t *run_child(char **words)
{
    int ends[2], status;
    json_t *object;
    pid_t child;

    if (pipe(ends) < 0) /* NOLINT(android-cloexec-pipe): the child inherits one end on purpose */
        return NULL;
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv("/proc/self/exe", words);
        _exit(EXIT_USE);
    }
    close(ends[1]);
    object = json_loadfd(ends[0], 0, NULL);
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) ||
        WEXITSTATUS(status) != EXIT_DONE) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* The figure that SCENARIO is about. */
static bool figure_of(const struct scenario *scenario, const json_t *object, double *out)
{
    const json_t *part = json_object_get(object, scenario->is_latency ? "latency_since_due" : "consumed");

    if (!part)
        part = json_object_get(object, scenario->is_latency ? "latency" : "churned");
    if (!part)
        part = json_object_get(object, "published");
    part = json_object_get(part, scenario->is_latency ? "p99" : "rate");
    *out = json_number_value(part);
    return json_is_number(part);
}

static void run_one(struct comparing *comparing, size_t scenario, size_t broker)
{
    struct cell *cell = cell_at(comparing, scenario, broker);
    const struct scenario *what = &comparing->chosen[scenario];
    char *text = xstrdup(what->options), *words[WORDS_MAX];
    json_t *object;
    double value;

    make_words(comparing, what, &comparing->brokers[broker], text, words);
    object = run_child(words);
    free(text);
    if (object && figure_of(what, object, &value))
        cell->values[cell->count++] = value;
    else
        cell->failed++;
    if (object) {
        json_object_set_new(object, "scenario", json_string(what->name));
        json_object_set_new(object, "broker", json_string(comparing->brokers[broker].name));
        json_array_append_new(comparing->raw, object);
    }
}

/* ---- what is said ---- */

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double compare_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_values);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void put_cell(const struct broker *broker, struct cell *cell, const struct cell *first)
{
    double median;

    printf("  %-16s", broker->name);
    if (cell->count) {
        median = compare_median(cell->values, cell->count);
        printf(" %12.0f   %.0f .. %.0f", median, cell->values[0], cell->values[cell->count - 1]);
        if (cell != first && first->count)
            printf("   ratio %.2f",
                   median / compare_median((double *)(uintptr_t)first->values, first->count));
    }
    if (cell->failed)
        printf("   %u failed", cell->failed);
    printf("\n");
}

static void put_scenario(struct comparing *comparing, size_t scenario)
{
    const struct scenario *what = &comparing->chosen[scenario];

    printf("%s%s%s: %s\n", what->name, *what->what ? ", " : "", what->what,
           what->is_latency ? "99th percentile of latency, us" : "a second");
    for (size_t broker = 0; broker < comparing->broker_count; broker++)
        put_cell(&comparing->brokers[broker], cell_at(comparing, scenario, broker),
                 cell_at(comparing, scenario, 0));
}

static int run_all(struct comparing *comparing)
{
    for (uint64_t round = 0; round < comparing->rounds; round++) {
        for (size_t scenario = 0; scenario < comparing->chosen_count; scenario++) {
            fprintf(stderr, "round %u of %u: %s\n", (unsigned)round + 1, (unsigned)comparing->rounds,
                    comparing->chosen[scenario].name);
            for (size_t i = 0; i < comparing->broker_count; i++) {
                if (interrupt_came())
                    return EXIT_BROKER;
                run_one(comparing, scenario, round % 2 ? comparing->broker_count - 1 - i : i);
            }
        }
    }
    return EXIT_DONE;
}

static int report(struct comparing *comparing)
{
    int code = EXIT_DONE;

    printf("median   lowest .. highest of %u runs; ratios are to %s\n\n", (unsigned)comparing->rounds,
           comparing->brokers[0].name);
    for (size_t scenario = 0; scenario < comparing->chosen_count; scenario++) {
        put_scenario(comparing, scenario);
        for (size_t broker = 0; broker < comparing->broker_count; broker++)
            if (cell_at(comparing, scenario, broker)->failed)
                code = EXIT_BROKER;
    }
    if (comparing->json && json_dump_file(comparing->raw, comparing->json, JSON_INDENT(2)) < 0) {
        fprintf(stderr, "coneyperf compare: %s: %s\n", comparing->json, strerror(errno));
        code = EXIT_USE;
    }
    return code;
}

int compare(int argc, char **argv)
{
    struct comparing comparing = {.rounds = 3, .seconds = "3"};
    int code;

    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-?") == 0))
        return help();
    code = read_words(&comparing, argc, argv);
    if (code == EXIT_DONE) {
        comparing.cells = xcalloc(SCENARIOS_MAX * BROKERS_MAX, sizeof *comparing.cells);
        comparing.raw = json_array();
        code = run_all(&comparing);
        code = code == EXIT_DONE ? report(&comparing) : code;
        json_decref(comparing.raw);
        free(comparing.cells);
    }
    for (size_t i = 0; i < comparing.broker_count; i++)
        free(comparing.brokers[i].name);
    while (comparing.made_count)
        free(comparing.made[--comparing.made_count]);
    return code;
}
