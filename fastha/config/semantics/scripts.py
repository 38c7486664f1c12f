"""Which program a script word means, under which account it runs, and whether that is safe.

The rules are keepalived's: a bare name is looked up in PATH as the account would find it; with enable_script_security
nothing runs as root that somebody else could have changed; without it, having scripts at all is reported once.
"""

from fastha.config.diagnostics import Exit
from fastha.config.host import FileInfo, User
from fastha.config.script import ScriptLine
from fastha.config.semantics.context import Context
from fastha.config.source import Line
from fastha.model.plan import Command

DEFAULT_USER = "keepalived_script"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DIRECTORY = 0o040000
REGULAR = 0o100000
TYPE = 0o170000
SET_ID = 0o6000
STICKY = 0o1000
HEAD = 4
"""Octets that tell a program from a text file."""


class Scripts:
    """Resolves script words to commands. `used` says whether any is to be run."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._secure = ctx.defs.has("enable_script_security")
        self._real_paths = not ctx.defs.get("use_symlink_paths", False)
        self._supplementary = ctx.defs.get("set_supplementary_groups", False)
        self._default: User | None = None
        self._default_problem = ""
        self._path = (ctx.host.environment("PATH") or DEFAULT_PATH).split(":")
        self._commands: dict[tuple[object, ...], Command | str] = {}
        self.used: list[Line] = []
        self._set_default()

    def _set_default(self) -> None:
        ctx = self._ctx
        written = ctx.defs.maybe("script_user")
        if written is not None:
            line = ctx.defs.line_of("script_user")
            self._default = self.account(written, line)
            if self._default is None:
                self._default_problem = f"script_user '{written[0]}' cannot be used"
            return
        self._default = ctx.host.user(DEFAULT_USER)
        if self._default is not None:
            return
        if self._secure:
            self._default_problem = (
                f"enable_script_security needs script_user, an account of its own, or a user {DEFAULT_USER}"
            )
        else:
            self._default = ctx.host.identity()

    def account(self, written: tuple[str, str | None, bool], line: Line, *, tolerant: bool = False) -> User | None:
        """The account of `USER [[:]GROUP]` (names, and whether supplementary groups are wanted); None, and said, when
        there is no such user or group. `tolerant`: as a note."""
        name, group, supplementary = written
        complain = self._ctx.report.note if tolerant else self._ctx.report.error
        host = self._ctx.host
        user = host.user(name)
        if user is None:
            hint = "quote a command that has arguments" if tolerant else ""
            complain(f"there is no user '{name}'", line, _index(line, name), suggestion=hint)
            return None
        gid = user.gid
        if group is not None:
            found = host.group(group)
            if found is None:
                complain(f"there is no group '{group}'", line, _index(line, group))
                return None
            gid = found
        groups = user.groups if supplementary or self._supplementary else ()
        return User(user.name, user.uid, gid, groups)

    @property
    def default_account(self) -> User | None:
        return self._default

    def command(
        self, script: ScriptLine | None, what: str, *, strict: bool = False, tolerant: bool = True
    ) -> Command | None:
        """What to run for `script`; None, and said, when it cannot be run.

        `strict`: an unusable file is an error, as for a tracked script, and not only a remark. `tolerant`: an unknown
        account is only a remark.
        """
        if script is None:
            return None
        if script.user is not None:
            written = (script.user, script.group, script.supplementary)
            account = self.account(written, script.line, tolerant=tolerant)
        elif self._default is None:
            self._ctx.error(f"{what} is not run: {self._default_problem}", script.line, 1)
            account = None
        else:
            account = self._default
        if account is None:
            return None
        return self.run_as(script, account, what, strict=strict)

    def run_as(self, script: ScriptLine, account: User, what: str, *, strict: bool = False) -> Command | None:
        """The command of `script` under an account that is known."""
        key = (script.argv, account)
        found = self._commands.get(key)
        if found is None:
            found = self._commands[key] = self._resolve(script.argv, account)
        if isinstance(found, str):
            if self._ctx.host.stat(script.argv[0]) is not None:
                self.used.append(script.line)  # keepalived counts what is there, even if it cannot be run
            if strict:
                self._ctx.error(f"{what} is not run: {found}", script.line, 1)
            else:
                self._ctx.report.note(f"{what} is not run: {found}", script.line, 1)
            return None
        if not script.argv[0].startswith("<"):
            self.used.append(script.line)
        return found

    def _resolve(self, argv: tuple[str, ...], account: User) -> Command | str:
        """The command, or why there is none."""
        groups = account.groups or None
        if argv[0].startswith("<"):
            return Command(argv=argv, uid=account.uid, gid=account.gid, groups=groups, shell=True)  # noqa: S604 - the file says so
        path = argv[0] if "/" in argv[0] else self._find(argv[0], account)
        if path is None:
            return f"'{argv[0]}' is not found in PATH"
        host = self._ctx.host
        info = host.stat(path)
        if info is None:
            return f"'{path}' does not exist"
        if info.mode & TYPE != REGULAR:
            return f"'{path}' is not a file"
        if not _may(info, account, 1):
            return f"'{path}' is not executable for {account.name}"
        real = host.realpath(path) or path
        if self._secure and (account.uid == 0 or account.gid == 0 or info.mode & SET_ID):
            problem = self._insecure(path) or self._insecure(real)
            if problem:
                return f"it would run as root, and {problem}"
        try:
            head = host.read_head(real, HEAD)
        except OSError:
            head = b"#!"  # execute-only: a program as far as anyone can tell
        shell = not head.startswith((b"#!", b"\x7fELF"))
        words = (real if self._real_paths else path, *argv[1:])
        return Command(argv=words, uid=account.uid, gid=account.gid, groups=groups, shell=shell)

    def _find(self, name: str, account: User) -> str | None:
        for directory in self._path:
            path = f"{directory}/{name}"
            info = self._ctx.host.stat(path)
            if info is not None and info.mode & TYPE == REGULAR and _may(info, account, 1):
                return path
        return None

    def _insecure(self, path: str) -> str:
        """Which element of a path somebody other than root could change; empty when none."""
        parts = path.strip("/").split("/")
        for count in range(len(parts) + 1):
            element = "/" + "/".join(parts[:count])
            info = self._ctx.host.stat(element)
            if info is None:
                continue
            if info.uid != 0:
                return f"'{element}' is not owned by root"
            if info.mode & 0o020 and info.gid != 0:
                return f"'{element}' can be written by a group"
            if info.mode & 0o002 and not (info.mode & STICKY and info.mode & TYPE == DIRECTORY):
                return f"'{element}' can be written by anybody"
        return ""

    def judge(self) -> None:
        """Scripts without script security are an error, once for the whole configuration."""
        if self.used and not self._secure:
            self._ctx.report.error(
                "scripts are run, and enable_script_security is not set",
                self.used[0],
                0,
                suggestion="set enable_script_security and script_user in global_defs",
                exit_code=Exit.SECURITY,
                advice=True,
            )


def _may(info: FileInfo, account: User, bit: int) -> bool:
    """Whether the account has a permission (4 read, 2 write, 1 execute) on a file."""
    if account.uid == 0:
        return bool(info.mode & 0o111) if bit == 1 else True
    if info.uid == account.uid:
        return bool(info.mode & bit << 6)
    if info.gid == account.gid or info.gid in account.groups:
        return bool(info.mode & bit << 3)
    return bool(info.mode & bit)


def _index(line: Line, word: str) -> int:
    return line.words.index(word) if word in line.words else 1
