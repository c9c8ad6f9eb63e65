# SPDX-License-Identifier: Apache-2.0
"""Somebody between a client and a broker who tampers with what is delivered, message by message.

HOW is told each delivery's number, from 0 on over all connections, and its frames (method, header, body...); it gives
the frames that go on. Everything else passes as it is.
"""

import socket
import struct
import threading

DELIVER = struct.pack(">HH", 60, 60)
METHOD, BODY = 1, 3


def whole_frames(data):
    """The frames at the front of DATA, and what is left."""
    frames = []
    while len(data) >= 7:
        size = 8 + struct.unpack(">I", data[3:7])[0]
        if len(data) < size:
            break
        frames.append(data[:size])
        data = data[size:]
    return frames, data


def body_size(header):
    return struct.unpack(">Q", header[11:19])[0]


class Deliveries:
    """Collects the frames of one connection until a delivery is whole."""

    def __init__(self, how, number):
        self.how, self.number, self.open = how, number, []

    def pass_on(self, frame):
        if frame[0] == METHOD and frame[7:11] == DELIVER:
            self.open = [frame]
            return b""
        if not self.open:
            return frame
        self.open.append(frame)
        if sum(len(part) - 8 for part in self.open[2:]) < body_size(self.open[1]):
            return b""
        message, self.open = self.open, []
        return b"".join(self.how(self.number(), message))


class Tamper:
    """Listens on `port` for clients of the broker at PORT."""

    def __init__(self, port, how):
        self.broker, self.how = port, how
        self.count, self.lock = 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def next_number(self):
        with self.lock:
            self.count += 1
            return self.count - 1

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self.broker))
            threading.Thread(target=self.copy, args=(client, broker), daemon=True).start()
            threading.Thread(target=self.tamper, args=(broker, client), daemon=True).start()

    @staticmethod
    def copy(source, dest):
        try:
            while data := source.recv(65536):
                dest.sendall(data)
        except OSError:
            pass
        Tamper.end(dest)

    def tamper(self, source, dest):
        deliveries, rest = Deliveries(self.how, self.next_number), b""
        try:
            while data := source.recv(65536):
                frames, rest = whole_frames(rest + data)
                dest.sendall(b"".join(deliveries.pass_on(frame) for frame in frames))
        except OSError:
            pass
        Tamper.end(dest)

    @staticmethod
    def end(peer):
        try:
            peer.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def dropping(number):
    return lambda at, message: [] if at == number else message


def doubling(number):
    return lambda at, message: message * 2 if at == number else message


def damaging(number, octet):
    """Another bit in an octet of the body."""

    def how(at, message):
        if at == number:
            body = bytearray(message[2])
            body[7 + octet] ^= 1
            message = message[:2] + [bytes(body)] + message[3:]
        return message

    return how


def scrambling(number, chance):
    """Some other octets anywhere in a message, but in the sizes of frames."""

    def how(at, message):
        if at < number:
            return message
        frames = [bytearray(frame) for frame in message]
        for _ in range(3):
            frame = chance.choice(frames)
            places = [place for place in range(len(frame)) if not 3 <= place <= 6]
            frame[chance.choice(places)] = chance.randrange(256)
        return [bytes(frame) for frame in frames]

    return how


def swapping(number):
    """A message comes after the one behind it."""
    held = []

    def how(at, message):
        if at == number:
            held.extend(message)
            return []
        return message + held if at == number + 1 else message

    return how
