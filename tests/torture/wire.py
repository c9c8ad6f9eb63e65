# SPDX-License-Identifier: Apache-2.0
"""Hosts of their own on networks that can be spoilt, in one tree of processes; root and /dev/net/tun are needed.

A host is a network namespace. What goes between it and the namespace of this process, where the broker is to run,
passes through a process that has every packet in its hands (two TUN devices, an end in each namespace), and holds it
back, drops it, doubles it, or lets others overtake it: what tc-netem and nftables do, on kernels that have neither.

Namespaces and devices have no names outside of these processes: they vanish with them, however they end.

A socket belongs to the namespace it was made in, so one thread may use sockets of all hosts: Host.socket().
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
PR_SET_PDEATHSIG = 1
PACKET_MAX = 65536
PACKETS_AT_ONCE = 64
LIBC = ctypes.CDLL(None, use_errno=True)

PERFECT = {"cut": False, "delay": 0.0, "jitter": 0.0, "loss": 0.0, "double": 0.0}


class NoNetwork(Exception):
    """This machine does not let us make namespaces or devices."""


def checked(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def sysctl(name, value):
    """Of the namespace that this thread is in."""
    with open("/proc/sys/net/ipv4/" + name, "w", encoding="ascii") as out:
        out.write(str(value))


class Namespace:
    """As a context: this thread is inside."""

    def __init__(self, make):
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.inside = self.outside
        if make:
            checked(LIBC.unshare(CLONE_NEWNET))
            ip("link", "set", "lo", "up")
            self.inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            checked(LIBC.setns(self.outside, CLONE_NEWNET))

    def __enter__(self):
        checked(LIBC.setns(self.inside, CLONE_NEWNET))

    def __exit__(self, *_):
        checked(LIBC.setns(self.outside, CLONE_NEWNET))

    def close(self):
        os.close(self.inside)
        os.close(self.outside)


def open_tun(name, address, peer):
    """A device of the namespace that this thread is in; whoever reads the descriptor gets what is sent to PEER."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    ip("address", "add", address, "peer", peer, "dev", name)
    ip("link", "set", name, "up")
    return fd


class Host:
    """A machine, `address`, that reaches the broker's at `broker`."""

    def __init__(self, network, number):
        self.network, self.number = network, number
        self.address, self.broker = "10.77.%d.2" % number, "10.77.%d.1" % number
        self.namespace = None

    def boot(self):
        self.namespace = Namespace(make=True)
        with self.namespace:
            return open_tun("wire", self.address, self.broker)

    def socket(self, port):
        """A socket of this host, on its way to the broker's PORT; it does not block."""
        with self.namespace:
            sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect((self.broker, port))
        except BlockingIOError:
            pass
        return sock

    def rule(self, up=None, down=None):
        """From now on: what happens to packets to the broker (UP), from it (DOWN); what is not said is as PERFECT."""
        self.network.tell("rule", host=self.number, up=dict(PERFECT, **(up or {})), down=dict(PERFECT, **(down or {})))

    def vanish(self):
        """The power is gone: no FIN, no RST, and nobody remembers anything."""
        self.network.tell("vanish", host=self.number)
        self.namespace.close()
        self.namespace = None

    def reboot(self):
        """It is back at the same address."""
        far = self.boot()
        self.network.tell("far", [far], host=self.number)
        os.close(far)


class Network:
    """The broker's namespace, which this process enters for good, and the hosts around it."""

    def __init__(self, seed):
        try:
            checked(LIBC.unshare(CLONE_NEWNET))
            ip("link", "set", "lo", "up")
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except (OSError, subprocess.CalledProcessError) as problem:
            raise NoNetwork(str(problem)) from None
        self.hosts = []
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            carry(theirs, seed)
        theirs.close()
        self.control = ours

    def host(self):
        host = Host(self, len(self.hosts) + 1)
        self.hosts.append(host)
        near = open_tun("host%d" % host.number, host.broker, host.address)
        far = host.boot()
        self.tell("host", [near, far], host=host.number)
        os.close(near)
        os.close(far)
        return host

    def tell(self, what, fds=(), **more):
        """Returns what the carrier answers, when it has done it."""
        socket.send_fds(self.control, [json.dumps(dict(more, what=what)).encode()], list(fds))
        answer = self.control.recv(PACKET_MAX)
        if not answer:
            raise OSError("the process that carries packets has ended")
        return json.loads(answer)

    def counts(self):
        """{"carried", "dropped", "doubled", "octets"} since the start, of all hosts."""
        return self.tell("counts")

    def close(self):
        self.control.close()
        os.waitpid(self.pid, 0)


