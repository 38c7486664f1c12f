"""Layer 2: renderers of the Snapshot."""
