/* SPDX-License-Identifier: Apache-2.0 */
/* server.h: putting it together, the directory of vhosts, the memory alarm, stopping. */
#include "server.h"

#include <event2/event.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/auth.h"
#include "coney/defaults.h"
#include "coney/definitions.h"
#include "coney/frame.h"
#include "coney/journal.h"
#include "coney/log.h"
#include "coney/nicer.h"
#include "coney/parameters.h"
#include "coney/pool.h"
#include "coney/store.h"
#include "coney/survey.h"
#include "coney/xalloc.h"
#include "drain.h"
#include "event_mail.h"
#include "reload.h"
#include "server/listen/listener.h"
#include "server/session/greeting.h"
#include "server/session/login.h"
#include "server/session/login_sources.h"
#include "server/session/session.h"
#include "server/tls/tls.h"
#include "service.h"
#include "storage.h"
#include "tally.h"
#include "vhosts.h"

#define THREADS_MAX_AUTO 4

/* ---- what sessions are told ---- */

uint32_t server_first_frame_max(const struct server *server)
{
    return server->config->initial_frame_max;
}

uint32_t server_handshake_timeout_ms(const struct server *server)
{
    return (uint32_t)server->config->handshake_timeout_ms;
}

uint64_t server_message_size_max(const struct server *server)
{
    return server->config->max_message_size;
}

/* Room for the largest message, and for another on a second channel. */
uint64_t server_unfinished_max(const struct server *server)
{
    return 2 * server_message_size_max(server);
}

struct bytes server_properties(const struct server *server)
{
    return greeting_properties(server);
}

struct bytes server_mechanisms(const struct server *server, bool is_tls)
{
    return buffer_bytes(&server->mechanisms[is_tls]);
}

struct method_connection_tune server_tune(const struct server *server)
{
    return (struct method_connection_tune){.channel_max = (uint16_t)server->config->channel_max,
                                           .frame_max = server->config->frame_max,
                                           .heartbeat = (uint16_t)server->config->heartbeat};
}

const struct sasl_settings *server_sasl(const struct server *server)
{
    return &server->sasl;
}

static void make_mechanisms(struct server *server)
{
    const struct config_words *words = &server->config->auth_mechanisms;

    for (size_t i = 0; i < words->count; i++) {
        enum sasl_mechanism mechanism;

        if (sasl_mechanism_from_name(bytes_from_string(words->words[i]), &mechanism))
            server->sasl.enabled |= SASL_MASK(mechanism);
    }
    server->sasl.anonymous_user = bytes_from_string(server->config->anonymous_login_user);
    server->sasl.anonymous_password = bytes_from_string(server->config->anonymous_login_pass);
    for (int is_tls = 0; is_tls < 2; is_tls++)
        sasl_append_names(&server->mechanisms[is_tls], &server->sasl, is_tls);
}

/* ---- vhosts ---- */

static void random_octets(void *context, void *out, size_t size)
{
    (void)context;
    if (RAND_bytes(out, (int)size) != 1)
        abort();
}

struct runner *server_find_vhost(struct server *server, struct bytes name)
{
    return vhosts_find(server, name, false);
}

/* What is kept of a vhost may be there though it was being deleted when the node ended (vhosts_opened()).
 */
static struct vhost *find_vhost(void *context, struct bytes name)
{
    struct server *server = context;
    struct runner *runner = vhosts_find(server, name, server->opening != NULL);

    return runner ? runner->vhost : NULL;
}

/* vhost_ops: channels of all vhosts together. Other vhosts count at the same time. */
static bool channel_opens(void *context)
{
    struct server *server = ((struct runner *)context)->server;

    if (atomic_fetch_add(&server->channel_count, 1) < server->config->channel_max_per_node)
        return true;
    atomic_fetch_sub(&server->channel_count, 1);
    return false;
}

static void channel_ends(void *context)
{
    atomic_fetch_sub(&((struct runner *)context)->server->channel_count, 1);
}

struct runner *server_make_vhost(struct server *server, struct bytes name, struct journal *journal)
{
    struct runner *runner = runner_new(server);
    struct vhost_settings settings = reload_vhost_settings(server->config);
    struct vhost_ops ops = {.output = runner_output, .random = random_octets, .context = runner};

