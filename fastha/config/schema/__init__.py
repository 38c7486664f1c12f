"""The keyword tables: one entry per word of the language."""
