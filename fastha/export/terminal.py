"""The tables of `export.text` on a terminal: rich's tables, with colours."""

from collections.abc import Iterable, Iterator
from typing import TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from fastha.export.text import Table


def rich_tables(found: Iterable[Table]) -> Iterator[RenderableType]:
    """What `rich` prints for them."""
    for table in found:
        yield Text(table.title, style="bold")
        for note in table.notes:
            yield Text(f"  {note.text}", style=note.style)
        if table.rows:
            shown = RichTable(*table.columns, box=box.SIMPLE_HEAD, pad_edge=False)
            for row in table.rows:
                shown.add_row(*(Text(cell.text, style=cell.style) for cell in row))
            yield shown


def print_tables(found: Iterable[Table], out: TextIO) -> None:
    """Print them, fitted to the terminal `out`."""
    Console(file=out).print(*rich_tables(found), sep="\n")
