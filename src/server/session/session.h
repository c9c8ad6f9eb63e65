/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: one client's socket, from accept to close. It cuts frames, decodes methods and assembles content
 * into batches, encodes what the vhost says, keeps heartbeats and timeouts, and knows nothing of queues.
 *
 * It begins at the door (server/loop.h) and goes to another loop when its user has logged in.
 *
 * States, changed by session_set_state() alone:
 *
 *     HEADER -> STARTED -> (SECURED ->) (CHECKING ->) TUNED -> TUNED_OK -> OPENING -> RUNNING
 *                                         the handshake, spoken here; CHECKING waits for a login thread
 *     any of these but RUNNING -> REFUSED  a connection.close was sent from here; close-ok is awaited
 *     any of these but RUNNING -> DROPPED  nothing is said; the socket is closed when the delay is over
 *     RUNNING -> CLOSING                   the vhost has sent connection.close
 *     REFUSED, RUNNING, CLOSING -> ENDING  all is said: once written, our half of the socket is shut, unless
 *                                          the client has closed: then it ends first
 *     any -> GONE                          the socket is closed; the vhost is being told
 *
 * Reading is on while no reason in `holds` is left. A session is freed when it is GONE, the vhost has
 * answered (or never knew it), neither a batch nor its login is under way, and all its chunks have gone back.
 */
#ifndef SERVER_SESSION_H
#define SERVER_SESSION_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "coney/auth.h"
#include "coney/buffer.h"
#include "coney/hash.h"
#include "coney/message.h"
#include "coney/method.h"
#include "coney/outbox.h"
#include "coney/reply.h"
#include "coney/sasl.h"
#include "peer.h"
#include "server/mail.h"
#include "stream.h"

struct batch;
struct job;
struct login;
struct loop;
struct runner;
struct server;

enum session_state {
    SESSION_HEADER,
    SESSION_STARTED,
    SESSION_SECURED,
    SESSION_CHECKING,
    SESSION_TUNED,
    SESSION_TUNED_OK,
    SESSION_OPENING,
    SESSION_RUNNING,
    SESSION_REFUSED,
    SESSION_DROPPED,
    SESSION_CLOSING,
    SESSION_ENDING,
    SESSION_GONE,
};

/* Reasons not to read. */
enum session_hold {
    SESSION_HOLD_CREDIT = OUTBOX_HOLD_CREDIT,
    SESSION_HOLD_REPLIES = OUTBOX_HOLD_REPLIES,
    SESSION_HOLD_BATCH = 4, /* one is under way */
    SESSION_HOLD_ALARM = 8, /* it has published while memory was low */
    SESSION_HOLD_STORE = OUTBOX_HOLD_STORE,
    SESSION_HOLD_LOGIN = 32, /* it is being decided */
    SESSION_HOLD_DOOR = 64,  /* logged in, and on its way from the door to its loop */
};

/* A message on its way in: the content of one channel. */
struct content {
    UT_hash_handle hh; /* session->contents: those that are not complete, by channel */
    uint16_t channel;
    uint8_t flags;     /* enum command_flag */
    bool in_body;      /* the header is here, message is made */
    bool is_announced; /* the vhost has been told of the publish */
    struct message *message;
    uint64_t received;                       /* octets of the body */
    uint64_t begun;                          /* octets in body frames, the one that is coming too */
    uint64_t room;                           /* octets allocated for it; 0: it is not stored */
    uint8_t address[2 * (SHORTSTR_MAX + 1)]; /* exchange and routing key as short strings, until then */
};

/* What the socket did not take: octets of our own, and bodies by reference, in order. */
struct unwritten {
    uint8_t *octets;      /* owned */
    struct iovec *pieces; /* owned */
    unsigned first, count;
};

struct session {
    struct session *prev, *next;             /* loop->sessions */
    struct session *write_prev, *write_next; /* loop->to_write */
    struct session *read_prev, *read_next;   /* loop->to_read */
    struct session *block_prev, *block_next; /* loop->blocked */
    struct session *lost_prev, *lost_next;   /* loop->lost */
    struct mail mail;                        /* on its way to its loop */
    struct server *server;
    struct loop *loop;
    struct runner *runner; /* of its vhost; NULL before connection.open */
    uint64_t connection;   /* the vhost's id for it */
    struct stream stream;
    uint8_t state;    /* enum session_state */
    uint8_t holds;    /* enum session_hold */
    bool is_reading;  /* read_event is added */
    bool is_writing;  /* write_event is added */
    bool is_to_write; /* on loop->to_write */
    bool is_to_read;  /* on loop->to_read */
    bool is_lost;     /* on loop->lost */
    bool is_attached; /* the vhost knows it */
    bool is_detached; /* ... no more */
    bool close_sent;  /* BATCH_CLOSE is on its way */
    bool is_deaf;     /* what comes in is thrown away: the stream cannot be understood any more */
    bool reads_large; /* the last message's body was apart */
    bool peer_ends;   /* the client has closed: it shuts its half of the socket first */
    bool is_shut;     /* our half of the socket is shut */
    struct peer peer;
    bool blocked_told;                                  /* connection.blocked was sent */
    bool wants_blocked, wants_cancel, wants_auth_close; /* client capabilities */
    bool is_impersonator;
    bool is_internal, is_trusted; /* the node's own, see node_connect() */
    bool is_counted;              /* in its user's connections */
    uint16_t heartbeat;           /* seconds; 0: off */
    uint16_t channel_max;
    uint32_t frame_max; /* payload octets and overhead; UINT32_MAX: no limit */
    uint32_t user_channel_max;
    int64_t user_connections_max; /* negative: none */
    uint8_t missed;               /* checks without an octet received */
    uint64_t sent_before;         /* `sent` at the last check, and the heartbeat that was said then */
    uint64_t login_deadline_ns;
    bool was_read; /* something was received since the last check */
    uint8_t ticks; /* half intervals passed */
    bool first_beat_sent;
    bool rest_waits; /* partial holds whole frames: parse it when nothing holds the session */
    struct event read_event, write_event, timer;
    struct bytes user;      /* owned; empty before login */
    struct sasl *sasl;      /* during login */
    char *certificate_name; /* owned; during login, when there is one */
    struct login *login;    /* out to be decided */

