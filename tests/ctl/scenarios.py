# SPDX-License-Identifier: Apache-2.0
"""Command lines whose output, standard error and exit code are to be the same from coneyctl and RabbitMQ's tools.

A scenario is prepared through the HTTP API, then its steps run one after the other. A step is a command line in the shell's
quoting, with marks before it:

    ~       rows come in no certain order: lines are compared sorted
    %       the same, and of rows only those that name something of this test
    !       standard error is in coneyctl's own words: only output and exit code are compared
    =       standard error and the exit code are compared, output is in coneyctl's own words
    @       needs the node itself: not played back
    ^       another broker says something else: not compared with coneyd
    $ TOOL  the tool instead of rabbitmqctl
    <<<     what stands behind it is standard input
"""

VHOST = "ctlv"
OWN = ("/", "ctlv", "ctlv2", "ctlv3")   # vhosts that a test looks at

# (method, path, body) that come before a scenario; what is there of an earlier run is deleted first. Keys of
# arguments are sorted, since RabbitMQ sorts them and coneyd does not.
PREPARE = [
    ("DELETE", "/vhosts/ctlv", None), ("DELETE", "/vhosts/ctlv2", None), ("DELETE", "/vhosts/ctlv3", None),
    ("DELETE", "/users/ctlu", None), ("DELETE", "/users/ctlu2", None), ("DELETE", "/users/ctlu3", None),
    ("DELETE", "/users/ctlu4", None), ("DELETE", "/users/ctlu5", None),
    ("DELETE", "/global-parameters/ctl_gp", None), ("DELETE", "/global-parameters/ctl_gp2", None),
    ("PUT", "/vhosts/ctlv", {"description": "for coneyctl", "tags": "a,b"}),
    ("PUT", "/queues/ctlv/ctl.q1", {"durable": True}),
    ("PUT", "/queues/ctlv/ctl.q2", {"durable": True, "arguments": {
        "x-dead-letter-exchange": "ctl.e", "x-max-length": 500, "x-queue-type": "classic"}}),
    ("PUT", "/queues/ctlv/ctl.q%C3%A9%203", {"durable": False, "auto_delete": True, "arguments": {
        "big": 2 ** 40, "f": 1.5, "t": {"z": True}, "x-q": "a\"b\tc\\é"}}),
    ("PUT", "/exchanges/ctlv/ctl.e", {"type": "topic", "durable": True}),
    ("PUT", "/exchanges/ctlv/ctl.e2", {"type": "headers", "durable": False, "internal": True,
                                       "arguments": {"alternate-exchange": "ctl.e"}}),
    ("POST", "/bindings/ctlv/e/ctl.e/q/ctl.q1", {"routing_key": "a.#"}),
    ("POST", "/bindings/ctlv/e/ctl.e/q/ctl.q2", {"routing_key": "b", "arguments": {"t": True, "x": 1, "y": "z"}}),
    ("POST", "/bindings/ctlv/e/ctl.e/e/ctl.e2", {"routing_key": ""}),
    ("POST", "/exchanges/ctlv/amq.default/publish", {"routing_key": "ctl.q1", "payload": "one",
                                                     "payload_encoding": "string", "properties": {}}),
    ("PUT", "/users/ctlu2", {"password": "secret", "tags": "monitoring,management"}),
]