    settings.node = server->node_name;
    if (server->config->channel_max_per_node) {
        ops.channel_opens = channel_opens;
        ops.channel_ends = channel_ends;
    }
    runner->journal = journal;
    runner->vhost = vhost_new(name, &settings, &ops, journal);
    events_join(server, runner);
    if (server->is_importing)
        runner_hold(runner);
    pthread_mutex_lock(&server->lock);
    LL_APPEND(server->runners, runner);
    pthread_mutex_unlock(&server->lock);
    return runner;
}

static bool has_room_for_vhost(struct server *server)
{
    uint64_t most = server->config->vhost_max;
    struct runner *runner;
    unsigned count = 0;

    pthread_mutex_lock(&server->lock);
    LL_FOREACH (server->runners, runner) {
        count += !atomic_load(&runner->is_gone);
    }
    pthread_mutex_unlock(&server->lock);
    if (!most || count < most)
        return true;
    log_error("vhost limit (%llu) is reached", (unsigned long long)most);
    return false;
}

static struct vhost *make_vhost(void *context, struct bytes name)
{
    struct server *server = context;
    struct journal *journal;
    struct runner *runner;

    if (!has_room_for_vhost(server))
        return NULL;
    runner = vhosts_revive(server, name);
    if (runner)
        return runner->vhost;
    journal = storage_journal(server, name);
    runner = server_make_vhost(server, name, journal);
    storage_share(runner, journal);
    return runner->vhost;
}

/* JSON is the entry of the cluster's name; empty: there is none any more. */
static void name_cluster(struct server *server, struct bytes json)
{
    json_t *entry = json_loadb((const char *)json.data, json.size, 0, NULL);

    greeting_set(server, json_string_value(json_object_get(entry, "value")));
    json_decref(entry);
}

static void keep(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                 struct bytes json)
{
    if (bytes_equal_string(section, "vhosts"))
        vhosts_note_entry(context, name, json);
    else if (bytes_equal_string(section, "global_parameters") && bytes_equal_string(name, "cluster_name"))
        name_cluster(context, json);
    storage_keep(context, section, vhost, name, json);
}

static void warn(void *context, const char *text)
{
    (void)context;
    log_warning("%s", text);
}

struct definitions_target server_definitions_target(struct server *server)
{
    return (struct definitions_target){.users = server->users,
                                       .parameters = server->parameters,
                                       .find_vhost = find_vhost,
                                       .make_vhost = make_vhost,
                                       .warn = warn,
                                       .keep = keep,
                                       .context = server};
}

/* What the data directory has, then definitions, then what a new node has when they brought none. */
static enum server_failure fill(struct server *server, char why[SERVER_WHY_SIZE])
{
    struct definitions_target target = server_definitions_target(server);
    struct definitions_result result = {0};
    char reason[DEFINITIONS_WHY_SIZE];
    const char *cluster_name = server->config->cluster_name;
    bool is_new;
    enum server_failure failure = storage_open(server, &target, &is_new, why);

    if (failure != SERVER_STARTED)
        return failure;
    vhosts_opened(server);
    if (*server->config->load_definitions &&
        !definitions_load(&target, server->config->load_definitions, &result, reason)) {
        snprintf(why, SERVER_WHY_SIZE, "%s", reason);
        return SERVER_BAD_DEFINITIONS;
    }
    if (is_new && !defaults_make(&target, server->config, &result, reason)) {
        snprintf(why, SERVER_WHY_SIZE, "%s", reason);
        return SERVER_BAD_DEFINITIONS;
    }
    if (is_new && server->store)
        defaults_explain(server->config, &result);
    if (!*cluster_name)
        cluster_name = result.cluster_name ? result.cluster_name : server->kept_cluster_name;
    greeting_set(server, cluster_name);
    free(result.cluster_name);
    return SERVER_STARTED;
}

/* ---- connections ---- */

static struct bytes address_key(const struct login_address *address)
{
    return (struct bytes){address->octets, sizeof address->octets};
}

static uint64_t connections_from(struct server *server, const struct login_address *address)
{
    uint64_t count;

    pthread_mutex_lock(&server->lock);
    count = tally_of(server->by_address, address_key(address));
    pthread_mutex_unlock(&server->lock);
    return count;
}

