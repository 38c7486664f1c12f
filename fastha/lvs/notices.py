"""What is told about servers and virtual servers: scripts, FIFO lines and mails are made of these by the runner.

Names, mail subjects and bodies are keepalived's, letter for letter: operators match on them.
"""

from dataclasses import dataclass

from fastha.model.plan import RealServer, VirtualServer


@dataclass(frozen=True, slots=True)
class Notice:
    """`kind` is VS or RS; `state` UP, DOWN, or empty for a mail alone; `mail_body` empty: no mail."""

    kind: str
    name: str
    state: str
    mail_subject: str = ""
    mail_body: str = ""


def server_name(service: VirtualServer, server: RealServer) -> str:
    """`[10.0.0.5]:tcp:80`; the protocol is the service's, `none` for a mark."""
    return f"[{server.address}]:{service.protocol.lower()}:{server.port}"


def server_notice(service: VirtualServer, server: RealServer, state: str, *, alive: bool, mail: str) -> Notice:
    """About a real server. The subject of its mail says the state of the server, whatever one checker found."""
    name = server_name(service, server)
    if not mail or not server.smtp_alert:
        return Notice("RS", f"{name} {service.name}", state)
    word = "UP" if alive else "DOWN"
    subject = f"Realserver {name} of virtual server {service.name} - {word}"
    return Notice("RS", f"{name} {service.name}", state, subject, mail)


def service_notice(service: VirtualServer, state: str, mail: str) -> Notice:
    """About a virtual server."""
    if not service.smtp_alert:
        return Notice("VS", service.name, state)
    return Notice("VS", service.name, state, f"Virtualserver {service.name} - {state}", mail)


def quorum_mail(service: VirtualServer, what: str, weight: int) -> str:
    """`=> Gained quorum 2+1=3 <= 4 <=`; the tail is the same for a loss."""
    total = service.quorum + service.hysteresis
    return f"=> {what} {service.quorum}+{service.hysteresis}={total} <= {weight} <="
