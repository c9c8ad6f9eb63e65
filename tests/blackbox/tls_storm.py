# SPDX-License-Identifier: Apache-2.0
"""Many TLS connections that arrive at once, and an established flow that must not notice.

The flow is one connection that publishes a message at a steady rate and consumes it: its round trip is from when
a message was due to when it came back. Those who arrive do so from processes of their own, which give way to
everything else (nice 19): in the world they have machines of their own.
"""

import os
import selectors
import socket
import ssl
import subprocess
import sys
import time

from amqp_raw import publish_frames

class Flow:
    """Round trips on a channel, a few hundred a second."""

    def __init__(self, channel, rate=200):
        self.channel, self.pause = channel, 1 / rate
        self.queue = channel.declare(exclusive=True).queue
        channel.consume(self.queue, no_ack=True)
        self.octets = publish_frames(channel.number, "", self.queue, b"x" * 100)

    def run(self, goes_on):
        """Round trips in seconds, as long as GOES_ON(), at least fifty."""
        trips, due = [], time.monotonic()
        while len(trips) < 50 or goes_on():
            time.sleep(max(0, due - time.monotonic()))
            self.channel.raw(self.octets)
            self.channel.wait(lambda method: method.name == "basic.deliver", timeout=60)
            trips.append(time.monotonic() - due)
            due = max(due + self.pause, time.monotonic() - 10 * self.pause)
        return sorted(trips)


def percentile(trips, share):
    return trips[min(len(trips) - 1, int(len(trips) * share))]


def arrive(address, count):
    """COUNT connections at once: (handshakes done, failed, seconds for all). The main program of this file."""
    os.nice(19)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    waiting, socks, done, failed = selectors.DefaultSelector(), [], 0, 0
    print("waiting", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    for _ in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(address)
        waiting.register(sock, selectors.EVENT_WRITE)
        socks.append(sock)
    while waiting.get_map() and time.monotonic() - began < 120:
        for key, _ in waiting.select(1):
            sock = key.fileobj
            try:
                if not isinstance(sock, ssl.SSLSocket):     # it is connected now, or never
                    waiting.unregister(sock)
                    sock = context.wrap_socket(sock, do_handshake_on_connect=False)
                    socks.append(sock)
                    waiting.register(sock, selectors.EVENT_READ)
                sock.do_handshake()
                waiting.unregister(sock)
                done += 1
            except ssl.SSLWantReadError:
                waiting.modify(sock, selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                waiting.modify(sock, selectors.EVENT_WRITE)
            except OSError:
                failed += 1
                if sock in waiting.get_map():
                    waiting.unregister(sock)
    return done, failed + len(waiting.get_map()), time.monotonic() - began


def storm(flow, address, count, processes=2):
    """(quiet trips, trips while COUNT connections arrive, handshakes done, failed, seconds)."""
    arrivals = [subprocess.Popen([sys.executable, os.path.abspath(__file__), *map(str, address), str(count // processes)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    for process in arrivals:
        process.stdout.readline()
    end = time.monotonic() + 3
    quiet = flow.run(lambda: time.monotonic() < end)
    for process in arrivals:
        process.stdin.write("\n")
        process.stdin.flush()
    loaded = flow.run(lambda: any(process.poll() is None for process in arrivals))
    told = [process.communicate()[0].split() for process in arrivals]
    return quiet, loaded, sum(int(t[0]) for t in told), sum(int(t[1]) for t in told), max(float(t[2]) for t in told)


if __name__ == "__main__":
    print(*arrive((sys.argv[1], int(sys.argv[2])), int(sys.argv[3])))
