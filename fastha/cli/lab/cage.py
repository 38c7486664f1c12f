"""A cage that the kernel cleans up: everything the lab makes lives in namespaces that end with the lab.

    outer   the command the user started: keeps the terminal's settings, waits
      init  process 1 of the cage: reaps whoever is left alone, waits for the lab; dies with the outer one
        lab and, below it, directors, servers, client

New user namespace (only when we are not root), network, mount and process namespaces. Network namespaces, bridges,
mounts, files under /run and processes made inside vanish when process 1 ends, whatever ends it: the end of the lab,
Ctrl-C, a crash, SIGKILL of any of the three. There is nothing to clean up and so nothing to forget.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18
PR_SET_PDEATHSIG: Final = 1

LIBC: Final = ctypes.CDLL(None, use_errno=True)


class CageError(Exception):
    """This host does not let us make namespaces; the text says what was refused."""


def check(result: int, what: str) -> None:
    """Raise OSError when a call of libc returned an error."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    """mount(2); raises OSError."""
    check(LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None), f"mount {target}")


def enter_namespaces() -> bool:
    """Leave for new namespaces (the process one is for our children); whether that needed a user namespace.

    Raises CageError.
    """
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and LIBC.unshare(flags) == 0:
        return False
    try:
        check(LIBC.unshare(flags | CLONE_NEWUSER), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        hint = "as root it works everywhere" if uid else "this container lacks CAP_SYS_ADMIN"
        raise CageError(f"the lab needs namespaces of its own, and they were refused: {error}; {hint}") from None
    return True


def furnish() -> None:
    """Inside, as process 1: own mounts, a root directory of our own with everything of the host's in it, /proc for our
    processes, an empty /run, an /etc/keepalived to fill.

    The new root belongs to us (to the host's root it would be a stranger's in a user namespace), so that files made in
    it pass the rules for the owners of scripts.
    """
    here = Path.cwd()
    mount("none", "/", "none", MS_REC | MS_PRIVATE)
    mount("tmpfs", "/run", "tmpfs")
    root = Path("/run")
    for name in os.listdir("/"):
        host, ours = Path("/", name), root / name
        if name in ("run", "proc", "etc"):
            ours.mkdir()
        elif host.is_symlink():
            ours.symlink_to(host.readlink())
        elif host.is_dir():
            ours.mkdir()
            mount(str(host), str(ours), "none", MS_BIND | MS_REC)
    root.chmod(0o755)
    etc = root / "run/etc"
    etc.mkdir()
    mount("/etc", str(etc), "none", MS_BIND | MS_REC)
    for name in os.listdir("/etc"):
        if name != "keepalived":
            Path(root, "etc", name).symlink_to(Path("/run/etc", name))
    (root / "etc/keepalived").mkdir()
    mount("proc", str(root / "proc"), "proc")
    os.chroot(root)
    os.chdir(here)


def init(lab: Callable[[], int], outer_alive: int) -> int:
    """Process 1 of the cage: run `lab` in a child, reap everybody, return the lab's exit code.

    `outer_alive` is the reading end of a pipe that only the outer process holds open: when it died before
    PR_SET_PDEATHSIG was in force, the pipe tells.
    """
    check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if select.select([outer_alive], [], [], 0)[0]:
        return 1
    try:
        furnish()
    except OSError as error:
        # some hosts give a user namespace and then nothing to do in it
        print(f"fastha lab: mounts of its own were refused: {error}; as root it works", file=sys.stderr)
        return 2
    pid = os.fork()
    if pid == 0:
        leave(lab)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def leave(call: Callable[[], int]) -> None:
    """In a forked child: the process ends with what `call` returns, come what may."""
    code = 1
    try:
        code = call()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF if code >= 0 else 128 - code)


@contextlib.contextmanager
def terminal_kept() -> Iterator[None]:
    """Whatever happens inside, the terminal is afterwards as it was."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        # a background process that sets the terminal is stopped by SIGTTOU
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[?25h")
            sys.stdout.flush()


def run_caged(lab: Callable[[bool], int]) -> int:
    """Run `lab(unprivileged)` in a new cage and return its exit code (128 + N when signal N ended it).

    SIGTERM and SIGHUP end the cage at once, as does a second Ctrl-C; the first one is the lab's to handle.
    Raises CageError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with terminal_kept():
        unprivileged = enter_namespaces()
        alive, ours = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            leave(lambda: init(lambda: lab(unprivileged), alive))
        os.close(alive)
        interrupts = 0

        def end(number: int, _frame: FrameType | None) -> None:
            nonlocal interrupts
            interrupts += number == signal.SIGINT
            if number != signal.SIGINT or interrupts > 1:
                os.kill(pid, signal.SIGKILL)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, end)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code if code >= 0 else 128 - code
