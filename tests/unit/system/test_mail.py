"""Mail: the dialogue, the headers, retries, and that nothing waits for it."""

import socketserver
import threading
import time

import pytest

from fastha.model.plan import Mail
from fastha.model.units import S
from fastha.system import mail
from fastha.system.mail import Letter, Mailer, envelope, message_of


class Server(socketserver.ThreadingTCPServer):
    """Takes mail; `answers` overrides the reply to a verb, once each."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Dialogue)
        self.dialogues: list[list[str]] = []
        self.answers: dict[str, list[str]] = {}
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return self.server_address[1]


class Dialogue(socketserver.StreamRequestHandler):
    def handle(self):
        lines: list[str] = []
        self.server.dialogues.append(lines)
        self.reply("220 hello")
        data = False
        for raw in self.rfile:
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
            self.reply(answer)
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
        "helo director1",
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
