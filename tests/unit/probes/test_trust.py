"""Certificates that are judged, and TLS sessions that are resumed, against real servers on the loopback."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine, TlsContext, authorities_error
from fastha.checks.recipes import Kind, ProbeOrder, Recipe, Report, Verdict
from fastha.model.net import Address
from fastha.model.plan import ClientTls, ServerTls
from fastha.model.units import MS, S
from tests.poll import until
from tests.probe_bench import Talk, certificate, connections, leave, once, read_request, running, towards

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
EXPIRED, SELF_SIGNED, UNKNOWN, OTHER_NAME, OTHER_ADDRESS = 10, 18, 20, 62, 64


def authority(directory: Path, name: str = "authority") -> tuple[str, str]:
    """The certificate of an authority, and its key."""
    return certificate(directory, name, "-nodes", "-addext", "basicConstraints=critical,CA:TRUE")


def signed(directory: Path, by: tuple[str, str], name: str, days: int, alternatives: str) -> tuple[str, str]:
    """A server's certificate by an authority, good for so many days from yesterday on."""
    key, request, cert = (str(directory / f"{name}.{end}") for end in ("key", "csr", "pem"))
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName={alternatives}\n")
    for command in (
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
         key, "-out", request],
        ["x509", "-req", "-in", request, "-CA", by[0], "-CAkey", by[1], "-CAcreateserial", "-days", str(days),
         "-extfile", str(extensions), "-out", cert],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return cert, key


