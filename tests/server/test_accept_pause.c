/* SPDX-License-Identifier: Apache-2.0 */
/* accept_pause.h: a crowd. What happens without descriptors, tests/torture/descriptors tells. */
#include <criterion/criterion.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/accept_pause.h"

#define ARRIVE  100
#define AT_ONCE 20 /* at most */

static struct accept_pause accepting;
static int accepted[ARRIVE];
static unsigned count;

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *arg)
{
    (void)listener;
    (void)address;
    (void)size;
    (void)arg;
    accepted[count++] = fd;
    accept_pause_accepted(&accepting, fd);
}

/* Who is served already has a turn between any few of them; and all get in without anybody's help. */
Test(accept_pause, a_crowd_comes_in_a_few_at_a_turn)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct event_base *base = event_base_new();
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, ARRIVE, (struct sockaddr *)&address, sizeof address);
    socklen_t size = sizeof address;
    int clients[ARRIVE];

    cr_assert_not_null(listener);
    cr_assert_eq(getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size), 0);
    accept_pause_init(&accepting, base, DESCRIPTORS_KEPT_BY_AMQP, "");
    accept_pause_watch(&accepting, listener);
    for (unsigned i = 0; i < ARRIVE; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(clients[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    for (unsigned turns = 0; count < ARRIVE; turns++) {
        unsigned before = count;

        cr_assert_lt(turns, 1000);
        event_base_loop(base, EVLOOP_ONCE);
        cr_assert_leq(count - before, AT_ONCE);
    }
    for (unsigned i = 0; i < ARRIVE; i++) {
        close(clients[i]);
        close(accepted[i]);
    }
    accept_pause_free(&accepting);
    evconnlistener_free(listener);
    event_base_free(base);
}