LISTS = """
~ list_queues -p ctlv
~ list_queues -q -p ctlv name messages arguments durable
~ list_queues -s -p ctlv name policy type exclusive auto_delete
~ list_queues -p ctlv --no-table-headers
~ list_queues --vhost=ctlv --formatter json name messages arguments policy durable
~ list_queues -p ctlv --formatter csv name arguments messages
~ list_queues -p ctlv name,messages
list_queues -p / nosuch
list_queues -p ctlv name nosuch other
list_queues --bogus
~ list_queues -p ctlv -t 10 name
~ list_queues --online -p ctlv
list_queues --offline -p ctlv
list_queues --offline -p ctlv --formatter json
list_queues --offline -p ctlv --formatter csv
list_queues --offline -p ctlv --formatter pretty_table
~ list_exchanges -p ctlv
~ list_exchanges -p ctlv name type durable auto_delete internal arguments policy
~ list_exchanges -p ctlv --formatter json name arguments
~ list_bindings -p ctlv
~ list_bindings -p ctlv --formatter json
~ list_bindings -p ctlv source_name routing_key
~ list_bindings -p ctlv --formatter csv
list_connections nosuch
list_channels nosuch
list_consumers -p ctlv
^ % list_vhosts name description tags tracing cluster_state
^ % list_vhosts --formatter json name description tags tracing cluster_state
% list_users
% list_user_permissions guest
list_vhosts nosuch
^ list_feature_flags
^ list_feature_flags name state stability provided_by desc doc_url
^ list_feature_flags --formatter json name state
list_permissions -p ctlv
list_permissions -p ctlv --formatter json
list_permissions -p ctlv -s
list_permissions -p ctlv --formatter csv
list_permissions -p ctlv --formatter pretty_table
list_permissions -p ctlv --formatter erlang
list_permissions -p nosuch
! list_user_permissions nosuch
list_user_permissions
list_unresponsive_queues -p ctlv
""".strip().splitlines()

USERS = """
add_user ctlu pw
add_user ctlu pw
add_user ctlu3 <<< secret
add_user
add_user a b c
add_user "" x
add_user ctlu4 ""
add_user -q ctlu5 pw
set_user_tags ctlu administrator monitoring
set_user_tags ctlu
set_user_tags nosuch a
set_user_tags
set_user_tags ctlu a --formatter json
change_password ctlu new
change_password nosuch new
change_password ctlu
authenticate_user ctlu new
authenticate_user ctlu wrong
authenticate_user ctlu <<< new
authenticate_user nosuch x
clear_password ctlu
! clear_password nosuch
authenticate_user ctlu new
set_permissions -p ctlv ctlu ^a b .*
set_permissions -p nosuch ctlu .* .* .*
set_permissions -p ctlv nosuch .* .* .*
! set_permissions -p ctlv ctlu ( .* .*
set_permissions ctlu .* .*
set_topic_permissions -p ctlv ctlu ctl.e ^a ^b
set_topic_permissions -p ctlv nosuch ctl.e ^a ^b
set_topic_permissions -p ctlv ctlu nosuch ^a ^b
set_topic_permissions -p nosuch ctlu ctl.e ^a ^b
~ list_topic_permissions -p ctlv
~ list_user_topic_permissions ctlu
~ list_user_topic_permissions ctlu --formatter json
! list_user_topic_permissions nosuch
list_topic_permissions -p nosuch
~ list_permissions -p ctlv
list_user_permissions ctlu
list_user_permissions ctlu --formatter json
clear_topic_permissions -p ctlv ctlu
list_user_topic_permissions ctlu
list_topic_permissions -p ctlv --formatter json
clear_topic_permissions -p ctlv ctlu ctl.e
clear_topic_permissions -p ctlv nosuch
clear_permissions -p ctlv ctlu
clear_permissions -p ctlv ctlu
clear_permissions -p ctlv nosuch
clear_permissions -p nosuch ctlu
! set_user_limits ctlu '{bad'
! set_user_limits nosuch '{"max-connections":5}'
! set_user_limits ctlu '{"bogus":5}'
set_user_limits ctlu '{"max-connections":5,"max-channels":6}'
list_user_limits --user ctlu
list_user_limits --user ctlu --formatter json
list_user_limits --global
list_user_limits --global --formatter json
! list_user_limits --user nosuch
list_user_limits --user ctlu2
clear_user_limits ctlu max-channels
clear_user_limits ctlu bogus
list_user_limits --user ctlu
clear_user_limits ctlu all
list_user_limits --user ctlu
! clear_user_limits nosuch all
delete_user ctlu
delete_user nosuch
delete_user
""".strip().splitlines()

