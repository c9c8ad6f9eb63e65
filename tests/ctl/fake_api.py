# SPDX-License-Identifier: Apache-2.0
"""A management API on a UNIX socket that answers what it is told to and keeps what it was asked."""

import http.server
import json
import os
import socketserver
import tempfile
import threading


class FakeApi:
    """Give answers as {("GET", "/api/x"): (status, value)}; a list stands for the answers to one request after the
    other, the last of which stays. A value that is no text is sent as JSON. What is not named is 404, as in RabbitMQ."""

    def __init__(self, answers=None):
        self.folder = tempfile.TemporaryDirectory()
        self.socket = self.folder.name + "/api"
        self.answers = {key: list(value) if isinstance(value, list) else [value]
                        for key, value in (answers or {}).items()}
        self.asked = []
        self.headers = []
        api = self

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                try:
                    body = json.loads(body) if body else None
                except ValueError:
                    pass
                api.asked.append((self.command, self.path, body))
                api.headers.append(self.headers)
                status, value = api.next_answer(self.command, self.path)
                content = (value if isinstance(value, str) else json.dumps(value)).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except BrokenPipeError:     # it had heard enough
                    self.close_connection = True

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

            def address_string(self):
                return "local"

        self.server = Server(self.socket, Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def next_answer(self, method, path):
        left = self.answers.get((method, path))
        if not left:
            return 404, {"error": "Object Not Found", "reason": "Not Found"}
        return left.pop(0) if len(left) > 1 else left[0]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        assert not os.path.exists(self.socket)
