/* SPDX-License-Identifier: Apache-2.0 */
/* RabbitMQ's verbs that have no meaning here: each says what to use instead, none pretends. The summary is
 * the answer. And the lists of what Erlang's cryptography offers, which scripts only print. */
#include <stdio.h>

#include "verbs.h"

static int refuse(struct ctl *ctl)
{
    return failure(EX_UNAVAILABLE, "%s is refused: %s", ctl->verb->name, ctl->verb->summary);
}

/* --- what there is to choose from ----------------------------------------------------------------------- */

static int list_words(struct ctl *ctl, const char *heading, const char *const *words)
{
    json_t *list;

    if (ctl->format == FORMAT_JSON) {
        list = json_array();
        for (; *words; words++)
            json_array_append_new(list, json_string(*words));
        print_json_line(list);
        json_decref(list);
        return EX_OK;
    }
    info(ctl, "%s", heading);
    for (; *words; words++)
        puts(*words);
    return EX_OK;
}

static int list_hashes(struct ctl *ctl)
{
    static const char *const hashes[] = {"scrypt", "sha512", "sha256", "md5", NULL};

    return list_words(ctl, "Listing supported hash algorithms ...", hashes);
}

static int list_ciphers(struct ctl *ctl)
{
    static const char *const none[] = {NULL};

    return list_words(ctl, "Listing supported ciphers ...", none);
}

static int tls_versions(struct ctl *ctl)
{
    static const char *const versions[] = {"tlsv1.3", "tlsv1.2", NULL};

    return list_words(ctl, "Listing all TLS versions supported by the runtime...", versions);
}

#define HERE       "Refused"
#define CTL        TOOL_CTL
#define DIAGNOSE   TOOL_DIAGNOSTICS
#define QUEUES     TOOL_QUEUES
#define CONFIGURED "Configuration and Environment"

#define REFUSED(name, tools, instead)                             \
    {                                                             \
        name, tools, HERE, 0, -1, "[...]", instead, name, refuse, \
        {                                                         \
            {                                                     \
                0                                                 \
            }                                                     \
        }                                                         \
    }
#define ERLANG                                                                                          \
    "coney runs no Erlang: `coneyctl environment` shows the configuration in force, `coneyctl reload` " \
    "reads "                                                                                            \
    "certificates and configuration again, the HTTP API has the rest"
#define RUNTIME \
    "coney has no Erlang runtime to look into: `coneyctl status` and `coneyctl top` show the broker"
#define RESET                                                                                        \
    "it would delete all messages, queues and users. Stop the broker, move its data directory away " \
    "(`coneyctl status` names it) and start it: it begins anew"
#define CLUSTER "coney runs on one node: there is no cluster to change"
#define MIRRORS "there are no mirrors: what is confirmed is on this node's disk"
#define MEMBERS "a quorum queue's only member is this node"
#define SHOVELS \
    "shovels are parameters: set_parameter shovel NAME JSON, clear_parameter shovel NAME, list_parameters"
#define CIPHERS "values of the configuration are not encrypted: keep coney.conf readable for its user alone"

const struct verb verbs_refused[] = {
    {"list_ciphers",
     CTL | DIAGNOSE,
     CONFIGURED,
     0,
     0,
     "",
     "List ciphers for encoded configuration values: none",
     "list_ciphers",
     list_ciphers,
     {{0}}},
    {"list_hashes",
     CTL | DIAGNOSE,
     CONFIGURED,
     0,
     0,
     "",
     "List how passwords may be hashed",
     "list_hashes",
     list_hashes,
     {{0}}},
    {"tls_versions",
     DIAGNOSE,
     CONFIGURED,
     0,
     0,
     "",
     "List versions of TLS that can be spoken",
     "tls_versions",
     tls_versions,
     {{0}}},
    REFUSED("add_member", QUEUES, MEMBERS),
    REFUSED("cancel_sync_queue", CTL, MIRRORS),
    REFUSED("certificates", DIAGNOSE,
            "certificates do not leave the broker: openssl s_client -connect HOST:5671 -showcerts; "
            "check_certificate_expiration tells when they end"),
    REFUSED("change_cluster_node_type", CTL, CLUSTER),
    REFUSED("cipher_suites", DIAGNOSE,
            "these are OpenSSL's: openssl ciphers -v; ssl_options.ciphers.N chooses"),
    REFUSED("command_line_arguments", DIAGNOSE,
            "`coneyctl environment` shows each key with the value in force"),
    REFUSED("consume_event_stream", DIAGNOSE, "use: coneyctl tail exchange amq.rabbitmq.event"),
    REFUSED("decode", CTL, CIPHERS),
    REFUSED("delete_member", QUEUES, MEMBERS),
    REFUSED("delete_shovel", CTL, SHOVELS),
    REFUSED("discover_peers", DIAGNOSE, CLUSTER),
    REFUSED("encode", CTL, CIPHERS),
    REFUSED("erlang_cookie_hash", DIAGNOSE, RUNTIME),
    REFUSED("erlang_cookie_sources", DIAGNOSE, RUNTIME),
    REFUSED("erlang_version", DIAGNOSE, RUNTIME),
    REFUSED("eval", CTL, ERLANG),
    REFUSED("eval_file", CTL, ERLANG),
    REFUSED("exec", CTL, ERLANG),
    REFUSED("force_boot", CTL, CLUSTER),
    REFUSED("force_reset", CTL, RESET),
    REFUSED("forget_cluster_node", CTL, CLUSTER),
    REFUSED("grow", QUEUES, MEMBERS),
    REFUSED("hipe_compile", CTL, RUNTIME),
    REFUSED("join_cluster", CTL, CLUSTER),
    REFUSED("list_network_interfaces", DIAGNOSE, "ask the machine: ip address"),
    REFUSED("log_tail_stream", DIAGNOSE, "use: journalctl -fu coney, or tail -f on what log_location names"),
    REFUSED("maybe_stuck", DIAGNOSE, RUNTIME),
    REFUSED("observer", DIAGNOSE, RUNTIME),
    REFUSED("os_env", DIAGNOSE, "`coneyctl environment` shows each key with the value in force"),
    REFUSED("reclaim_quorum_memory", QUEUES | DIAGNOSE, RUNTIME),
    REFUSED("remote_shell", DIAGNOSE, ERLANG),
    REFUSED("rename_cluster_node", CTL, CLUSTER),
    REFUSED("reset", CTL, RESET),
    REFUSED("restart_shovel", CTL, SHOVELS),
    REFUSED("runtime_thread_stats", DIAGNOSE, RUNTIME),
    REFUSED("schema_info", CTL | DIAGNOSE, RUNTIME),
    REFUSED("shovel_status", CTL | DIAGNOSE, SHOVELS),
    REFUSED("shrink", QUEUES, MEMBERS),
    REFUSED("stream_status", QUEUES | DIAGNOSE, "there are no streams in coney"),
    REFUSED("sync_queue", CTL, MIRRORS),
    REFUSED("update_cluster_nodes", CTL, CLUSTER),
    {0},
};
