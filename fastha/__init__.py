"""fastha: a drop-in successor of keepalived for large LVS fleets."""

__version__ = "0.1.0"