VHOSTS = """
add_vhost ctlv2
add_vhost ctlv2
add_vhost ctlv3 --description "the d"
! add_vhost ctlv4 --default-queue-type bogus
add_vhost
set_vhost_tags ctlv2 x y
set_vhost_tags ctlv2
set_vhost_tags nosuch x
restart_vhost -p ctlv2
! restart_vhost -p nosuch
! set_vhost_limits -p ctlv2 '{bad'
! set_vhost_limits -p ctlv2 '{"bogus":1}'
set_vhost_limits -p ctlv2 '{"max-connections":100,"max-queues":50}'
set_vhost_limits -p nosuch '{"max-queues":1}'
list_vhost_limits -p ctlv2
list_vhost_limits -p ctlv2 --formatter json
list_vhost_limits --global
list_vhost_limits --global --formatter json
list_vhost_limits -p nosuch
clear_vhost_limits -p ctlv2
! clear_vhost_limits -p nosuch
list_vhost_limits -p ctlv2
trace_on -p ctlv2
trace_off -p ctlv2
delete_vhost ctlv2
delete_vhost ctlv2
delete_vhost ctlv3
delete_vhost
""".strip().splitlines()

POLICIES = """
set_policy -p ctlv ctl-p1 ^ctl '{"max-length":500}'
set_policy -p ctlv --priority 5 --apply-to queues ctl-p2 ^ctl '{"max-length":600,"dead-letter-exchange":"ctl.e"}'
! set_policy -p ctlv ctl-p3 ^ctl '{"max-length":"x"}'
! set_policy -p ctlv ctl-p3 ^ctl '{"nosuch":1}'
! set_policy -p ctlv ctl-p3 ( '{"max-length":1}'
! set_policy -p ctlv ctl-p3 ^a '{bad'
! set_policy -p ctlv --apply-to bogus ctl-p3 ^a '{"max-length":1}'
set_policy -p ctlv --priority x ctl-p3 ^a '{"max-length":1}'
! set_policy -p nosuch ctl-p3 ^a '{"max-length":1}'
set_policy -p ctlv ctl-p3
set_policy -p ctlv a b c d e f
list_policies -p ctlv
list_policies -p ctlv --formatter json
list_policies -p ctlv --formatter csv
list_policies -p ctlv --formatter erlang
list_policies -p nosuch
clear_policy -p ctlv ctl-p1
clear_policy -p ctlv ctl-p1
clear_policy -p ctlv ctl-p2
clear_policy -p nosuch ctl-p2
clear_policy -p ctlv
list_policies -p ctlv
list_policies -p ctlv --formatter json
set_operator_policy -p ctlv ctl-op ^ctl '{"max-length":500}'
! set_operator_policy -p ctlv ctl-op2 ^ctl '{"dead-letter-exchange":"x"}'
list_operator_policies -p ctlv
list_operator_policies -p ctlv --formatter json
clear_operator_policy -p ctlv ctl-op
clear_operator_policy -p ctlv ctl-op
set_parameter -p ctlv shovel ctl-sh '{"src-protocol":"amqp091","src-uri":"amqp://","src-queue":"a","dest-protocol":"amqp091","dest-uri":"amqp://","dest-queue":"b"}'
! set_parameter -p ctlv bogus ctl-x '{"a":1}'
! set_parameter -p ctlv bogus ctl-x '{bad'
list_parameters -p ctlv
list_parameters -p ctlv --formatter json
list_parameters -p nosuch
clear_parameter -p ctlv shovel nosuch
clear_parameter -p ctlv bogus nosuch
clear_parameter -p ctlv shovel ctl-sh
list_parameters -p ctlv
set_global_parameter ctl_gp '{"a":1,"b":[1,2]}'
! set_global_parameter ctl_gp2 "text"
set_global_parameter ctl_gp2 '"text"'
clear_global_parameter ctl_gp
clear_global_parameter ctl_gp2
clear_global_parameter ctl_gp2
""".strip().splitlines()

QUEUES = """
purge_queue -p ctlv ctl.q1
purge_queue -p ctlv ctl.q1 --formatter json
purge_queue -p ctlv nosuch
purge_queue
= delete_queue -p ctlv ctl.q1 --if-empty --if-unused
delete_queue -p ctlv ctl.q1 --if-unused
delete_queue -p ctlv ctl.q2
delete_queue -p ctlv nosuch
delete_queue -p ctlv
! close_connection bogus reason
close_connection
close_connection <ref@localhost.1795354411.1.0> reason
close_all_connections -p ctlv bye --per-connection-delay 1 --limit 1
close_all_user_connections ctlu2 bye
close_all_user_connections guest
close_all_connections -p ctlv bye
! enable_feature_flag nosuch
enable_feature_flag quorum_queue
""".strip().splitlines()

