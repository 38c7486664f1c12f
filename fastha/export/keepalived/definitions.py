"""The section of global definitions that heads every dump, and keepalived_parent.data, which has nothing else."""

from collections.abc import Iterator

from fastha.export.keepalived import words
from fastha.model.plan import Fifo, Plan, ProcessSettings
from fastha.model.units import US, S

_FIFOS = {
    frozenset(("INSTANCE", "GROUP", "VS", "RS")): "Global",
    frozenset(("INSTANCE", "GROUP")): "VRRP",
    frozenset(("VS", "RS")): "LVS",
}


def render_parent(plan: Plan) -> str:
    """keepalived_parent.data."""
    return "".join(f"{line}\n" for line in definitions(plan))


def definitions(plan: Plan) -> Iterator[str]:
    """What global_defs and the words beside it came to."""
    yield words.title("Global definitions")
    for line in _definitions(plan):
        yield f" {line}"


def _definitions(plan: Plan) -> Iterator[str]:
    own, vrrp, checker = plan.supervisor, plan.vrrp, plan.checker
    yield f"Network namespace = {own.net_namespace or '(default)'}"
    if own.instance is not None:
        yield f"Instance name = {own.instance}"
    names = (("Parent", own.process_name), ("VRRP", vrrp.process.process_name), ("LVS", checker.process.process_name))
    for what, name in names:
        if name is not None:
            yield f"{what} process name = {name}"
    if own.use_pid_dir:
        yield "Use pid directory = true"
    yield f"Router ID = {own.router_id}"
    yield from _mail(plan)
    for word, command in (("Startup", own.startup_script), ("Shutdown", own.shutdown_script)):
        if command is not None:
            yield f"{word} script = {words.script(command)}"
    for fifo in plan.runner.fifos:
        yield from _fifo(fifo)
    yield f"Dynamic interfaces = {words.true(vrrp.dynamic_interfaces)}"
    yield f"LVS flush = {words.true(checker.lvs_flush)}"
    if any(checker.lvs_timeouts):
        tcp, tcpfin, udp = checker.lvs_timeouts
        yield f"LVS TCP timeout = {tcp}"
        yield f"LVS TCP FIN timeout = {tcpfin}"
        yield f"LVS UDP timeout = {udp}"
    if vrrp.startup_delay:
        yield f"VRRP startup delay = {vrrp.startup_delay / S:g}"
    yield f"Max auto priority = {vrrp.process.auto_priority}"
    yield f"Min auto priority delay = {vrrp.process.auto_priority_delay // US} usecs"
    yield from _scheduling("VRRP", vrrp.process)
    yield from _scheduling("Checker", checker.process)
    yield f"rs_init_notifies = {int(checker.rs_init_notifies)}"
    yield f"no_checker_emails = {int(checker.no_checker_emails)}"
    yield f"umask = 0{own.umask:o}"


def _mail(plan: Plan) -> Iterator[str]:
    mail = plan.runner.mail
    if mail is None:
        return
    yield f"Smtp server = {mail.server}"
    yield f"Smtp server port = {mail.port}"
    yield f"Smtp HELO name = {mail.helo_name}"
    yield f"Smtp server connection timeout = {words.number(mail.timeout)}"
    yield f"Email notification from = {mail.sender}"
    yield "Email notification to:"
    for recipient in mail.recipients:
        yield f"  {recipient}"
    if mail.no_email_faults:
        yield "No email faults"


def _fifo(fifo: Fifo) -> Iterator[str]:
    what = _FIFOS.get(frozenset(fifo.kinds), "Global")
    yield f"{what} notify fifo = {fifo.path}, uid:gid {fifo.uid}:{fifo.gid}"
    if fifo.script is not None:
        argv = words.quoted((*fifo.script.argv, fifo.path))
        yield f"{what} notify fifo script = {argv}, uid:gid {fifo.script.uid}:{fifo.script.gid}"


def _scheduling(what: str, process: ProcessSettings) -> Iterator[str]:
    yield f"{what} process priority = {process.priority}"
    yield f"{what} don't swap = {words.true(process.no_swap)}"
    yield f"{what} realtime priority = {process.rt_priority or 0}"
    if process.cpu_affinity:
        yield f"{what} CPU affinity = {' '.join(map(str, process.cpu_affinity))}"
    if process.rlimit_rttime is not None:
        yield f"{what} realtime limit = {process.rlimit_rttime}"
