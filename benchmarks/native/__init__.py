"""What the benchmarks need beside Python: C programs, compiled on demand, and a keepalived to compare with."""
