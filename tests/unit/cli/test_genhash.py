"""genhash: options, output, exit codes; beside keepalived's where that is installed."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from fastha.cli.genhash import body_digest, hex_dump, main
from fastha.cli.main import main as fastha
from tests.probe_bench import Talk, certificate, connections, read_request

PAGE = b"HTTP/1.0 404 Not Found\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello"
DIGEST = hashlib.md5(b"hello", usedforsecurity=False).hexdigest()


def serve(reply: bytes, heard: list[bytes]) -> Talk:
    def talk(connection: socket.socket) -> None:
        heard.append(read_request(connection))
        connection.sendall(reply)

    return talk


def words(port: int, *more: str) -> list[str]:
    return ["-s", "127.0.0.1", "-p", str(port), "-u", "/x", *more]


def test_digits_whatever_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[bytes] = []
    with connections(serve(PAGE, heard)) as server:
        assert main(words(server.port)) == 0
        assert capsys.readouterr().out == f"{DIGEST}\n"
        assert fastha(["genhash", *words(server.port, "-V", "www", "-P", "1.0c")]) == 0
        assert fastha(["--genhash", *words(server.port, "--protocol", "1.1", "-t", "5")]) == 0
    host = f"Host: 127.0.0.1:{server.port}\r\n\r\n".encode()
    assert heard == [
        b"GET /x HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\n" + host,
        b"GET /x HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www\r\n\r\n",
        b"GET /x HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\n" + host,
    ]


def test_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "genhash").write_text(
        f"#!{sys.executable}\nimport sys\nfrom fastha.cli.main import main\nsys.exit(main())\n"
    )
    (tmp_path / "genhash").chmod(0o755)
    with connections(serve(PAGE, [])) as server:
        done = subprocess.run(
            [str(tmp_path / "genhash"), *words(server.port)], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, f"{DIGEST}\n")


def test_over_tls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    with connections(serve(PAGE, []), context=context) as server:
        assert main(words(server.port, "-S")) == main(words(server.port, "-S", "-I", "-V", "www.example.net")) == 0
        assert server.names == [None, "www.example.net"]
    assert capsys.readouterr().out == f"{DIGEST}\n{DIGEST}\n"


def test_trouble_is_told_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with connections(serve(b"no header", [])) as server:
        assert main(words(server.port)) == 0
        shown = capsys.readouterr()
        assert (shown.out, "no complete reply" in shown.err) == ("", True)
        port = server.port
    assert main(words(port)) == 0
    assert capsys.readouterr().out == "Connection failed: Connection refused\n"
    with connections(lambda connection: connection.recv(1) and None) as server:
        assert main(words(server.port, "-S", "-t", "2")) == 0
        assert "Connection failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bad",
    [[], ["-s", "x", "-p", "1", "-u", "/"], ["-s", "::1", "-p", "0", "-u", "/"], words(1, "-P", "2"),
     words(1, "-m", "-1"), words(1, "-t", "0"), words(1, "--nonsense"), ["-s", "::1", "-p", "1"]],
)  # fmt: skip
def test_wrong_usage(bad: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(bad)
    assert end.value.code == 1
    assert "usage: genhash" in capsys.readouterr().err


def test_digest_covers_content_length_only() -> None:
    assert body_digest(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nokay") == hashlib.md5(b"ok").digest()
    assert body_digest(b"HTTP/1.0 200 OK\r\n\r\nokay") == hashlib.md5(b"okay").digest()
    assert body_digest(b"HTTP/1.0 200 OK\r\n") is None


def test_dump() -> None:
    assert hex_dump(bytes(range(0x1C, 0x2E))) == (
        "0000  1c 1d 1e 1f 20 21 22 23 - 24 25 26 27 28 29 2a 2b   .... !\"#$%&'()*+\n"
        "0016  2c 2d                   -" + 27 * " " + ",-" + 14 * " " + "\n"
    )


@pytest.mark.compat
@pytest.mark.skipif(shutil.which("genhash") is None, reason="keepalived's genhash is not installed")
@pytest.mark.parametrize("more", [[], ["-v"], ["-v", "-V", "www.example.net", "-P", "1.1"]])
def test_beside_keepalived(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[bytes] = []
    with connections(serve(PAGE, heard)) as server:
        theirs = subprocess.run(
            [shutil.which("genhash") or "", *words(server.port, *more)], capture_output=True, text=True, check=False
        )
        assert main(words(server.port, *more)) == theirs.returncode == 0
    assert heard[0] == heard[1]
    ours = capsys.readouterr().out
    assert _timeless(ours) == _timeless(theirs.stdout)


def _timeless(text: str) -> str:
    return re.sub(r"= \d+ usecs", "= N usecs", text).replace("\r\n", "\n")
