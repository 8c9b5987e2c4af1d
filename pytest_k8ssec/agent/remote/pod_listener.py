"""What a pod of ours runs until it is deleted: listeners that prove who answered. Standard library, Python 3.9 and later.

TCP: each connection gets an HTTP answer that carries the nonce, without waiting for a request: enough for a plain HTTP
client, and for one that only connects and reads. UDP: each datagram is sent back. Arguments: the nonce and the ports.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any


class Echo(asyncio.DatagramProtocol):
    """Sends each datagram back to where it came from."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


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
        await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", port))
        await asyncio.start_server(greet, "", port)
    print("listening", nonce, flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], *map(int, sys.argv[2:])))
