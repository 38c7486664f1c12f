"""A mail server for tests: takes everything, and remembers what was said."""

import re
import socket
import socketserver
import threading
from collections.abc import Callable


class Relay(socketserver.ThreadingTCPServer):
    """On 127.0.0.1:`port`; `make` makes its socket, in another network namespace say."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 2525, make: Callable[[], socket.socket] | None = None) -> None:
        super().__init__(("127.0.0.1", port), Dialogue, bind_and_activate=False)
        if make is not None:
            self.socket.close()
            self.socket = make()
        self.server_bind()
        self.server_activate()
        self.mails: list[tuple[str, str, str]] = []
        """(envelope, headers with `Date: now`, body)"""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Dialogue(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        envelope: list[str] = []
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb = line.upper()
            if verb == "DATA":
                self.wfile.write(b"354 go\r\n")
                self.take(envelope)
                self.wfile.write(b"250 taken\r\n")
            elif verb == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                envelope.append(line)
                self.wfile.write(b"250 ok\r\n")

    def take(self, envelope: list[str]) -> None:
        lines = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        head, body = lines[: lines.index("")], lines[lines.index("") + 1 :]
        said = [re.sub("^Date: .*", "Date: now", line) for line in head]
        self.server.mails.append((" ".join(envelope), "\n".join(said), "\n".join(body).strip()))  # type: ignore[attr-defined]
