"""`fastha -c FILE`: the daemon."""

import asyncio
import os
import sys
from argparse import Namespace

import uvloop

from fastha.cli.reading import Reading
from fastha.model.plan import PlaneChoice
from fastha.process.supervisor import Options, Supervisor
from fastha.system.log import Log


def log_targets(options: Namespace) -> tuple[bool, bool]:
    """(console, syslog). The console when asked for, when it is a terminal, when it is systemd's journal, and when
    there is no syslog; syslog when there is one, unless the journal has everything already."""
    journal = bool(os.environ.get("JOURNAL_STREAM"))
    syslog = not options.no_syslog and not journal and os.path.exists("/dev/log")
    console = options.log_console or journal or sys.stderr.isatty() or not syslog
    return console, syslog


def run(options: Namespace) -> int:
    """Be the supervisor until told to end; the exit code."""
    config = os.path.abspath(options.config)
    pid_files = {"supervisor": options.pid, "vrrp": options.vrrp_pid, "checker": options.checkers_pid}
    console, syslog = log_targets(options)
    log = Log(console=console, syslog=syslog, facility=options.log_facility)
    settings = Options(
        config=config,
        run_dir=os.path.abspath(options.run_dir) if options.run_dir else None,
        vrrp=not options.check,
        checker=not options.vrrp,
        plane=PlaneChoice(options.lvs_plane) if options.lvs_plane else None,
        namespace=options.namespace,
        umask=options.umask,
        detail=options.log_detail,
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
