/* SPDX-License-Identifier: Apache-2.0 */
/* session.h: coming, going, reasons not to read, and time. */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include "session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/frame.h"
#include "coney/log.h"
#include "coney/xalloc.h"
#include "login.h"
#include "server/loop.h"
#include "server/server.h"
#include "sessions.h"

#define CLOSE_WAIT_MS    30000 /* limits.tsv: close wait */
#define STRANGER_WAIT_MS 3000  /* ... of who has not logged in */
#define STOP_WAIT_MS     1000
#define DEAF_WAIT_MS     3000 /* connection-and-channel.md 5: after a framing error */

static void on_timer(evutil_socket_t fd, short what, void *arg);

/* ---- coming ---- */

struct session *session_new(struct server *server, struct stream stream, const struct peer *peer)
{
    struct session *session = xcalloc(1, sizeof *session);

    session->server = server;
    session->stream = stream;
    session->peer = *peer;
    session->local = peer_local(stream.fd);
    session->serial = atomic_fetch_add(&server->session_serial, 1) + 1;
    session->connected_at = server_wall_ms();
    session->mail.kind = MAIL_SESSION;
    session->frame_max = server_first_frame_max(server);
    return session;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct session *session = arg;

    bool reads_too = session->stream.wants_write;

    session->stream.wants_write = false;
    if (reads_too)
        session_on_readable(fd, what, session);
    else
        session_write(session);
}

/* What was read already, the socket will not announce. */
static void resume_reading(struct session *session)
{
    if (session->is_lost)
        return;
    if (!session->is_reading)
        event_add(&session->read_event, NULL);
    session->is_reading = true;
    if (session->stream.has_more || session->rest_waits)
        session_list_read(session);
}

/* Milliseconds that are left for the handshake. */
static uint32_t handshake_left_ms(struct session *session)
{
    uint64_t now = clock_ns();

    if (!session->login_deadline_ns)
        session->login_deadline_ns = now + (uint64_t)server_handshake_timeout_ms(session->server) * 1000000;
    return session->login_deadline_ns > now ? (uint32_t)((session->login_deadline_ns - now) / 1000000) : 0;
}

void session_start(struct session *session, struct loop *loop)
{
    session->loop = loop;
    DL_APPEND(loop->sessions, session);
    sessions_take_place(session);
    event_assign(&session->read_event, loop->base, session->stream.fd, EV_READ | EV_PERSIST,
                 session_on_readable, session);
    event_assign(&session->write_event, loop->base, session->stream.fd, EV_WRITE | EV_PERSIST, on_writable,
                 session);
    event_assign(&session->timer, loop->base, -1, 0, on_timer, session);
    session_arm(session, handshake_left_ms(session));
    session_hold(session, SESSION_HOLD_DOOR, false);
    session_list_write(session); /* it may not have said all */
    if (loop->stopping)
        session_stop(session);
}

static void unlist(struct session *session)
{
    event_del(&session->read_event);
    event_del(&session->write_event);
    event_del(&session->timer);
    session->is_reading = session->is_writing = false;
    session_unlist_write(session);
    session_unlist_read(session);
}

static void leave_loop(struct session *session)
{
    DL_DELETE(session->loop->sessions, session);
    sessions_leave_place(session);
    atomic_fetch_sub_explicit(&session->loop->session_count, 1, memory_order_relaxed);
}

void session_leave_loop(struct session *session)
{
    unlist(session);
    leave_loop(session);
}

/* ---- going ---- */

void session_set_state(struct session *session, enum session_state state)
{
    session->state = (uint8_t)state;
}

/* Look through what will not be written for what concerns the session's life, and give it back. */
static void drop_output(struct session *session)
{
    struct outbox_chunk *lists[] = {session->encoded, session->out};

    session->encoded = session->out = session->out_last = NULL;
    session->record = NULL;
    for (int i = 0; i < 2; i++) {
        struct outbox_chunk *chunk = lists[i];

        while (chunk) {
            struct outbox_chunk *next = chunk->next;

            for (struct outbox_record *record = outbox_first(chunk); record;
                 record = outbox_next(chunk, record))
                if (record->kind == OUTBOX_CONTROL && record->flags == OUTBOX_ATTACHED) {
                    session->is_attached = true;
                    session->connection = ((struct outbox_attached *)record)->connection;
                } else if (record->kind == OUTBOX_CONTROL && record->flags == OUTBOX_DETACHED) {
                    session->is_detached = true;
                }
            loop_return_chunk(session->loop, session->runner, chunk);
            chunk = next;
        }
    }
}

/* The session's last batch, once none is under way. */
static void tell_vhost(struct session *session)
{
    struct job *job;

    if (session->close_sent || session->holds & SESSION_HOLD_BATCH || !session->is_attached ||
        session->is_detached)
        return;
    session->close_sent = true;
    job = loop_job(session->loop, BATCH_CLOSE);
    session_submit(session, job);
}

