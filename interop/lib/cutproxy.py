#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy whose connections can be cut, for the reconnect scenarios.

A client connects to the proxy port instead of the broker's. To cut, it connects to the cut port and reads to the
end: by then every connection through the proxy is reset on both sides. New connections are accepted at any time.
All proxies of a process share one event loop thread.

By hand: cutproxy.py HOST PORT prints the two ports and serves until interrupted.
"""
import asyncio
import socket
import struct
import sys
import threading


def reset(writer):
    """Close with RST, as a connection dies whose peer vanished: nothing is flushed."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class CutProxy:
    def __init__(self, host, port):
        self.target = (host, port)
        self.pairs = set()

    async def start(self):
        self.servers = [await asyncio.start_server(handler, "127.0.0.1", 0) for handler in (self.proxy, self.cut)]
        self.port, self.cut_port = (s.sockets[0].getsockname()[1] for s in self.servers)

    async def proxy(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            reset(writer)
            return
        pair = (writer, far_writer)
        self.pairs.add(pair)
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
        self.pairs.discard(pair)

    @staticmethod
    async def pump(reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def cut(self, _reader, writer):
        pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            for end in pair:
                reset(end)
        writer.write(b"cut %d\n" % len(pairs))
        writer.close()


class ProxyThread:
    """Runs proxies in the background; open() may be called from any thread."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def open(self, host, port):
        proxy = CutProxy(host, port)
        asyncio.run_coroutine_threadsafe(proxy.start(), self.loop).result()
        return proxy


async def serve(host, port):
    proxy = CutProxy(host, port)
    await proxy.start()
    print(f"PROXY_PORT={proxy.port} CUT_PORT={proxy.cut_port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
