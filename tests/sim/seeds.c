/* SPDX-License-Identifier: Apache-2.0 */
/* seeds.h */
#include "seeds.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MORE_MAX 8

/* In a handler only write() is safe, so this is made before. */
static char replay[160];

static void on_abort(int number)
{
    (void)number;
    if (write(STDERR_FILENO, replay, strlen(replay)) < 0)
        _exit(2);
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
}

void seeds_replay(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(replay, sizeof replay, format, arguments);
    va_end(arguments);
    signal(SIGABRT, on_abort);
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

bool seeds_parse(struct seeds *seeds, const struct seeds_option *more, int argc, char **argv)
{
    enum { SEED = 's', SEEDS = 'n', OPERATIONS = 'o', CI = 'c', TRACE = 't', MORE = 256 };
    struct option options[5 + MORE_MAX + 1] = {
        {"seed", required_argument, NULL, SEED},
        {"seeds", required_argument, NULL, SEEDS},
        {"operations", required_argument, NULL, OPERATIONS},
        {"ci", no_argument, NULL, CI},
        {"trace", no_argument, NULL, TRACE},
    };
    bool is_one = false, is_counted = false;
    int option;

    for (int i = 0; more && more[i].name && i < MORE_MAX; i++)
        options[5 + i] = (struct option){more[i].name, required_argument, NULL, MORE + i};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case SEED:
            seeds->first = number(optarg);
            is_one = true;
            break;
        case SEEDS:
            seeds->count = number(optarg);
            is_counted = true;
            break;
        case OPERATIONS:
            seeds->operations = number(optarg);
            break;
        case CI:
            seeds->count = seeds->ci;
            is_counted = true;
            break;
        case TRACE:
            seeds->trace = true;
            break;
        default:
            if (option < MORE)
                return false;
            *more[option - MORE].value = number(optarg);
        }
    if (is_one && !is_counted)
        seeds->count = 1;
    return true;
}

void seeds_run(const struct seeds *seeds, void (*simulate)(uint64_t seed))
{
    for (uint64_t i = 0; i < seeds->count; i++)
        simulate(seeds->first + i);
}
