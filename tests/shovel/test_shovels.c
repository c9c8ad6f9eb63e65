/* SPDX-License-Identifier: Apache-2.0 */
/* The thread and what others see of it, with brokers that nobody reaches. check-shovel has real ones. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "coney/client.h"
#include "coney/shovels.h"

#define SECONDS_MAX 20

static const struct shovels_settings settings = {"node@host", "cluster"};
static struct shovels *shovels;
static _Atomic unsigned asked;

static bool reach_nobody(void *context, const char *user, struct client_target *target)
{
    (void)context;
    (void)user;
    (void)target;
    atomic_fetch_add(&asked, 1);
    errno = ECONNREFUSED;
    return false;
}

static void begin(void)
{
    const struct shovels_ops ops = {.reach_self = reach_nobody};

    alarm(3 * SECONDS_MAX);
    shovels = shovels_new(&settings, &ops);
    cr_assert(shovels_start(shovels));
}

static void end(void)
{
    shovels_stop(shovels);
    shovels_free(shovels);
}

TestSuite(shovels, .init = begin, .fini = end);

/* URIS, of both ends, is taken over. */
static void put_uris(const char *name, json_t *uris, double delay)
{
    json_t *value = json_pack("{s:O,s:o,s:s,s:f}", "src-uri", uris, "dest-uri", uris, "src-queue", "q",
                              "reconnect-delay", delay);
    char why[1000];

    cr_assert(shovels_put(shovels, "/", name, value, why, sizeof why), "%s", why);
    json_decref(value);
}

static void put(const char *name, const char *uri, double delay)
{
    put_uris(name, json_string(uri), delay);
}

/* Wait until the shovel NAME has STATE; a copy of what is said of it. */
static json_t *wait_for(const char *name, const char *state)
{
    time_t until = time(NULL) + SECONDS_MAX;
    json_t *all, *one, *found = NULL;
    size_t index;

    while (!found) {
        cr_assert_lt(time(NULL), until, "%s is never %s", name, state);
        all = shovels_status(shovels);
        json_array_foreach(all, index,
                           one) if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0 &&
                                    strcmp(json_string_value(json_object_get(one, "state")), state) == 0)
            found = json_incref(one);
        json_decref(all);
        poll(NULL, 0, 1);
    }
    return found;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

Test(shovels, says_why_it_does_not_run)
{
    json_t *status;

    put("s", "amqp://user:secret@127.0.0.1:1/v", 100);
    status = wait_for("s", "terminated");
    cr_expect_str_eq(text_of(status, "node"), "node@host");
    cr_expect_str_eq(text_of(status, "vhost"), "/");
    cr_expect_str_eq(text_of(status, "type"), "dynamic");
    cr_expect_str_eq(text_of(status, "src_queue"), "q");
    cr_expect_str_eq(text_of(status, "dest_uri"), "amqp://127.0.0.1:1/v");
    cr_expect_not_null(
        strstr(text_of(status, "reason"), "cannot connect to 127.0.0.1:1: Connection refused"));
    json_decref(status);
}

Test(shovels, tries_again)
{
    put("s", "amqp://", 0.001);
    while (atomic_load(&asked) < 5)
        poll(NULL, 0, 1);
}

Test(shovels, does_not_try_again_with_a_delay_of_0)
{
    json_t *status;

    put("s", "amqp://", 0);
    status = wait_for("s", "terminated");
    cr_expect_not_null(strstr(text_of(status, "reason"), "this node cannot be reached from within"));
    json_decref(status);
    cr_expect_eq(atomic_load(&asked), 1);
    cr_expect(shovels_restart(shovels, "/", "s"));
    while (atomic_load(&asked) < 2)
        poll(NULL, 0, 1);
}

Test(shovels, tries_the_next_uri_whatever_is_wrong_with_the_first)
{
    static const char *const firsts[] = {"amqp://", "amqps://127.0.0.1:1?cacertfile=/nonexistent",
                                         "amqp://127.0.0.1:1/first"};

    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        json_t *uris = json_pack("[s,s]", firsts[i], "amqp://127.0.0.1:1/last"), *status;

        put_uris("s", uris, 0);
        status = wait_for("s", "terminated");
        cr_expect_str_eq(text_of(status, "dest_uri"), "amqp://127.0.0.1:1/last");
        cr_expect_not_null(strstr(text_of(status, "reason"), "cannot connect to 127.0.0.1:1"), "%s: %s",
                           firsts[i], text_of(status, "reason"));
        json_decref(status);
        shovels_remove(shovels, "/", "s");
    }
}

Test(shovels, forgets_what_is_removed)
{
    json_t *status;

    put("a", "amqp://127.0.0.1:1", 0.001);
    put("b", "amqp://127.0.0.1:1", 0.001);
    cr_expect(shovels_remove(shovels, "/", "a"));
    cr_expect_not(shovels_remove(shovels, "/", "a"));
    cr_expect_not(shovels_remove(shovels, "other", "b"));
    cr_expect_not(shovels_restart(shovels, "/", "a"));
    status = shovels_status(shovels);
    cr_expect_eq(json_array_size(status), 1);
    json_decref(status);
    put("a", "amqp://127.0.0.1:1", 100);
    json_decref(wait_for("a", "terminated"));
}

Test(shovels, is_changed_and_stopped_at_any_time)
{
    static const char *const uris[] = {"amqp://127.0.0.1:1", "amqp://", "amqp://localhost:1",
                                       "amqps://localhost:1"};

    for (unsigned i = 0; i < 200; i++) {
        put(i % 3 ? "a" : "b", uris[i % 4], 0.001);
        if (i % 7 == 0)
            shovels_remove(shovels, "/", "a");
        if (i % 5 == 0)
            shovels_restart(shovels, "/", "b");
    }
    end();
    begin();
}

Test(shovels, is_freed_without_a_start)
{
    end();
    shovels = shovels_new(&settings, &(struct shovels_ops){0});
    put("s", "amqp://", 1);
    shovels_free(shovels);
    begin();
}
