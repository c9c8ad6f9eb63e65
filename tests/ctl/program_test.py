# SPDX-License-Identifier: Apache-2.0
"""The program itself: options, targets, help, formats, and what hostile names may not do."""

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import tempfile
import termios
import time

from ctl_kit import against, eq, has, run
from fake_api import FakeApi

QUEUES = "/api/queues/%2F?columns=name,messages"


def verbs(coneyctl, name="coneyctl"):
    return run(coneyctl, "autocomplete", name=name).out.split()


def test_no_broker_says_what_to_do(coneyctl):
    with tempfile.TemporaryDirectory() as folder:
        said = run(coneyctl, "-n", "rabbit@x", "list_queues", socket=folder + "/none")
    eq(said.code, 69)
    has(said.err, "Error: unable to perform an operation on node 'rabbit@x'.", "/none: No such file or directory\n",
        "systemctl status coney", "--url")
    said = run(coneyctl, "--url", "http://127.0.0.1:1", "ping")
    eq(said.code, 69)
    has(said.err, "http://127.0.0.1:1: ", "management.tcp.ip")


def test_rabbitmqadmin_says_it_in_its_own_words(coneyctl):
    said = run(coneyctl, "-P", "1", "list", "queues", name="rabbitmqadmin")
    eq((said.code, said.out), (1, ""))
    has(said.err, "*** Could not connect: ")


def test_password_in_a_url_is_not_shown(coneyctl):
    said = run(coneyctl, "--url", "http://me:hush@127.0.0.1:1", "ping")
    has(said.err, "http://127.0.0.1:1")
    eq("hush" in said.err + said.out, False)


def test_socket_is_chosen_by_option_before_environment(coneyctl):
    with FakeApi({("GET", "/api/vhosts?columns=name"): (200, [])}) as right, FakeApi() as wrong:
        answers = (200, [{"name": "v"}])
        right.answers[("GET", "/api/vhosts")] = [answers]
        for arguments, socket, environment in (
                (["--socket", right.socket], wrong.socket, {}),
                (["--socket=" + right.socket], None, {"CONEY_URL": "http://127.0.0.1:1"}),
                ([], right.socket, {})):
            said = run(coneyctl, *arguments, "list_vhosts", "-s", socket=socket, environment=environment)
            eq((said.code, said.out), (0, "v\n"), said.err)
        eq(wrong.asked, [])
    eq(run(coneyctl, "--socket", "/x", "--url", "http://h", "list_vhosts").code, 64)
    eq(run(coneyctl, "--url", "host:15672", "list_vhosts").code, 64)


def test_url_sends_its_user_and_netrc_does_otherwise(coneyctl):
    """Requests go through a tiny TCP server, since URLs name none of UNIX sockets."""
    import base64
    import http.server
    import threading
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(base64.b64decode(self.headers.get("authorization", "Basic ")[6:]).decode())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'[{"name":"v"}]')

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    port = server.server_port
    with tempfile.TemporaryDirectory() as home:
        with open(home + "/.netrc", "w", encoding="ascii") as file:
            file.write("machine 127.0.0.1 login net password rc\n")
        os.chmod(home + "/.netrc", 0o600)
        for url, environment in (("http://me:p%40w@127.0.0.1:%d", {}), ("http://127.0.0.1:%d/", {"HOME": home})):
            said = run(coneyctl, "--url", url.replace("%d", str(port)), "list_vhosts", "-s", environment=environment)
            eq((said.code, said.out), (0, "v\n"), said.err)
        eq(seen, ["me:p@w", "net:rc"])
        said = run(coneyctl, "list_vhosts", "-s", environment={"CONEY_URL": "http://a:b@127.0.0.1:%d" % port})
        eq(seen[-1], "a:b")
        run(coneyctl, "-H", "127.0.0.1", "-P", str(port), "list", "vhosts", name="rabbitmqadmin")
        eq(seen[-1], "guest:guest")
        with open(home + "/.rabbitmqadmin.conf", "w", encoding="ascii") as file:
            file.write("[default]\nhostname = 127.0.0.1\nport = %d\nusername = conf # who\npassword = file\n" % port)
        run(coneyctl, "-p", "other", "list", "vhosts", name="rabbitmqadmin", environment={"HOME": home})
        eq(seen[-1], "conf:other")
        eq(run(coneyctl, "-N", "nosuch", "list", "vhosts", name="rabbitmqadmin", environment={"HOME": home}).code, 1)
        run(coneyctl, "-U", "http://u:w@127.0.0.1:%d" % port, "list", "vhosts", name="rabbitmqadmin")
        eq(seen[-1], "u:w")
    server.shutdown()
    server.server_close()


