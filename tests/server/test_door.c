/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes and who goes, beside who stays: sessions begin at the door and go to the loop when their user has
 * logged in, a few at a time, and of a crowd that goes at once a few go at a time.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/frame.h"
#include "desk.h"
#include "server/session/login.h"
#include "server/session/session.h"
#include "wire.h"

#define TURNS_MAX   20000
#define SECONDS_MAX 40
#define CROWD       100
#define FEW         16 /* at most so many at a turn */

static struct desk desk;
static int crowd[CROWD];

static void open_desk(void)
{
    alarm(SECONDS_MAX);
    desk_open(&desk, NULL);
}

static void turn_until_empty(void)
{
    for (unsigned i = 0; !desk_is_empty(&desk); i++) {
        cr_assert_lt(i, TURNS_MAX, "a session is never freed");
        desk_turn(&desk);
    }
}

static void close_desk(void)
{
    turn_until_empty();
    desk_close(&desk);
}

TestSuite(door, .init = open_desk, .fini = close_desk);

static unsigned count(const struct loop *loop)
{
    struct session *session;
    unsigned count;

    DL_COUNT2(loop->sessions, session, count, next);
    cr_assert_eq(count, atomic_load(&loop->session_count));
    return count;
}

static unsigned count_running(void)
{
    struct session *session;
    unsigned running = 0;

    DL_FOREACH (desk.loop->sessions, session)
        running += session->state == SESSION_RUNNING;
    return running;
}

static void turn_some(void)
{
    for (int i = 0; i < 10; i++)
        desk_turn(&desk);
}

/* A client that has said all up to connection.open. */
static int come(void)
{
    struct buffer out = {0};
    int fd = desk_connect(&desk, 0);

    wire_put_login(&out, BYTES_LITERAL("/"), WIRE_FRAME_MAX, 0);
    cr_assert_eq(send(fd, out.data, out.size, MSG_NOSIGNAL), (ssize_t)out.size);
    buffer_free(&out);
    return fd;
}

/* ... and all of the crowd. The first login is decided by a thread of its own, the others are known then. */
static void crowd_comes(void)
{
    int first = come();

    turn_some();
    cr_assert_eq(count_running(), 1);
    for (int i = 0; i < CROWD; i++)
        crowd[i] = come();
    close(first);
}

static void crowd_is_in(void)
{
    for (unsigned i = 0; count_running() < CROWD || count(desk.loop) > CROWD; i++) {
        cr_assert_lt(i, TURNS_MAX, "%u of %d are in", count_running(), CROWD);
        desk_turn(&desk);
    }
}

static void crowd_goes(void)
{
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
}

Test(door, strangers_stay_there)
{
    static const char nonsense[] = "AMQP\0\0\11\1";
    int silent = desk_connect(&desk, 0), half = desk_connect(&desk, 0);

    cr_assert_eq(send(half, nonsense, 8, MSG_NOSIGNAL), 8);
    turn_some();
    cr_expect_eq(count(desk.door), 2);
    cr_expect_eq(count(desk.loop), 0);
    close(silent);
    close(half);
}

Test(door, who_has_logged_in_lives_on_a_loop)
{
    int fd = come();

    turn_some();
    cr_expect_eq(count(desk.door), 0);
    cr_expect_eq(count_running(), 1);
    close(fd);
}

Test(door, a_crowd_comes_in_a_few_at_a_time)
{
    unsigned in = 0;

    crowd_comes();
    for (unsigned i = 0; in < CROWD; i++) {
        unsigned now;

        cr_assert_lt(i, TURNS_MAX);
        loop_turn(desk.door, false);
        loop_turn(desk.loop, false);
        now = CROWD - count(desk.door);
        cr_expect_leq(now - in, FEW, "%u came in at once", now - in);
        in = now;
    }
    crowd_is_in();
    cr_expect_eq(atomic_load(&desk.server->arriving), 0);
    crowd_goes();
}

Test(door, it_waits_for_those_that_it_has_let_in)
{
    crowd_comes();
    for (int i = 0; i < 2 * FEW; i++)
        loop_turn(desk.door, false); /* it would wait if it might sleep */
    cr_expect(server_is_crowded(desk.server));
    loop_turn(desk.loop, false);
    cr_expect_not(server_is_crowded(desk.server));
    crowd_is_in();
    crowd_goes();
}

Test(door, a_crowd_goes_a_few_at_a_time)
{
    crowd_comes();
    crowd_is_in();
    crowd_goes();
    for (unsigned before = CROWD, now; before; before = now) {
        loop_turn(desk.loop, true); /* would sleep for ever if nothing was left to do */
        now = count_running();
        cr_expect_leq(before - now, FEW, "%u went at once", before - now);
    }
}

Test(door, strangers_that_go_are_not_waited_for)
{
    for (int i = 0; i < CROWD; i++)
        crowd[i] = desk_connect(&desk, 0);
    crowd_goes();
    alarm(5); /* less than a handshake may take, which would end them too */
    while (count(desk.door))
        loop_turn(desk.door, true);
}

Test(door, who_is_lost_says_and_hears_nothing_more)
{
    struct session *session;

    crowd_comes();
    crowd_is_in();
    crowd_goes();
    loop_turn(desk.loop, false);
    for (session = desk.loop->sessions; session && !session->is_lost;)
        session = session->next;
    cr_assert_not_null(session);
    session_hold(session, SESSION_HOLD_STORE, true);
    session_hold(session, SESSION_HOLD_STORE, false);
    session_list_write(session);
    session_list_read(session);
    cr_expect_not(session->is_reading);
    cr_expect_not(session->is_to_write);
    cr_expect_not(session->is_to_read);
}

/* Turn until FD's end; who does not answer connection.close is cut off after a second. */
static void hear_the_end(int fd)
{
    char octets[4096];

    while (recv(fd, octets, sizeof octets, 0) != 0)
        desk_turn(&desk);
}

Test(door, all_of_them_are_closed_when_the_server_stops)
{
    int stranger = desk_connect(&desk, 0), known = come();

    turn_some();
    server_stop(desk.server);
    hear_the_end(stranger);
    hear_the_end(known);
    close(stranger);
    close(known);
}

Test(door, who_is_let_in_while_the_server_stops_is_closed)
{
    struct session *session;
    int fd = come();

    for (unsigned i = 0; !desk.door->sessions || !(desk.door->sessions->state == SESSION_CHECKING); i++) {
        cr_assert_lt(i, TURNS_MAX);
        loop_turn(desk.door, false);
    }
    logins_work(desk.server->logins);
    session = desk.door->sessions;
    loop_turn(desk.door, false); /* the answer; it is let in */
    cr_assert_eq(count(desk.door), 0);
    loop_stop(desk.loop);
    loop_turn(desk.loop, false);
    cr_expect_null(desk.loop->sessions, "%p", (void *)session);
    close(fd);
}
