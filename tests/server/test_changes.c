/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to who may do what, on a server with clients: what acts at once, and what on logins to come.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/changes.h"
#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/vhosts.h"
#include "desk.h"
#include "server/storage.h"
#include "wire.h"

#define B(text)     BYTES_LITERAL(text)
#define TURNS_MAX   20000
#define SECONDS_MAX 40

static struct desk desk;
static char why[CHANGE_WHY_SIZE];
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
    desk_close(&desk);
}

TestSuite(changes, .init = open_desk, .fini = close_desk);

/* ---- changes wait for the loop, which turns here: so they are asked for by a thread of their own ---- */

struct asking {
    struct bytes vhost, user, exchange, configure, write, read;
    int64_t connections_max, queues_max;
    enum change_result (*ask)(const struct asking *asking);
    enum change_result result;
    atomic_bool done;
};

static void *ask(void *argument)
{
    struct asking *asking = argument;

    asking->result = asking->ask(asking);
    atomic_store(&asking->done, true);
    return NULL;
}

static enum change_result make(struct asking asking)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, ask, &asking), 0);
    while (!atomic_load(&asking.done))
        desk_turn(&desk); /* the alarm ends it */
    pthread_join(thread, NULL);
    return asking.result;
}

static enum change_result ask_set(const struct asking *asking)
{
    return changes_set_permission(desk.server, asking->vhost, asking->user, asking->configure, asking->write,
                                  asking->read, why);
}

static enum change_result ask_clear(const struct asking *asking)
{
    return changes_clear_permission(desk.server, B("/"), asking->user);
}

static enum change_result ask_set_topic(const struct asking *asking)
{
    return changes_set_topic_permission(desk.server, B("/"), asking->user, asking->exchange, asking->write,
                                        asking->read, why);
}

static enum change_result ask_clear_topic(const struct asking *asking)
{
    return changes_clear_topic_permission(desk.server, B("/"), asking->user, asking->exchange);
}

static enum change_result ask_remove(const struct asking *asking)
{
    return changes_remove_user(desk.server, asking->user);
}

static enum change_result ask_limits(const struct asking *asking)
{
    return changes_set_vhost_limits(desk.server, asking->vhost, asking->connections_max, asking->queues_max);
}

static enum change_result remove_user(struct bytes name)
{
    return make((struct asking){.ask = ask_remove, .user = name});
}

static enum change_result set_topic(struct bytes user, struct bytes write, struct bytes read)
{
    return make((struct asking){
        .ask = ask_set_topic, .user = user, .exchange = B("amq.topic"), .write = write, .read = read});
}

static enum change_result set_limits(struct bytes vhost, int64_t connections_max, int64_t queues_max)
{
    return make((struct asking){
        .ask = ask_limits, .vhost = vhost, .connections_max = connections_max, .queues_max = queues_max});
}

static void put_user(struct bytes name, struct bytes password)
{
    struct user_spec spec = {.name = name, .password = password, .max_connections = -1, .max_channels = -1};

    cr_assert_eq(changes_put_user(desk.server, &spec, why), CHANGE_MADE, "%s", why);
}

static enum change_result set_permission(struct bytes vhost, struct bytes user, struct bytes configure,
                                         struct bytes write, struct bytes read)
{
    return make((struct asking){
        .ask = ask_set, .vhost = vhost, .user = user, .configure = configure, .write = write, .read = read});
}

static void permit(struct bytes user, struct bytes configure, struct bytes write, struct bytes read)
{
    cr_assert_eq(set_permission(B("/"), user, configure, write, read), CHANGE_MADE, "%s", why);
}

static void make_user(struct bytes name)
{
    put_user(name, name);
    permit(name, B(".*"), B(".*"), B(".*"));
}

struct client {
    int fd;
    struct buffer out;
    struct wire_input in;
};

static void say(struct client *client)
{
    cr_assert_eq(send(client->fd, client->out.data, client->out.size, MSG_NOSIGNAL),
                 (ssize_t)client->out.size);
    buffer_clear(&client->out);
}

static bool hear(struct client *client, struct wire_frame *frame)
{
    bool broken = false;

    for (unsigned i = 0; !wire_next(&client->in, frame, &broken); i++) {
        cr_assert_lt(i, TURNS_MAX, "nothing is said");
        if (wire_receive(&client->in, client->fd, 0) == 0)
            return false;
        desk_turn(&desk);
    }
    return true;
}

static struct method hear_method(struct client *client, enum method_id id)
{
    struct wire_frame frame;

    cr_assert(hear(client, &frame), "the end, waiting for %s", method_name(id));
    cr_assert_eq(frame.method.id, id, "%s came, not %s", method_name(frame.method.id), method_name(id));
    return frame.method;
}

