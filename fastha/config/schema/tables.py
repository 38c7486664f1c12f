"""All blocks by path, and the root."""

from collections.abc import Iterator

from fastha.config.schema import checkers, global_defs, lines, lvs, routes, services, syntax, tracking, vrrp
from fastha.config.schema.entry import Block, Word

ROOT = Block(
    path="root",
    words=(
        *global_defs.ROOT_WORDS,
        *vrrp.ROOT_WORDS,
        *tracking.ROOT_WORDS,
        *lvs.ROOT_WORDS,
        *checkers.ROOT_WORDS,
    ),
)
BLOCKS: dict[str, Block] = {
    block.path: block
    for block in (
        ROOT,
        *global_defs.BLOCKS,
        *vrrp.BLOCKS,
        *tracking.BLOCKS,
        *lvs.BLOCKS,
        *checkers.BLOCKS,
        *services.BLOCKS,
        *lines.BLOCKS,
        *routes.BLOCKS,
        *syntax.BLOCKS,
    )
}

OPENED = frozenset({ROOT.path, *(word.opens for block in BLOCKS.values() for word in block.words if word.opens)})
"""Paths of the blocks that a file can have; the others are tables of what stands inside lines."""


def entries() -> Iterator[tuple[Block, Word]]:
    """Every entry of the tables, block by block."""
    for block in BLOCKS.values():
        for word in block.words:
            yield block, word