def server_side(pair: tuple[str, str], version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `authority.pem`, `good.pem` (www.example.net, *.example.org, 127.0.0.1; 30 days)."""
    directory = tmp_path_factory.mktemp("trust")
    ca = authority(directory)
    signed(directory, ca, "good", 30, "DNS:www.example.net,DNS:*.example.org,IP:127.0.0.1")
    authority(directory, "stranger")
    return directory


@pytest.fixture(params=[True, False], ids=["recycling", "classic"])
def engine(request: pytest.FixtureRequest) -> Iterator[ProbeEngine]:
    with running(recycle=request.param) as engine:
        yield engine


def page(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD)


def secure(port: int, judge: ServerTls, **words: object) -> Recipe:
    return towards(port, Kind.SSL, **{"request": REQUEST, "judge": judge, "timeout": 2 * S} | words)


def outcome(report: Report) -> tuple[Verdict, int, int]:
    return (
        report.verdict,
        report.errno,
        min(report.status, 29) if report.verdict is Verdict.CERTIFICATE else report.status,
    )


@pytest.mark.parametrize(
    ("ca", "name", "days", "expected"),
    [
        ("authority", None, None, (Verdict.SUCCESS, 0, 200)),
        ("authority", "www.example.net", None, (Verdict.SUCCESS, 0, 200)),
        ("authority", "WWW.example.net", None, (Verdict.SUCCESS, 0, 200)),
        ("authority", "a.example.org", None, (Verdict.SUCCESS, 0, 200)),
        ("authority", "127.0.0.1", None, (Verdict.SUCCESS, 0, 200)),
        ("authority", "example.net", None, (Verdict.CERTIFICATE, OTHER_NAME, 0)),
        ("authority", "a.b.example.org", None, (Verdict.CERTIFICATE, OTHER_NAME, 0)),
        ("authority", "127.0.0.2", None, (Verdict.CERTIFICATE, OTHER_ADDRESS, 0)),
        ("stranger", "www.example.net", None, (Verdict.CERTIFICATE, UNKNOWN, 0)),
        ("not there", "www.example.net", None, (Verdict.CERTIFICATE, UNKNOWN, 0)),
        (None, None, 28, (Verdict.SUCCESS, 0, 200)),
        (None, None, 31, (Verdict.CERTIFICATE, 0, 29)),
        ("authority", "www.example.net", 31, (Verdict.CERTIFICATE, 0, 29)),
    ],
)
def test_certificates(
    papers: Path, ca: str | None, name: str | None, days: int | None, expected: tuple[Verdict, int, int]
) -> None:
    context = server_side((str(papers / "good.pem"), str(papers / "good.key")))
    path = None if ca is None else str(papers / f"{ca}.pem")
    with running() as engine, connections(page, context=context) as server:
        recipe = secure(server.port, ServerTls(ca=path, name=name, days_left=days))
        for _ in range(2):
            assert outcome(once(engine, recipe)) == expected


def test_a_self_signed_one_and_one_that_has_expired(engine: ProbeEngine, papers: Path, tmp_path: Path) -> None:
    lone = certificate(tmp_path, "lone")
    with connections(page, context=server_side(lone)) as server:
        ca = str(papers / "authority.pem")
        assert outcome(once(engine, secure(server.port, ServerTls(ca=ca)))) == (Verdict.CERTIFICATE, SELF_SIGNED, 0)
        assert once(engine, secure(server.port, ServerTls(ca=lone[0]))).verdict is Verdict.SUCCESS
    past = expired(tmp_path)
    with connections(page, context=server_side(past)) as server:
        for judge in (ServerTls(ca=past[0]), ServerTls(days_left=0)):
            assert outcome(once(engine, secure(server.port, judge))) == (Verdict.CERTIFICATE, EXPIRED, 0)
        assert once(engine, secure(server.port, ServerTls())).verdict is Verdict.SUCCESS


def expired(directory: Path) -> tuple[str, str]:
    """A self-signed certificate that ran out long ago."""
    _, key = certificate(directory, "past")
    request, cert = str(directory / "past.csr"), str(directory / "past.pem")
    (directory / "index.txt").touch()
    settings = directory / "ca.cnf"
    settings.write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={directory}/index.txt\nnew_certs_dir={directory}\nrand_serial=yes\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    for command in (
        ["req", "-new", "-key", key, "-subj", "/CN=past", "-out", request],
        ["ca", "-config", str(settings), "-selfsign", "-keyfile", key, "-in", request, "-out", cert, "-batch",
         "-notext", "-startdate", "200101000000Z", "-enddate", "210101000000Z"],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return cert, key


def test_under_a_dialogue_too(engine: ProbeEngine, papers: Path) -> None:
    context = server_side((str(papers / "good.pem"), str(papers / "good.key")))
    with connections(leave, context=context) as server:
        for name, verdict in (("www.example.net", Verdict.SUCCESS), ("mail.example.net", Verdict.CERTIFICATE)):
            judge = ServerTls(ca=str(papers / "authority.pem"), name=name)
            recipe = towards(server.port, Kind.TCP, tls_after=0, sni=name, judge=judge, timeout=2 * S)
            assert once(engine, recipe).verdict is verdict
        assert server.names == ["www.example.net", "mail.example.net"]


def test_a_new_file_counts_from_the_next_reload_on(papers: Path, tmp_path: Path) -> None:
    context = server_side((str(papers / "good.pem"), str(papers / "good.key")))
    ca = tmp_path / "ca.pem"
    with running() as engine, connections(page, context=context) as server:
        recipe = secure(server.port, ServerTls(ca=str(ca), name="www.example.net", resume=True))
        assert once(engine, recipe).errno == UNKNOWN
        shutil.copy(papers / "authority.pem", ca)
        engine.use_tls(TlsContext(ClientTls()))
        assert once(engine, recipe).verdict is Verdict.SUCCESS
        shutil.copy(papers / "stranger.pem", ca)
        assert once(engine, recipe).verdict is Verdict.SUCCESS
        engine.use_tls(TlsContext(ClientTls()))
        assert once(engine, recipe).errno == UNKNOWN, "a session that was begun before is not resumed"


def test_files_of_authorities(papers: Path, tmp_path: Path) -> None:
    assert authorities_error(str(papers / "authority.pem")) == ""
    assert authorities_error("system") == ""
    assert authorities_error(str(tmp_path / "nowhere")) == "No such file or directory"
    (tmp_path / "empty").touch()
    assert authorities_error(str(tmp_path / "empty")) != ""


# ------------------------------------------------------------------------------------------- sessions


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(engine: ProbeEngine, papers: Path, version: ssl.TLSVersion) -> None:
    context = server_side((str(papers / "good.pem"), str(papers / "good.key")), version)
    with connections(page, context=context) as server:
        recipes = [
            secure(server.port, ServerTls(resume=True)),
            secure(server.port, ServerTls(resume=True, ca=str(papers / "authority.pem"), name="www.example.net")),
            secure(server.port, ServerTls(resume=True, days_left=3)),
            secure(server.port, ServerTls()),
        ]
        for target, recipe in enumerate(recipes):
            before = engine.stats()["tls_resumed"]
            for _ in range(4):
                assert once(engine, recipe, target).verdict is Verdict.SUCCESS
            assert engine.stats()["tls_resumed"] - before == (3 if recipe.judge.resume else 0)


def test_a_session_serves_only_what_is_probed_in_the_same_way(engine: ProbeEngine, papers: Path) -> None:
    context = server_side((str(papers / "good.pem"), str(papers / "good.key")))
    with connections(page, context=context) as server:
        plain = secure(server.port, ServerTls(resume=True))
        once(engine, plain)
        judged = secure(server.port, ServerTls(resume=True, ca=str(papers / "stranger.pem")))
        assert once(engine, judged).errno == UNKNOWN, "the session that nobody judged is not resumed"
        assert engine.stats()["tls_resumed"] == 0
        once(engine, plain)
        engine.remove(0)
        once(engine, plain)
        assert engine.stats()["tls_resumed"] == 0


def test_a_server_that_has_forgotten_the_session(engine: ProbeEngine, papers: Path) -> None:
    pair = (str(papers / "good.pem"), str(papers / "good.key"))
    contexts = [server_side(pair), server_side(pair)]

    def restarted(connection: socket.socket) -> None:
        with contexts[0].wrap_socket(connection, server_side=True) as session:
            page(session)
        contexts.reverse()

    with connections(restarted) as server:
        for _ in range(4):
            assert once(engine, secure(server.port, ServerTls(resume=True))).verdict is Verdict.SUCCESS


def garbage(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x16\x03\x03\0\x7a" + b"\x02" * 200)


@pytest.mark.parametrize("talk", [garbage, lambda connection: None])
def test_hostile_servers_and_what_is_kept_of_them(papers: Path, talk: Talk) -> None:
    """Failures by turns with resumed sessions: nothing crashes, nothing is reported as good."""
    context = server_side((str(papers / "good.pem"), str(papers / "good.key")))
    with running() as engine, connections(page, context=context) as good, connections(talk) as bad:
        judge = ServerTls(resume=True)
        for turn in range(6):
            report = once(engine, secure((bad if turn % 2 else good).port, judge))
            assert (report.verdict is Verdict.SUCCESS) == (turn % 2 == 0)
        order = ProbeOrder(target=1, generation=1, recipe=secure(good.port, judge), first=0, interval=10 * MS)
        engine.order(order)
        until(lambda: engine.last(1).runs > 30, "thirty resumed probes", 20)
        assert engine.reports() == []
        assert engine.stats()["tls_resumed"] >= 25


def test_addresses_are_not_sent_as_names(papers: Path) -> None:
    context = server_side((str(papers / "good.pem"), str(papers / "good.key")))
    with running() as engine, connections(page, context=context) as server:
        judge = ServerTls(ca=str(papers / "authority.pem"), name="127.0.0.1")
        assert once(engine, secure(server.port, judge, address=Address("127.0.0.1"))).verdict is Verdict.SUCCESS
        assert server.names == [None]
