"""Talking to a running daemon over its control socket."""

import glob
import os
import socket
from typing import Any, Final

import orjson

from fastha.cli.options import DEFAULT_RUN_DIR

_CONNECT: Final = 5.0
_SOCKET: Final = "control.sock"


class DaemonError(Exception):
    """No daemon there, or it said no; the text is for people."""


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_CONNECT)
        return sock.connect_ex(path) == 0


def the_run_dir(named: str | None) -> str:
    """`named`, or the run directory of the one daemon there is. DaemonError when there are several."""
    if named is not None:
        return named
    paths = [path for path in sorted(glob.glob(f"{DEFAULT_RUN_DIR}/**/{_SOCKET}", recursive=True)) if _answers(path)]
    if len(paths) > 1:
        places = "".join(f"\n  --run-dir {os.path.dirname(path)}" for path in paths)
        raise DaemonError(f"{len(paths)} daemons run here; which one:{places}")
    return os.path.dirname(paths[0]) if paths else DEFAULT_RUN_DIR


def ask(run_dir: str, request: dict[str, Any], patience: float = 30.0) -> dict[str, Any]:
    """The answer of the daemon in `run_dir` to `request`, within `patience` seconds. DaemonError otherwise."""
    path = os.path.join(run_dir, _SOCKET)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_CONNECT)
            sock.connect(path)
            sock.settimeout(patience)
            sock.sendall(orjson.dumps(request) + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
    except (FileNotFoundError, ConnectionRefusedError):
        raise DaemonError(f"no daemon answers at {path} (another one: --run-dir)") from None
    except TimeoutError:
        raise DaemonError(f"{path}: no answer in time") from None
    except OSError as error:
        raise DaemonError(f"{path}: {error.strerror}") from None
    if not line:
        raise DaemonError(f"{path}: turned away; only root and the daemon's own user may ask")
    answer: dict[str, Any] = orjson.loads(line)
    if not answer.get("ok"):
        raise DaemonError(str(answer.get("error")))
    return answer
