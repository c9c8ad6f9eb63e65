/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages and rates as they go by: top, peek, move and replay, tail. What messages hold is escaped like
 * anything else that comes from the broker.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "coney/xalloc.h"
#include "rows.h"
#include "terminal.h"
#include "verbs.h"

/* --- peek ----------------------------------------------------------------------------------------------- */

static void print_field(const char *name, const json_t *value, enum term_kind kind)
{
    struct buffer shown = {0};

    if (!value || json_is_null(value))
        return;
    term_cell(&shown, value, kind);
    printf("  %-12s %.*s\n", name, (int)shown.size, shown.size ? (const char *)shown.data : "");
    buffer_free(&shown);
}

static void print_message(size_t number, const json_t *message)
{
    const char *encoding = json_string_value(json_object_get(message, "payload_encoding"));

    printf("#%zu\n", number);
    print_field("exchange", json_object_get(message, "exchange"), TERM_PLAIN);
    print_field("routing_key", json_object_get(message, "routing_key"), TERM_PLAIN);
    print_field("redelivered", json_object_get(message, "redelivered"), TERM_PLAIN);
    if (json_object_size(json_object_get(message, "properties")) > 0)
        print_field("properties", json_object_get(message, "properties"), TERM_JSON);
    print_field("octets", json_object_get(message, "payload_bytes"), TERM_PLAIN);
    print_field(encoding && strcmp(encoding, "base64") == 0 ? "base64" : "payload",
                json_object_get(message, "payload"), TERM_PLAIN);
}

/* GET a queue's messages, and print them. */
static int print_messages(struct ctl *ctl, const char *path)
{
    struct answer answer = http_call(ctl, "GET", path, NULL);
    json_t *messages = answer.json, *message;
    size_t i;

    if (answer.status == 404) {
        answer_free(&answer);
        return failure(EX_UNAVAILABLE, "there is no queue '%s' in vhost '%s', or the broker is no coneyd",
                       ctl->args[0], ctl->vhost);
    }
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    if (ctl->format == FORMAT_JSON) {
        print_json_line(messages);
    } else {
        json_array_foreach(messages, i, message)
        {
            print_message((size_t)option_number(ctl, "offset", 0) + i + 1, message);
        }
        if (json_array_size(messages) == 0)
            puts("No items");
    }
    answer_free(&answer);
    return EX_OK;
}

static int peek(struct ctl *ctl)
{
    long count = ctl->tool == TOOL_QUEUES ? 1 : option_number(ctl, "count", 10);
    long offset = option_number(ctl, "offset", 0);

    if (ctl->tool == TOOL_QUEUES && ctl->arg_count > 1) {
        offset = strtol(ctl->args[1], NULL, 10) - 1;
        info(ctl, "Peeking at quorum queue %s at position %ld on node %s ...", ctl->args[0], offset + 1,
             node_name(ctl));
    } else {
        info(ctl, "The first of the ready messages of queue '%s' in vhost '%s' ...", ctl->args[0],
             ctl->vhost);
    }
    if (count <= 0 || offset < 0)
        return bad_arguments(ctl, EX_DATAERR, "Bad argument: counts and positions are positive");
    return print_messages(ctl,
                          text(ctl, "%s?count=%ld&offset=%ld",
                               api_path(ctl, "/queues/%s/%s/peek", ctl->vhost, ctl->args[0]), count, offset));
}

static int list_unacked(struct ctl *ctl)
{
    static const struct column columns[] = {
        {.name = "age_ms"},  {.name = "delivery_tag"}, {.name = "connection"},
        {.name = "channel"}, {.name = "consumer_tag"},
    };
    json_t *rows;

    info(ctl, "Listing unacknowledged deliveries of queue '%s' in vhost '%s' ...", ctl->args[0], ctl->vhost);
    rows = http_find(ctl, text(ctl, "%s?count=%ld",
                               api_path(ctl, "/queues/%s/%s/unacked", ctl->vhost, ctl->args[0]),
                               option_number(ctl, "count", 100)));
    if (!rows)
        return failure(EX_UNAVAILABLE, "there is no queue '%s' in vhost '%s', or the broker is no coneyd",
                       ctl->args[0], ctl->vhost);
    rows_print_all(ctl, rows, columns, 5);
    json_decref(rows);
    return EX_OK;
}

