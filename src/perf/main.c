/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coneyperf: a load tool for brokers of AMQP 0-9-1, any broker's.
 *
 * Exit codes are those of options.h.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "measure.h"
#include "options.h"
#include "progress.h"
#include "report.h"

static void on_interrupt(int number)
{
    (void)number;
    measure_interrupt();
}

/* As many connections as the system lets us have. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    sigemptyset(&action.sa_mask);
    action.sa_flags = (int)SA_RESETHAND; /* the second one ends it at once */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int help(void)
{
    printf("Usage: coneyperf [OPTION]...\n"
           "       coneyperf compare NAME=URI... [OPTION]...\n"
           "Loads a broker of AMQP 0-9-1 and tells how fast it is. coneyperf(1) says more.\n");
    options_help(stdout);
    return EXIT_DONE;
}

static int run(const struct options *options)
{
    struct measurement measurement;
    int code = measure(options, &measurement);

    if (code != EXIT_BROKER) {
        report_table(progress_stream(options), &measurement);
    }
    measurement_free(&measurement);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    char why[OPTIONS_WHY_SIZE];
    int code;

    catch_signals();
    raise_limits();
    if (!options_read(&options, argc - 1, argv + 1, why)) {
        fprintf(stderr, "coneyperf: %s\n", why);
        code = EXIT_USE;
    } else if (options.is_help) {
        code = help();
    } else if (options.is_version) {
        printf("coneyperf %s\n", PACKAGE_VERSION);
        code = EXIT_DONE;
    } else {
        code = run(&options);
    }
    options_free(&options);
    return code;
}