    /* to be looked at: coney/sessions.h */
    uint64_t serial;                        /* of no other session */
    uint32_t place;                         /* in loop->places */
    struct peer local;                      /* this end */
    bool has_mechanism;                     /* one was chosen, */
    uint8_t mechanism;                      /* enum sasl_mechanism */
    int64_t connected_at;                   /* ms since 1970 */
    uint64_t received, reads, sent, writes; /* octets, and calls that took or gave some */
    struct bytes client_properties;         /* owned */

    /* in */
    struct buffer partial;     /* the beginning of a frame */
    struct content *streaming; /* whose body frame is being received straight into the message, */
    uint32_t stream_left;      /* octets of it to come; its frame end then too */
    struct content *contents;  /* incomplete ones, by channel, */
    uint64_t contents_size;    /* and the octets of their bodies that have come or are coming */

    /* out */
    struct outbox_chunk *out, *out_last; /* not all encoded yet */
    struct outbox_record *record;        /* the next to encode, in out; NULL: its first */
    uint64_t body_offset;                /* of the record's body, when the record is half encoded */
    bool in_body;
    struct outbox_chunk *encoded; /* encoded, octets not all taken by the socket */
    struct buffer own;            /* frames of our own: handshake, heartbeats, blocked */
    struct unwritten *unwritten;  /* NULL: the socket has taken everything */
    struct bytes *tags;           /* consumer tags by number; owned */
    uint32_t tag_count;
};

/* A session for an accepted socket, not yet started. */
struct session *session_new(struct server *server, struct stream stream, const struct peer *peer);

/* LOOP is where it lives from now on: begin to read, or go on. */
void session_start(struct session *session, struct loop *loop);

/* From the loop where it lives: it will be another's. */
void session_leave_loop(struct session *session);

/* ---- from the loop ---- */

void session_take_chunks(struct session *session, struct outbox_chunk *chunks);
void session_job_done(struct session *session);
void session_write(struct session *session);
void session_unlist_write(struct session *session);
/* Take what is there, unless something holds it; off loop->to_read in any case. */
void session_read(struct session *session);
void session_unlist_read(struct session *session);
/* The memory alarm is over. */
void session_unblock(struct session *session);
/* The server stops: say so, and close. */
void session_stop(struct session *session);

/* ---- between the session's files ---- */

void session_set_state(struct session *session, enum session_state state);
/* Close the socket; tell the vhost; nothing more is said to the client. */
void session_gone(struct session *session);
/* Its stream has ended: no more is read and written, and it is gone when its loop comes to it. */
void session_lost(struct session *session);
/* It publishes while memory is low. */
void session_block(struct session *session);
/* Take the read event out until session_hold() finds no reason left. */
void session_pause(struct session *session);
void session_hold(struct session *session, enum session_hold reason, bool on);
void session_list_write(struct session *session);
/* The stream has more that the socket will not announce. */
void session_list_read(struct session *session);
void session_want_write(struct session *session, bool on);
/* All that was said is written. */
void session_all_written(struct session *session);
/* An OUTBOX_CONTROL record has its turn. */
void session_control(struct session *session, const struct outbox_record *record);
/* tune-ok is here: its heartbeat is in session->heartbeat. */
void session_start_heartbeats(struct session *session);
/* Let the timer run out in MS. */
void session_arm(struct session *session, uint32_t ms);
/* As long as a close may take: 30 s, or the heartbeat if shorter; 3 s before login. */
uint32_t session_close_wait_ms(const struct session *session);
void session_maybe_free(struct session *session);
void session_submit(struct session *session, struct job *job);

/* session_read.c: octets to commands */
void session_on_readable(evutil_socket_t fd, short what, void *arg);
void session_free_input(struct session *session);

/* session_handshake.c: what comes before RUNNING. The first returns the octets consumed, 0 for too few. */
size_t handshake_protocol_header(struct session *session, const uint8_t *data, size_t size);
void handshake_frame(struct session *session, uint8_t type, uint16_t channel, struct bytes payload);
/* SESSION's login, which was out, is decided: USER's, with what is stored in INFO if it is LOGIN_OK, taken
 * over. */
void session_login_decided(struct session *session, struct bytes user, enum login_result result,
                           struct user_info *info);
/* ... or nobody will decide it, since the server stops. */
void session_login_cancelled(struct session *session);
/* Send connection.close from here. METHOD 0: none. */
void handshake_refuse(struct session *session, enum method_id method, enum reply_code code,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Say nothing and close after RabbitMQ's three seconds (connection-and-channel.md 3). */
void handshake_drop(struct session *session, const char *why);

/* session_log.c: what the log says */
void session_log_granted(const struct session *session);
void session_log_gone(const struct session *session);
/* PAYLOAD is a method that is being sent: say so if it closes a channel or the connection. */
void session_log_close(const struct session *session, uint16_t channel, struct bytes payload);

/* session_write.c: records to octets */
void session_say(struct session *session, uint16_t channel, const struct method *method);
void session_free_output(struct session *session);

#endif
