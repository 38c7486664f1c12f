"""Benchmarks: fastha beside C keepalived, in the same minutes, on the same machine."""
