/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses which queues, and how many queues a message goes to. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "perf/options.h"
#include "perf/topology.h"

Test(topology, deals_out_every_queue)
{
    for (unsigned queues = 1; queues < 20; queues++) {
        for (unsigned members = 1; members < 20; members++) {
            unsigned dealt[20] = {0};

            for (unsigned m = 0; m < members; m++) {
                struct share share = topology_share(queues, m, members);

                cr_assert_geq(share.count, 1, "no member is without a queue");
                for (unsigned i = 0; i < share.count; i++) {
                    cr_assert_lt(share.first + i * share.step, queues);
                    dealt[share.first + i * share.step]++;
                }
            }
            for (unsigned q = 0; q < queues; q++)
                cr_assert(queues > members ? dealt[q] == 1 : dealt[q] >= members / queues);
        }
    }
    cr_expect_eq(topology_share(0, 0, 1).count, 0);
}

static unsigned copies_with(const char *first, const char *second, const char *third, const char *fourth)
{
    char *words[] = {(char *)(uintptr_t) "-u",  (char *)(uintptr_t) "a,b,c", (char *)(uintptr_t)first,
                     (char *)(uintptr_t)second, (char *)(uintptr_t)third,    (char *)(uintptr_t)fourth};
    char why[OPTIONS_WHY_SIZE];
    struct options options;
    struct topology topology;
    unsigned copies;
    int count = 2;

    while (count < 6 && words[count])
        count++;
    cr_assert(options_read(&options, count, words, why), "%s", why);
    topology_plan(&topology, &options, 1);
    copies = topology.copies;
    topology_free(&topology);
    options_free(&options);
    return copies;
}

Test(topology, knows_where_messages_go)
{
    cr_expect_eq(copies_with(NULL, NULL, NULL, NULL), 1);
    cr_expect_eq(copies_with("-t", "fanout", NULL, NULL), 3);
    cr_expect_eq(copies_with("-t", "topic", NULL, NULL), 1);
    cr_expect_eq(copies_with("-e", "logs", "-k", "all"), 3);
    cr_expect_eq(copies_with("-t", "x-consistent-hash", NULL, NULL), 1);
    cr_expect_eq(copies_with("-k", "a", NULL, NULL), 1);
}

Test(topology, makes_names_up_only_where_none_are_given)
{
    char why[OPTIONS_WHY_SIZE], *words[] = {(char *)(uintptr_t) "--type", (char *)(uintptr_t) "topic"};
    struct options options;
    struct topology topology;

    cr_assert(options_read(&options, 2, words, why));
    topology_plan(&topology, &options, 0xabc);
    cr_expect_str_eq(topology.made_up_queue, "coneyperf-00000abc-queue");
    cr_expect_str_eq(topology.made_up_exchange, "coneyperf-00000abc-topic");
    cr_expect_eq(topology.queue_count, 1);
    topology_free(&topology);
    options_free(&options);
}
