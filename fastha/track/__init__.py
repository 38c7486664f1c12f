"""Layer 1: scripts, files and processes -> tracker events."""