static void leave(struct client *client)
{
    close(client->fd);
    buffer_free(&client->out);
    wire_input_free(&client->in);
}

/* Say all up to connection.open, as USER; what comes next is the answer. */
static struct client begin(const char *user, const char *password)
{
    struct client client = {.fd = desk_connect(&desk, 0)};
    char response[64];
    int size = snprintf(response, sizeof response, "%c%s%c%s", 0, user, 0, password);
    struct method start_ok = {
        .id = METHOD_CONNECTION_START_OK,
        .connection_start_ok = {.client_properties = B("\x0c"
                                                       "capabilitiesF\0\0\0\x1f\x1c"
                                                       "authentication_failure_closet\1"),
                                .mechanism = B("PLAIN"),
                                .response = {(uint8_t *)response, (size_t)size},
                                .locale = B("en_US")}};

    buffer_append_bytes(&client.out, WIRE_PROTOCOL_HEADER);
    buffer_append_method(&client.out, 0, &start_ok);
    wire_put_open(&client.out, B("/"), WIRE_FRAME_MAX, 0);
    say(&client);
    hear_method(&client, METHOD_CONNECTION_START);
    return client;
}

/* ... and open a channel. */
static struct client come_in(const char *user, const char *password)
{
    struct client client = begin(user, password);

    hear_method(&client, METHOD_CONNECTION_TUNE);
    hear_method(&client, METHOD_CONNECTION_OPEN_OK);
    wire_put_method(&client.out, 1, METHOD_CHANNEL_OPEN);
    say(&client);
    hear_method(&client, METHOD_CHANNEL_OPEN_OK);
    return client;
}

static void expect_alive(struct client *client)
{
    wire_put_qos(&client->out, 1, 1);
    say(client);
    hear_method(client, METHOD_BASIC_QOS_OK);
}

static void expect_closed(struct client *client, enum method_id id, uint16_t code, const char *text)
{
    struct method close = hear_method(client, id);
    /* channel.close has the same members in the same order */
    struct method_connection_close reason = {.reply_code = close.channel_close.reply_code,
                                             .reply_text = close.channel_close.reply_text};

    if (id == METHOD_CONNECTION_CLOSE)
        reason = close.connection_close;
    cr_expect_eq(reason.reply_code, code);
    cr_expect(bytes_equal_string(reason.reply_text, text), "it says: %.*s", BYTES_ARG(reason.reply_text));
}

static void put_publish(struct client *client, struct bytes exchange, struct bytes key)
{
    struct method_basic_publish publish = {.exchange = exchange, .routing_key = key};

    wire_put_publish(&client->out, 1, &publish, PROPERTIES_NONE, B("x"), WIRE_FRAME_MAX);
}

/* ---- users ---- */

Test(changes, removed_user_is_thrown_out)
{
    struct client removed, other;

    make_user(B("u"));
    removed = come_in("u", "u");
    other = come_in("guest", "guest");
    cr_expect_eq(remove_user(B("u")), CHANGE_MADE);
    expect_closed(&removed, METHOD_CONNECTION_CLOSE, 320, "CONNECTION_FORCED - user 'u' is deleted");
    expect_alive(&other);
    cr_expect_eq(remove_user(B("u")), CHANGE_NO_USER);
    leave(&removed);
    removed = begin("u", "u");
    expect_closed(
        &removed, METHOD_CONNECTION_CLOSE, 403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the "
        "broker logfile.");
    leave(&removed);
    leave(&other);
}

Test(changes, user_made_again_has_no_rights_left)
{
    struct client client;

    make_user(B("u"));
    cr_expect_eq(set_topic(B("u"), B("a"), B("b")), CHANGE_MADE);
    cr_expect_eq(remove_user(B("u")), CHANGE_MADE);
    put_user(B("u"), B("u"));
    client = begin("u", "u");
    hear_method(&client, METHOD_CONNECTION_TUNE);
    expect_closed(&client, METHOD_CONNECTION_CLOSE, 530,
                  "NOT_ALLOWED - access to vhost '/' refused for user 'u'");
    leave(&client);
    permit(B("u"), B(".*"), B(".*"), B(".*"));
    client = come_in("u", "u");
    put_publish(&client, B("amq.topic"), B("anything"));
    say(&client);
    expect_alive(&client);
    leave(&client);
}

Test(changes, changed_password_is_for_logins_to_come)
{
    struct client there, new_one;

    make_user(B("u"));
    there = come_in("u", "u");
    put_user(B("u"), B("v"));
    expect_alive(&there);
    new_one = begin("u", "u");
    expect_closed(
        &new_one, METHOD_CONNECTION_CLOSE, 403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the "
        "broker logfile.");
    leave(&new_one);
    new_one = come_in("u", "v");
    expect_alive(&there);
    leave(&new_one);
    leave(&there);
}

