"""What all parts of the semantics share: the machine, the report, global_defs, the scripts."""

from typing import Any

from fastha.config.diagnostics import Exit, Report
from fastha.config.host import Host
from fastha.config.schema.tables import BLOCKS
from fastha.config.source import Line
from fastha.config.tree import Node


class Context:
    """One reading's surroundings. `refused` holds why no Plan can be made."""

    def __init__(self, host: Host, report: Report, root: Node) -> None:
        self.host = host
        self.report = report
        self.root = root
        self.defs = merged(root, "global_defs")
        self.refused: list[str] = []
        self.dynamic = self.defs.has("dynamic_interfaces")
        self.made: dict[str, str] = {}
        """Interfaces that the configuration itself makes -> the interface underneath."""

    def error(self, message: str, line: Line | None = None, word: int = 0, *, suggestion: str = "") -> None:
        self.report.error(message, line, word, suggestion=suggestion)

    def advise(self, message: str, line: Line | None = None, word: int = 0, *, suggestion: str = "") -> None:
        """An error as keepalived counts, though all that was written is in force."""
        self.report.error(message, line, word, suggestion=suggestion, advice=True)

    def refuse(self, message: str, line: Line | None = None, word: int = 0, *, suggestion: str = "") -> None:
        """An error after which keepalived does not run the configuration at all."""
        self.report.error(message, line, word, suggestion=suggestion)
        self.refused.append(message)

    def interface(self, name: str, what: str, line: Line, word: int = 1) -> bool:
        """Whether an interface may be used: it is there, will be made, or may come later (dynamic_interfaces)."""
        if name in self.host.interfaces() or name in self.made or self.dynamic:
            return True
        known = sorted(self.host.interfaces())
        self.refuse(
            f"interface {name} of {what} does not exist",
            line,
            word,
            suggestion=f"interfaces here: {', '.join(known[:12])}; or set dynamic_interfaces in global_defs",
        )
        return False

    def polled_interface(self, name: str, what: str, line: Line) -> bool:
        """The same for what keepalived complains about in its own way, and then goes on without."""
        if name in self.host.interfaces() or self.dynamic:
            return True
        self.report.error(
            f"interface {name} of {what} does not exist; it is ignored", line, 0, exit_code=Exit.CANNOT_RUN
        )
        return False

    def address_conflict(self, first: Any, second: Any) -> bool:
        """True when two addresses are both given and of different families."""
        return first is not None and second is not None and (":" in first) != (":" in second)


def merged(root: Node, path: str) -> Node:
    """All blocks of one kind at the root as one; of a setting given twice the last one counts."""
    blocks = root.blocks(path)
    node = Node(BLOCKS[path], blocks[-1].line if blocks else root.line, None)
    for block in blocks:
        node.values.update(block.values)
        node.children.extend(block.children)
    return node
