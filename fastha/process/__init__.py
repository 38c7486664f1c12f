"""Layer 3: one module per process."""
