/* SPDX-License-Identifier: Apache-2.0 */
/* What comparing is made of: medians, and scenarios whose options can be read. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "perf/compare.h"
#include "perf/options.h"

Test(compare, takes_the_middle)
{
    double odd[] = {9, 1, 5}, even[] = {10, 1, 4, 2}, one[] = {7};

    cr_expect_eq(compare_median(odd, 3), 5.0);
    cr_expect_eq(compare_median(even, 4), 3.0);
    cr_expect_eq(compare_median(one, 1), 7.0);
    cr_expect(even[0] == 1.0 && even[3] == 10.0, "they are in order then");
}

Test(compare, has_scenarios_that_can_be_read)
{
    for (size_t i = 0; i < scenario_count; i++) {
        char *text = xstrdup(scenarios[i].options), *words[40], *rest = NULL, why[OPTIONS_WHY_SIZE];
        struct options options;
        int count = 0;

        for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
            words[count++] = word;
        cr_expect(options_read(&options, count, words, why), "%s: %s", scenarios[i].name, why);
        cr_expect_eq(scenarios[i].is_latency, options.rates.count > 0, "%s", scenarios[i].name);
        cr_expect_null(strchr(scenarios[i].name, ':'));
        for (size_t j = 0; j < i; j++)
            cr_expect_str_neq(scenarios[i].name, scenarios[j].name);
        options_free(&options);
        free(text);
    }
}
