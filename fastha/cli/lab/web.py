"""A web server of the lab: `python -m fastha.cli.lab.web NAME ADDRESS PORT`. Answers every GET with its name."""

import asyncio
import sys


class Answer(asyncio.Protocol):
    """One request, one answer, end of connection."""

    def __init__(self, name: str) -> None:
        body = f"{name}\n".encode()
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        self.answer = head.encode() + body
        self.request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.request += data
        if b"\r\n\r\n" in self.request or len(self.request) > 8192:
            self.transport.write(self.answer)
            self.transport.close()


async def serve(name: str, address: str, port: int) -> None:
    """Serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(lambda: Answer(name), address, port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
