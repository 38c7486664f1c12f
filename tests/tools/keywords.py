"""Writes docs/keywords.md from the keyword tables: python tests/tools/keywords.py"""

from pathlib import Path

from fastha.config.explain import markdown

REFERENCE = Path(__file__).parents[2] / "docs" / "keywords.md"

if __name__ == "__main__":
    REFERENCE.write_text(markdown())
