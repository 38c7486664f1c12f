"""Which child gets what of a Plan."""

from dataclasses import replace
from typing import Final

from fastha.model import codec
from fastha.model.plan import Plan, PlaneChoice

CHILDREN: Final = ("vrrp", "checker", "runner")


def parts_of(plan: Plan, *, vrrp: bool, checker: bool, plane: PlaneChoice | None) -> dict[str, bytes]:
    """Child -> its encoded part, for the children that this Plan needs.

    `vrrp` and `checker` false leave these out (`-C`, `-P`); `plane` overrides where virtual servers are programmed.
    """
    parts: dict[str, bytes] = {}
    if vrrp and (plan.vrrp.instances or plan.vrrp.static_addresses):
        parts["vrrp"] = codec.encode(plan.vrrp, sparse=True)
    if checker and (plan.checker.virtual_servers or plan.checker.sync_daemon):
        part = plan.checker if plane is None else replace(plan.checker, lvs_plane=plane)
        parts["checker"] = codec.encode(part, sparse=True)
    if parts and _needs_runner(plan):
        runner = replace(plan.runner, script_limit=plan.supervisor.script_limit)
        parts["runner"] = codec.encode(runner, sparse=True)
    return parts


def _needs_runner(plan: Plan) -> bool:
    runner = plan.runner
    if runner.track_scripts or runner.track_files or runner.track_processes:
        return True
    if runner.notifies or runner.fifos or runner.mail:
        return True
    return any(
        real.checkers.misc or real.checkers.service
        for service in plan.checker.virtual_servers
        for real in service.real_servers
    )