NODE = """
await_startup
await_startup -t 5
await_online_nodes 1
wait
wait /nonexistent/pid -t 1
set_vm_memory_high_watermark absolute bogus
set_vm_memory_high_watermark 2
set_vm_memory_high_watermark x
set_vm_memory_high_watermark relative 0.4
set_disk_free_limit bogus
set_log_level bogus
suspend_listeners nosuch
force_gc
export_definitions /nosuch/dir/x
export_definitions
import_definitions /nosuch/file
! import_definitions <<<
import_definitions <<< {"vhosts":[{"name":"ctlv"}]}
bogus_command
list_queue
add_usr
autocomplete list_q
$ rabbitmq-diagnostics -q ping
$ rabbitmq-diagnostics -s ping
$ rabbitmq-diagnostics ping --formatter json
$ rabbitmq-diagnostics check_running
$ rabbitmq-diagnostics -q check_running
$ rabbitmq-diagnostics check_running --formatter json
$ rabbitmq-diagnostics is_running
$ rabbitmq-diagnostics is_booting
$ rabbitmq-diagnostics is_booting -q
$ rabbitmq-diagnostics check_local_alarms
$ rabbitmq-diagnostics check_local_alarms -q
$ rabbitmq-diagnostics check_local_alarms --formatter json
$ rabbitmq-diagnostics check_alarms
$ rabbitmq-diagnostics alarms
$ rabbitmq-diagnostics alarms --formatter json
@ $ rabbitmq-diagnostics check_port_connectivity
@ $ rabbitmq-diagnostics check_port_connectivity -q
$ rabbitmq-diagnostics check_port_listener 35673
$ rabbitmq-diagnostics check_port_listener 1
$ rabbitmq-diagnostics check_port_listener x
$ rabbitmq-diagnostics check_port_listener -q 35673
$ rabbitmq-diagnostics check_protocol_listener amqp
$ rabbitmq-diagnostics check_protocol_listener amqps
$ rabbitmq-diagnostics check_protocol_listener amqp091
$ rabbitmq-diagnostics check_protocol_listener http
$ rabbitmq-diagnostics check_protocol_listener bogus
$ rabbitmq-diagnostics check_virtual_hosts
$ rabbitmq-diagnostics check_virtual_hosts -q
$ rabbitmq-diagnostics check_virtual_hosts --formatter json
$ rabbitmq-diagnostics check_certificate_expiration
$ rabbitmq-diagnostics check_certificate_expiration --within 2 --unit months
$ rabbitmq-diagnostics check_certificate_expiration --within 2 --unit bogus
$ rabbitmq-diagnostics check_if_node_is_quorum_critical
$ rabbitmq-diagnostics check_if_node_is_mirror_sync_critical
~ $ rabbitmq-diagnostics listeners
~ $ rabbitmq-diagnostics listeners -q
$ rabbitmq-diagnostics memory_breakdown --unit bogus
$ rabbitmq-diagnostics server_version
$ rabbitmq-diagnostics server_version -q
$ rabbitmq-diagnostics log_location
$ rabbitmq-diagnostics log_location -q
$ rabbitmq-diagnostics log_location --formatter json
$ rabbitmq-diagnostics log_location --all
$ rabbitmq-diagnostics resolve_hostname localhost
= $ rabbitmq-plugins list management$
$ rabbitmq-plugins is_enabled rabbitmq_management
! $ rabbitmq-plugins is_enabled rabbitmq_management rabbitmq_stomp nosuch
! $ rabbitmq-plugins enable nosuch
$ rabbitmq-queues quorum_status nosuch
$ rabbitmq-queues check_if_node_is_quorum_critical
$ rabbitmq-upgrade await_online_quorum_plus_one -t 5
$ rabbitmq-upgrade await_online_synchronized_mirror -t 5
""".strip().splitlines()

