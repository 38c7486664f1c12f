"""What virtual routers hold is taken out of the kernel by the supervisor itself, when no vrrp process can be had to do
it (its program is broken, there is no memory for another one): addresses, routes and rules, and nothing else."""

from collections.abc import Callable

from fastha.model.plan import VrrpPlan
from fastha.process.heldjournal import HeldJournal, held_by
from fastha.process.holdings import Holdings
from fastha.system.links import Network


def release(run_dir: str, plan: VrrpPlan, log: Callable[[str, str], None], *, static: bool) -> None:
    """Removes what the plan and the journal name; with `static` the static lines too. What went, and what the kernel
    refused, is logged. Blocks for as long as the kernel takes, milliseconds."""
    held = HeldJournal(run_dir, lambda text: log("warning", text)).read().joined(held_by(plan))
    if not static:
        lines = VrrpPlan(
            static_addresses=plan.static_addresses, static_routes=plan.static_routes, static_rules=plan.static_rules
        )
        held = held.without(held_by(lines))
    network = Network(frozenset(), lambda _interface, _address: False)
    holdings = Holdings(lambda name: network.indexes.get(name, 0), lambda name: _table_of(network, name))
    try:
        network.read()
        removed, problems = holdings.remove_left(held, network)
    finally:
        holdings.close()
        network.close()
    for text in removed:
        log("notice", text)
    for text in problems:
        log("error", text)


def _table_of(network: Network, vrf: str) -> int:
    link = network.interfaces.get(network.indexes.get(vrf, 0))
    return link.vrf_table if link is not None else 0