def test_definitions_of_another_broker_by_https(coneyctl):
    """The options for https are those for both."""
    import http.server
    import ssl
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"queues":[]}')

        def log_message(self, *_):
            pass

    with tempfile.TemporaryDirectory() as folder, http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=other", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder + "/key",
                        "-out", folder + "/cert"], check=True, capture_output=True, timeout=30)
        server.handle_error = lambda *_: None   # clients that do not trust it hang up
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder + "/cert", folder + "/key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = "https://127.0.0.1:%d" % server.server_port
        for options, code in ((["--cacert", folder + "/cert"], 0), (["--insecure"], 0), ([], 69)):
            said, asked = against(coneyctl, {("POST", "/api/definitions"): (204, "")}, *options, "import_definitions", url)
            eq((said.code, [one[2] for one in asked if one[0] == "POST"]), (code, [{"queues": []}] if code == 0 else []),
               said.err)
        server.shutdown()


def test_options_stand_anywhere(coneyctl):
    answers = {("GET", "/api/queues/v?columns=name"): (200, [{"name": "q"}])}
    for line in ("-p v -q list_queues name", "list_queues -q --vhost v name", "list_queues name --vhost=v --quiet",
                 "-pv list_queues -q -- name", "-q --longnames --node=x list_queues name -t 5 -p v"):
        said, asked = against(coneyctl, answers, *line.split())
        eq((said.code, said.out), (0, "name\nq\n"), line + said.err)


def test_wrong_command_lines_are_64(coneyctl):
    for line in ("list_queues --nosuch", "list_queues -t x", "list_queues --formatter xml", "no_such_verb", "-p", "",
                 "list_queues nosuchcolumn", "set_policy --priority high a b {}", "wait", "tail queue q --count 1e3",
                 "set_policy --priority 1.5 a b {}", "list_queues --quiet=no", "list_queues -qs"):
        said = run(coneyctl, *line.split())
        eq(said.code, 64, line)
        has(said.err, "coneyctl")


def test_what_a_401_says(coneyctl):
    said, _ = against(coneyctl, {("GET", QUEUES): (401, {"error": "not_authorised", "reason": "Not management user"})},
                      "list_queues")
    eq(said.code, 77)
    has(said.err, "Not management user", "set_user_tags")


def test_answers_that_are_no_json_end_in_an_error(coneyctl):
    for path, verb in (("users?columns=name,tags", "list_users"), ("queues/%2F?columns=name,messages", "list_queues")):
        said, _ = against(coneyctl, {("GET", "/api/" + path): (200, "<html>")}, verb)
        eq(said.code, 76)
        has(said.err, "/api/" + path)


def test_vhost_that_is_not_there(coneyctl):
    said, _ = against(coneyctl, {}, "list_queues", "-p", "none")
    eq((said.code, said.err), (65, "Virtual host 'none' does not exist\n"))


