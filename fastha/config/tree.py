"""A configuration as read: blocks with their settings, each knowing the line it came from."""

from typing import Any, TypeVar

from fastha.config.schema.entry import Block
from fastha.config.source import Line

T = TypeVar("T")


class Node:
    """One block of the file. `header` is the value of the line that opened it."""

    __slots__ = ("bad", "block", "children", "further", "header", "items", "line", "pending", "values")

    def __init__(self, block: Block, line: Line, header: Any) -> None:
        self.block = block
        self.line = line
        self.header = header
        self.values: dict[str, tuple[Any, Line]] = {}
        self.children: list[Node] = []
        self.pending = False
        """It, or a block around it, is not yet in effect as a whole."""
        self.bad: set[str] = set()
        """Settings and blocks that are there, cannot be read, and have been complained about."""
        self.items: list[Any] = []
        """What the lines of a block of lines said."""
        self.further: list[Line] = []
        """Lines that count and that `values` does not lead to: of a block of lines, of words given several times."""

    def get(self, setting: str, default: T) -> T:
        """The value of a setting, or `default` when the file does not say."""
        found = self.values.get(setting)
        return default if found is None else found[0]

    def maybe(self, setting: str) -> Any:
        """The value of a setting, or None."""
        found = self.values.get(setting)
        return None if found is None else found[0]

    def has(self, setting: str) -> bool:
        return setting in self.values

    def line_of(self, setting: str) -> Line:
        """Where a setting was given; the block's own line when it was not."""
        found = self.values.get(setting)
        return self.line if found is None else found[1]

    def blocks(self, path: str) -> list["Node"]:
        """The blocks of one kind inside this one, in file order."""
        return [child for child in self.children if child.block.path == path]

    def entries(self, path: str) -> list[Any]:
        """The items of all blocks of lines of one kind inside this one."""
        return [item for child in self.children if child.block.path == path for item in child.items]
