"""What a pod of ours runs until it is deleted: listeners that prove who answered. Standard library, Python 3.9 and later.

TCP: each connection gets an HTTP answer that carries the nonce, without waiting for a request: enough for a plain HTTP
client, and for one that only connects and reads. UDP: each datagram is sent back. Arguments: the nonce and the ports.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from typing import Any, List


class Echo(asyncio.DatagramProtocol):
    """Sends each datagram back to where it came from."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


def datagrams(port: int) -> List[socket.socket]:
    """A socket for each family that the pod has, as TCP listeners are made."""
    found = []
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            continue  # the kernel does not know the family
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setblocking(False)
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
            continue  # the family is switched off here
        found.append(sock)
    return found


async def listen(nonce: str, *ports: int) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(("HTTP/1.0 200 OK\r\nX-K8ssec: %s\r\nContent-Length: 0\r\n\r\n" % nonce).encode())
        try:
            await writer.drain()
            # Closed before the request was read, the answer could be lost to a reset.
            await asyncio.wait_for(reader.read(4096), 2)
        except (OSError, asyncio.TimeoutError):
            return
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # Process 1 ignores SIGTERM unless it asks for it, and each deletion would then wait for the grace period.
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    for port in ports:
        # In this order: where TCP answers, UDP does.
        for sock in datagrams(port):
            await loop.create_datagram_endpoint(Echo, sock=sock)
        await asyncio.start_server(greet, "", port)
    print("listening", nonce, flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], *map(int, sys.argv[2:])))
