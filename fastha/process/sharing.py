"""Whose checker a target is. With `share_checks` identical checkers of several servers are one, and all hear of it.

A real server that several virtual servers use is then asked once and not once for each of them. Identical means equal
in everything that is written (where to, what, when), so that one state machine serves all. Files are not shared (nobody
is asked), nor are checkers of virtual servers with `ha_suspend`, which may be off while others are on.
"""

from fastha.checks.life import Check
from fastha.lvs.quorum import Server
from fastha.model.plan import FileCheck


class Users:
    """Servers by target number."""

    def __init__(self) -> None:
        self.sharing = False
        self._first: list[Server | None] = []
        self._others: dict[int, list[Server]] = {}
        self._known: dict[Check, int] = {}
        """Checkers that may be shared."""

    def first(self, target: int) -> Server | None:
        """The one that a line in the log names."""
        return self._first[target] if 0 <= target < len(self._first) else None

    def of(self, target: int) -> list[Server]:
        """All of them."""
        first = self.first(target)
        return [] if first is None else [first, *self._others.get(target, ())]

    def shared(self, target: int) -> bool:
        """More than one."""
        return target in self._others

    @property
    def saved(self) -> int:
        """Checkers that need not run of their own."""
        return sum(map(len, self._others.values()))

    def find(self, check: Check, server: Server) -> int | None:
        """The target of an identical checker that the server may use, too."""
        target = self._known.get(check) if self._sharable(check, server) else None
        first = None if target is None else self._first[target]
        return target if first is not None and not first.pool.plan.ha_suspend else None

    def _sharable(self, check: Check, server: Server) -> bool:
        return self.sharing and not server.pool.plan.ha_suspend and not isinstance(check, FileCheck)

    def add(self, target: int, check: Check, server: Server) -> None:
        """The server has a checker of its own, or uses one that there is."""
        if target == len(self._first):
            self._first.append(None)
        if self._first[target] is not None:
            self._others.setdefault(target, []).append(server)
            return
        self._first[target] = server
        if self._sharable(check, server):
            self._known[check] = target

    def leave(self, target: int, check: Check, server: Server) -> bool:
        """The server uses it no longer; whether nobody does."""
        others = self._others.get(target)
        if others:
            if self._first[target] is server:
                self._first[target] = others.pop(0)
            else:
                others.remove(server)
            if not others:
                del self._others[target]
            return False
        self._first[target] = None
        self._forget(target, check)
        return True

    def changed(self, target: int, old: Check, new: Check, server: Server) -> None:
        """A checker that only this server uses has another definition."""
        self._forget(target, old)
        if self._sharable(new, server):
            self._known[new] = target

    def _forget(self, target: int, check: Check) -> None:
        if self.sharing and self._known.get(check) == target:
            del self._known[check]
