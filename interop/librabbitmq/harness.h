/* SPDX-License-Identifier: Apache-2.0 */
/* harness.h: scenarios by name, the output protocol of ../run, and the steps that scenarios are made of.
 *
 * Every scenario runs in a process of its own, so a step that does not succeed simply says why and exits, and
 * memory and connections are left to the end of the process. */
#ifndef HARNESS_H
#define HARNESS_H

#include <amqp.h>
#include <stdbool.h>

enum { DEADLINE_S = 30 };

struct scenario {
    const char *name;
    void (*run)(void);
};

extern const struct scenario scenarios[]; /* ends with a null name */

/* One message, from basic.get or basic.deliver. */
struct delivery {
    uint64_t tag;
    bool redelivered;
    uint32_t left; /* messages left in the queue; basic.get only */
    const char *exchange, *key, *body;
    size_t size;
    amqp_basic_properties_t properties;
};

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void expect_text(const char *actual, const char *expected, const char *what);
void expect_int(long long actual, long long expected, const char *what);

/* Formatted text that lives as long as the scenario. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
amqp_bytes_t bytes(const char *string);
const char *string(amqp_bytes_t value);

/* A name of this run's own. */
char *named(const char *name);
int env_port(const char *name);
void cut_connections(void);

amqp_connection_state_t dial(int port, int heartbeat);   /* with channel 1 open */
void check(amqp_connection_state_t c, const char *what); /* the last call got its answer */
void check_status(int status, const char *what);

/* Tables: FIELDS(...) is a list of entries as amqp_table_t. */
amqp_table_entry_t entry_text(const char *key, const char *value);
amqp_table_entry_t entry_int(const char *key, int32_t value);
const amqp_field_value_t *table_find(amqp_table_t table, const char *key);
bool table_equals(amqp_table_t a, amqp_table_t b);
#define FIELDS(...)                                                                                          \
    ((amqp_table_t){.num_entries = sizeof((amqp_table_entry_t[]){__VA_ARGS__}) / sizeof(amqp_table_entry_t), \
                    .entries = (amqp_table_entry_t[]){__VA_ARGS__}})

const char *queue(amqp_connection_state_t c, int channel, const char *name, amqp_table_t arguments);
const char *exchange(amqp_connection_state_t c, const char *name, const char *type, amqp_table_t arguments);
void bind_queue(amqp_connection_state_t c, const char *q, const char *x, const char *key,
                amqp_table_t arguments);
int count(amqp_connection_state_t c, int channel, const char *q);
void publish(amqp_connection_state_t c, int channel, const char *x, const char *key, const char *body,
             const amqp_basic_properties_t *properties);
void consume(amqp_connection_state_t c, int channel, const char *q, bool no_ack); /* the tag is "tag" */
bool try_get(amqp_connection_state_t c, const char *q, bool no_ack, struct delivery *out);
struct delivery get(amqp_connection_state_t c, const char *q); /* waits for one */
struct delivery take(amqp_connection_state_t c);               /* next basic.deliver on any channel */
const char *drain(amqp_connection_state_t c,
                  const char *q); /* all bodies in the queue, separated by blanks */

#endif
