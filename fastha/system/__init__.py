"""Layer 2: shells over the kernel."""
