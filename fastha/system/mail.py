"""Mail: a queue and a thread, so that a mail server never delays anything. What cannot be delivered is tried again."""

import smtplib
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Final

from fastha.model.plan import Mail, MailTls
from fastha.model.units import S
from fastha.system.spool import Letter, Spool

_QUEUE: Final = 1000
"""Mails; the oldest is lost when there are more."""
_PAUSES: Final = (5.0, 30.0, 120.0)
"""Seconds before the second, third and fourth try."""


def envelope(address: str) -> str:
    """As it stands in MAIL FROM and RCPT TO; one already in angle brackets is used as it is."""
    return address if address.startswith("<") else f"<{address}>"


def message_of(letter: Letter, plan: Mail) -> bytes:
    """The message: keepalived's headers, in its order. A newline in a name must not make a header."""
    clean = {name: text.replace("\r", " ").replace("\n", " ") for name, text in _headers(letter, plan).items()}
    head = "".join(f"{name}: {text}\r\n" for name, text in clean.items())
    body = letter.body.replace("\r\n", "\n").replace("\n", "\r\n")
    return f"{head}\r\n{body}\r\n".encode(errors="surrogateescape")


def _headers(letter: Letter, plan: Mail) -> dict[str, str]:
    return {
        "Date": formatdate(letter.wall, localtime=True),
        "From": plan.sender,
        "Subject": letter.subject,
        "X-Mailer": "Keepalived",
        "To": ", ".join(plan.recipients),
    }


def deliver(letter: Letter, plan: Mail) -> None:
    """One dialogue: HELO, MAIL, RCPT for each, DATA, QUIT; EHLO where TLS or an account is asked for. OSError or
    smtplib.SMTPException when it is not accepted, ssl.SSLError (an OSError) for a certificate that is not good."""
    with _greeted(plan) as server:
        if plan.user is not None:
            server.login(plan.user, _password(plan.password_file))
        _expect(server.docmd("MAIL", f"FROM:{envelope(plan.sender)}"), 250)
        for recipient in plan.recipients:
            _expect(server.docmd("RCPT", f"TO:{envelope(recipient)}"), 250)
        _expect(server.data(message_of(letter, plan)), 250)


@contextmanager
def _greeted(plan: Mail) -> Iterator[smtplib.SMTP]:
    """A connection on which the server has been greeted; QUIT at the end."""
    limit, name = plan.timeout / S, plan.helo_name
    if plan.tls is MailTls.NONE:
        with smtplib.SMTP(timeout=limit) as server:
            server.connect(plan.server, plan.port)
            _expect(server.docmd("HELO", name), 250)
            yield server
        return
    context = ssl.create_default_context(cafile=plan.ca_file)
    if plan.tls is MailTls.TLS:
        with smtplib.SMTP_SSL(plan.server, plan.port, local_hostname=name, timeout=limit, context=context) as server:
            server.ehlo_or_helo_if_needed()
            yield server
        return
    with smtplib.SMTP(plan.server, plan.port, local_hostname=name, timeout=limit) as server:
        server.starttls(context=context)  # SMTPNotSupportedError: never in the open when TLS was asked for
        server.ehlo_or_helo_if_needed()
        yield server


def _password(path: str | None) -> str:
    """The first line of the file."""
    if path is None:
        return ""
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\r\n")


def _expect(answer: tuple[int, bytes], code: int) -> None:
    if answer[0] != code:
        raise smtplib.SMTPResponseException(answer[0], answer[1])


class Mailer:
    """Delivers letters one after the other. `report(text)` is called from the mail thread for what went wrong. What is
    not delivered yet stands in the file `spool`, for the one after us."""

    def __init__(self, plan: Mail, report: Callable[[str], None], spool: str | None = None) -> None:
        self.plan = plan
        """May be replaced: counts from the next try on."""
        self._report = report
        self._spool = Spool(spool)
        self._queue: deque[Letter] = deque(self._spool.load(time.time()))
        self._current: Letter | None = None
        """The one under way."""
        self._wake = threading.Condition()
        self._ending = False
        self._closed = False
        self.sent = 0
        self.failed = 0
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        return len(self._queue)

    def send(self, subject: str, body: str) -> None:
        """Queue a letter; never waits."""
        with self._wake:
            if len(self._queue) >= _QUEUE:
                self._queue.popleft()
                self.lost += 1
            self._queue.append(Letter(subject, body, time.time()))
            self._wake.notify()

    def close(self, patience: float, *, keep: bool = False) -> None:
        """Give what is queued at most `patience` seconds, without pauses between tries, and end. `keep` what is
        left, for a successor."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join(patience)
        with self._wake:
            self._closed = True
            if not keep:
                self._spool.clear()

    def _run(self) -> None:
        while (letter := self._next()) is not None:
            try:
                deliver(letter, self.plan)
                self.sent += 1
            except (OSError, smtplib.SMTPException) as error:
                self._again(letter, error)

    def _next(self) -> Letter | None:
        with self._wake:
            if not self._queue and not self._ending:
                self._spool.clear()
            while not self._queue and not self._ending:
                self._wake.wait()
            self._current = self._queue.popleft() if self._queue else None
            if not self._closed:
                waiting = [*([self._current] if self._current is not None else []), *self._queue]
                if waiting:
                    self._spool.save(waiting)
                else:
                    self._spool.clear()
            return self._current

    def _again(self, letter: Letter, error: Exception) -> None:
        where = f"mail server {self.plan.server}:{self.plan.port}"
        if letter.tries >= len(_PAUSES) or self._ending:
            self.failed += 1
            self._report(f"{where}: {error}; given up: {letter.subject}")
            return
        pause = _PAUSES[letter.tries]
        self._report(f"{where}: {error}; next try in {pause:g} s")
        with self._wake:
            # The queue is in order of time: this letter stays the first.
            self._queue.appendleft(Letter(letter.subject, letter.body, letter.wall, letter.tries + 1))
            self._wake.wait_for(lambda: self._ending, pause)
