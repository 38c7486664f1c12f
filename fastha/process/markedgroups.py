"""nftables_ipvs: the table of nftables that gives groups their marks, kept as the plan says."""

from collections.abc import Callable

from fastha.lvs.marks import marked
from fastha.model.plan import CheckerPlan, MarkedGroups
from fastha.system import netns, nftables
from fastha.wire import markrules

Say = Callable[[str, str, str], None]
"""(level, text, cause)"""


class MarkTable:
    """One table, in the network namespace of IPVS. `say` writes the log."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._settings: MarkedGroups | None = None
        self._namespace: str | None = None
        self._marked = marked(())

    def follow(self, plan: CheckerPlan) -> None:
        """The table should be as this plan says, whose virtual servers have their marks."""
        settings, wanted = plan.marked_groups, marked(plan.virtual_servers)
        if (settings, wanted) == (self._settings, self._marked):
            return
        if self._settings is not None and (settings is None or settings.table != self._settings.table):
            self.release()
        self._namespace = plan.net_namespace_ipvs
        if settings is not None and self._transact(markrules.transaction(settings, wanted)):
            self._settings, self._marked = settings, wanted

    def inherit(self, plan: CheckerPlan) -> None:
        """A process that is gone had the table of this plan."""
        self._settings, self._namespace = plan.marked_groups, plan.net_namespace_ipvs

    def release(self) -> None:
        """No table any more."""
        if self._settings is not None:
            self._transact(markrules.removal(self._settings.table))
        self._settings, self._marked = None, marked(())

    def _transact(self, text: str) -> bool:
        try:
            with netns.inside(self._namespace):
                error = nftables.transact(text)
        except OSError as problem:
            error = problem.strerror or str(problem)
        if error:
            self._say(
                "error", f"nftables_ipvs: groups get no marks, so nothing comes to them: {error}", "nftables_ipvs"
            )
        return not error
