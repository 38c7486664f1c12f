"""Layer 0: values. Nothing here does IO, has a clock or knows a layer above it."""