/* --- move, replay --------------------------------------------------------------------------------------- */

/* The options of both, as the API's fields. */
static json_t *move_body(struct ctl *ctl)
{
    static const char *const fields[][2] = {
        {"to-exchange", "to_exchange"},       {"to-queue", "to_queue"},
        {"routing-key", "routing_key"},       {"reason", "reason"},
        {"original-queue", "original_queue"},
    };
    const char *header = option(ctl, "header"), *equals = header ? strchr(header, '=') : NULL;
    json_t *body;

    if (header && !equals) /* else everything would be moved */
        exit(bad_arguments(ctl, EX_USAGE, "'%s' is no header: write --header NAME=VALUE", header));
    body = json_object();

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (has_option(ctl, fields[i][0]))
            json_object_set_new(body, fields[i][1], json_string(option(ctl, fields[i][0])));
    if (has_option(ctl, "count"))
        json_object_set_new(body, "count", json_integer(option_number(ctl, "count", 0)));
    if (equals)
        json_object_set_new(
            body, "header",
            json_pack("{s:s}", text(ctl, "%.*s", (int)(equals - header), header), equals + 1));
    return body;
}

static int move_messages(struct ctl *ctl, const char *queue, json_t *body)
{
    struct answer answer =
        http_call(ctl, "POST", api_path(ctl, "/queues/%s/%s/move", ctl->vhost, queue), body);
    json_int_t skipped;

    if (answer.status == 404 && !json_object_get(answer.json, "reason")) {
        answer_free(&answer);
        return failure(EX_UNAVAILABLE, "there is no queue '%s' in vhost '%s', or the broker is no coneyd",
                       queue, ctl->vhost);
    }
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    if (ctl->format == FORMAT_JSON) {
        print_json_line(answer.json);
    } else {
        skipped = json_integer_value(json_object_get(answer.json, "skipped"));
        printf("%" JSON_INTEGER_FORMAT " moved", json_integer_value(json_object_get(answer.json, "moved")));
        if (skipped > 0)
            printf(", %" JSON_INTEGER_FORMAT " left where they were", skipped);
        putchar('\n');
    }
    answer_free(&answer);
    return EX_OK;
}

static int move(struct ctl *ctl)
{
    json_t *body;

    if (ctl->arg_count < 2 && !has_option(ctl, "to-exchange") && !has_option(ctl, "to-queue"))
        return bad_arguments(
            ctl, EX_USAGE, "where to? Name a queue, or --to-exchange NAME; `replay` puts dead letters back");
    body = move_body(ctl);
    if (ctl->arg_count > 1)
        json_object_set_new(body, "to_queue", json_string(ctl->args[1]));
    info(ctl, "Moving messages of queue '%s' in vhost '%s' ...", ctl->args[0], ctl->vhost);
    return move_messages(ctl, ctl->args[0], body);
}

static int replay(struct ctl *ctl)
{
    info(ctl, "Putting dead letters of queue '%s' in vhost '%s' back to where they came from ...",
         ctl->args[0], ctl->vhost);
    return move_messages(ctl, ctl->args[0], move_body(ctl));
}

/* --- tail ----------------------------------------------------------------------------------------------- */

/* An empty line is the broker's way to find out whether we are there. */
static bool print_tail_line(void *context, const char *json_line)
{
    long *left = context; /* lines to go; negative: no end */

    if (*json_line) {
        put_safe_json(json_line);
        putchar('\n');
        fflush(stdout);
        *left -= *left > 0;
    }
    return *left != 0;
}

static int tail(struct ctl *ctl)
{
    static const char *const kinds[] = {"exchange", "queue", NULL};
    long left = option_number(ctl, "count", -1);
    struct answer answer;

    if (!is_one_of(ctl->args[0], kinds))
        return bad_arguments(ctl, EX_USAGE, "'%s' cannot be watched: write `exchange NAME` or `queue NAME`",
                             ctl->args[0]);
    info(ctl, "What goes through %s '%s' in vhost '%s', until Ctrl-C ...", ctl->args[0], ctl->args[1],
         ctl->vhost);
    fflush(stdout);
    answer = http_lines(ctl,
                        text(ctl, "/coney/tail?vhost=%s&%s=%s", percent_encoded(ctl, ctl->vhost),
                             ctl->args[0], percent_encoded(ctl, ctl->args[1])),
                        print_tail_line, &left);
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return EX_OK;
}

