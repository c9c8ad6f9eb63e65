/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to one queue: purge, delete, and what rabbitmq-queues asks about quorum queues, of which each
 * has the one member that this node is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"
#include "verbs.h"

static const char *queue_path(struct ctl *ctl, const char *queue)
{
    return api_path(ctl, "/queues/%s/%s", ctl->vhost, queue);
}

static int purge_queue(struct ctl *ctl)
{
    struct answer answer;
    int code;

    info(ctl, "Purging queue '%s' in vhost '%s' ...", ctl->args[0], ctl->vhost);
    answer = http_call(ctl, "DELETE", text(ctl, "%s/contents", queue_path(ctl, ctl->args[0])), NULL);
    if (!is_fine(&answer) && answer.status != 404)
        return answer_failure(ctl, &answer);
    code = answer.status == 404 ? failure(EX_UNAVAILABLE, "not_found") : EX_OK;
    answer_free(&answer);
    return done(ctl, code);
}

/* A refusal by a condition: RabbitMQ's API words it as "... in use" or "... not empty". */
static int delete_refused(struct ctl *ctl, struct answer *answer)
{
    const char *reason = answer_reason(ctl, answer), *said = NULL;

    if (answer->status == 404)
        said = "Queue not found";
    else if (answer->status == 400 && strstr(reason, "in use"))
        said = "Queue is in use";
    else if (answer->status == 400 && strstr(reason, "not empty"))
        said = "Queue is not empty";
    if (!said)
        return answer_failure(ctl, answer);
    answer_free(answer);
    return failure(EX_USAGE, "%s", said);
}

static int delete_queue(struct ctl *ctl)
{
    bool if_empty = has_option(ctl, "if-empty"), if_unused = has_option(ctl, "if-unused");
    const char *path = queue_path(ctl, ctl->args[0]);
    struct answer answer;
    json_int_t ready;

    info(ctl, "Deleting queue '%s' on vhost '%s'%s%s%s ...", ctl->args[0], ctl->vhost,
         if_empty ? " if queue is empty" : "", if_empty && if_unused ? " and" : "",
         if_unused ? " if queue is unused" : "");
    answer = http_call(ctl, "GET", text(ctl, "%s?columns=messages_ready", path), NULL);
    if (!is_fine(&answer))
        return delete_refused(ctl, &answer);
    ready = json_integer_value(json_object_get(answer.json, "messages_ready"));
    answer_free(&answer);
    answer = http_call(ctl, "DELETE",
                       text(ctl, "%s%s%s%s", path, if_empty || if_unused ? "?" : "",
                            if_empty ? "if-empty=true&" : "", if_unused ? "if-unused=true" : ""),
                       NULL);
    if (!is_fine(&answer))
        return delete_refused(ctl, &answer);
    answer_free(&answer);
    info(ctl, "Queue was successfully deleted with %" JSON_INTEGER_FORMAT " ready messages", ready);
    return done(ctl, EX_OK);
}

/* --- quorum queues -------------------------------------------------------------------------------------- */

static int quorum_status(struct ctl *ctl)
{
    static const struct column columns[] = {
        {.name = "Node Name", .field = "leader", .other = "node"},
        {.name = "Raft State", .field = "role"},
        {.name = "Messages", .field = "messages"},
    };
    json_t *queue, *rows;
    const char *type;

    info(ctl, "Status of quorum queue %s on node %s ...", ctl->args[0], node_name(ctl));
    queue = http_find(ctl, queue_path(ctl, ctl->args[0]));
    if (!queue)
        return failure(EX_UNAVAILABLE, "not_found");
    type = json_string_value(json_object_get(queue, "type"));
    if (!type || strcmp(type, "quorum") != 0) {
        json_decref(queue);
        return failure(EX_UNAVAILABLE, "Cannot get quorum status of a classic queue");
    }
    json_object_set_new(queue, "role", json_string("leader"));
    rows = json_pack("[o]", queue);
    rows_print_all(ctl, rows, columns, 3);
    json_decref(rows);
    return EX_OK;
}

static int rebalance(struct ctl *ctl)
{
    static const char *const kinds[] = {"all", "classic", "quorum", "stream", NULL};

    if (!is_one_of(ctl->args[0], kinds))
        return bad_arguments(ctl, EX_DATAERR, "Bad argument: type %s is not valid", ctl->args[0]);
    if (strcmp(ctl->args[0], "all") == 0)
        info(ctl, "Re-balancing leaders of all queues...");
    else
        info(ctl, "Re-balancing leaders of %s queues...", ctl->args[0]);
    return done(ctl, EX_OK); /* one node: each leader is where it should be */
}

#define QUEUES "Queues"

const struct verb verbs_queues[] = {
    {"delete_queue",
     TOOL_CTL,
     QUEUES,
     1,
     1,
     "QUEUE",
     "Delete a queue and the messages in it",
     "delete_queue -p orders invoices --if-empty",
     delete_queue,
     {{"if-empty", 'e', OPTION_FLAG}, {"if-unused", 'u', OPTION_FLAG}}},
    {"purge_queue",
     TOOL_CTL,
     QUEUES,
     1,
     1,
     "QUEUE",
     "Delete a queue's ready messages",
     "purge_queue -p orders invoices",
     purge_queue,
     {{0}}},
    {"quorum_status",
     TOOL_QUEUES | TOOL_DIAGNOSTICS,
     QUEUES,
     1,
     1,
     "QUEUE",
     "Show where a quorum queue's members are",
     "quorum_status -p orders invoices",
     quorum_status,
     {{0}}},
    {"rebalance",
     TOOL_QUEUES,
     QUEUES,
     1,
     1,
     "all|classic|quorum|stream",
     "Spread leaders over nodes: with one there is nothing to do",
     "rebalance all",
     rebalance,
     {{"vhost-pattern", 0, OPTION_TEXT}, {"queue-pattern", 0, OPTION_TEXT}}},
    {0},
};