# While a client is there, with a consumer on each of two channels.
CONNECTIONS = """
list_connections
list_connections -q
list_connections -s user vhost state
list_connections name peer_host peer_port client_properties user vhost state
list_connections auth_mechanism channel_max channels connected_at frame_max host name port protocol ssl ssl_cipher ssl_hash ssl_key_exchange ssl_protocol peer_cert_issuer peer_cert_subject peer_cert_validity state timeout
list_connections --formatter json name port channels ssl timeout state connected_at user protocol
list_connections --formatter csv name port ssl
list_channels name user consumer_count messages_unacknowledged number prefetch_count global_prefetch_count
list_channels acks_uncommitted confirm messages_uncommitted messages_unconfirmed transactional vhost
list_channels --formatter json name confirm number
~ list_consumers -p ctlv queue_name consumer_tag ack_required prefetch_count active activity_status arguments
~ list_consumers -p ctlv --formatter json queue_name consumer_tag ack_required prefetch_count active
~ list_queues -p ctlv name consumers exclusive_consumer_tag
""".strip().splitlines()

# Of rabbitmqadmin: the same notation, without a node.
ADMIN = """
= -V ctlv list queues
-V ctlv list queues name messages arguments
-V ctlv -f tsv list queues name durable
-V ctlv -q -f tsv list queues name durable
-V ctlv -f kvp list queues name durable arguments.x-max-length
-V ctlv -f long list queues name durable
-V ctlv -f bash list queues
-V ctlv -f raw_json list exchanges name
-V ctlv -f pretty_json list exchanges name
! -V ctlv -f bogus list queues
-V ctlv list exchanges
-V ctlv -S name -R list exchanges name type
-V ctlv list bindings
-V ctlv list consumers
-V ctlv -q list consumers
list vhost_limits
list bogus
! list
show bogus
^ show overview rabbitmq_version
-V ctlv declare queue name=ctl.a durable=true
-V ctlv declare queue name=ctl.a durable=false
-V ctlv declare queue name=ctl.b 'arguments={"x-max-length":5}' queue_type=classic
-V ctlv declare queue
-V ctlv declare queue name=x bogus=1
-V ctlv declare queue name
-V ctlv declare queue name=x arguments={bad
-V ctlv declare exchange name=ctl.x type=topic durable=true
-V ctlv declare exchange name=ctl.x
-V ctlv declare binding source=ctl.x destination=ctl.a routing_key=k
-V ctlv declare binding source=ctl.x destination=ctl.nosuch routing_key=k
^ -V ctlv list bindings source destination routing_key properties_key
-V ctlv delete binding source=ctl.x destination_type=queue destination=ctl.a properties_key=k
declare vhost name=ctlv2
declare user name=ctlu5 password=x tags=
declare user name=ctlu5 tags=
declare permission vhost=ctlv2 user=ctlu5 configure=.* write=.* read=
declare policy name=ctlp pattern=^x 'definition={"max-length":5}' priority=3 apply-to=queues -V ctlv2
-V ctlv2 delete policy name=ctlp
declare vhost_limit vhost=ctlv2 name=max-queues value=7
delete vhost_limit vhost=ctlv2 name=max-queues
delete permission vhost=ctlv2 user=ctlu5
delete user name=ctlu5
delete vhost name=ctlv2
delete vhost name=ctlv2
declare bogus name=x
declare
-V ctlv publish routing_key=ctl.a payload=hello
-V ctlv publish exchange=ctl.x routing_key=nowhere payload=hello
-V ctlv publish exchange=ctl.nosuch routing_key=x payload=hello
-V ctlv publish routing_key=ctl.a <<< from standard input
= -V ctlv get queue=ctl.a count=2
^ -V ctlv get queue=ctl.a ackmode=ack_requeue_false
-V ctlv get queue=ctl.b
-V ctlv get queue=ctl.nosuch
-V ctlv purge queue name=ctl.a
-V ctlv purge queue name=ctl.nosuch
-V ctlv delete queue name=ctl.a
-V ctlv delete exchange name=ctl.x
-V ctlv delete exchange name=ctl.x
-u ctlu2 -p wrong list queues
close connection name=nosuch
frobnicate
export
""".strip().splitlines()

SCENARIOS = [("lists", LISTS), ("users", USERS), ("vhosts", VHOSTS), ("policies", POLICIES), ("queues", QUEUES),
             ("connections", CONNECTIONS), ("node", NODE), ("admin", ADMIN)]
