/* SPDX-License-Identifier: Apache-2.0 */
/* login.h: the threads, and the way there and back. */
#include "login.h"

#include <arpa/inet.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "coney/nicer.h"
#include "coney/node_access.h"
#include "coney/xalloc.h"
#include "login_sources.h"
#include "server/loop.h"
#include "server/mail.h"
#include "server/server.h"
#include "session.h"

#define THREADS_MAX PASSWORD_HASHES_AT_ONCE
#define NICE        2 /* connections that are there go before those that want to be */
#define NS_PER_MS   UINT64_C(1000000)

#define SLOWED_MS_MAX 5000 /* less where half the handshake timeout is less */

struct logins {
    struct auth *auth;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct login_sources *sources;
    struct login_counters counters;
    unsigned held_back; /* threads in node_log_in() */
    bool is_cancelled, is_stopping;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count;
};

/* Out: the session's until it is pushed, then the threads', then the loop's again. */
struct login {
    struct login_place place; /* first */
    struct mail mail;
    struct logins *logins;
    struct session *session;
    struct loop *loop;
    struct event timer; /* while it is held back */
    bool is_pushed;
    bool is_decided; /* RESULT counts; else it was cancelled */
    enum login_result result;
    struct user_info user; /* with LOGIN_OK */
    struct auth_request request;
    uint8_t octets[]; /* the request's user and password */
};

struct logins *logins_new(struct auth *auth, uint64_t handshake_timeout_ms)
{
    struct logins *logins = xcalloc(1, sizeof *logins);
    uint64_t slowed = handshake_timeout_ms / 2;

    logins->auth = auth;
    logins->sources = login_sources_new((slowed < SLOWED_MS_MAX ? slowed : SLOWED_MS_MAX) * NS_PER_MS);
    pthread_mutex_init(&logins->mutex, NULL);
    pthread_cond_init(&logins->changed, NULL);
    return logins;
}

void logins_free(struct logins *logins)
{
    if (!logins)
        return;
    login_sources_free(logins->sources);
    pthread_cond_destroy(&logins->changed);
    pthread_mutex_destroy(&logins->mutex);
    free(logins);
}

/* ---- deciding ---- */

/* Enter PLACE for a login from PEER; false when there is no room. */
static bool enter(struct logins *logins, const struct peer *peer, struct login_place *place, uint64_t *delay)
{
    struct login_address address = login_address_of(peer);
    bool has_room;

    pthread_mutex_lock(&logins->mutex);
    has_room = login_sources_enter(logins->sources, place, &address, clock_ns(), delay);
    logins->counters.too_many += !has_room;
    logins->counters.slowed += has_room && *delay;
    pthread_mutex_unlock(&logins->mutex);
    return has_room;
}

/* The mutex is held, but not while REQUEST is looked up. */
static enum login_result look_up(struct logins *logins, const struct auth_request *request,
                                 struct user_info *user)
{
    enum login_result result = LOGIN_OK;

    pthread_mutex_unlock(&logins->mutex);
    /* Of many that came at once with the same password only the first costs. */
    if (!auth_recall(logins->auth, request, user))
        result = auth_decide(logins->auth, request, user);
    pthread_mutex_lock(&logins->mutex);
    logins->counters.results[result]++;
    return result;
}

/* The mutex is held, but not while LOGIN is being decided: it is nobody else's then. */
static void decide(struct logins *logins, struct login *login)
{
    struct loop *loop = login->loop;

    login->is_decided = !logins->is_cancelled;
    if (login->is_decided)
        login->result = look_up(logins, &login->request, &login->user);
    login_sources_leave(logins->sources, &login->place, login->is_decided && login->result != LOGIN_OK,
                        clock_ns());
    loop_post(loop, &login->mail); /* from here on it is the loop's */
    loop_wake(loop);
}

static struct login *take(struct logins *logins)
{
    return (struct login *)(void *)login_sources_take(logins->sources);
}

void logins_work(struct logins *logins)
{
    struct login *login;

    pthread_mutex_lock(&logins->mutex);
    while ((login = take(logins)) != NULL)
        decide(logins, login);
    pthread_mutex_unlock(&logins->mutex);
}

static void *run(void *argument)
{
    struct logins *logins = argument;

    pthread_setname_np(pthread_self(), "coney-login");
    be_nicer(NICE);
    pthread_mutex_lock(&logins->mutex);
    while (!logins->is_stopping) {
        struct login *login = take(logins);

        if (login)
            decide(logins, login);
        else
            pthread_cond_wait(&logins->changed, &logins->mutex);
    }
    pthread_mutex_unlock(&logins->mutex);
    return NULL;
}

/* ---- threads ---- */