bool server_has_room(struct server *server, const struct session *session, char why[REPLY_TEXT_SIZE])
{
    const struct config *config = server->config;
    struct login_address address = login_address_of(&session->peer);

    if (config->connection_max && atomic_load(&server->connection_count) > config->connection_max) {
        snprintf(why, REPLY_TEXT_SIZE, "connection refused: node connection limit (%llu) is reached",
                 (unsigned long long)config->connection_max);
        return false;
    }
    if (config->connection_max_per_address &&
        connections_from(server, &address) > config->connection_max_per_address) {
        snprintf(why, REPLY_TEXT_SIZE, "connection refused: address connection limit (%llu) is reached",
                 (unsigned long long)config->connection_max_per_address);
        return false;
    }
    return true;
}

/* Who is refused at connection.open is told why. Connections far beyond a limit are not even begun. */
static bool is_far_beyond(uint64_t count, uint64_t most)
{
    return most && count > 2 * most + 16;
}

static bool is_worth_beginning(struct server *server, const struct peer *peer)
{
    const struct config *config = server->config;
    struct login_address address = login_address_of(peer);
    char text[PEER_TEXT_SIZE];

    if (!is_far_beyond(atomic_load(&server->connection_count), config->connection_max) &&
        (!config->connection_max_per_address ||
         !is_far_beyond(connections_from(server, &address), config->connection_max_per_address)))
        return true;
    log_warning("connection from %s closed at once: far more than connection limits allow",
                peer_text(peer, text));
    return false;
}

static void count_address(struct server *server, const struct session *session)
{
    struct login_address address = login_address_of(&session->peer);

    if (!server->config->connection_max_per_address)
        return;
    pthread_mutex_lock(&server->lock);
    tally_add(&server->by_address, address_key(&address), UINT64_MAX);
    pthread_mutex_unlock(&server->lock);
}

/* The user's own limit, or else that of all users. */
static uint64_t connections_max(const struct server *server, const struct session *session)
{
    if (session->user_connections_max >= 0)
        return (uint64_t)session->user_connections_max;
    return server->config->connection_max_per_user ? server->config->connection_max_per_user : UINT64_MAX;
}

bool server_session_opens(struct server *server, struct session *session, char why[REPLY_TEXT_SIZE])
{
    uint64_t most = connections_max(server, session);

    pthread_mutex_lock(&server->lock);
    session->is_counted = tally_add(&server->by_user, session->user, most);
    pthread_mutex_unlock(&server->lock);
    if (!session->is_counted)
        snprintf(why, REPLY_TEXT_SIZE,
                 "connection refused for user '%.*s': user connection limit (%llu) is reached",
                 BYTES_ARG(session->user), (unsigned long long)most);
    return session->is_counted;
}

void server_session_ended(struct server *server, struct session *session)
{
    struct login_address address = login_address_of(&session->peer);
    bool has_address = server->config->connection_max_per_address != 0;

    if (session->is_internal)
        return;
    atomic_fetch_sub(&server->connection_count, 1);
    if (!session->is_counted && !has_address)
        return;
    pthread_mutex_lock(&server->lock);
    if (session->is_counted)
        tally_remove(&server->by_user, session->user);
    if (has_address)
        tally_remove(&server->by_address, address_key(&address));
    pthread_mutex_unlock(&server->lock);
}

/* Of those that run vhosts: the first loop until it is busy, then the one with the least to do; of equals the
 * one with the fewest sessions. */
#define BUSY_PERCENT 50

static struct loop *choose_loop(struct server *server)
{
    struct loop *best = &server->loops[0];
    unsigned least = atomic_load_explicit(&best->busy_percent, memory_order_relaxed);

    if (least < server->spread_percent)
        return best;
    for (unsigned i = 1; i < server->loop_count; i++) {
        struct loop *loop = &server->loops[i];
        unsigned busy = atomic_load_explicit(&loop->busy_percent, memory_order_relaxed);

        if (busy < least ||
            (busy == least && atomic_load_explicit(&loop->session_count, memory_order_relaxed) <
                                  atomic_load_explicit(&best->session_count, memory_order_relaxed))) {
            least = busy;
            best = loop;
        }
    }
    return best;
}

static void post_to(struct loop *loop, struct mail *letter)
{
    loop_post(loop, letter);
    loop_wake(loop);
}

static void post_session(struct session *session, struct loop *loop)
{
    atomic_fetch_add_explicit(&loop->session_count, 1, memory_order_relaxed);
    post_to(loop, &session->mail);
}

