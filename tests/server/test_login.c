/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins that are out to be decided: what goes on meanwhile, and what if nobody waits for the answer any
 * more.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/frame.h"
#include "desk.h"
#include "server/session/login.h"
#include "server/session/session.h"
#include "wire.h"

#define TURNS_MAX   2000000 /* logins may be held back for a second or so */
#define SECONDS_MAX 40

static struct desk desk;

static void open_desk(void)
{
    alarm(SECONDS_MAX);
    desk_open(&desk, NULL);
}

static void close_desk(void)
{
    for (unsigned i = 0; !desk_is_empty(&desk); i++) {
        cr_assert_lt(i, TURNS_MAX, "a session is never freed");
        desk_turn(&desk);
    }
    cr_expect_eq(logins_counters(desk.server->logins).waiting, 0);
    desk_close(&desk);
}

TestSuite(login, .init = open_desk, .fini = close_desk);

static void send_all(int fd, struct buffer *out)
{
    cr_assert_eq(send(fd, out->data, out->size, MSG_NOSIGNAL), (ssize_t)out->size);
    buffer_free(out);
}

static void turn_some(void)
{
    for (int i = 0; i < 10; i++)
        desk_turn(&desk);
}

/* A client that has said all up to connection.open, as guest. */
static int begin_login(void)
{
    struct buffer out = {0};
    int fd = desk_connect(&desk, 0);

    wire_put_login(&out, BYTES_LITERAL("/"), WIRE_FRAME_MAX, 0);
    send_all(fd, &out);
    turn_some();
    return fd;
}

/* ... and one with a wrong password, who says that it understands a refusal. */
static int begin_wrong_login(void)
{
    struct method start_ok = {
        .id = METHOD_CONNECTION_START_OK,
        .connection_start_ok = {.client_properties = BYTES_LITERAL("\x0c"
                                                                   "capabilitiesF\0\0\0\x1f\x1c"
                                                                   "authentication_failure_closet\1"),
                                .mechanism = BYTES_LITERAL("PLAIN"),
                                .response = BYTES_LITERAL("\0guest\0wrong"),
                                .locale = BYTES_LITERAL("en_US")}};
    struct buffer out = {0};
    int fd = desk_connect(&desk, 0);

    buffer_append_bytes(&out, WIRE_PROTOCOL_HEADER);
    buffer_append_method(&out, 0, &start_ok);
    send_all(fd, &out);
    turn_some();
    return fd;
}

/* Wait for method ID on FD, leaving out connection.start and .tune before it. */
static bool hears(int fd, enum method_id id)
{
    struct wire_input in = {0};
    struct wire_frame frame;
    bool broken = false, heard = false;

    for (unsigned i = 0; i < TURNS_MAX && !heard; i++) {
        while (!heard && wire_next(&in, &frame, &broken))
            heard = frame.method.id == id;
        if (!heard && wire_receive(&in, fd, 0) == 0)
            break;
        desk_turn(&desk);
    }
    wire_input_free(&in);
    return heard;
}

static struct login_counters counters(void)
{
    return logins_counters(desk.server->logins);
}

Test(login, what_came_behind_it_waits_for_the_answer)
{
    int fd;

    desk.holds_logins = true;
    fd = begin_login();
    cr_expect_eq(counters().waiting, 1);
    cr_expect_eq(desk.door->sessions->state, SESSION_CHECKING);
    desk.holds_logins = false;
    cr_expect(hears(fd, METHOD_CONNECTION_OPEN_OK));
    cr_expect_eq(counters().results[LOGIN_OK], 1);
    close(fd);
}

Test(login, others_go_on_meanwhile)
{
    int known = begin_login(), unknown;

    cr_expect(hears(known, METHOD_CONNECTION_OPEN_OK));
    desk.holds_logins = true;
    unknown = begin_wrong_login();
    cr_expect_eq(counters().waiting, 1);
    close(known);
    known = begin_login();
    cr_expect(hears(known, METHOD_CONNECTION_OPEN_OK), "what is known is not decided again");
    cr_expect_eq(counters().recalled, 1);
    cr_expect_eq(counters().waiting, 1);
    desk.holds_logins = false;
    cr_expect(hears(unknown, METHOD_CONNECTION_CLOSE));
    cr_expect_eq(counters().results[LOGIN_WRONG_PASSWORD], 1);
    close(known);
    close(unknown);
}

Test(login, session_that_ends_meanwhile_lasts_until_the_answer)
{
    int fd;

    desk.holds_logins = true;
    fd = begin_login();
    session_gone(desk.door->sessions);
    turn_some();
    cr_assert_not_null(desk.door->sessions);
    cr_expect_eq(counters().waiting, 1);
    desk.holds_logins = false;
    turn_some();
    cr_expect_null(desk.door->sessions);
    cr_expect_eq(counters().results[LOGIN_OK], 1, "what was begun is decided");
    close(fd);
}

Test(login, wrong_ones_are_counted_though_nobody_waits)
{
    int fd;

    desk.holds_logins = true;
    fd = begin_wrong_login();
    session_gone(desk.door->sessions);
    desk.holds_logins = false;
    turn_some();
    cr_expect_eq(counters().results[LOGIN_WRONG_PASSWORD], 1);
    close(fd);
}

/* Fail until the next is held back. */
static void fail_often(void)
{
    for (unsigned i = 0; !counters().slowed; i++) {
        int fd = begin_wrong_login();

        cr_assert_lt(i, 100);
        cr_assert(hears(fd, METHOD_CONNECTION_CLOSE));
        close(fd);
    }
}

Test(login, after_many_failures_the_next_wait)
{
    uint64_t slowed;
    int fd;

    fail_often();
    slowed = counters().slowed;
    fd = begin_login();
    cr_expect_eq(counters().slowed, slowed + 1);
    cr_expect_eq(counters().waiting, 1);
    cr_expect(hears(fd, METHOD_CONNECTION_OPEN_OK), "it is let in after all");
    close(fd);
}

Test(login, one_that_is_held_back_is_given_up_with_its_socket)
{
    uint64_t before;
    int fd;

    fail_often();
    before = counters().results[LOGIN_OK];
    fd = begin_login();
    cr_assert_eq(counters().waiting, 1);
    session_gone(desk.door->sessions->prev);
    cr_expect_eq(counters().waiting, 0);
    turn_some();
    cr_expect_eq(counters().results[LOGIN_OK], before);
    close(fd);
}

Test(login, undecided_ones_end_when_the_server_stops)
{
    int fd;

    desk.holds_logins = true;
    fd = begin_login();
    logins_cancel(desk.server->logins);
    desk.holds_logins = false;
    turn_some();
    cr_expect_null(desk.door->sessions);
    cr_expect_not(hears(fd, METHOD_CONNECTION_TUNE));
    close(fd);
}

Test(login, threads_decide_and_end)
{
    int fd;

    desk.holds_logins = true; /* here: by the test's own thread */
    cr_assert(logins_start(desk.server->logins, 2));
    fd = begin_login();
    cr_expect(hears(fd, METHOD_CONNECTION_OPEN_OK));
    close(fd);
    while (!desk_is_empty(&desk))
        desk_turn(&desk);
    logins_stop(desk.server->logins);
}
