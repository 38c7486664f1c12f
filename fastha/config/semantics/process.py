"""Scheduling of the processes, the supervisor's own part, FIFOs and mail."""

from fastha.config.script import ScriptLine, account
from fastha.config.semantics.context import Context
from fastha.config.semantics.scripts import DIRECTORY, TYPE, Scripts
from fastha.model.plan import Command, Fifo, Mail, MailTls, ProcessSettings, SupervisorPlan
from fastha.model.units import US, S

INSTANCES, SERVICES = ("INSTANCE", "GROUP"), ("VS", "RS")
FIFOS = (
    ("notify_fifo", (*INSTANCES, *SERVICES)),
    ("vrrp_notify_fifo", INSTANCES),
    ("lvs_notify_fifo", SERVICES),
)


def process_settings(ctx: Context, child: str, usual_name: str) -> ProcessSettings:
    """What global_defs says about the scheduling of `vrrp` or `checker`."""
    defs = ctx.defs
    words = {"vrrp": "vrrp", "checker": "lvs"}[child]
    return ProcessSettings(
        process_name=defs.get(f"{child}_process_name", usual_name if defs.has("process_names") else None),
        priority=defs.get(f"{child}_priority", 0),
        rt_priority=defs.maybe(f"{child}_rt_priority"),
        no_swap=defs.has(f"{child}_no_swap"),
        cpu_affinity=affinity(ctx, child),
        rlimit_rttime=defs.maybe(f"{child}_rlimit_rttime"),
        command_buffer=defs.get(f"{words}_netlink_cmd_rcv_bufs", 0),
        monitor_buffer=defs.get(f"{words}_netlink_monitor_rcv_bufs", 0),
        auto_priority=defs.get("max_auto_priority", 0),
        auto_priority_delay=defs.get("min_auto_priority_delay", 1_000_000) * US,
    )


def affinity(ctx: Context, child: str) -> tuple[int, ...]:
    """The processors of `CHILD_cpu_affinity`; none when one of them is not there."""
    word = f"{child}_cpu_affinity"
    cpus: tuple[int, ...] = ctx.defs.get(word, ())
    online = ctx.host.cpus()
    if any(cpu >= online for cpu in cpus):
        ctx.error(
            f"{word} names processors that are not there (0..{online - 1}); it is ignored", ctx.defs.line_of(word), 1
        )
        return ()
    return cpus


def supervisor_plan(ctx: Context, scripts: Scripts) -> SupervisorPlan:
    defs, root = ctx.defs, ctx.root
    namespace: str | None = root.maybe("net_namespace")
    instance: str | None = root.maybe("instance")
    return SupervisorPlan(
        router_id=defs.get("router_id", ctx.host.hostname()),
        instance=instance,
        use_pid_dir=root.has("use_pid_dir") or namespace is not None or instance is not None,
        net_namespace=namespace,
        child_wait_time=root.get("child_wait_time", 5) * S,
        startup_script=_script(ctx, scripts, "startup_script"),
        startup_script_timeout=defs.get("startup_script_timeout", 10) * S,
        shutdown_script=_script(ctx, scripts, "shutdown_script"),
        shutdown_script_timeout=defs.get("shutdown_script_timeout", 10) * S,
        umask=defs.get("umask", 0o177),
        process_name=defs.maybe("process_name"),
        reload_time_file=defs.maybe("reload_time_file"),
        reload_repeat=defs.has("reload_repeat"),
        reload_file=_optional_path(ctx, "reload_file"),
        reload_check_config=defs.maybe("reload_check_config"),
        state_dump_file=defs.maybe("state_dump_file"),
        data_use_instance=defs.get("data_use_instance", False),
        json_version=defs.get("json_version", 1),
        config_save_dir=_save_dir(ctx),
    )


def _save_dir(ctx: Context) -> str | None:
    """config_save_dir: a directory, or a name for one in a directory. The daemon stands in /."""
    written: str | None = ctx.defs.maybe("config_save_dir")
    if written is None:
        return None
    path = written if written.startswith("/") else f"/{written}"
    place = path.rstrip("/") or "/"
    parent = place.rpartition("/")[0] or "/"
    known = ctx.host.stat(place)
    around = ctx.host.stat(parent)
    problem = ""
    if not written:
        problem = "is empty"
    elif known is not None:
        problem = "" if known.mode & TYPE == DIRECTORY else "is not a directory"
    elif around is None or around.mode & TYPE != DIRECTORY:
        problem = f"cannot be made: {parent} is not a directory"
    if problem:
        ctx.error(f"config_save_dir {written} {problem}; it is ignored", ctx.defs.line_of("config_save_dir"), 1)
        return None
    return place


