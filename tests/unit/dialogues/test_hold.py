"""Dialogues of service checks with servers that are real, or that say on the wire what real ones say."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fastha.checks.recipes import Verdict
from fastha.checks.words import result_words
from fastha.model.net import Address
from fastha.model.plan import Connection, Service, ServiceCheck
from fastha.model.units import MS, S
from fastha.system.dialogues.dial import Answer
from fastha.system.dialogues.hold import hold
from fastha.wire.greetings import ldap_size
from tests.poll import until
from tests.probe_bench import certificate, connections

LOOPBACK = Address("127.0.0.1")


def check(service: Service, port: int, **words: Any) -> ServiceCheck:
    to = words.pop("connection", Connection(address=LOOPBACK, port=port, connect_timeout=3 * S))
    return ServiceCheck(service=service, connection=to, **words)


def ask(what: ServiceCheck) -> Answer:
    """One run, on the loop that the runner has."""
    (answer,) = ask_all(what)
    return answer


def ask_all(*checks: ServiceCheck) -> list[Answer]:
    with ThreadPoolExecutor(8) as threads:
        loop = uvloop.new_event_loop()
        try:

            async def all_of_them() -> list[Answer]:
                answers = await asyncio.gather(*(hold(what, threads) for what in checks))
                await asyncio.sleep(0.02)  # transports close in the turns that follow
                return answers

            return loop.run_until_complete(all_of_them())
        finally:
            loop.close()


def words(what: ServiceCheck, answer: Answer) -> str:
    return result_words(what, answer.verdict, answer.errno, answer.status, text=answer.text)


def says(*replies: bytes, after: float = 0.0) -> Callable[[socket.socket], None]:
    """A server that hears something before each reply but one that begins with nothing heard (b"" first)."""

    def talk(connection: socket.socket) -> None:
        for number, reply in enumerate(replies):
            if number:
                connection.recv(1000)
            time.sleep(after)
            connection.sendall(reply)
        connection.recv(1000)

    return talk


# ------------------------------------------------------------------------------- what goes wrong


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_refused() -> None:
    what = check(Service.REDIS, closed_port())
    answer = ask(what)
    assert answer.verdict is Verdict.REFUSED
    assert words(what, answer) == "connection refused"


def test_a_server_that_drips_cannot_stretch_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"+")
            time.sleep(0.02)

    with connections(drip) as server:
        began = time.monotonic()
        answer = ask(check(Service.REDIS, server.port, deadline=300 * MS))
    assert answer.verdict is Verdict.TIMEOUT
    assert time.monotonic() - began < 3


def test_silence_closed_and_garbage() -> None:
    with connections(lambda connection: connection.recv(1000) and None) as server:
        assert ask(check(Service.REDIS, server.port)).verdict is Verdict.NO_DATA
    with connections(says(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        for service in (Service.REDIS, Service.LDAP, Service.PGSQL, Service.GRPC):
            what = check(service, server.port)
            answer = ask(what)
            assert answer.verdict is Verdict.REPLY, service
            assert words(what, answer).startswith("another answer than required: not ")


BEGINNINGS = {
    Service.REDIS: b"+",
    Service.LDAP: b"\x30\x83\x00\xff\xff",
    Service.PGSQL: b"R\0\0\xff\xff",
    Service.MYSQL: b"\xff\xff\0\0\x0a8.0.36",
    Service.GRPC: b"\0\0\0\4\0\0\0\0\0",
}
"""How a good answer may begin; then it goes on for ever."""


@pytest.mark.parametrize("service", list(Service))
def test_answers_without_an_end(service: Service) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(BEGINNINGS[service])
        while True:
            connection.sendall(b"\0" * 65536)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with connections(pour) as server:
        began = time.monotonic()
        for user in (None, "ann"):
            answer = ask(check(service, server.port, user=user, deadline=400 * MS))
            assert answer.verdict is not Verdict.LOCAL
            logs_in = user is not None and service in {Service.MYSQL, Service.PGSQL}
            assert answer.verdict is not Verdict.SUCCESS or not logs_in
        assert time.monotonic() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10, "KiB: it is not all kept"


@pytest.mark.parametrize("user", [None, "ann"])
def test_garbage_for_databases(user: str | None, tmp_path: Path) -> None:
    with connections(says(b"SSH-2.0-OpenSSH_9.2\r\n" * 9)) as server:
        for service in (Service.MYSQL, Service.PGSQL):
            answer = ask(check(service, server.port, user=user))
            assert answer.verdict in {Verdict.REPLY, Verdict.NO_DATA, Verdict.STATUS}, (service, answer)


def test_what_we_lack_is_nobodys_failure() -> None:
    what = check(Service.REDIS, closed_port(), password_file="/nonexistent")
    assert ask(what).verdict is Verdict.REFUSED, "nobody was there to be told it"
    with connections(says(b"", b"+PONG\r\n")) as server:
        what = check(Service.REDIS, server.port, password_file="/nonexistent")
        answer = ask(what)
        assert (answer.verdict, words(what, answer)) == (
            Verdict.LOCAL,
            "not probed: password_file /nonexistent: No such file or directory",
        )
        elsewhere = Connection(address=LOOPBACK, port=server.port, bindto=Address("192.0.2.77"))
        what = check(Service.REDIS, server.port, connection=elsewhere)
        answer = ask(what)
        assert (answer.verdict, words(what, answer)) == (Verdict.LOCAL, "not probed: no source address or port")


def test_a_password_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO in its place would hold up everything, or a thread for good."""
    os.mkfifo(tmp_path / "fifo")
    with connections(says(b"", b"+PONG\r\n")) as server:
        for service, user in ((Service.REDIS, None), (Service.MYSQL, "ann"), (Service.PGSQL, "ann")):
            what = check(service, server.port, user=user, password_file=str(tmp_path / "fifo"))
            answer = ask(what)
            assert answer.verdict is Verdict.LOCAL
            assert words(what, answer).endswith("fifo: it is no regular file")


