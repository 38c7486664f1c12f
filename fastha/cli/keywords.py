"""`fastha keywords`."""

from collections.abc import Sequence

from fastha.cli.options import Parser
from fastha.config.coverage import coverage, pending
from fastha.config.coverage import words as each_word


def main(words: Sequence[str]) -> int:
    """How much of the language is parsed and in effect: by word, and by block."""
    parser = Parser(
        prog="fastha keywords",
        description="How much of the configuration language is known: each word, whether it is parsed and in effect, "
        "then how many of each block.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--summary", action="store_true", help="only the figures by block")
    which.add_argument("--pending", action="store_true", help="only the words that are not yet in effect")
    options = parser.parse_args(words)
    if options.pending:
        print(pending())
    elif options.summary:
        print(coverage())
    else:
        print(f"{each_word()}\n\n{coverage()}")
    return 0
