/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the seeded simulations have in common: the options, the loop over the seeds, and what a failure says
 * of how to see it again.
 *
 *     PROGRAM [--seed N] [--seeds COUNT] [--operations N] [--ci] [--trace]
 *
 * Runs COUNT seeds from N on; with --seed alone, that one. The same seed with the same number of operations
 * does the same again.
 */
#ifndef TESTS_SIM_SEEDS_H
#define TESTS_SIM_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

/* What was chosen; as set before, what is so without options. */
struct seeds {
    uint64_t first, count;
    uint64_t ci;         /* the count of --ci */
    uint64_t operations; /* of one seed, or how many at most */
    bool trace;
};

/* A further option, with a number. */
struct seeds_option {
    const char *name; /* NULL ends a list */
    uint64_t *value;
};

/* Read the options, MORE among them, which may be NULL. False: one is not known, which was said. */
bool seeds_parse(struct seeds *seeds, const struct seeds_option *more, int argc, char **argv);

/* Run each seed. */
void seeds_run(const struct seeds *seeds, void (*simulate)(uint64_t seed));

/* If the program aborts from here on, it says this: a line. */
void seeds_replay(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