def test_no_descriptors_is_nobodys_failure() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    what = check(Service.REDIS, closed_port())

    async def without_descriptors() -> Answer:
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, limits[1]))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            with ThreadPoolExecutor(1) as threads:
                return await hold(what, threads)
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    loop = uvloop.new_event_loop()
    try:
        answer = loop.run_until_complete(without_descriptors())
    finally:
        loop.close()
    assert (answer.verdict, answer.errno) == (Verdict.LOCAL, 24)
    assert words(what, answer) == "not probed: no descriptors left"


def test_nothing_is_left_open() -> None:
    def sockets() -> int:
        names = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
        return sum(os.path.lexists(name) and os.readlink(name).startswith("socket:") for name in names)

    def hang_up(connection: socket.socket) -> None:
        connection.recv(10)

    with connections(hang_up) as server:
        ask(check(Service.REDIS, server.port))
        until(lambda: sockets() <= 2, "the first one to be closed")
        before = sockets()
        silent = check(Service.REDIS, closed_port())
        checks = [check(service, server.port, deadline=S) for service in Service]
        checks += [check(service, server.port, user="ann", deadline=S) for service in Service]
        checks += [check(service, server.port, tls=True, user="ann", deadline=S) for service in Service]
        answers = ask_all(silent, *checks, *checks)
        assert all(answer.verdict is not Verdict.SUCCESS for answer in answers)
        until(lambda: sockets() <= before, "all sockets to be closed")


def test_from_where_it_should() -> None:
    with connections(says(b"", b"+PONG\r\n")) as server:
        to = Connection(address=LOOPBACK, port=server.port, bindto=Address("127.0.0.88"), connect_timeout=S)
        assert ask(check(Service.REDIS, 0, connection=to)).verdict is Verdict.SUCCESS
        assert server.sources[0][0] == "127.0.0.88"


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "h2", None)
    answer = ask(check(Service.GRPC, closed_port()))
    assert answer.verdict is Verdict.LOCAL
    assert "needs the package h2: pip install 'fastha[checks]'" in answer.text


# ------------------------------------------------------------------------------------- greetings


def test_mysql_greets() -> None:
    greeting = b"\x0a8.0.36\0" + bytes(60)
    with connections(says(len(greeting).to_bytes(3, "little") + b"\0" + greeting)) as server:
        answer = ask(check(Service.MYSQL, server.port))
    assert (answer.verdict, answer.text) == (Verdict.SUCCESS, "greeted by 8.0.36")


