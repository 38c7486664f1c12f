"""What a mail about an instance or a sync group says: keepalived's words, since people filter by them."""

from typing import Final

SUBJECTS: Final = {
    "MASTER": "Entering MASTER state",
    "BACKUP": "Entering BACKUP state",
    "FAULT": "Entering FAULT state",
    "STOP": "Stopping",
    "DELETED": "Deleted",
}
INSTANCE_BODIES: Final = {
    "MASTER": "=> VRRP Instance is now owning VRRP VIPs <=",
    "BACKUP": "=> VRRP Instance is no longer owning VRRP VIPs <=",
    "FAULT": "=> VRRP Instance is no longer owning VRRP VIPs <=",
    "STOP": "=> VRRP Instance stopping <=",
    "DELETED": "=> VRRP Deleted at reload <=",
}


class Mails:
    """Composes mails; an object's state is mailed once until it changes."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], str] = {}

    def compose(self, kind: str, name: str, state: str) -> tuple[str, str]:
        """(subject without router_id, body) for INSTANCE or GROUP; empty: no mail for this one."""
        if state not in SUBJECTS or self._last.get((kind, name)) == state:
            return "", ""
        self._last[kind, name] = state
        if kind == "INSTANCE":
            return f"VRRP Instance {name} - {SUBJECTS[state]}", INSTANCE_BODIES[state]
        if state == "STOP":
            return f"VRRP Group {name} - {SUBJECTS[state]}", "=> All VRRP group instances are now stopping <="
        return f"VRRP Group {name} - {SUBJECTS[state]}", f"=> All VRRP group instances are now in {state} state <="
