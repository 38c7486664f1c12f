"""fastha's own words from the file to the wire: a checker process, a configuration, and real servers.

They are HAProxy's readers of HTTP, TLS and PROXY headers, its command line, and PostgreSQL's TLS.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fastha.config.load import load
from fastha.model.plan import CheckerPlan, PlaneChoice
from fastha.system.host import SystemHost
from tests.checker_driver import CheckerProcess
from tests.poll import until
from tests.probe_bench import certificate
from tests.unit.probes.test_trust import authority, signed


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def haproxy(directory: Path, settings: str, port: int) -> Iterator[None]:
    """HAProxy by these settings, listening on `port` when this returns."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    path = directory / "haproxy.cfg"
    path.write_text(settings)
    process = subprocess.Popen(
        ["haproxy", "-db", "-f", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: answers(port), "HAProxy", 20)
        yield
    finally:
        process.terminate()
        process.wait(10)


def plan_of(directory: Path, *checkers: str) -> CheckerPlan:
    """The Plan of a file with one real server for each of these checkers."""
    servers = "".join(
        f"real_server 127.0.0.{number} 80 {{\n{checker}\n}}\n" for number, checker in enumerate(checkers, 1)
    )
    path = directory / "own.conf"
    path.write_text(
        "virtual_server 192.0.2.1 80 {\ndelay_loop 0.2\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\nwarmup 0\nalpha\n"
        f"connect_timeout 3\n{servers}}}\n"
    )
    loaded = load(str(path), SystemHost())
    assert [str(each) for each in loaded.diagnostics if each.severity == "error"] == []
    assert loaded.plan is not None
    return replace(loaded.plan.checker, lvs_plane=PlaneChoice.NONE)


def results(directory: Path, checkers: dict[str, str], *counters: str) -> dict[str, str]:
    """What becomes of each checker, in words, once all have run and these counters of the engine are not 0."""
    with CheckerProcess(plan_of(directory, *checkers.values()), directory) as process:

        def heard() -> list[str]:
            (service,) = process.snapshot().virtual_servers
            return [check.result for server in service.real_servers for check in server.checkers if check.has_run]

        process.until(lambda: len(heard()) == len(checkers), "all results")
        process.until(lambda: all(process.snapshot().counters[name] for name in counters), f"{counters}")
        found = dict(zip(checkers, heard(), strict=True))
        process.stop()
    return found


def test_http_words_against_haproxy(tmp_path: Path) -> None:
    plain, proxied, cli = free_ports(3)
    settings = f"""
global
    stats socket ipv4@127.0.0.1:{cli} level user
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 1s
    option http-buffer-request
frontend plain
    bind 127.0.0.1:{plain}
    http-request return status 418 unless {{ path /health }}
    http-request return status 204 if {{ method HEAD }}
    http-request return status 200 content-type text/plain string "all is well" if METH_GET
    acl asked method POST
    acl probe req.hdr(x-probe) yes
    acl own req.hdr(host) own
    http-request return status 201 if asked probe own {{ req.body -m str a=b }}
    http-request return status 400
frontend proxied
    bind 127.0.0.1:{proxied} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%ci:%fi"
"""

    def page(words: str, more: str = "", port: int = plain) -> str:
        return f"HTTP_GET {{\nconnect_port {port}\nconnect_ip 127.0.0.1\n{more}\nurl {{\npath /health\n{words}\n}}\n}}"

    def tcp(*words: str, port: int = cli) -> str:
        return "TCP_CHECK {{\nconnect_ip 127.0.0.1\nconnect_port {}\n{}\n}}".format(port, "\n".join(words))

    post = 'method POST\nheader "X-Probe: yes"\nbody "a=b"\nstatus_code 201'
    checkers = {
        "get": page('regex "all is well"'),
        "post": page(post, 'header "Host: own"'),
        "host of the url": page(post, 'header "Host: other"').replace("a=b", 'a=b"\nheader "host: own'),
        "head": page("method HEAD\nstatus_code 204"),
        "kept": page('regex "all is well"', "keepalive"),
        "no such page": page("").replace("/health", "/"),
        "v1": page('regex "127.0.0.1:127.0.0.1"', "proxy_protocol 1", proxied),
        "v2": page('regex "127.0.0.1:127.0.0.1"', "proxy_protocol 2 own", proxied),
        "v1 local": page('regex "127.0.0.1:127.0.0.1"', "proxy_protocol 1 local\nkeepalive", proxied),
        "v2 local": page('regex "127.0.0.1:127.0.0.1"', "proxy_protocol 2 local", proxied),
        "no header": page("", "", proxied),
        "half open": tcp("half_open", port=plain),
        "reset": tcp("close rst", port=plain),
        "dialogue": tcp('send "show info\\n"', 'expect "Name: HAProxy"', 'expect_regex "Maxconn: [0-9]+"'),
        "hex": tcp("send_hex 68656c70 0a", "expect_hex 73 68 6f 77"),
        "disappointed": tcp('send "show info\\n"', "expect_regex ^nothing"),
    }
    with haproxy(tmp_path, settings, plain):
        found = results(tmp_path, checkers, "reused")
    assert found == {
        "get": "status 200", "post": "status 201", "host of the url": "status 201", "head": "status 204",
        "kept": "status 200", "no such page": "status 418 not in 200-299", "v1": "status 200", "v2": "status 200",
        "v1 local": "status 200", "v2 local": "status 200", "no header": found["no header"], "half open": "connected",
        "reset": "connected", "dialogue": "answered", "hex": "answered",
        "disappointed": "another answer than required in step 2 of the dialogue",
    }  # fmt: skip
    assert found["no header"] in {"no complete reply", "connection reset"}


def test_tls_words_against_haproxy(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    cert, key = signed(tmp_path, ca, "good", 30, "DNS:www.example.net")
    (tmp_path / "both.pem").write_text(Path(cert).read_text() + Path(key).read_text())
    (port,) = free_ports(1)
    settings = f"""
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 1s
frontend secure
    bind 127.0.0.1:{port} ssl crt {tmp_path}/both.pem alpn http/1.1
    http-request return status 200 content-type text/plain string "all is well"
"""

    def page(words: str) -> str:
        return f"SSL_GET {{\nconnect_ip 127.0.0.1\nconnect_port {port}\n{words}\nurl {{\npath /\n}}\n}}"

    checkers = {
        "any": page(""),
        "judged": page(f"tls_ca {ca[0]}\ntls_name www.example.net"),
        "another name": page(f"tls_ca {ca[0]}\ntls_name example.net"),
        "unknown": page(f"tls_ca {cert}\ntls_name www.example.net").replace(cert, "system"),
        "soon": page("tls_days_left 40"),
        "in time": page("tls_days_left 10"),
        "resumed": page(f"tls_ca {ca[0]}\ntls_name www.example.net\ntls_resume"),
        "kept": page(f"tls_ca {ca[0]}\ntls_name www.example.net\nkeepalive"),
        "handshake": f"TCP_CHECK {{\nconnect_ip 127.0.0.1\nconnect_port {port}\ntls\ntls_ca {ca[0]}\ntls_name a.b\n}}",
    }
    with haproxy(tmp_path, settings, port):
        found = results(tmp_path, checkers, "reused", "tls_resumed")
    days = found.pop("soon")
    assert days in {f"the certificate is good for {count} more days only" for count in (29, 30)}
    assert found == {
        "any": "status 200", "judged": "status 200", "another name": "the certificate is for another name",
        "unknown": "the certificate comes from an unknown authority", "in time": "status 200",
        "resumed": "status 200", "kept": "status 200", "handshake": "the certificate is for another name",
    }  # fmt: skip


def test_starttls_against_postgres(tmp_path: Path) -> None:
    if shutil.which("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    directory = Path(tempfile.mkdtemp(prefix="fastha-postgres"))  # the database's user must come through to it
    cert, key = certificate(directory, "db")
    (port,) = free_ports(1)
    data = directory / "data"
    as_nobody = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    if as_nobody:
        for path in (directory, Path(cert), Path(key)):
            shutil.chown(path, "nobody", "nogroup")

    def run(*command: str) -> None:
        environment = os.environ | {"LC_ALL": "C"}
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd="/", **as_nobody)  # type: ignore[call-overload]

    run("initdb", "-D", str(data), "-N")
    options = f"-p {port} -k {directory} -c ssl=on -c ssl_cert_file={cert} -c ssl_key_file={key}"
    control = ("pg_ctl", "-D", str(data), "-l", str(directory / "log"), "-w")
    run(*control, "-o", options, "start")
    try:
        where = f"connect_ip 127.0.0.1\nconnect_port {port}"
        found = results(
            tmp_path,
            {
                "good": f"TCP_CHECK {{\n{where}\nstarttls postgres\ntls_ca {cert}\ntls_name db\n}}",
                "no mail server": f"TCP_CHECK {{\n{where}\nconnect_timeout 1\nstarttls smtp\n}}",
            },
        )
        assert found["good"] == "answered"
        assert found["no mail server"] == "timed out in step 1 of the dialogue"
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(directory)