/* A session of PEER's; NULL, and the STREAM closed, when it is refused. */
static struct session *make_session(struct server *server, struct stream stream, const struct peer *peer)
{
    struct session *session;

    if (atomic_load(&server->app_is_stopped) || !is_worth_beginning(server, peer)) {
        stream_close(&stream);
        return NULL;
    }
    atomic_fetch_add(&server->connection_count, 1);
    session = session_new(server, stream, peer);
    count_address(server, session);
    return session;
}

void server_accepted(struct server *server, struct stream stream, const struct peer *peer)
{
    struct session *session = make_session(server, stream, peer);

    if (!session)
        return;
    atomic_fetch_add_explicit(&server_door(server)->session_count, 1, memory_order_relaxed);
    session_start(session, server_door(server));
}

/* So a loop has no more of them at a turn, however late it comes to it. */
#define ARRIVING_MAX 16

bool server_is_crowded(struct server *server)
{
    return atomic_load(&server->arriving) >= ARRIVING_MAX;
}

void server_arrives(struct loop *loop, struct session *session)
{
    struct server *server = loop->server;

    session_start(session, loop);
    if (loop != server_door(server) && atomic_fetch_sub(&server->arriving, 1) == ARRIVING_MAX / 2)
        loop_wake(server_door(server));
}

void server_lets_in(struct server *server, struct session *session)
{
    session_leave_loop(session);
    atomic_fetch_add(&server->arriving, 1);
    post_session(session, choose_loop(server));
}

void server_connects(struct server *server, int fd, const struct user_info *user, bool is_trusted)
{
    const struct peer peer = {.family = PEER_UNIX};
    struct loop *loop = choose_loop(server);
    struct session *session = session_new(server, (struct stream){.fd = fd}, &peer);

    session->is_internal = true;
    session->is_trusted = is_trusted;
    session->is_impersonator = user_info_has_tag(user, "impersonator");
    session->user = (struct bytes){xmemdup(user->name.data, user->name.size), user->name.size};
    session->user_channel_max = UINT32_MAX;
    session->user_connections_max = USER_LIMIT_NONE;
    atomic_fetch_add(&server->arriving, 1);
    post_session(session, loop);
}

void server_secured(struct server *server, struct stream stream, const struct peer *peer)
{
    struct session *session = make_session(server, stream, peer);

    if (session)
        post_session(session, server_door(server));
}

/* ---- time for vhosts ---- */

static void arm_alarm(struct server *server)
{
    int64_t next = VHOST_NEVER, now = server_now_ms(server), wait;
    struct runner *runner;
    struct timeval after;

    pthread_mutex_lock(&server->lock);
    LL_FOREACH (server->runners, runner) {
        int64_t deadline = atomic_load(&runner->deadline);

        if (deadline < next)
            next = deadline;
    }
    pthread_mutex_unlock(&server->lock);
    if (next == VHOST_NEVER)
        return;
    wait = next <= now ? 0 : next - now;
    after = (struct timeval){.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
    event_add(server->alarm_timer, &after);
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    struct loop *loop = &server->loops[0];
    int64_t now = server_now_ms(server);
    struct runner *runner;

    (void)fd;
    (void)what;
    LL_FOREACH (server->runners, runner) {
        if (atomic_load(&runner->deadline) > now)
            continue;
        atomic_store(&runner->deadline, VHOST_NEVER); /* the run says when it wants the next */
        runner_submit(runner, loop_job(loop, BATCH_TIMER), loop);
    }
    arm_alarm(server);
}

void server_alarm(struct server *server, struct runner *runner)
{
    atomic_store(&runner->alarm_mailed, false);
    arm_alarm(server);
}

/* ---- timers of memory and disk (alarms.c) ---- */

/* Memory is low, and perhaps nobody moves who could find that it is not any more: what was freed elsewhere
 * goes home to the pool of a loop only when that loop turns. */
static void on_memory_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    server_wake_everyone(arg);
}

#define DISK_EVERY_S 1

static void on_disk_timer(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd;
    (void)what;
    store_care(server->store);
}

/* ---- starting and stopping ---- */

static void close_all(struct vhost *vhost, void *argument)
{
    (void)argument;
    survey_close(vhost);
    vhost_close_connections(vhost, (struct bytes){NULL, 0},
                            "broker forced connection closure with reason 'shutdown'");
}

