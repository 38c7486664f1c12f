"""`fastha keywords`."""

from collections.abc import Sequence

from fastha.cli.options import Parser
from fastha.config.coverage import coverage


def main(words: Sequence[str]) -> int:
    """List the words of the configuration language with their status."""
    parser = Parser(prog="fastha keywords", description="The words of the configuration language, and their status.")
    parser.parse_args(words)
    print(coverage())
    return 0
