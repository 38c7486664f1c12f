"""Layer 1: the text of keepalived.conf -> Plan."""
