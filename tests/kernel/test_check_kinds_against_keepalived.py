"""What both daemons send in checks of each kind: the same octets, the same name in the TLS handshake."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.checker_driver import own_network
from tests.probe_bench import Peer, Talk, certificate, connections, datagrams, read_request

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.compat]

PATIENCE = 40.0
CONFIG = """
virtual_server 127.9.9.9 80 {{
    delay_loop 1
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    warmup 0
    connect_timeout 1
    virtualhost vs.example.net
    real_server 127.0.0.1 {udp} {{
        UDP_CHECK {{
        }}
    }}
    real_server 127.0.0.1 {dns} {{
        DNS_CHECK {{
            type AAAA
            name www.example.net
        }}
    }}
    real_server 127.0.0.1 {root} {{
        DNS_CHECK {{
        }}
    }}
    real_server 127.0.0.1 {smtp} {{
        SMTP_CHECK {{
            helo_name lvs.example.net
        }}
    }}
    real_server 127.0.0.1 9 {{
        PING_CHECK {{
        }}
    }}
    real_server 127.0.0.1 {http} {{
        HTTP_GET {{
            http_protocol 1.1
            url {{
                path /health?a=b
            }}
        }}
    }}
    real_server 127.0.0.1 {https} {{
        SSL_GET {{
            enable_sni
            url {{
                path /
                virtualhost url.example.net
            }}
        }}
    }}
    real_server 127.0.0.1 {plain} {{
        SSL_GET {{
            http_protocol 1.0C
            url {{
                path /
            }}
        }}
    }}
}}
"""


def answer(data: bytes) -> list[bytes]:
    return [data[:2] + b"\x81\x80" + data[4:]]


def recording(heard: list[bytes], *, page: bool) -> Talk:
    """A web or a mail server that keeps what it hears."""

    def web(connection: socket.socket) -> None:
        heard.append(read_request(connection))
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    def mail(connection: socket.socket) -> None:
        for line in (b"220 a\r\n", b"250 b\r\n", b"221 c\r\n"):
            connection.sendall(line)
            heard.append(connection.recv(1000))

    return web if page else mail


def echo_requests(spy: socket.socket) -> set[bytes]:
    """Those that have come, without checksum, identifier and sequence number."""
    found = set()
    while select.select([spy], [], [], 0)[0]:
        data = spy.recv(4096)[20:]
        if data[0] == 8:
            found.add(data[:2] + data[8:])
    return found


def heard_of(kind: str, directory: Path, files: tuple[str, str]) -> dict[str, object]:
    """What the servers hear of the daemon `kind`."""
    heard: dict[str, list[bytes]] = {name: [] for name in ("smtp", "http", "https", "plain")}
    with ExitStack() as stack:
        peers: dict[str, Peer] = {
            "udp": stack.enter_context(datagrams()),
            "dns": stack.enter_context(datagrams(answer)),
            "root": stack.enter_context(datagrams(answer)),
        }
        for name, said in heard.items():
            tls = None
            if name in {"https", "plain"}:
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                tls.load_cert_chain(*files)
            peers[name] = stack.enter_context(connections(recording(said, page=name != "smtp"), context=tls))
        spy = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        config = directory / f"{kind}.conf"
        config.write_text(CONFIG.format(**{name: peer.port for name, peer in peers.items()}))
        run(kind, directory, config, lambda: all(peer.heard or heard.get(name) for name, peer in peers.items()))
        echoes = echo_requests(spy)
    ports = {name: str(peer.port).encode() for name, peer in peers.items()}
    return {
        "udp": set(peers["udp"].heard),
        "dns": {data[2:] for data in peers["dns"].heard},
        "root": {data[2:] for data in peers["root"].heard},
        "echo": echoes,
        "smtp": set(heard["smtp"][:2]),
        **{name: {one.replace(ports[name], b"PORT") for one in heard[name]} for name in ("http", "https", "plain")},
        "names": (set(peers["https"].names), set(peers["plain"].names)),
    }


def run(kind: str, directory: Path, config: Path, done: Callable[[], bool]) -> None:
    """The daemon, until `done`."""
    run_dir = directory / f"run.{kind}"
    run_dir.mkdir()
    if kind == "keepalived":
        pids = ["-p", str(run_dir / "pid"), "-c", str(run_dir / "cpid")]
        command = ["keepalived", "-f", str(config), "-C", "-n", "-l", "-D", "--no-syslog", *pids]
    else:
        command = [sys.executable, "-m", "fastha", "-n", "-l", "-c", str(config), "--run-dir", str(run_dir)]
    log = directory / f"log.{kind}"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.1)
        process.terminate()
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_octets_of_all_kinds(tmp_path: Path) -> None:
    assert shutil.which("keepalived"), "keepalived is not installed"
    files = certificate(tmp_path)
    with own_network():
        theirs = heard_of("keepalived", tmp_path, files)
        ours = heard_of("fastha", tmp_path, files)
    assert ours == theirs
    assert theirs["names"] == ({"url.example.net"}, {None})
    assert theirs["echo"]  # (keepalived 2.2.7 takes no UDP payload at all: "Invalid hex string")