/* --- top ------------------------------------------------------------------------------------------------ */

#define TOP_FIELDS "vhost,name,messages,messages_ready,messages_unacknowledged,consumers,message_stats,state"

static double rate_of(const json_t *object, const char *counter)
{
    json_t *stats = json_object_get(object, "message_stats");

    return json_number_value(json_object_get(json_object_get(stats, counter), "rate"));
}

static double busyness(const json_t *queue)
{
    return rate_of(queue, "publish_details") + rate_of(queue, "deliver_get_details") +
           json_number_value(json_object_get(queue, "messages")) / 1e6;
}

static int by_busyness(const void *one, const void *other)
{
    double a = busyness(*(json_t *const *)one), b = busyness(*(json_t *const *)other);

    return (a < b) - (a > b);
}

/* A name cut to WIDTH columns. */
static void put_cut(const char *name, size_t width)
{
    struct buffer shown = {0};
    size_t size, columns;

    term_escape(&shown, name, strlen(name), TERM_ONE_LINE);
    for (size = 0, columns = 0; size < shown.size && columns < width; columns++)
        do
            size++;
        while (size < shown.size && (shown.data[size] & 0xc0) == 0x80);
    printf("%.*s%*s", (int)size, shown.size ? (const char *)shown.data : "", (int)(width - columns), "");
    buffer_free(&shown);
}

static void print_top_queue(const json_t *queue, size_t width)
{
    const char *vhost = json_string_value(json_object_get(queue, "vhost"));
    const char *name = json_string_value(json_object_get(queue, "name"));
    size_t vhost_width = width / 4;

    put_cut(vhost ? vhost : "", vhost_width);
    putchar(' ');
    put_cut(name ? name : "", width - vhost_width - 1);
    printf(" %10.0f %9.0f %6.0f %9.1f %9.1f %9.1f\n",
           json_number_value(json_object_get(queue, "messages_ready")),
           json_number_value(json_object_get(queue, "messages_unacknowledged")),
           json_number_value(json_object_get(queue, "consumers")), rate_of(queue, "publish_details"),
           rate_of(queue, "deliver_get_details"), rate_of(queue, "ack_details"));
}

static void print_top_totals(const json_t *overview)
{
    json_t *objects = json_object_get(overview, "object_totals"),
           *queues = json_object_get(overview, "queue_totals");

    printf("%.0f connections, %.0f channels, %.0f consumers, %.0f queues, %.0f exchanges\n",
           json_number_value(json_object_get(objects, "connections")),
           json_number_value(json_object_get(objects, "channels")),
           json_number_value(json_object_get(objects, "consumers")),
           json_number_value(json_object_get(objects, "queues")),
           json_number_value(json_object_get(objects, "exchanges")));
    printf(
        "%.0f ready, %.0f unacknowledged; per second: %.1f published, %.1f delivered, %.1f acknowledged\n\n",
        json_number_value(json_object_get(queues, "messages_ready")),
        json_number_value(json_object_get(queues, "messages_unacknowledged")),
        rate_of(overview, "publish_details"), rate_of(overview, "deliver_get_details"),
        rate_of(overview, "ack_details"));
}

