/* SPDX-License-Identifier: Apache-2.0 */
/* What one loop sends another: a link to be embedded, and what it is. Delivery is in order of posting. */
#ifndef SERVER_MAIL_H
#define SERVER_MAIL_H

enum mail_kind {
    MAIL_JOB_DONE, /* struct job: the batch was run */
    MAIL_ROLE,     /* struct runner: the receiver runs the vhost now */
    MAIL_ALARM,    /* struct runner: its deadline is nearer than was known */
    MAIL_SESSION,  /* struct session: the receiver's from now on */
    MAIL_ANSWER,   /* struct runner: the store has answers for its vhost */
    MAIL_LOGIN,    /* struct login: it is decided */
    MAIL_PARKED,   /* struct runner: its vhost has stopped (runner_park()) */
    MAIL_EVENT,    /* struct event_letter: for the vhost that carries events, by the first loop */
    MAIL_VISIT,    /* struct visit: to the loop or a vhost */
    MAIL_SHUT,     /* struct server: the door closes the listeners; the first loop then drains */
    MAIL_STOP,     /* struct loop: close all sessions, then end */
};

struct mail {
    struct mail *next;
    enum mail_kind kind;
};

#define MAIL_OWNER(mail_, type, member) ((type *)(void *)((char *)(mail_)-offsetof(type, member)))

#endif
