/* SPDX-License-Identifier: Apache-2.0 */
/* compare.h: the scenarios. Durations are appended where there is no number of messages. */
#include "compare.h"

const struct scenario scenarios[] = {
    {"auto16", "16 B, automatic acks", "-s 16 -a", false},
    {"auto1k", "1 KiB, automatic acks", "-s 1024 -a", false},
    {"ack", "100 B, confirms, prefetch 250, an ack for 50", "-s 100 -c 1000 -q 250 -A 50", false},
    {"ack1", "100 B, confirms, prefetch 100, an ack for each", "-s 100 -c 1000 -q 100", false},
    {"persistent", "1 KiB, persistent, confirms, an ack for 50", "-s 1024 -f persistent -c 1000 -q 250 -A 50",
     false},
    {"confirm1", "100 B, one unconfirmed at a time", "-s 100 -c 1 -a", false},
    {"fanout10", "100 B to ten queues; deliveries",
     "-s 100 -a -t fanout -qp coneyperf-fanout-%d -qpt 10 -y 10", false},
    {"topic10", "100 B by a topic exchange to one of ten queues",
     "-s 100 -a -t topic -qp coneyperf.topic.%d -qpt 10 -y 10 -x 2", false},
    {"queues100", "100 B, 4 publishers, 100 queues, 100 consumers",
     "-s 100 -a -x 4 -y 100 -qp coneyperf-queues-%d -qpt 100", false},
    {"body64k", "64 KiB, automatic acks, confirms", "-s 65536 -a -c 100", false},
    {"latency2k", "100 B, 2,000 a second", "-s 100 -a -r 2000", true},
    {"latency20k", "100 B, 20,000 a second", "-s 100 -a -r 20000", true},
    {"drain", "500,000 of 100 B published, then consumed", "-s 100 --drain -C 500000 -A 50 -q 250", false},
    {"connections", "connections opened and closed, 10 at a time", "--churn connections -x 10", false},
    {"channels", "channels opened and closed, 10 at a time", "--churn channels -x 10", false},
    {"queues", "queues declared and deleted, 10 at a time", "--churn queues -x 10", false},
    {"bindings", "bindings made and removed, 10 at a time", "--churn bindings -x 10", false},
};

const size_t scenario_count = sizeof scenarios / sizeof *scenarios;
