"""`fastha explain WORD`."""

import sys
from collections.abc import Sequence

from fastha.cli.options import Parser
from fastha.config.explain import explain


def main(words: Sequence[str]) -> int:
    """Tell about a word of the configuration language; 1 when there is no such word."""
    parser = Parser(prog="fastha explain", description="Where a word may stand, its arguments, its effect.")
    parser.add_argument("word", help="a word of keepalived.conf, like advert_int")
    options = parser.parse_args(words)
    try:
        text = explain(options.word)
    except KeyError as error:
        print(f"fastha explain: {error.args[0]}", file=sys.stderr)
        return 1
    print(text)
    return 0
