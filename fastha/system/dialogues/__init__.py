"""The dialogues of service checks: who says what, over a socket of the check's own, within its deadline."""