/* One picture. ROWS and COLUMNS are the terminal's. */
static void print_top(struct ctl *ctl, size_t rows, size_t columns)
{
    size_t width = columns > 100 ? columns - 59 : 41, count, shown;
    json_t *overview = http_get(ctl, "/overview");
    json_t *queues = http_get(ctl, ctl->is_vhost_given ? text(ctl, "%s?columns=" TOP_FIELDS,
                                                              api_path(ctl, "/queues/%s", ctl->vhost))
                                                       : "/queues?columns=" TOP_FIELDS);
    json_t **sorted;

    count = json_array_size(queues);
    shown = rows > 5 && count > rows - 5 ? rows - 5 : count;
    sorted = xcalloc(count + 1, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(queues, i);
    qsort(sorted, count, sizeof *sorted, by_busyness);
    print_top_totals(overview);
    put_cut("vhost", width / 4);
    putchar(' ');
    put_cut("queue", width - width / 4 - 1);
    printf(" %10s %9s %6s %9s %9s %9s\n", "ready", "unacked", "consum", "publish/s", "deliver/s", "ack/s");
    for (size_t i = 0; i < shown; i++)
        print_top_queue(sorted[i], width);
    free(sorted);
    json_decref(queues);
    json_decref(overview);
}

/* Wait for the next picture; false when a key says that there shall be none. KEYS is -1 where there are none.
 */
static bool top_goes_on(int keys, double seconds)
{
    struct pollfd pressed = {.fd = keys, .events = POLLIN};
    char key;

    if (poll(&pressed, 1, (int)(seconds * 1000)) != 1)
        return true;
    return read(keys, &key, 1) == 1 && key != 'q' && key != 'Q';
}

static void run_top_on_terminal(struct ctl *ctl, double seconds)
{
    struct winsize size = {0};
    int keys = terminal_change(ICANON | ECHO) ? STDIN_FILENO : -1;

    do {
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
            size = (struct winsize){.ws_row = 24, .ws_col = 80};
        fputs("\033[H\033[2J", stdout);
        printf("%s, every %g s; q ends\n", http_target_name(ctl), seconds);
        print_top(ctl, size.ws_row - 2U, size.ws_col);
        fflush(stdout);
    } while (top_goes_on(keys, seconds));
}

static int top(struct ctl *ctl)
{
    const char *interval = option(ctl, "interval");
    double seconds = interval ? strtod(interval, NULL) : 2;

    if (seconds < 0.1)
        return bad_arguments(ctl, EX_DATAERR, "Bad argument: an interval of at least 0.1 seconds is needed");
    if (isatty(STDOUT_FILENO) && !has_option(ctl, "once"))
        run_top_on_terminal(ctl, seconds);
    else
        print_top(ctl, 0, 100);
    return EX_OK;
}

#define MESSAGES "Messages"
#define MOVING                                                                                           \
    {                                                                                                    \
        {"to-exchange", 0, OPTION_TEXT}, {"to-queue", 0, OPTION_TEXT}, {"routing-key", 0, OPTION_TEXT},  \
            {"count", 0, OPTION_NUMBER}, {"reason", 0, OPTION_TEXT}, {"original-queue", 0, OPTION_TEXT}, \
        {                                                                                                \
            "header", 0, OPTION_TEXT                                                                     \
        }                                                                                                \
    }

const struct verb verbs_live[] = {
    {"list_unacked",
     0,
     MESSAGES,
     1,
     1,
     "QUEUE",
     "List deliveries that are not acknowledged, and who has them",
     "list_unacked -p orders invoices",
     list_unacked,
     {{"count", 0, OPTION_NUMBER}}},
    {"move", 0, MESSAGES, 1, 2, "QUEUE [TO-QUEUE]", "Move ready messages to another queue or to an exchange",
     "move -p orders invoices invoices-later --count 100 --header customer=42", move, MOVING},
    {"peek",
     TOOL_QUEUES,
     MESSAGES,
     1,
     2,
     "QUEUE [POSITION]",
     "Show ready messages, which stay and are not marked as redelivered",
     "peek -p orders invoices --count 3",
     peek,
     {{"count", 0, OPTION_NUMBER}, {"offset", 0, OPTION_NUMBER}}},
    {"replay", 0, MESSAGES, 1, 1, "QUEUE", "Put dead letters back to where they were first published",
     "replay -p orders dead --reason expired --original-queue invoices", replay, MOVING},
    {"tail",
     0,
     MESSAGES,
     2,
     2,
     "exchange|queue NAME",
     "Show what goes through an exchange or a queue, as JSON lines",
     "tail -p orders exchange orders --count 10",
     tail,
     {{"count", 0, OPTION_NUMBER}}},
    {"top",
     0,
     MESSAGES,
     0,
     0,
     "",
     "Show the busiest queues and their rates, live",
     "top --interval 1",
     top,
     {{"interval", 0, OPTION_SECONDS}, {"once", 0, OPTION_FLAG}}},
    {0},
};