def test_hostile_names_do_not_reach_the_terminal(coneyctl):
    evil = "a\x1b[31m\x07\t\n\x7f\x9b\u202e\\é"
    shown = "a\\033[31m\\007\\011\\012\\177\\302\\233\\342\\200\\256\\é"
    answers = {("GET", QUEUES): (200, [{"name": evil, "messages": 1}])}
    for formatter in ("table", "csv", "pretty_table"):
        said, _ = against(coneyctl, answers, "list_queues", "--formatter", formatter)
        has(said.out, shown)
    said, _ = against(coneyctl, answers, "list_queues", "--formatter", "erlang")
    has(said.out, '<<"a\\033[31m\\007\\t\\n\\177\\302\\233\\342\\200\\256\\\\é">>')
    rows = {("GET", "/api/queues?columns=name,messages"): (200, [{"name": evil, "messages": 1}])}
    for form in ("table", "tsv", "long", "kvp", "bash"):
        said, _ = against(coneyctl, rows, "list", "queues", "--format", form)
        has(said.out, shown)
    said, _ = against(coneyctl, {("PUT", "/api/vhosts/x"): (400, {"error": "bad_request", "reason": evil})}, "add_vhost", "x")
    eq(said.code, 69)
    has(said.err, "a\\033[31m\\007\t\n")
    said, _ = against(coneyctl, {("GET", "/api/connections?columns=client_properties"): (200, [{"client_properties": {evil: [evil]}}])},
                      "list_connections", "client_properties", "-s")
    eq("\x1b" in said.out or "\x9b" in said.out, False)


def test_json_stays_json_and_drives_no_terminal(coneyctl):
    """What is escaped reads back as it was."""
    evil = {"name": "a\x9b\u202e\x7f\x1b\né", "messages": 1}
    raw = json.dumps([evil], ensure_ascii=False)
    peeked = ("GET", "/api/queues/%2F/q/peek?count=10&offset=0")
    for arguments, answers, read in (
            (["list_queues", "--formatter", "json"], {("GET", QUEUES): (200, raw)}, json.loads),
            (["list", "queues", "--format", "raw_json"], {("GET", "/api/queues"): (200, raw)}, json.loads),
            (["peek", "q", "--formatter", "json"], {peeked: (200, raw)}, json.loads),
            (["export_definitions", "-"], {("GET", "/api/definitions"): (200, raw)}, json.loads),
            (["tail", "queue", "q", "-q"],
             {("GET", "/api/coney/tail?vhost=%2F&queue=q"): (200, json.dumps(evil, ensure_ascii=False) + "\n")},
             lambda out: [json.loads(line) for line in out.splitlines()])):
        said, _ = against(coneyctl, answers, *arguments)
        eq((said.code, read(said.out)), (0, [evil]), said.err)
        eq([one for one in "\x9b\u202e\x7f\x1b" if one in said.out], [], arguments)


def test_output_that_finds_no_room_is_74(coneyctl):
    """However much of it was written before the end."""
    for size in (1, 100000):
        answers = {("GET", QUEUES): (200, [{"name": "q" * size, "messages": 1}]),
                   ("GET", "/api/definitions"): (200, {"name": "q" * size})}
        for arguments in (["list_queues"], ["export_definitions", "-"]):
            with FakeApi(answers) as api, open("/dev/full", "wb") as full:
                ended = subprocess.run([coneyctl, *arguments], stdout=full, stderr=subprocess.PIPE, timeout=30, check=False,
                                       env={"PATH": os.environ["PATH"], "CONEY_SOCKET": api.socket})
            eq((ended.returncode, b"standard output" in ended.stderr), (74, True), (size, arguments))


def test_names_of_columns_come_from_clients_too(coneyctl):
    rows = {("GET", "/api/connections"): (200, [{"client_properties": {"k\x1b[2J\x9b": "v"}}])}
    for form in ("table", "tsv", "long", "kvp"):
        said, _ = against(coneyctl, rows, "list", "connections", "--depth", "2", "--format", form)
        eq(said.code, 0, said.err)
        has(said.out, "client_properties.k\\033[2J\\302\\233")