def test_ldap_binds_and_is_refused(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def directory(connection: socket.socket) -> None:
        request = connection.recv(1000)
        assert ldap_size(request) == len(request)
        heard.append(request)
        good = b"secret" in request or b"\x04\x00\x80\x00" in request
        connection.sendall(bytes.fromhex("300c02010161070a01") + (b"\0" if good else b"\x31") + b"\x04\0\x04\0")
        heard.append(connection.recv(1000))

    secret = tmp_path / "secret"
    with connections(directory) as server:
        assert ask(check(Service.LDAP, server.port)).text == "bound"
        assert heard[1] == bytes.fromhex("30050201024200"), "unbind"
        secret.write_text("secret\n")
        named = {"user": "cn=check,dc=example", "password_file": str(secret)}
        assert ask(check(Service.LDAP, server.port, **named)).verdict is Verdict.SUCCESS
        secret.write_text("wrong\n")
        what = check(Service.LDAP, server.port, **named)
        answer = ask(what)
        assert (answer.verdict, answer.status) == (Verdict.STATUS, 49)
        assert words(what, answer) == "result 49 invalidCredentials"


def redis_server(connection: socket.socket) -> None:
    known = False
    while data := connection.recv(1000):
        if data.startswith(b"*2\r\n$4\r\nAUTH"):
            known = b"secret" in data
            connection.sendall(b"+OK\r\n" if known else b"-WRONGPASS invalid username-password pair\r\n")
        else:
            connection.sendall(b"+PONG\r\n" if known else b"-NOAUTH Authentication required.\r\n")


def test_redis_with_a_password_and_over_tls(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\nnot this\n")
    with connections(redis_server) as server:
        assert ask(check(Service.REDIS, server.port)).text == "NOAUTH Authentication required."
        assert ask(check(Service.REDIS, server.port, password_file=str(secret))).text == "PONG"
    cert, key = certificate(tmp_path, "redis", "-nodes", "-addext", "subjectAltName=DNS:redis.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with connections(says(b"", b"+PONG\r\n"), context=context) as server:
        assert ask(check(Service.REDIS, server.port, tls=True)).verdict is Verdict.SUCCESS
        good = check(Service.REDIS, server.port, tls=True, tls_ca=cert, tls_name="redis.example")
        assert ask(good).verdict is Verdict.SUCCESS
        assert server.names[-1] == "redis.example"
        wrong = check(Service.REDIS, server.port, tls=True, tls_ca=cert, tls_name="other.example")
        answer = ask(wrong)
        assert answer.verdict is Verdict.TLS
        assert "ostname mismatch" in answer.text
        other, _ = certificate(tmp_path, "other")
        assert ask(check(Service.REDIS, server.port, tls=True, tls_ca=other)).verdict is Verdict.TLS
    with connections(says(b"", b"+PONG\r\n")) as server:
        assert ask(check(Service.REDIS, server.port, tls=True)).verdict is Verdict.TLS


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")
def test_a_real_redis(tmp_path: Path) -> None:
    port = closed_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path), "--requirepass", "secret"]
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            answers_at(port)
            assert ask(check(Service.REDIS, port)).verdict is Verdict.STATUS
            assert ask(check(Service.REDIS, port, password_file=str(secret))).text == "PONG"
        finally:
            server.terminate()


def answers_at(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, f"nobody listens at {port}"
        time.sleep(0.05)


# ------------------------------------------------------------------------------------- databases


def postgres_program(name: str) -> str | None:
    found = shutil.which(name)
    return found or next((str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)


@contextmanager
def postgres(directory: Path) -> Iterator[int]:
    """A real server, of nobody's, with the role `ann`, password `secret`."""
    initdb, program = postgres_program("initdb"), postgres_program("postgres")
    if initdb is None or program is None:
        pytest.skip("no PostgreSQL")
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root: PostgreSQL runs as nobody")
    data, secret = directory / "data", directory / "secret"
    secret.write_text("secret\n")
    for path in (directory, secret):
        shutil.chown(path, "nobody")
    for parent in directory.parents:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    made = subprocess.run(
        [*as_nobody, initdb, "-D", str(data), "-U", "ann", "-A", "scram-sha-256", "--pwfile", str(secret),
         "--no-sync", "--no-instructions"],
        capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    port = closed_port()
    command = [*as_nobody, program, "-D", str(data), "-p", str(port), "-k", str(directory), "-F",
               "-c", "listen_addresses=127.0.0.1"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/") as server:
        try:
            answers_at(port)
            yield port
        finally:
            server.terminate()
            server.wait(20)


def test_a_real_postgresql(tmp_path: Path) -> None:
    with postgres(tmp_path) as port:
        greeted = check(Service.PGSQL, port, name="postgres")
        end = time.monotonic() + 20
        while (answer := ask(greeted)).verdict is not Verdict.SUCCESS:
            assert "57P03" in answer.text
            assert time.monotonic() < end
        assert answer.text.startswith("accepts connections")
        known = {"user": "ann", "password_file": str(tmp_path / "secret"), "name": "postgres"}
        answer = ask(check(Service.PGSQL, port, **known))
        assert (answer.verdict, answer.text) == (Verdict.SUCCESS, "logged in")
        (tmp_path / "secret").write_text("other\n")
        answer = ask(check(Service.PGSQL, port, **known))
        assert answer.verdict is Verdict.STATUS
        assert answer.text.startswith("28P01 ")
        assert ask(check(Service.PGSQL, port, tls=True, **known)).verdict is not Verdict.SUCCESS, "it has no TLS"


def mysql_packet(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((number,)) + body


def mysql_server(connection: socket.socket) -> None:
    """mysql_native_password, as the protocol chapter of MySQL's manual has it; any password of `ann` is good."""
    capabilities = 0x0008_F7FF | 0x0008_0000
    greeting = (
        b"\x0a8.0.36\0" + (7).to_bytes(4, "little") + b"abcdefgh\0" + (capabilities & 0xF7FF).to_bytes(2, "little")
        + b"\x2d" + (2).to_bytes(2, "little") + (capabilities >> 16).to_bytes(2, "little") + b"\x15" + bytes(10)
        + b"ijklmnopqrst\0" + b"mysql_native_password\0"
    )  # fmt: skip
    connection.sendall(mysql_packet(0, greeting))
    ok = b"\0\0\0\x02\0\0\0"
    login = connection.recv(4000)
    if b"ann\0" not in login:
        connection.sendall(mysql_packet(login[3] + 1, b"\xff\x15\x04#28000Access denied for user"))
        return
    connection.sendall(mysql_packet(login[3] + 1, ok))
    while command := connection.recv(4000):
        if command[4] == 1:  # COM_QUIT
            return
        connection.sendall(mysql_packet(1, ok))


def test_mysql_logs_in_and_is_refused() -> None:
    with connections(mysql_server) as server:
        answer = ask(check(Service.MYSQL, server.port, user="ann"))
        assert (answer.verdict, answer.text) == (Verdict.SUCCESS, "logged in to 8.0.36")
        what = check(Service.MYSQL, server.port, user="bob")
        answer = ask(what)
        assert (answer.verdict, answer.status) == (Verdict.STATUS, 1045)
        assert words(what, answer).startswith("error 1045: Access denied")


@pytest.mark.parametrize("service", [Service.MYSQL, Service.PGSQL])
def test_a_login_that_gets_no_answer_ends_with_its_thread(service: Service) -> None:
    with connections(lambda connection: time.sleep(1.5)) as server:
        began = time.monotonic()
        answer = ask(check(service, server.port, user="ann", deadline=200 * MS))
        assert answer.verdict is Verdict.TIMEOUT
        assert time.monotonic() - began < 1.4, "the thread was still waiting"


# ------------------------------------------------------------------------------------------ gRPC


@contextmanager
def grpc_server(credentials: Any = None) -> Iterator[tuple[int, Any]]:
    """A real server with the health service of the grpcio-health package."""
    grpc = pytest.importorskip("grpc")
    health = pytest.importorskip("grpc_health.v1.health")
    pb2_grpc = pytest.importorskip("grpc_health.v1.health_pb2_grpc")
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = (
        server.add_insecure_port("127.0.0.1:0")
        if credentials is None
        else server.add_secure_port("127.0.0.1:0", credentials)
    )
    server.start()
    try:
        yield port, servicer
    finally:
        server.stop(0).wait()


def test_a_real_grpc_server() -> None:
    with grpc_server() as (port, servicer):
        whole = check(Service.GRPC, port)
        assert ask(whole) == Answer(Verdict.SUCCESS, "SERVING")
        servicer.set("shop", 2)
        shop = check(Service.GRPC, port, name="shop")
        assert ask(shop) == Answer(Verdict.STATUS, "NOT_SERVING")
        servicer.set("shop", 1)
        assert ask(shop).verdict is Verdict.SUCCESS
        answer = ask(check(Service.GRPC, port, name="nobody"))
        assert (answer.verdict, answer.status) == (Verdict.STATUS, 5)
        assert answer.text.startswith("grpc-status 5 NOT_FOUND")


def test_a_real_grpc_server_over_tls(tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc")
    cert, key = certificate(tmp_path, "grpc", "-nodes", "-addext", "subjectAltName=DNS:grpc.example")
    pair = [(Path(key).read_bytes(), Path(cert).read_bytes())]
    with grpc_server(grpc.ssl_server_credentials(pair)) as (port, _):
        verified = check(Service.GRPC, port, tls=True, tls_ca=cert, tls_name="grpc.example")
        assert ask(verified) == Answer(Verdict.SUCCESS, "SERVING")
        assert ask(check(Service.GRPC, port)).verdict is not Verdict.SUCCESS, "it is spoken to in the clear"
