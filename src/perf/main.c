/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coneyperf: a load tool for brokers of AMQP 0-9-1, any broker's.
 *
 * Exit codes are those of options.h.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "chart.h"
#include "churn.h"
#include "compare.h"
#include "curves.h"
#include "interrupt.h"
#include "measure.h"
#include "options.h"
#include "progress.h"
#include "report.h"

/* As many connections as the system lets us have. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int help(void)
{
    printf("Usage: coneyperf [OPTION]...\n"
           "       coneyperf compare NAME=URI... [OPTION]...\n"
           "       coneyperf chart FILE\n"
           "Loads a broker of AMQP 0-9-1 and tells how fast it is. coneyperf(1) says more.\n");
    options_help(stdout);
    return EXIT_DONE;
}

/* The table as a text, for the chart's page; owned by the caller. */
static char *summary_of(const struct measurement *measurement, const struct churning *churning)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    if (measurement)
        report_table(out, measurement);
    else
        report_churn_table(out, churning);
    fclose(out);
    return text;
}

/* Write what is asked for besides the table. */
static int write_files(const struct options *options, const struct measurement *measurement,
                       const struct churning *churning, int code)
{
    bool is_written = true;

    if (options->json)
        is_written = measurement ? report_json(options->json, measurement)
                                 : report_churn_json(options->json, churning);
    if (options->chart) {
        char *summary = summary_of(measurement, churning);
        struct chart chart = {.title = options->id, .summary = summary};

        chart_add_samples(&chart, measurement ? &measurement->samples : &churning->samples, churning != NULL);
        is_written &= chart_write(options->chart, &chart);
        chart_free(&chart);
        free(summary);
    }
    return is_written ? code : EXIT_USE;
}

/* Whoever wants quiet and the JSON wants nothing else. */
static bool wants_table(const struct options *options)
{
    return !options->is_quiet || !options->json || strcmp(options->json, "-") != 0;
}

static int run_measure(const struct options *options)
{
    struct measurement measurement;
    int code = measure(options, &measurement);

    if (code != EXIT_BROKER) {
        if (wants_table(options))
            report_table(progress_stream(options), &measurement);
        code = write_files(options, &measurement, NULL, code);
    }
    measurement_free(&measurement);
    return code;
}

static int run_churn(const struct options *options)
{
    struct churning churning;
    int code = churn(options, &churning);

    if (code != EXIT_BROKER) {
        if (wants_table(options))
            report_churn_table(progress_stream(options), &churning);
        code = write_files(options, NULL, &churning, code);
    }
    churning_free(&churning);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    char why[OPTIONS_WHY_SIZE];
    int code;

    interrupt_catch();
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    if (argc > 1 && strcmp(argv[1], "compare") == 0)
        return compare(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "chart") == 0)
        return curves(argc - 2, argv + 2);
    if (!options_read(&options, argc - 1, argv + 1, why)) {
        fprintf(stderr, "coneyperf: %s\n", why);
        code = EXIT_USE;
    } else if (options.is_help) {
        code = help();
    } else if (options.is_version) {
        printf("coneyperf %s\n", PACKAGE_VERSION);
        code = EXIT_DONE;
    } else {
        code = options.churn ? run_churn(&options) : run_measure(&options);
    }
    options_free(&options);
    return code;
}
