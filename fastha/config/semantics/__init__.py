"""Tree -> Plan: defaults, inheritance, references, and what must fit together."""