def test_what_is_not_utf_8_is_refused(coneyctl):
    """JSON has no room for it: a filter would be lost, or a password."""
    for arguments in (["move", "a", "b", "--reason", b"\xff"], ["change_password", "u", b"\xc3"]):
        said, asked = against(coneyctl, {}, *arguments)
        eq((said.code, asked), (65, []))
        has(said.err, "is not UTF-8: \\3")
    said, asked = against(coneyctl, {}, "change_password", "u", stdin=b"\xff\n")
    eq((said.code, asked), (65, []))


def test_cells_of_each_kind(coneyctl):
    row = {"auth_mechanism": None, "channels": 2, "protocol": "AMQP 0-9-1", "ssl": False, "timeout": 1.5, "user": "ü",
           "client_properties": {"a": {"b": [1, "x", True, None]}, "c": "q\"\\"}}
    columns = "auth_mechanism,channels,protocol,ssl,timeout,user,client_properties"
    said, _ = against(coneyctl, {("GET", "/api/connections?columns=" + columns): (200, [row])}, "list_connections", "-s",
                      *columns.split(","))
    eq(said.out, "\t2\t{0,9,1}\tfalse\t1.5\tü\t[{\"a\",[{\"b\",[1,\"x\",true,]}]},{\"c\",\"q\\\"\\\\\"}]\n")


def test_protocols_that_are_no_three_numbers(coneyctl):
    """The whole of it is looked at, and nothing behind it (sanitizers see that); the broker may not know it yet."""
    for protocol, shown in (("AMQP 1-0", '<<"AMQP 1-0">>'), ("AMQP 0", '<<"AMQP 0">>'), ("AMQP ", '<<"AMQP ">>'), ("", "<<>>"),
                            ("AMQP 0-9-1-1", '<<"AMQP 0-9-1-1">>')):
        answers = {("GET", "/api/connections?columns=protocol"): (200, [{"protocol": protocol}])}
        said, _ = against(coneyctl, answers, "list_connections", "-s", "protocol")
        eq((said.code, said.out), (0, protocol + "\n"), said.err)
        said, _ = against(coneyctl, answers, "list_connections", "-s", "protocol", "--formatter", "erlang")
        eq((said.code, said.out), (0, "[[{protocol,%s}]]\n" % shown), said.err)


def test_pid_is_the_name_where_there_is_none(coneyctl):
    path = "/api/connections?columns=pid,name"
    for row, shown in (({"name": "n"}, "n"), ({"name": "n", "pid": "<coney@h.1.2.0>"}, "<coney@h.1.2.0>")):
        eq(against(coneyctl, {("GET", path): (200, [row])}, "list_connections", "pid", "-s")[0].out, shown + "\n")


def test_names_are_encoded_in_paths(coneyctl):
    said, asked = against(coneyctl, {("DELETE", "/api/queues/a%2Fb/%25%20%C3%A9%3F/contents"): (204, "")}, "purge_queue", "-p",
                          "a/b", "% é?")
    eq(said.code, 0, said.err)
    eq(asked[0][1], "/api/queues/a%2Fb/%25%20%C3%A9%3F/contents")


def test_passwords_from_standard_input_end_at_the_line(coneyctl):
    answers = {("PUT", "/api/users/u"): (201, "")}
    for stdin, password in ((b"p w \n", "p w "), (b"x\r\nmore\n", "x"), (b"last", "last")):
        said, asked = against(coneyctl, answers, "add_user", "u", stdin=stdin)
        eq((said.code, asked[-1][2]), (0, {"password": password, "tags": ""}), said.err)
    eq(against(coneyctl, answers, "add_user", "u")[0].code, 70)


def test_a_user_keeps_what_is_not_changed(coneyctl):
    user = (200, {"name": "u", "tags": ["a", "b"], "password_hash": "HASH", "hashing_algorithm": "rabbit_password_hashing_sha512"})
    answers = {("GET", "/api/users/u"): user, ("PUT", "/api/users/u"): (204, "")}
    for arguments, body in (
            (["change_password", "u", "new"], {"password": "new", "tags": "a,b"}),
            (["clear_password", "u"], {"password_hash": "", "tags": "a,b"}),
            (["set_user_tags", "u", "c"], {"tags": "c", "password_hash": "HASH",
                                           "hashing_algorithm": "rabbit_password_hashing_sha512"})):
        said, asked = against(coneyctl, answers, *arguments)
        eq((said.code, asked[-1][2]), (0, body), said.err)