# --- the process that carries packets ---------------------------------------------------------------------------

class Way:
    """One direction of one host."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.rule = PERFECT


class Carrier:
    def __init__(self, control, seed):
        self.control, self.rng = control, random.Random(seed)
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        self.ends = {}          # host -> [near, far], of which far may be None
        self.ways = {}          # source descriptor -> Way
        self.late = []          # a heap of (when, number, target, packet)
        self.number = 0
        self.counts = {"carried": 0, "dropped": 0, "doubled": 0, "octets": 0}

    def run(self):
        while True:
            now = time.monotonic()
            while self.late and self.late[0][0] <= now:
                self.deliver(*heapq.heappop(self.late)[2:])
            wait = max(0.0, self.late[0][0] - now) * 1000 + 0.5 if self.late else None
            for fd, _ in self.poll.poll(wait):
                if fd == self.control.fileno():
                    self.obey()
                elif fd in self.ways:
                    self.take(self.ways[fd])

    def take(self, way):
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = os.read(way.source, PACKET_MAX)
            except OSError:
                return
            if packet[0] >> 4 == 4:
                self.judge(way, packet)

    def judge(self, way, packet):
        rule, rng = way.rule, self.rng
        if rule["cut"] or way.target is None or rng.random() < rule["loss"]:
            self.counts["dropped"] += 1
            return
        copies = 1
        if rng.random() < rule["double"]:
            self.counts["doubled"] += 1
            copies = 2
        for _ in range(copies):
            delay = rule["delay"] + rule["jitter"] * rng.random()
            if delay:
                self.number += 1
                heapq.heappush(self.late, (time.monotonic() + delay, self.number, way, packet))
            else:
                self.deliver(way, packet)

    def deliver(self, way, packet):
        if way.target is None or way.rule["cut"]:
            self.counts["dropped"] += 1
            return
        try:
            os.write(way.target, packet)
        except OSError:         # its queue is full, as a router's may be
            self.counts["dropped"] += 1
            return
        self.counts["carried"] += 1
        self.counts["octets"] += len(packet)

    def obey(self):
        data, fds, _, _ = socket.recv_fds(self.control, PACKET_MAX, 2)
        if not data:
            os._exit(0)
        order = json.loads(data)
        answer = getattr(self, "on_" + order.pop("what"))(fds, **order)
        self.control.send(json.dumps(answer).encode())

    def connect(self, host):
        near, far = self.ends[host]
        for source, target in ((near, far), (far, near)):
            if source is not None:
                self.ways[source] = Way(source, target)
                self.poll.register(source, select.POLLIN)

    def disconnect(self, host):
        for fd in self.ends[host]:
            if fd is not None:
                self.poll.unregister(fd)
                self.ways.pop(fd).target = None     # what is late falls down

    def on_host(self, fds, host):
        self.ends[host] = fds
        self.connect(host)

    def on_far(self, fds, host):
        self.disconnect(host)
        self.ends[host][1] = fds[0]
        self.connect(host)

    def on_vanish(self, _, host):
        self.disconnect(host)
        os.close(self.ends[host][1])
        self.ends[host][1] = None
        self.connect(host)

    def on_rule(self, _, host, up, down):
        near, far = self.ends[host]
        self.ways[near].rule = down
        if far is not None:
            self.ways[far].rule = up

    def on_counts(self, _):
        return self.counts


def carry(control, seed):
    """Never returns."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Carrier(control, seed).run()
    finally:
        os._exit(1)
