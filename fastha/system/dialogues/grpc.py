"""The gRPC health checking protocol: one call over HTTP/2, whose framing is the library's (h2)."""

import asyncio
import socket
from typing import Final

from fastha.model.net import host_port
from fastha.model.plan import ServiceCheck
from fastha.system.dialogues.greetings import streams
from fastha.wire import greetings
from fastha.wire.greetings import Heard

_PIECE: Final = 65536
_FRAME_HEADER: Final = 9
_SETTINGS: Final = 4


async def call(check: ServiceCheck, sock: socket.socket) -> Heard:
    """Ask for the health of the check's service. OSError, EOFError, ValueError (no HTTP/2, no gRPC)."""
    async with streams(check, sock, http2=True) as (reader, writer):
        return await _Call(check).hold(reader, writer)


class _Call:
    """One request and what is heard of it."""

    def __init__(self, check: ServiceCheck) -> None:
        from h2.config import H2Configuration  # noqa: PLC0415
        from h2.connection import H2Connection  # noqa: PLC0415

        self._check = check
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._headers: dict[str, str] = {}
        self._body = b""
        self._over = False

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Heard:
        from h2.exceptions import ProtocolError  # noqa: PLC0415

        self._request()
        try:
            writer.write(self._http.data_to_send())
            self._begin(await reader.readexactly(_FRAME_HEADER))
            while not self._over:
                writer.write(self._http.data_to_send())
                piece = await reader.read(_PIECE)
                if not piece:
                    raise EOFError("closed before the answer")
                for event in self._http.receive_data(piece):
                    self._take(event)
            self._http.close_connection()
            writer.write(self._http.data_to_send())
        except (ProtocolError, UnicodeError) as error:
            raise ValueError("not HTTP/2") from error
        return self._heard()

    def _begin(self, header: bytes) -> None:
        """A server's first frame is SETTINGS (RFC 9113 section 3.4); the library would wait for the end of others."""
        if header[3] != _SETTINGS:
            raise ValueError("not HTTP/2")
        for event in self._http.receive_data(header):
            self._take(event)

    def _request(self) -> None:
        check, to = self._check, self._check.connection
        self._http.initiate_connection()
        stream = self._http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "https" if check.tls else "http"),
            (":authority", check.authority or host_port(to.address, to.port)),
            (":path", greetings.GRPC_PATH),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "fastha"),
        ]
        self._http.send_headers(stream, headers)
        self._http.send_data(stream, greetings.grpc_request(check.name), end_stream=True)

    def _take(self, event: object) -> None:
        from h2 import events  # noqa: PLC0415

        match event:
            case events.ResponseReceived() | events.TrailersReceived():
                self._headers |= {str(name): str(value) for name, value in event.headers or ()}
            case events.DataReceived():
                self._body += event.data or b""
                if len(self._body) > greetings.LIMIT:
                    raise ValueError("not a health report")
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case events.StreamEnded():
                self._over = True
            case events.StreamReset() | events.ConnectionTerminated():
                raise ConnectionResetError(104, f"HTTP/2 error {int(event.error_code or 0)}")

    def _heard(self) -> Heard:
        status = self._headers.get(":status", "")
        if status != "200":
            return Heard(False, int(status) if status.isdecimal() else 0, f"HTTP status {status}")
        return greetings.grpc_answer(
            self._body, self._headers.get("grpc-status", ""), self._headers.get("grpc-message", "")
        )