static void session_free(struct session *session)
{
    leave_loop(session);
    server_session_ended(session->server, session);
    session_free_output(session);
    free((void *)(uintptr_t)session->user.data);
    free((void *)(uintptr_t)session->client_properties.data);
    free(session->sasl);
    free(session->certificate_name);
    free(session);
}

void session_maybe_free(struct session *session)
{
    if (session->state != SESSION_GONE)
        return;
    drop_output(session);
    tell_vhost(session);
    if (session->login || session->holds & SESSION_HOLD_BATCH ||
        (session->is_attached && !session->is_detached))
        return;
    session_free(session);
}

void session_gone(struct session *session)
{
    if (session->state == SESSION_GONE)
        return;
    unlist(session);
    if (session->is_lost)
        DL_DELETE2(session->loop->lost, session, lost_prev, lost_next);
    session->is_lost = false;
    if (session->holds & SESSION_HOLD_ALARM)
        DL_DELETE2(session->loop->blocked, session, block_prev, block_next);
    stream_close(&session->stream);
    session_log_gone(session);
    session_set_state(session, SESSION_GONE);
    login_give_up(session);
    session_free_input(session);
    session_maybe_free(session);
}

void session_lost(struct session *session)
{
    if (!session->loop->lost && loop_ends_one(session->loop)) {
        session_gone(session);
        return;
    }
    unlist(session);
    session->is_lost = true;
    DL_APPEND2(session->loop->lost, session, lost_prev, lost_next);
}

/* ---- batches ---- */

void session_submit(struct session *session, struct job *job)
{
    job->session = session;
    job->batch.owner = session;
    job->batch.connection = session->connection;
    session_hold(session, SESSION_HOLD_BATCH, true);
    runner_submit(session->runner, job, session->loop);
}

void session_job_done(struct session *session)
{
    session_hold(session, SESSION_HOLD_BATCH, false);
    session_maybe_free(session);
}

void session_take_chunks(struct session *session, struct outbox_chunk *chunks)
{
    uint8_t outer = SESSION_HOLD_CREDIT | SESSION_HOLD_REPLIES | SESSION_HOLD_STORE;
    struct outbox_chunk *last = chunks;
    struct outbox_record *first = outbox_first(chunks);

    /* The id is needed for the next batch, however long the rest takes to be written. */
    if (session->state == SESSION_OPENING && first && first->kind == OUTBOX_CONTROL &&
        first->flags == OUTBOX_ATTACHED) {
        session->is_attached = true;
        session->connection = ((struct outbox_attached *)first)->connection;
        session_set_state(session, SESSION_RUNNING);
        session_log_granted(session);
        if (!session->heartbeat)
            event_del(&session->timer);
    }
    session_hold(session, (enum session_hold)(outer & ~chunks->hold), false);
    session_hold(session, (enum session_hold)(outer & chunks->hold), true);
    while (last->next)
        last = last->next;
    if (session->out)
        session->out_last->next = chunks;
    else
        session->out = chunks;
    session->out_last = last;
    if (session->state == SESSION_GONE) {
        session_maybe_free(session);
        return;
    }
    session_list_write(session);
}

/* ---- reading and writing on and off ---- */

void session_pause(struct session *session)
{
    if (!session->is_reading)
        return;
    event_del(&session->read_event);
    session->is_reading = false;
}

/* Pausing is left to the read event, should it fire: most batches are done before it does. */
void session_hold(struct session *session, enum session_hold reason, bool on)
{
    if (on)
        session->holds |= (uint8_t)reason;
    else
        session->holds &= (uint8_t)~reason;
    if (!session->holds && session->state != SESSION_GONE)
        resume_reading(session);
}

void session_want_write(struct session *session, bool on)
{
    if (session->is_writing == on)
        return;
    if (on)
        event_add(&session->write_event, NULL);
    else
        event_del(&session->write_event);
    session->is_writing = on;
}

void session_list_write(struct session *session)
{
    if (session->is_to_write || session->is_writing || session->is_lost || session->state == SESSION_GONE)
        return;
    session->is_to_write = true;
    session->loop->to_write_count++;
    DL_APPEND2(session->loop->to_write, session, write_prev, write_next);
}

void session_unlist_write(struct session *session)
{
    if (!session->is_to_write)
        return;
    session->is_to_write = false;
    session->loop->to_write_count--;
    DL_DELETE2(session->loop->to_write, session, write_prev, write_next);
}

void session_list_read(struct session *session)
{
    if (session->is_to_read || session->is_lost)
        return;
    session->is_to_read = true;
    session->loop->to_read_count++;
    DL_APPEND2(session->loop->to_read, session, read_prev, read_next);
}

void session_unlist_read(struct session *session)
{
    if (!session->is_to_read)
        return;
    session->is_to_read = false;
    session->loop->to_read_count--;
    DL_DELETE2(session->loop->to_read, session, read_prev, read_next);
}

/* ---- the memory alarm (connection-and-channel.md 8) ---- */