def test_timeout_is_75(coneyctl):
    import socket
    with tempfile.TemporaryDirectory() as folder:
        deaf = socket.socket(socket.AF_UNIX)
        deaf.bind(folder + "/deaf")
        deaf.listen(8)
        said = run(coneyctl, "-n", "n", "list_queues", "-t", "0.2", socket=folder + "/deaf")
        deaf.close()
    eq(said.code, 75)
    eq(said.err, "Error: operation list_queues on node n timed out. Timeout value used: 200\n")


# --- the terminal ---------------------------------------------------------------------------------------------------

TOP = {("GET", "/api/queues?columns=vhost,name,messages,messages_ready,messages_unacknowledged,consumers,message_stats,state"):
       (200, [])}
PICTURE = b"\x1b[H\x1b[2J"


@contextlib.contextmanager
def on_terminal(coneyctl, api, *arguments, stdin=None):
    """(a process with a terminal of its own, that terminal's two ends)"""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([coneyctl, *arguments], stdin=stdin or theirs, stdout=theirs, stderr=theirs,
                               env={"PATH": os.environ["PATH"], "CONEY_SOCKET": api.socket})
    try:
        yield process, ours, theirs
    finally:
        process.kill()
        process.wait(30)
        os.close(ours)
        os.close(theirs)


def read_pictures(ours, count):
    """Read until so many have begun; returns when."""
    shown, when = b"", []
    while len(when) < count:
        eq(select.select([ours], [], [], 30)[0], [ours], shown)
        shown += os.read(ours, 65536)
        when += [time.monotonic()] * (shown.count(PICTURE) - len(when))
    return when


def test_top_leaves_the_terminal_as_it_was(coneyctl):
    """When the broker goes, at a key, and at a signal."""
    fine, gone = (200, {"object_totals": {}, "queue_totals": {}}), (503, {"reason": "stopping"})
    for overviews, end, code in (([fine, gone], None, 69), (fine, b"q", 0), (fine, signal.SIGINT, -signal.SIGINT)):
        with FakeApi({**TOP, ("GET", "/api/overview"): overviews}) as api, \
                on_terminal(coneyctl, api, "top", "--interval", "0.1") as (process, ours, theirs):
            read_pictures(ours, 2)
            if isinstance(end, bytes):
                os.write(ours, end)
            elif end:
                process.send_signal(end)
            eq(process.wait(30), code)
            kept = termios.tcgetattr(theirs)[3]
            eq(kept & (termios.ECHO | termios.ICANON), termios.ECHO | termios.ICANON, end)


def test_top_without_keys_keeps_its_interval(coneyctl):
    with FakeApi({**TOP, ("GET", "/api/overview"): (200, {})}) as api, \
            on_terminal(coneyctl, api, "top", "--interval", "0.2", stdin=subprocess.DEVNULL) as (_, ours, _):
        when = read_pictures(ours, 4)
    eq(when[3] - when[0] > 0.3, True, when)


# --- help ---------------------------------------------------------------------------------------------------------

def test_each_verb_has_help_with_an_example_that_is_one(coneyctl):
    for name in ("coneyctl", "rabbitmq-plugins", "rabbitmq-queues", "rabbitmq-upgrade", "rabbitmq-diagnostics"):
        for verb in verbs(coneyctl, name):
            said = run(coneyctl, "help", verb, name=name)
            eq(said.code, 0)
            example = re.search(r"^Example:\n  %s (.*)$" % name, said.out, re.M).group(1)
            words = [word for word in shlex.split(re.sub(r" [<>]\S+$", "", example))]
            eq(words[0], verb)
            if " is refused" not in said.out:
                tried = run(coneyctl, *words, "--dry-run", name=name)
                eq((tried.code, tried.err), (0, ""), example)