Test(changes, changed_limits_are_for_connections_to_come)
{
    struct user_spec spec = {
        .name = B("u"), .password = B("u"), .max_connections = 0, .max_channels = USER_LIMIT_NONE};
    struct client there, new_one;

    make_user(B("u"));
    there = come_in("u", "u");
    cr_assert_eq(changes_put_user(desk.server, &spec, why), CHANGE_MADE);
    new_one = begin("u", "u");
    hear_method(&new_one, METHOD_CONNECTION_TUNE);
    expect_closed(&new_one, METHOD_CONNECTION_CLOSE, 530,
                  "NOT_ALLOWED - connection refused for user 'u': user connection limit (0) is reached");
    expect_alive(&there);
    leave(&new_one);
    leave(&there);
}

Test(changes, what_cannot_be_put_is_refused)
{
    struct user_spec spec = {.name = B("u"), .password = B("")};

    cr_expect_eq(changes_put_user(desk.server, &spec, why), CHANGE_REFUSED);
    cr_expect_str_eq(why, "blank passwords are not accepted");
    cr_expect_eq(set_permission(B("/"), B("guest"), B("("), B(""), B("")), CHANGE_REFUSED);
    cr_expect_eq(strncmp(why, "configure is no valid pattern: ", 31), 0, "%s", why);
    cr_expect_eq(set_permission(B("none"), B("guest"), B(""), B(""), B("")), CHANGE_NO_VHOST);
    cr_expect_eq(set_permission(B("/"), B("none"), B(""), B(""), B("")), CHANGE_NO_USER);
    cr_expect_eq(set_limits(B("none"), 1, 1), CHANGE_NO_VHOST);
}

/* ---- rights and limits ---- */

Test(changes, taken_permissions_act_at_once)
{
    struct client client;

    make_user(B("u"));
    client = come_in("u", "u");
    wire_put_declare(&client.out, 1, "q");
    put_publish(&client, B(""), B("q"));
    put_publish(&client, B(""), B("q")); /* its way is remembered now */
    say(&client);
    hear_method(&client, METHOD_QUEUE_DECLARE_OK);
    expect_alive(&client);
    permit(B("u"), B(".*"), B("^$"), B(".*"));
    put_publish(&client, B(""), B("q"));
    say(&client);
    expect_closed(
        &client, METHOD_CHANNEL_CLOSE, 403,
        "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'u'");
    leave(&client);
}

Test(changes, cleared_permissions_act_at_once)
{
    struct client client, late;

    make_user(B("u"));
    client = come_in("u", "u");
    cr_expect_eq(make((struct asking){.ask = ask_clear, .user = B("u")}), CHANGE_MADE);
    wire_put_declare(&client.out, 1, "q");
    say(&client);
    expect_closed(&client, METHOD_CHANNEL_CLOSE, 403,
                  "ACCESS_REFUSED - configure access to queue 'q' in vhost '/' refused for user 'u'");
    late = begin("u", "u");
    hear_method(&late, METHOD_CONNECTION_TUNE);
    expect_closed(&late, METHOD_CONNECTION_CLOSE, 530,
                  "NOT_ALLOWED - access to vhost '/' refused for user 'u'");
    leave(&late);
    leave(&client);
}

Test(changes, topic_permissions_act_at_once)
{
    struct client client = come_in("guest", "guest");

    put_publish(&client, B("amq.topic"), B("a.b"));
    put_publish(&client, B("amq.topic"), B("a.b"));
    say(&client);
    expect_alive(&client);
    cr_expect_eq(set_topic(B("guest"), B("^b"), B("^b")), CHANGE_MADE);
    cr_expect_eq(
        make((struct asking){.ask = ask_clear_topic, .user = B("guest"), .exchange = B("amq.topic")}),
        CHANGE_MADE);
    put_publish(&client, B("amq.topic"), B("a.b"));
    say(&client);
    expect_alive(&client);
    cr_expect_eq(set_topic(B("guest"), B("^b"), B("^b")), CHANGE_MADE);
    put_publish(&client, B("amq.topic"), B("a.b"));
    say(&client);
    expect_closed(
        &client, METHOD_CHANNEL_CLOSE, 403,
        "ACCESS_REFUSED - write access to topic 'a.b' in exchange 'amq.topic' in vhost '/' refused for "
        "user 'guest'");
    leave(&client);
}

