"""Results in words."""

from fastha.checks.recipes import Verdict
from fastha.checks.words import result_words
from fastha.model.plan import StartTls, Step
from tests.check_builders import http, misc, tcp


def test_words() -> None:
    assert result_words(tcp(), Verdict.SUCCESS, 0, 0) == "connected"
    assert result_words(tcp(), Verdict.REFUSED, 111, 0) == "connection refused"
    assert result_words(tcp(), Verdict.REFUSED, 71, 0) == "EPROTO"
    assert result_words(http(), Verdict.STATUS, 0, 503) == "status 503 not in 200-299"
    assert result_words(http(), Verdict.SUCCESS, 0, 200) == "status 200"
    assert result_words(http(), Verdict.TIMEOUT, 0, 0) == "timed out"
    assert result_words(misc(), Verdict.EXIT, 0, 3) == "exit 3"
    assert result_words(misc(), Verdict.SUCCESS, 0, 0) == "exit 0"
    assert result_words(tcp(), Verdict.LOCAL, 99, 0) == "not probed: no source address or port"


def test_words_of_dialogues_and_certificates() -> None:
    talk = tcp(talk=(Step(send=b"a"),))
    assert result_words(talk, Verdict.SUCCESS, 0, 1) == "answered"
    assert result_words(talk, Verdict.TIMEOUT, 110, 2) == "timed out in step 2 of the dialogue"
    assert result_words(talk, Verdict.REPLY, 0, 2) == "another answer than required in step 2 of the dialogue"
    assert result_words(talk, Verdict.NO_DATA, 0, 1) == "closed without an answer in step 1 of the dialogue"
    assert result_words(tcp(), Verdict.TIMEOUT, 110, 0) == "connection timed out"
    assert result_words(tcp(tls=True), Verdict.SUCCESS, 0, 0) == "TLS handshake done"
    assert result_words(tcp(tls=True, starttls=StartTls.IMAP), Verdict.SUCCESS, 0, 4) == "answered"
    assert result_words(http(), Verdict.CERTIFICATE, 10, 0) == "the certificate has expired"
    assert result_words(http(), Verdict.CERTIFICATE, 99, 0) == "the certificate is not good (X509_V_ERR 99)"
    assert result_words(http(), Verdict.CERTIFICATE, 0, 9) == "the certificate is good for 9 more days only"