bool logins_start(struct logins *logins, unsigned count)
{
    sigset_t all, before;
    int error = 0;

    /* Signals are the first loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (logins->thread_count < count && logins->thread_count < THREADS_MAX && !error) {
        error = pthread_create(&logins->threads[logins->thread_count], NULL, run, logins);
        logins->thread_count += !error;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !error;
}

void logins_cancel(struct logins *logins)
{
    pthread_mutex_lock(&logins->mutex);
    logins->is_cancelled = true;
    pthread_mutex_unlock(&logins->mutex);
}

void logins_stop(struct logins *logins)
{
    pthread_mutex_lock(&logins->mutex);
    logins->is_stopping = true;
    pthread_cond_broadcast(&logins->changed);
    pthread_mutex_unlock(&logins->mutex);
    while (logins->thread_count)
        pthread_join(logins->threads[--logins->thread_count], NULL);
}

struct login_counters logins_counters(struct logins *logins)
{
    struct login_counters counters;

    pthread_mutex_lock(&logins->mutex);
    counters = logins->counters;
    counters.waiting = login_sources_info(logins->sources).waiting;
    pthread_mutex_unlock(&logins->mutex);
    return counters;
}

/* ---- on a thread that may wait ---- */

#define HELD_BACK_MAX 2 /* threads that wait for earlier failures: others have work to do */

/* False for what is no address: a UNIX socket's peer. */
static bool peer_from_text(const char *text, struct peer *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        *out = peer_of((struct sockaddr *)&v4);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        *out = peer_of((struct sockaddr *)&v6);
    else
        *out = (struct peer){.family = PEER_UNIX};
    return out->family != PEER_UNIX;
}

bool node_is_loopback(const char *peer)
{
    struct peer from;

    return peer_from_text(peer, &from) && peer_is_loopback(&from);
}

/* Wait for DELAY ns; false when too many do. The mutex is held, but not meanwhile. */
static bool wait_held_back(struct logins *logins, uint64_t delay)
{
    struct timespec wait = {.tv_sec = (time_t)(delay / (1000 * NS_PER_MS)),
                            .tv_nsec = (long)(delay % (1000 * NS_PER_MS))};

    if (!delay)
        return true;
    if (logins->held_back >= HELD_BACK_MAX)
        return false;
    logins->held_back++;
    pthread_mutex_unlock(&logins->mutex);
    nanosleep(&wait, NULL);
    pthread_mutex_lock(&logins->mutex);
    logins->held_back--;
    return true;
}

enum login_result node_log_in(struct server *server, const struct auth_request *request, const char *peer,
                              struct user_info *out)
{
    struct logins *logins = server->logins;
    enum login_result result = LOGIN_WRONG_PASSWORD;
    struct login_place place;
    struct peer from;
    uint64_t delay;

    peer_from_text(peer, &from);
    if (!enter(logins, &from, &place, &delay))
        return result;
    pthread_mutex_lock(&logins->mutex);
    if (wait_held_back(logins, delay)) {
        result = look_up(logins, request, out);
        logins->counters.elsewhere[result]++;
    }
    login_sources_leave(logins->sources, &place, result != LOGIN_OK, clock_ns());
    pthread_mutex_unlock(&logins->mutex);
    return result;
}

/* ---- on the loop ---- */

static void push(struct login *login)
{
    struct logins *logins = login->logins;

    login->is_pushed = true;
    pthread_mutex_lock(&logins->mutex);
    login_sources_push(logins->sources, &login->place);
    pthread_cond_signal(&logins->changed);
    pthread_mutex_unlock(&logins->mutex);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    push(arg);
}

static void hold_back(struct login *login, uint64_t ns)
{
    struct timeval after = {.tv_sec = (time_t)(ns / (1000 * NS_PER_MS)),
                            .tv_usec = (suseconds_t)(ns / 1000 % 1000000)};

    evtimer_add(&login->timer, &after);
}

static struct login *login_new(struct session *session, const struct auth_request *request)
{
    struct login *login = xcalloc(1, sizeof *login + request->user.size + request->password.size);
    uint8_t *password = put_bytes(login->octets, request->user);

    put_bytes(password, request->password);
    login->mail.kind = MAIL_LOGIN;
    login->logins = session->server->logins;
    login->session = session;
    login->loop = session->loop;
    login->request = *request;
    login->request.user.data = login->octets;
    login->request.password.data = password;
    return login;
}

static void login_free(struct login *login)
{
    OPENSSL_cleanse(login->octets, login->request.user.size + login->request.password.size);
    free(login);
}

static void leave(struct logins *logins, struct login_place *place, bool is_recalled)
{
    pthread_mutex_lock(&logins->mutex);
    login_sources_leave(logins->sources, place, false, clock_ns());
    logins->counters.recalled += is_recalled;
    logins->counters.results[LOGIN_OK] += is_recalled;
    pthread_mutex_unlock(&logins->mutex);
}

/* What is known is looked up only where failures do not have to wait: else whoever guesses could do so as
 * fast as connections can be made. */
enum login_begun login_begin(struct session *session, const struct auth_request *request,
                             struct user_info *user)
{
    struct logins *logins = session->server->logins;
    struct login_place place;
    struct login *login;
    uint64_t delay;

    if (!enter(logins, &session->peer, &place, &delay))
        return LOGIN_BEGUN_TOO_MANY;
    if (!delay && auth_recall(logins->auth, request, user)) {
        leave(logins, &place, true);
        return LOGIN_BEGUN_KNOWN;
    }
    session->login = login = login_new(session, request);
    login->place = place;
    evtimer_assign(&login->timer, session->loop->base, on_timer, login);
    if (delay)
        hold_back(login, delay);
    else
        push(login);
    return LOGIN_BEGUN_OUT;
}

void login_give_up(struct session *session)
{
    struct login *login = session->login;

    if (!login || login->is_pushed)
        return;
    evtimer_del(&login->timer);
    leave(login->logins, &login->place, false);
    session->login = NULL;
    login_free(login);
}

void login_take_answer(struct mail *mail)
{
    struct login *login = MAIL_OWNER(mail, struct login, mail);
    struct session *session = login->session;

    session->login = NULL;
    if (!login->is_decided)
        session_login_cancelled(session);
    else
        session_login_decided(session, login->request.user, login->result, &login->user);
    login_free(login);
}