Test(changes, vhost_limits_are_for_what_is_to_come)
{
    struct client client = come_in("guest", "guest");

    wire_put_declare(&client.out, 1, "q");
    say(&client);
    hear_method(&client, METHOD_QUEUE_DECLARE_OK);
    cr_expect_eq(set_limits(B("/"), -1, 1), CHANGE_MADE);
    wire_put_declare(&client.out, 1, "q");
    wire_put_declare(&client.out, 1, "r");
    say(&client);
    hear_method(&client, METHOD_QUEUE_DECLARE_OK);
    expect_closed(&client, METHOD_CHANNEL_CLOSE, 406,
                  "PRECONDITION_FAILED - cannot declare queue 'r': queue limit in vhost '/' (1) is reached");
    leave(&client);
}

/* ---- what lasts ---- */

static char folder[64], override[96];

static void open_kept(void)
{
    alarm(SECONDS_MAX);
    snprintf(folder, sizeof folder, "/tmp/coney-changes-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(override, sizeof override, "data_dir=%s", folder);
    desk_open(&desk, override);
}

static void close_kept(void)
{
    char command[96];

    while (!desk_is_empty(&desk))
        desk_turn(&desk);
    storage_finish(desk.server);
    desk_close(&desk);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_expect_eq(system(command), 0); // NOLINT(cert-env33-c): a name that mkdtemp() chose
}

TestSuite(changes_kept, .init = open_kept, .fini = close_kept);

static void begin_anew(void)
{
    while (!desk_is_empty(&desk))
        desk_turn(&desk);
    storage_finish(desk.server);
    desk_close(&desk);
    desk_open(&desk, override);
}

static struct vhost *vhost_called(struct bytes name)
{
    struct runner *runner = server_find_vhost(desk.server, name);

    return runner ? runner->vhost : NULL;
}

Test(changes_kept, are_there_after_a_restart)
{
    struct vhost *vhost;
    struct user_info info;

    make_user(B("stays"));
    make_user(B("goes"));
    make_user(B("loses"));
    cr_expect_eq(set_topic(B("goes"), B("a"), B("b")), CHANGE_MADE);
    begin_anew();
    cr_expect_eq(remove_user(B("goes")), CHANGE_MADE);
    cr_expect_eq(make((struct asking){.ask = ask_clear, .user = B("loses")}), CHANGE_MADE);
    cr_expect_eq(set_limits(B("/"), -1, 0), CHANGE_MADE);
    begin_anew();
    vhost = vhost_called(B("/"));
    cr_assert(users_get(desk.server->users, B("stays"), &info));
    cr_expect_eq(info.hashing, PASSWORD_SCRYPT);
    user_info_free(&info);
    cr_expect_not(users_get(desk.server->users, B("goes"), &info));
    cr_expect(vhost_has_permission(vhost, B("stays")));
    cr_expect_not(vhost_has_permission(vhost, B("goes")));
    cr_expect_not(vhost_has_permission(vhost, B("loses")));
    {
        struct client client = come_in("stays", "stays");

        wire_put_declare(&client.out, 1, "q");
        say(&client);
        expect_closed(
            &client, METHOD_CHANNEL_CLOSE, 406,
            "PRECONDITION_FAILED - cannot declare queue 'q': queue limit in vhost '/' (0) is reached");
        leave(&client);
    }
}

static enum change_result ask_put_vhost(const struct asking *asking)
{
    json_t *entry = json_object();
    enum vhosts_result result = vhosts_put(desk.server, asking->vhost, entry, (struct bytes){NULL, 0});

    json_decref(entry);
    return result == VHOSTS_MADE ? CHANGE_MADE : CHANGE_REFUSED;
}

static void put_vhost(struct bytes name)
{
    cr_assert_eq(make((struct asking){.ask = ask_put_vhost, .vhost = name}), CHANGE_MADE);
}

/* What the end of a node leaves that comes right when a vhost is being deleted. */
Test(changes_kept, a_vhost_that_was_being_deleted_leaves_no_rights)
{
    make_user(B("u"));
    put_vhost(B("v"));
    cr_assert_eq(set_permission(B("v"), B("u"), B(".*"), B(".*"), B(".*")), CHANGE_MADE, "%s", why);
    storage_keep(desk.server, B("vhosts"), (struct bytes){NULL, 0}, B("v"),
                 B("{\"name\":\"v\",\"deleted\":true}"));
    begin_anew();
    cr_expect_null(vhost_called(B("v")));
    put_vhost(B("v"));
    cr_expect_not(vhost_has_permission(vhost_called(B("v")), B("u")));
    begin_anew();
    cr_assert_not_null(vhost_called(B("v")));
    cr_expect_not(vhost_has_permission(vhost_called(B("v")), B("u")), "not from before either");
}
