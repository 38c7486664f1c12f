"""Layer 1: quorum, the table we want, and the difference to the table there is."""
