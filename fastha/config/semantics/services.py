"""Checkers that hold a dialogue with a service, read from their blocks."""

from typing import Any

from fastha.config.semantics.context import Context
from fastha.config.tree import Node
from fastha.model.plan import EXTRA, Connection, Service, ServiceCheck


def service_check(
    ctx: Context, node: Node, connection: Connection, timing: dict[str, Any], name: str
) -> tuple[ServiceCheck, ...]:
    """The checker of a `..._CHECK` block; what makes no sense together is said, and so is a library that is missing."""
    service = Service(node.block.path.removesuffix("_CHECK"))
    clear = service in (Service.MYSQL, Service.PGSQL) and not node.has("user")
    tls = node.get("tls", False) and not clear
    check = ServiceCheck(
        service=service,
        connection=connection,
        name=node.get("service", "") or node.get("database", ""),
        authority=node.get("authority", ""),
        user=node.maybe("user"),
        password_file=node.maybe("password_file"),
        tls=tls,
        tls_ca=node.maybe("tls_ca") if tls else None,
        tls_name=node.maybe("tls_name") if tls else None,
        **timing,
    )
    block = node.block.path
    if clear and node.get("tls", False):
        ctx.error(f"real server {name}: {block} speaks TLS only with a user; tls is ignored", node.line_of("tls"), 0)
    for word in ("tls_ca", "tls_name"):
        if node.has(word) and not tls:
            ctx.error(f"real server {name}: {word} without tls; it is ignored", node.line_of(word), 0)
    if check.tls_ca not in {None, "system"} and ctx.host.stat(check.tls_ca or "") is None:
        ctx.error(f"real server {name}: {check.tls_ca} is not there; nothing can be checked", node.line_of("tls_ca"), 1)
    if check.password_file is not None:
        _password(ctx, node, check.password_file)
    if check.library and not ctx.host.has_module(check.library):
        ctx.error(
            f"real server {name}: {block} needs the Python package {check.library}, which is not installed; "
            "nothing can be checked",
            node.line,
            suggestion=EXTRA,
        )
    return (check,)


def _password(ctx: Context, node: Node, path: str) -> None:
    found = ctx.host.stat(path)
    if found is None:
        ctx.report.note(f"{path} is not there (yet)", node.line_of("password_file"), 1)
    elif found.mode & 0o077:
        ctx.report.note(f"{path} can be read by others than its owner", node.line_of("password_file"), 1)
