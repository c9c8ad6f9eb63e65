/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins off the loops: a thread or two decide what takes long, so that nobody else waits for it.
 *
 *     loop                                              login thread
 *     login_begin(): known already? then that was it
 *     slowed? wait for the timer
 *     pushed ─────────────────────────────────────────► taken in turn (login_sources.h),
 *                                                       decided by auth_decide()
 *     login_take_answer() ◄──────────────────────────── mail to the loop
 *
 * Until its answer is there a session's login is *out*, and the session is not freed, whatever becomes of its
 * socket: an attempt that was begun is decided and counted even when nobody waits for the answer.
 */
#ifndef SERVER_LOGIN_H
#define SERVER_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/auth.h"

struct login;
struct logins;
struct mail;
struct session;

/* What became of logins so far, for statistics. */
struct login_counters {
    uint64_t results[LOGIN_RESULTS];
    uint64_t elsewhere[LOGIN_RESULTS]; /* of those: by node_log_in(), not by sessions */
    uint64_t recalled;                 /* of those that are LOGIN_OK: known already */
    uint64_t slowed;                   /* had to wait for earlier failures */
    uint64_t too_many;                 /* refused unseen: too many were waiting */
    uint32_t waiting;                  /* now */
};

/* For logins that AUTH decides and that may take HANDSHAKE_TIMEOUT_MS. */
struct logins *logins_new(struct auth *auth, uint64_t handshake_timeout_ms);
void logins_free(struct logins *logins);

/* Start COUNT threads; false with errno. */
bool logins_start(struct logins *logins, unsigned count);

/* Any thread: what waits is answered undecided from now on. */
void logins_cancel(struct logins *logins);

/* End the threads, when no session is left. */
void logins_stop(struct logins *logins);

/* Where there are no threads (tests): decide all that waits. */
void logins_work(struct logins *logins);

struct login_counters logins_counters(struct logins *logins);

enum login_begun {
    LOGIN_BEGUN_KNOWN,    /* it is all right: *USER is the user, the caller's to free */
    LOGIN_BEGUN_OUT,      /* session->login is out: session_login_decided() will be called */
    LOGIN_BEGUN_TOO_MANY, /* too many are waiting, at all or from there */
};

/* SESSION's loop: the login of REQUEST, which is copied. */
enum login_begun login_begin(struct session *session, const struct auth_request *request,
                             struct user_info *user);

/* The socket is gone: give SESSION's login up if that is still possible. */
void login_give_up(struct session *session);

/* MAIL_LOGIN has come: tell its session. */
void login_take_answer(struct mail *mail);

#endif
