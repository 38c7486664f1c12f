"""Mail: the dialogue, the headers, retries, and that nothing waits for it."""

import base64
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from fastha.model.plan import Mail, MailTls
from fastha.model.units import S
from fastha.system import mail
from fastha.system.mail import Mailer, envelope, message_of
from fastha.system.spool import Letter, Spool


class Server(socketserver.ThreadingTCPServer):
    """Takes mail; `answers` overrides the reply to a verb, once each."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Dialogue)
        self.dialogues: list[list[str]] = []
        self.context: ssl.SSLContext | None = None
        self.tls_first = False
        self.answers: dict[str, list[str]] = {}
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return self.server_address[1]


class Dialogue(socketserver.StreamRequestHandler):
    def secure(self) -> None:
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)

    def handle(self):
        try:
            if self.server.tls_first:
                self.secure()
            self.talk()
        except (ssl.SSLError, ConnectionError):
            pass  # the client did not like our certificate
        finally:
            self.connection.close()

    def talk(self):
        lines: list[str] = []
        self.server.dialogues.append(lines)
        self.reply("220 hello")
        data = False
        while raw := self.rfile.readline():
            line = raw.decode().rstrip("\r\n")
            lines.append(line)
            if data:
                if line == ".":
                    data = False
                    self.reply("250 taken")
                continue
            verb = line.split(" ")[0].split(":")[0].upper()
            overrides = self.server.answers.get(verb, [])
            answer = overrides.pop(0) if overrides else {"DATA": "354 go", "QUIT": "221 bye"}.get(verb, "250 ok")
            data = answer.startswith("354")
            if verb == "EHLO":
                plain = self.server.context is not None and not isinstance(self.connection, ssl.SSLSocket)
                answer = "250-here\r\n" + ("250-STARTTLS\r\n" if plain else "250-AUTH PLAIN\r\n") + "250 ok"
            answer = {"AUTH": "235 in", "STARTTLS": "220 go"}.get(verb, answer)
            self.reply(answer)
            if verb == "STARTTLS":
                self.secure()
            if verb == "QUIT":
                return

    def reply(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@pytest.fixture
def server():
    server = Server()
    yield server
    server.shutdown()
    server.server_close()
    server.thread.join()


def plan_of(port: int, **words) -> Mail:
    given = {"sender": "ha@example.org", "recipients": ("a@example.org", "<b@example.org>"), "timeout": 2 * S}
    return Mail(server="127.0.0.1", port=port, helo_name="director1", **(given | words))


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_dialogue_and_headers(server):
    mailer = Mailer(plan_of(server.port), pytest.fail)
    mailer.send("[lb1] VRRP Instance VI_1 - Entering MASTER state", "=> owning <=")
    wait_for(lambda: mailer.sent == 1)
    mailer.close(2)
    lines = server.dialogues[0]
    assert lines[:5] == [
        "HELO director1",
        "MAIL FROM:<ha@example.org>",
        "RCPT TO:<a@example.org>",
        "RCPT TO:<b@example.org>",
        "data",
    ]
    headers = [line.split(": ")[0] for line in lines[5:10]]
    assert headers == ["Date", "From", "Subject", "X-Mailer", "To"]
    assert lines[7] == "Subject: [lb1] VRRP Instance VI_1 - Entering MASTER state"
    assert lines[10:] == ["", "=> owning <=", ".", "QUIT"] or lines[10:] == ["", "=> owning <=", ".", "quit"]


def test_a_newline_in_a_name_makes_no_header():
    text = message_of(Letter("x\r\nBcc: evil@example.org", "body", 0.0), plan_of(25)).decode()
    assert "\r\nBcc" not in text


def test_envelope():
    assert envelope("a@b") == "<a@b>"
    assert envelope("<a@b>") == "<a@b>"


def test_a_refused_mail_is_tried_again_and_the_order_stays(server, monkeypatch):
    monkeypatch.setattr(mail, "_PAUSES", (0.01, 0.01, 0.01))
    server.answers["MAIL"] = ["451 later", "451 later"]
    problems = []
    mailer = Mailer(plan_of(server.port), problems.append)
    mailer.send("first", "x")
    mailer.send("second", "x")
    wait_for(lambda: mailer.sent == 2)
    mailer.close(2)
    subjects = [line for dialogue in server.dialogues for line in dialogue if line.startswith("Subject")]
    assert subjects == ["Subject: first", "Subject: second"]
    assert len(problems) == 2
    assert "451" in problems[0]


def test_what_is_never_taken_is_given_up_and_told(server, monkeypatch):
    monkeypatch.setattr(mail, "_PAUSES", (0.01, 0.01))
    server.answers["RCPT"] = ["550 no"] * 9
    problems = []
    mailer = Mailer(plan_of(server.port), problems.append)
    mailer.send("lost", "x")
    wait_for(lambda: mailer.failed == 1)
    mailer.close(2)
    assert problems[-1].endswith("given up: lost")
    assert mailer.queued == 0


def test_a_dead_server_delays_nobody_and_the_queue_is_bounded():
    problems = []
    mailer = Mailer(plan_of(9), problems.append)
    start = time.monotonic()
    for number in range(1500):
        mailer.send(str(number), "x")
    assert mailer.queued + mailer.lost in (1499, 1500)
    assert mailer.lost >= 499
    mailer.close(0.5)
    assert time.monotonic() - start < 5


# ---------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A key and a certificate of 127.0.0.1, signed by itself, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "relay.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=relay"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize("tls", [MailTls.STARTTLS, MailTls.TLS])
def test_tls_and_an_account(server, certificate, tmp_path, tls):
    server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.context.load_cert_chain(certificate)
    server.tls_first = tls is MailTls.TLS
    password = tmp_path / "password"
    password.write_text("geheim\n")
    words = {"tls": tls, "ca_file": f"{certificate}.crt", "user": "lvs", "password_file": str(password)}
    mailer = Mailer(plan_of(server.port, **words), pytest.fail)
    mailer.send("subject", "body")
    wait_for(lambda: mailer.sent == 1)
    mailer.close(2)
    (lines,) = server.dialogues
    account = base64.b64encode(b"\0lvs\0geheim").decode()
    assert f"AUTH PLAIN {account}" in lines
    if tls is MailTls.STARTTLS:
        assert lines.index("STARTTLS") < lines.index(f"AUTH PLAIN {account}")
    assert "ehlo director1" in [line.lower() for line in lines]


def test_a_certificate_of_somebody_else_gets_no_mail(server, certificate, monkeypatch):
    monkeypatch.setattr(mail, "_PAUSES", ())
    server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.context.load_cert_chain(certificate)
    server.tls_first = True
    problems = []
    mailer = Mailer(plan_of(server.port, tls=MailTls.TLS), problems.append)
    mailer.send("subject", "body")
    wait_for(lambda: mailer.failed == 1)
    mailer.close(2)
    assert "certificate" in problems[0].lower()


def test_a_relay_without_starttls_gets_no_mail_in_the_open(server, monkeypatch):
    monkeypatch.setattr(mail, "_PAUSES", ())
    problems = []
    mailer = Mailer(plan_of(server.port, tls=MailTls.STARTTLS), problems.append)
    mailer.send("subject", "body")
    wait_for(lambda: mailer.failed == 1)
    mailer.close(2)
    assert "STARTTLS" in problems[0]
    assert not [line for line in server.dialogues[0] if line.startswith("MAIL")]


# -------------------------------------------------------------------------------------------- spool


def test_mail_of_a_process_that_died_is_sent_by_the_next_one(server, tmp_path, monkeypatch):
    spool = tmp_path / "mail.spool"
    dead = Mailer(plan_of(9), lambda text: None, str(spool))
    dead.send("first", "x")
    dead.send("second \udcff", "x")
    wait_for(spool.exists)
    left = Spool(str(spool)).load(time.time())
    assert left[0].subject == "first"
    assert spool.stat().st_mode & 0o777 == 0o600
    dead._closed = True  # it died: nothing of it writes any more
    mailer = Mailer(plan_of(server.port), pytest.fail, str(spool))
    wait_for(lambda: mailer.sent == len(left))
    mailer.close(2)
    assert not spool.exists()
    dead.close(0.1, keep=True)


def test_old_letters_and_broken_files_are_no_mail(tmp_path):
    path = tmp_path / "mail.spool"
    spool = Spool(str(path))
    spool.save([Letter("old", "x", 1000.0), Letter("new", "x", 90000.0, 2)])
    assert spool.load(100000.0) == [Letter("new", "x", 90000.0, 2)]
    path.write_bytes(b"[[1")
    assert spool.load(0.0) == []
    assert Spool(None).load(0.0) == []