void server_shut(struct server *server)
{
    server->shut.kind = MAIL_SHUT;
    post_to(server_door(server), &server->shut);
}

/* The door goes first: whom it has let in is then in the others' mailboxes, before the letter to stop. */
void server_stop(struct server *server)
{
    if (atomic_exchange(&server->is_stopping, true))
        return;
    service_stopping(server->service);
    logins_cancel(server->logins);
    post_to(server_door(server), &server_door(server)->stop);
}

static void close_vhosts(struct loop *first)
{
    struct runner *runner;

    LL_FOREACH (first->server->runners, runner) {
        struct job *job = loop_job(first, BATCH_CALL);

        job->batch.call = close_all;
        job->batch.argument = NULL;
        runner_submit(runner, job, first);
    }
}

void server_shuts(struct loop *loop)
{
    struct server *server = loop->server;

    if (loop == server_door(server)) {
        listeners_close(server);
        post_to(&server->loops[0], &server->shut);
    } else {
        drain_shut(server->drain);
    }
}

void server_stops(struct loop *loop)
{
    struct server *server = loop->server;

    if (loop == server_door(server))
        listeners_close(server);
    else if (loop->index == 0)
        close_vhosts(loop);
    loop_stop(loop);
    for (unsigned i = 0; loop == server_door(server) && i < server->loop_count; i++)
        post_to(&server->loops[i], &server->loops[i].stop);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)what;
    if (!atomic_load(&server->is_stopping))
        log_info("stopping on signal %d", (int)fd);
    server_stop(server);
}

static unsigned loops_wanted(const struct config *config)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->threads)
        return config->threads < LOOPS_MAX ? config->threads : LOOPS_MAX;
    if (processors < 1)
        return 1;
    return processors > THREADS_MAX_AUTO ? THREADS_MAX_AUTO : (unsigned)processors;
}

static bool make_loops(struct server *server)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct event_base *base;

    server->loop_count = loops_wanted(server->config);
    server->loops = xcalloc(server->loop_count + 1, sizeof *server->loops);
    for (unsigned i = 0; i <= server->loop_count; i++)
        if (!loop_init(&server->loops[i], server, i))
            return false;
    base = server->loops[0].base;
    server->alarm_timer = event_new(base, -1, 0, on_alarm, server);
    server->memory_timer = event_new(base, -1, 0, on_memory_timer, server);
    server->disk_timer = event_new(base, -1, EV_PERSIST, on_disk_timer, server);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        server->signals[i] = event_new(base, signals[i], EV_SIGNAL | EV_PERSIST, on_signal, server);
        event_add(server->signals[i], NULL);
    }
    return reload_init(server);
}

static bool make_tls(struct server *server, char why[SERVER_WHY_SIZE])
{
    const struct config *config = server->config;

    for (size_t i = 0; i < config->listener_count && !server->tls; i++) {
        if (!config->listeners[i].is_tls)
            continue;
        server->tls = tls_new(server, &config->tls, why);
        if (!server->tls)
            return false;
    }
    return true;
}

/* Who comes from loopback addresses only is the configuration's, not the data directory's. */
static struct users *make_users(const struct config *config)
{
    const struct config_words *words = &config->loopback_users;
    const char **names = xcalloc(words->count + 1, sizeof *names);
    struct users *users;
    size_t count = words->count;

    for (size_t i = 0; i < count; i++)
        names[i] = words->words[i];
    if (defaults_user_is_local(config))
        names[count++] = config->default_user;
    users = users_new(names, count);
    free((void *)names);
    return users;
}

/* Kept, and shown; whoever runs shovels takes the name over, and then checks what is put
 * (parameters_add_component()). */
static const struct parameter_component shovel = {.name = "shovel"};

/* Libraries whose callers would have to look at each of their results. What is allocated already is the C
 * library's own all the same. */
static void use_xalloc(void)
{
    event_set_mem_functions(xmalloc, xrealloc, free);
    json_set_alloc_funcs(xmalloc, free);
}

