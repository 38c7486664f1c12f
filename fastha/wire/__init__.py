"""Layer 1: bytes <-> values in plain Python; the oracle for what Cython does again."""
