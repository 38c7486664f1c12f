"""`fastha -c FILE`: the daemon."""

import asyncio
import os
import resource
import sys
from argparse import Namespace

import uvloop

from fastha.cli.reading import Reading
from fastha.model.plan import PlaneChoice
from fastha.process.program import KEEPALIVED, Program
from fastha.process.supervisor import Options, Supervisor
from fastha.system.log import Log


def log_targets(options: Namespace, program: Program) -> tuple[bool, bool]:
    """(console, syslog). The console when asked for, when it is a terminal, when it is systemd's journal, and when
    there is no syslog; syslog when there is one, unless the journal has everything already.
    Under the name keepalived it is what the options say."""
    if program is KEEPALIVED:
        return bool(options.log_console), not options.no_syslog
    journal = bool(os.environ.get("JOURNAL_STREAM"))
    syslog = not options.no_syslog and not journal and os.path.exists("/dev/log")
    console = options.log_console or journal or sys.stderr.isatty() or not syslog
    return console, syslog


def _allow_core(pattern: str | None) -> str:
    """A crash may leave a core file; what could not be arranged."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if pattern is not None:
            with open("/proc/sys/kernel/core_pattern", "w", encoding="utf-8") as file:
                file.write(pattern)
    except (OSError, ValueError) as error:
        return f"no core files: {error}"
    return ""


def run(options: Namespace, program: Program) -> int:
    """Be the supervisor until told to end; the exit code."""
    config = os.path.abspath(options.config)
    notes = list(options.notes or [])
    if (options.core_dump or options.core_dump_pattern) and (problem := _allow_core(options.core_dump_pattern)):
        notes.append(problem)
    pid_files = {"supervisor": options.pid, "vrrp": options.vrrp_pid, "checker": options.checkers_pid}
    console, syslog = log_targets(options, program)
    try:
        log = Log(console=console, syslog=syslog, facility=options.log_facility, path=options.log_file)
    except OSError as error:
        print(f"{options.log_file}: {error.strerror}", file=sys.stderr)
        return 1
    for note in notes:
        log.write(program.ident, os.getpid(), "warning", note)
    settings = Options(
        config=config,
        run_dir=os.path.abspath(options.run_dir) if options.run_dir else None,
        vrrp=not options.check,
        checker=not options.vrrp,
        plane=PlaneChoice(options.lvs_plane) if options.lvs_plane else None,
        namespace=options.namespace,
        umask=options.umask,
        detail=options.log_detail,
        program=program,
        dump=options.dump_conf,
        ignore_sigint=options.ignore_sigint,
        release_vrrp=not options.dont_release_vrrp,
        release_ipvs=not options.dont_release_ipvs,
        respawn=not options.dont_respawn,
        pid_files={name: os.path.abspath(path) for name, path in pid_files.items() if path},
    )
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    read = Reading(config, config_id=options.config_id, namespace=options.namespace, log_detail=options.log_detail)
    try:
        return loop.run_until_complete(Supervisor(settings, read, loop, log).run())
    finally:
        loop.close()
        log.close()