void session_block(struct session *session)
{
    static const char *const reasons[] = {"", "low on memory", "low on disk",
                                          "low on memory & disk"}; /* by enum server_alarm_bit */
    const char *reason = reasons[server_alarms(session->server) % 4];
    struct method blocked = {.id = METHOD_CONNECTION_BLOCKED,
                             .connection_blocked = {.reason = bytes_from_string(reason)}};

    if (session->holds & SESSION_HOLD_ALARM || session->is_internal)
        return;
    session_hold(session, SESSION_HOLD_ALARM, true);
    DL_APPEND2(session->loop->blocked, session, block_prev, block_next);
    if (session->wants_blocked) {
        session->blocked_told = true;
        session_say(session, 0, &blocked);
    }
}

void session_unblock(struct session *session)
{
    DL_DELETE2(session->loop->blocked, session, block_prev, block_next);
    session_hold(session, SESSION_HOLD_ALARM, false);
    if (session->blocked_told)
        session_say(session, 0, &(struct method){.id = METHOD_CONNECTION_UNBLOCKED});
    session->blocked_told = false;
}

/* ---- what the vhost says of the session's life ---- */

void session_control(struct session *session, const struct outbox_record *record)
{
    switch (record->flags) {
    case OUTBOX_CLOSE_SENT:
        session_set_state(session, SESSION_CLOSING);
        if (atomic_load(&session->server->is_stopping)) /* nobody waits for close-ok then (7.4) */
            session_set_state(session, SESSION_ENDING);
        session_arm(session, session->is_deaf ? DEAF_WAIT_MS : session_close_wait_ms(session));
        break;
    case OUTBOX_END:
    case OUTBOX_END_NOW:
        session_set_state(session, SESSION_ENDING);
        session->is_deaf = true;
        session->peer_ends = record->flags == OUTBOX_END;
        session_arm(session, session_close_wait_ms(session)); /* it may never read what is left */
        break;
    case OUTBOX_DETACHED:
        session->is_detached = true;
        break;
    default: /* OUTBOX_ATTACHED was taken when it came */
        break;
    }
}

/* Everything said is written. At the end our half of the socket is shut; the peer's input is thrown away
 * until it closes, so that no reset takes back what it has not read yet. After close-ok it is the peer's to
 * end first (connection-and-channel.md 7.1): an end that it sees before it has dealt with close-ok is a lost
 * connection to some clients. */
void session_all_written(struct session *session)
{
    bool stopping = atomic_load(&session->server->is_stopping);

    if (session->state != SESSION_ENDING || session->is_shut || (session->peer_ends && !stopping))
        return;
    session->is_shut = true;
    stream_shut(&session->stream);
    session_arm(session, stopping ? STOP_WAIT_MS : session_close_wait_ms(session));
}

/* Who does not read what it is told is not waited for. */
void session_stop(struct session *session)
{
    if (session->state < SESSION_RUNNING)
        session_gone(session);
    else
        session_arm(session, STOP_WAIT_MS);
}

/* ---- time ---- */

uint32_t session_close_wait_ms(const struct session *session)
{
    uint32_t heartbeat = session->heartbeat * 1000U;

    if (!session->user.size)
        return STRANGER_WAIT_MS;
    return heartbeat && heartbeat < CLOSE_WAIT_MS ? heartbeat : CLOSE_WAIT_MS;
}

void session_arm(struct session *session, uint32_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    if (session->state != SESSION_GONE)
        event_add(&session->timer, &after);
}

void session_start_heartbeats(struct session *session)
{
    if (session->heartbeat)
        session_arm(session, session->heartbeat * 500U);
}

static void say_heartbeat(struct session *session)
{
    static const uint8_t heartbeat[] = {FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END};

    buffer_append(&session->own, heartbeat, sizeof heartbeat);
    session->sent_before += sizeof heartbeat; /* a heartbeat is no sign of life for the next one */
    session_list_write(session);
}

/* Every half interval: send if nothing was sent since; every whole one: two in a row without an octet from
 * the peer end it (connection-and-channel.md 4). While we do not read, nothing can be missed. */
static void heartbeat_tick(struct session *session)
{
    bool silent = session->sent == session->sent_before;

    session->sent_before = session->sent;
    /* What a peer that does not read was not given yet will be a sign of life when it does. */
    if ((silent && !session->is_writing) || !session->first_beat_sent)
        say_heartbeat(session);
    session->first_beat_sent = true;
    session->ticks++;
    if (session->ticks % 2 == 0) {
        session->missed = session->was_read || session->holds ? 0 : session->missed + 1;
        session->was_read = false;
        if (session->missed >= 2) {
            log_warning("closing connection: missed heartbeats from client, timeout: %us",
                        session->heartbeat);
            session_gone(session);
            return;
        }
    }
    session_arm(session, session->heartbeat * 500U);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct session *session = arg;
    bool tuned = session->state >= SESSION_TUNED_OK && session->state <= SESSION_RUNNING;

    (void)fd;
    (void)what;
    if (tuned && session->heartbeat && !atomic_load(&session->server->is_stopping) &&
        (session->state == SESSION_RUNNING || clock_ns() < session->login_deadline_ns))
        heartbeat_tick(session);
    else if (session->state != SESSION_RUNNING || atomic_load(&session->server->is_stopping))
        session_gone(session);
}
