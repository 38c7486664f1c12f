"""What an entry of the keyword tables says: one `Word` per word and block, blocks as collections of words.

Parser, diagnostics, `fastha explain`, the keyword reference and the coverage report read these and nothing else.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from fastha.config.arguments import Argument, Flag


class Status(StrEnum):
    IN_EFFECT = "in effect"
    PENDING = "not yet in effect"
    """Read and checked, reported, but nothing happens. `Word.pending` says what that means for the operator."""
    OURS = "fastha's own"
    NO_EFFECT = "without effect"
    """keepalived reads it and does nothing with it; so do we."""


class Reload(StrEnum):
    """What a change does at reload."""

    LIVE = "applied at reload"
    IDENTITY = "a change makes it another object: the old one ends, the new one starts"
    START = "read at start only"


class Repeat(StrEnum):
    """What a second line with the same word in the same block means."""

    LAST = "the last one counts"
    FIRST = "only the first one counts; a further one is reported"
    REPLACED = "the last one counts; a further one is reported"
    MANY = "may be given more than once"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Word:
    """One word of the language, in one block (or in several that share the entry)."""

    name: str
    arguments: Argument = field(default_factory=Flag)
    default: str = ""
    effect: str
    reload: Reload = Reload.LIVE
    example: str = ""
    status: Status = Status.IN_EFFECT
    pending: str = ""
    """Status PENDING: what the operator must know, as a phrase after the word's name."""
    loud: bool = False
    """PENDING, and the loss changes what the object is for: said as an error at start, not as a remark."""
    opens: str = ""
    """The block that this word opens."""
    store: str = ""
    """Name of the setting it fills; by default its own."""
    repeat: Repeat = Repeat.LAST
    deprecated: str = ""
    """What to write instead; using the word is then reported."""
    tolerated: bool = False
    """Deprecated, and said to be, but no reason to fail a test of the file."""
    settled: frozenset[object] = frozenset()
    """Values that cannot take back another one given before."""
    unique: bool = False
    """A block with a name that only one may have; a further one is skipped."""
    after: tuple[str, frozenset[str], str] | None = None
    """(setting, values, phrase): only accepted when that setting stands before it with one of the values (any value
    when empty); the phrase says so."""

    @property
    def setting(self) -> str:
        return self.store or self.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """A block: where keywords or lines of one kind may stand.

    `path` is the block's name in documents and diagnostics: `vrrp_instance`, `real_server`, `HTTP_GET.url`.
    """

    path: str
    words: tuple[Word, ...] = ()
    line: str = ""
    """Its contents are lines of this kind (`address`, `track`, `name`, ...) and not keywords."""
    index: dict[str, Word] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    """Settings that other words must come after."""

    def __post_init__(self) -> None:
        self.index.update({word.name: word for word in self.words})
        self.needed.update(word.after[0] for word in self.words if word.after)