def test_help_as_an_option_is_the_same(coneyctl):
    for verb in ("list_queues", "eval", "declare"):
        eq(run(coneyctl, verb, "--help").out, run(coneyctl, "help", verb).out)
    eq(run(coneyctl, "--help").out, run(coneyctl, "help").out)


def test_help_lists_each_verb_once(coneyctl):
    for name in ("coneyctl", "rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins", "rabbitmq-queues", "rabbitmq-upgrade"):
        listed = re.findall(r"^   (\S+) +\S", run(coneyctl, "help", name=name).out, re.M)
        eq(sorted(listed), sorted(set(verbs(coneyctl, name))), name)
        eq(len(listed), len(set(listed)), name)


def test_manual_lists_each_verb(coneyctl):
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../doc/coneyctl.1")
    with open(page, encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    section = manual[manual.index(".SH VERBS"):manual.index(".SH OTHER NAMES")]
    eq(sorted(re.findall(r"^\.TP\n\.B (\S+)", section, re.M)), sorted(verbs(coneyctl)))
    for option in run(coneyctl, "autocomplete", "add_user", "-").out.split():
        if option not in ("--pre-hashed-password", "--longnames", "--table-headers", "--erlang-cookie", "--script-name",
                          "--dry-run"):
            has(manual, option)


def test_rabbitmqctl_has_the_verbs_of_rabbitmqctl(coneyctl):
    """What rabbitmqctl 3.10 lists; rabbitmqctl's own list is the contract."""
    wanted = """autocomplete help version await_startup reset rotate_logs shutdown start_app stop stop_app wait
        await_online_nodes change_cluster_node_type cluster_status force_boot force_reset forget_cluster_node join_cluster
        rename_cluster_node update_cluster_nodes cancel_sync_queue sync_queue add_user authenticate_user change_password
        clear_password clear_user_limits delete_user list_user_limits list_users set_user_limits set_user_tags
        clear_permissions clear_topic_permissions list_permissions list_topic_permissions list_user_permissions
        list_user_topic_permissions list_vhosts set_permissions set_topic_permissions list_bindings list_channels list_ciphers
        list_connections list_consumers list_exchanges list_hashes list_node_auth_attempt_stats list_queues
        list_unresponsive_queues ping report schema_info status clear_global_parameter clear_parameter list_global_parameters
        list_parameters set_global_parameter set_parameter clear_operator_policy clear_policy list_operator_policies
        list_policies set_operator_policy set_policy add_vhost clear_vhost_limits delete_vhost list_vhost_limits restart_vhost
        set_vhost_limits set_vhost_tags trace_off trace_on decode encode environment set_cluster_name set_disk_free_limit
        set_log_level set_vm_memory_high_watermark export_definitions import_definitions enable_feature_flag
        list_feature_flags close_all_connections close_all_user_connections close_connection eval eval_file exec force_gc
        resume_listeners suspend_listeners delete_queue purge_queue delete_shovel restart_shovel shovel_status hipe_compile
        node_health_check""".split()
    eq(sorted(set(wanted) - set(verbs(coneyctl, "rabbitmqctl"))), [])


def completion(coneyctl, api, line):
    """What the last word of LINE becomes. Functions of the bash-completion package are stood in for."""
    script = r"""
        _init_completion() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${words[cword]} prev=${words[cword-1]}; }
        _filedir() { COMPREPLY=(a-file); }
        . "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); COMPREPLY=(); _coneyctl; echo "${COMPREPLY[*]}"
    """
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../etc/coneyctl.bash-completion")
    said = subprocess.run(["bash", "-c", script, "bash", path, coneyctl, *line], capture_output=True, text=True, timeout=30,
                          check=False, env={"PATH": os.environ["PATH"], "CONEY_SOCKET": api.socket})
    eq(said.stderr, "", line)
    return said.stdout.rstrip("\n")


def test_completion(coneyctl):
    with FakeApi({("GET", "/api/queues/v?columns=name"): (200, [{"name": "invoices"}, {"name": "orders"}]),
                  ("GET", "/api/vhosts"): (200, [{"name": "v"}, {"name": "w"}])}) as api:
        for line, wanted in (("list_que", "list_queues"), ("list_queues --off", "--offline"), ("--sock", "--socket"),
                             ("declare ex", "exchange"), ("list ex", "exchanges"), ("set_alarm d", "disk"),
                             ("list_queues --formatter pr", "pretty_table"), ("help purge_", "purge_queue"),
                             ("export_definitions x", "a-file"), ("-p v purge_queue in", "invoices"),
                             ("delete_queue -p v o", "orders"), ("list_queues -p w", "w"), ("delete_vhost v", "v")):
            eq(completion(coneyctl, api, line.split()), wanted, line)


def test_completion_runs_nothing_that_a_name_says(coneyctl):
    with tempfile.TemporaryDirectory() as folder:
        names = ["$(touch %s/ran)" % folder, "`touch %s/ran`" % folder, "a; touch %s/ran" % folder, "it's"]
        with FakeApi({("GET", "/api/queues/%2F?columns=name"): (200, [{"name": name} for name in names]),
                      ("GET", "/api/vhosts"): (200, [{"name": name} for name in names])}) as api:
            for line in (["purge_queue", ""], ["list_queues", "-p", ""], ["delete_vhost", ""]):
                eq(shlex.split(completion(coneyctl, api, line)), names)
            eq(completion(coneyctl, api, ["purge_queue", "it"]), "it\\'s")
            eq(completion(coneyctl, api, ["purge_queue", "it\\'"]), "it\\'s")
        eq(os.listdir(folder), [])


def test_unknown_verbs_are_guessed(coneyctl):
    said = run(coneyctl, "list_queue")
    eq(said.code, 64)
    has(said.err, "Command 'list_queue' not found. \nDid you mean 'list_queues'? \n")


def test_version(coneyctl):
    eq(run(coneyctl, "version").code, 0)
    has(run(coneyctl, "--version").out, "coneyctl ")
    eq(run(coneyctl, "version", name="rabbitmqctl").out, "3.13.7\n")
    eq(run(coneyctl, "--version", name="rabbitmqadmin").out, "rabbitmqadmin 3.13.7\n")


def test_coneyctl_has_the_verbs_of_rabbitmqadmin(coneyctl):
    """The first thing that the README shows."""
    said, asked = against(coneyctl, {("PUT", "/api/exchanges/%2F/orders"): (201, "")}, "declare", "exchange", "name=orders",
                          "type=topic", "durable=true")
    eq((said.code, said.out), (0, "exchange declared\n"))
    eq(asked, [("PUT", "/api/exchanges/%2F/orders", {"name": "orders", "type": "topic", "durable": "true", "vhost": "/",
                                                     "auto_delete": "false", "internal": "false", "arguments": {}})])


def test_payloads_go_to_and_come_from_files(coneyctl):
    path = "/api/exchanges/%2F/amq.default/publish"
    said, asked = against(coneyctl, {("POST", path): (200, {"routed": False})}, "publish", "routing_key=k", stdin=b"\x00\xff")
    eq((said.code, said.out), (0, "Message published but NOT routed\n"))
    eq((asked[0][2]["payload"], asked[0][2]["payload_encoding"]), ("AP8=", "base64"))
    message = {"payload": "AP8=", "payload_encoding": "base64", "payload_bytes": 2, "routing_key": "k", "exchange": "",
               "message_count": 0, "redelivered": False, "properties": {}}
    with tempfile.TemporaryDirectory() as folder:
        said, _ = against(coneyctl, {("POST", "/api/queues/%2F/q/get"): (200, [message])}, "get", "queue=q",
                          "payload_file=" + folder + "/out")
        eq(said.code, 0, said.err)
        with open(folder + "/out", "rb") as file:
            eq(file.read(), b"\x00\xff")