def _optional_path(ctx: Context, word: str) -> str | None:
    """The path of a word that may stand alone; empty then."""
    value = ctx.defs.maybe(word)
    return "" if value is True else value


def _script(ctx: Context, scripts: Scripts, word: str) -> Command | None:
    script: ScriptLine | None = ctx.defs.maybe(word)
    return scripts.command(script, word, tolerant=False)


def fifos(ctx: Context, scripts: Scripts) -> tuple[Fifo, ...]:
    """The named pipes, each with its reader. Two for one path: the first one stays."""
    result: dict[str, Fifo] = {}
    speakers = (INSTANCES if ctx.root.blocks("vrrp_instance") else ()) + (
        SERVICES if ctx.root.blocks("virtual_server") else ()
    )
    for word, kinds in FIFOS:
        script: ScriptLine | None = ctx.defs.maybe(f"{word}_script")
        words: tuple[str, ...] | None = ctx.defs.maybe(word)
        if not set(kinds) & set(speakers):
            if words is not None:
                ctx.report.note(f"{word}: nothing in this configuration would write to it", ctx.defs.line_of(word))
            continue
        if words is None:
            if script is not None:
                ctx.report.note(f"{word}_script without {word}: it is not run", script.line)
                scripts.command(script, f"{word}_script")
            continue
        line = ctx.defs.line_of(word)
        path = words[0]
        if path in result:
            ctx.report.note(f"{word} is the same as another one; it is dropped", line, 1)
            continue
        owner = (
            scripts.account(account(list(words[1:])), line, tolerant=True)
            if len(words) > 1
            else scripts.default_account
        )
        if owner is None and len(words) > 1:
            continue
        result[path] = Fifo(
            path=path,
            kinds=kinds,
            uid=owner.uid if owner else 0,
            gid=owner.gid if owner else 0,
            script=scripts.command(script, f"{word}_script"),
        )
    return tuple(result.values())


def _credentials(ctx: Context) -> tuple[str | None, str | None]:
    """smtp_auth: who we are to the mail server. Never without TLS: the password would travel in the open."""
    written: tuple[str, str] | None = ctx.defs.maybe("smtp_auth")
    if written is None:
        return None, None
    if ctx.defs.get("smtp_tls", "none") == "none":
        ctx.error(
            "smtp_auth without smtp_tls: the password would travel in the open; it is not used",
            ctx.defs.line_of("smtp_auth"),
            1,
        )
        return None, None
    user, password_file = written
    found = ctx.host.stat(password_file)
    if found is None:
        ctx.report.note(f"{password_file} is not there (yet)", ctx.defs.line_of("smtp_auth"), 2)
    elif found.mode & 0o077:
        ctx.report.note(f"{password_file} can be read by others than its owner", ctx.defs.line_of("smtp_auth"), 2)
    return user, password_file


def mail(ctx: Context) -> Mail | None:
    """Where alerts go; None when nobody is to be told or nobody can tell."""
    defs = ctx.defs
    recipients = tuple(item.name for item in defs.entries("notification_email"))
    for block in defs.blocks("notification_email"):
        if not block.items:
            ctx.error("notification_email is empty", block.line)
    written = defs.maybe("smtp_server")
    if written is None:
        return None
    name, port = written
    if ctx.host.resolve(name) is None:
        ctx.error(
            f"smtp_server {name} has no address here; no mail is sent",
            defs.line_of("smtp_server"),
            1,
        )
        return None
    if not recipients:
        return None
    hostname = ctx.host.hostname()
    user, password_file = _credentials(ctx)
    return Mail(
        server=name,
        port=port,
        helo_name=defs.get("smtp_helo_name", hostname) or hostname,
        timeout=defs.get("smtp_connect_timeout", 30) * S,
        sender=defs.get("notification_email_from", f"keepalived@{hostname}"),
        recipients=recipients,
        no_email_faults=defs.has("no_email_faults"),
        tls=MailTls(defs.get("smtp_tls", "none")),
        ca_file=defs.maybe("smtp_tls_ca"),
        user=user,
        password_file=password_file,
    )