struct server *server_new(const struct config *config, enum server_failure *failure,
                          char why[SERVER_WHY_SIZE])
{
    struct server *server = xcalloc(1, sizeof *server);
    struct timespec now;

    server->config = config;
    events_init(server);
    server->started_ns = clock_ns();
    server->spread_percent = BUSY_PERCENT;
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->change_lock, NULL);
    pthread_mutex_init(&server->vhosts_lock, NULL);
    signal(SIGPIPE, SIG_IGN);
    use_xalloc();
    clock_gettime(CLOCK_REALTIME, &now);
    server->clock_offset_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)(clock_ns() / 1000000);
    server_set_watermark(server);
    make_mechanisms(server);
    server->users = make_users(config);
    server->parameters = parameters_new();
    parameters_add_component(server->parameters, &shovel);
    server->auth = auth_new(server->users);
    server->logins = logins_new(server->auth, config->handshake_timeout_ms);
    *failure = SERVER_NO_RESOURCES;
    snprintf(why, SERVER_WHY_SIZE, "the system refuses what an event loop needs");
    if (!make_loops(server))
        return NULL;
    server->service = service_new(server);
    server->drain = drain_new(server);
    if (*config->data_dir)
        service_status(server->service, "opening %s", config->data_dir);
    *failure = fill(server, why);
    if (*failure != SERVER_STARTED)
        return NULL;
    *failure = SERVER_NO_RESOURCES;
    if (!storage_start(server, why))
        return NULL;
    *failure = SERVER_BAD_CERTIFICATES;
    if (!make_tls(server, why))
        return NULL;
    *failure = SERVER_CANNOT_LISTEN;
    if (!listeners_open(server, why, SERVER_WHY_SIZE))
        return NULL;
    *failure = SERVER_STARTED;
    return server;
}

/* Who is in goes before who comes, who still gets a tenth of a processor where all of them are taken. */
#define DOOR_NICE 10

static void *run_loop(void *arg)
{
    struct loop *loop = arg;
    bool is_door = loop == server_door(loop->server);

    pthread_setname_np(pthread_self(), is_door ? "coney-door" : "coney-loop");
    if (is_door)
        be_nicer(DOOR_NICE);
    loop_run(loop);
    return NULL;
}

void server_run(struct server *server, const struct server_company *company)
{
    sigset_t all, before;

    if (server->store)
        event_add(server->disk_timer, &(struct timeval){.tv_sec = DISK_EVERY_S});
    if (!logins_start(server->logins, server->loop_count > 2 ? 2 : 1))
        abort();
    listeners_start(server);
    /* Signals are the first loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (server->tls && !tls_start(server->tls))
        abort();
    for (unsigned i = 1; i <= server->loop_count; i++)
        if (pthread_create(&server->loops[i].thread, NULL, run_loop, &server->loops[i]) != 0)
            abort();
    if (company)
        company->begin(company->context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    printf("ready\n");
    fflush(stdout);
    log_info("ready: %u loops, memory watermark %llu octets", server->loop_count,
             (unsigned long long)atomic_load(&server->memory_high));
    log_info("Server startup complete; 0 plugins started."); /* the line that others wait for */
    service_ready(server->service);
    loop_run(&server->loops[0]);
    for (unsigned i = 1; i <= server->loop_count; i++)
        pthread_join(server->loops[i].thread, NULL);
    if (company)
        company->end(company->context);
    logins_stop(server->logins);
    storage_finish(server);
    log_info("stopped");
}

void server_free(struct server *server)
{
    listeners_close(server);
    storage_finish(server); /* not done yet where it was never run */
    while (server->runners) {
        struct runner *runner = server->runners;

        server->runners = runner->next;
        runner_free(runner);
    }
    storage_close(server);
    tls_free(server->tls);
    drain_free(server->drain);
    service_free(server->service);
    event_free(server->alarm_timer);
    event_free(server->memory_timer);
    event_free(server->disk_timer);
    reload_free(server);
    for (size_t i = 0; i < sizeof server->signals / sizeof *server->signals; i++)
        event_free(server->signals[i]);
    for (unsigned i = 0; i <= server->loop_count; i++)
        loop_free(&server->loops[i]);
    free(server->loops);
    logins_free(server->logins);
    auth_free(server->auth);
    users_free(server->users);
    parameters_free(server->parameters);
    greeting_free(server);
    buffer_free(&server->mechanisms[0]);
    buffer_free(&server->mechanisms[1]);
    pthread_mutex_destroy(&server->change_lock);
    pthread_mutex_destroy(&server->vhosts_lock);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
