"""Routes and rules against the machine: interfaces, and the names that iproute2's files give to numbers."""

from fastha.config.routes import OptionLine
from fastha.config.schema.routes import NAMED
from fastha.config.semantics.context import Context

DIRECTORIES = ("/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2")
BUILT_IN = {
    "rt_tables": {"main", "local", "default", "unspec"},
    "rt_protos": {"redirect", "kernel", "boot", "static", "ra", "keepalived", "dhcp", "zebra", "bird", "unspec"},
    "rt_scopes": {"global", "universe", "nowhere", "host", "link", "site"},
}
INTERFACES = ("dev", "iif", "oif")
BLOCKS = ("virtual_routes", "virtual_rules", "static_routes", "static_rules")


class Names:
    """The names of iproute2's files, each file read once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._known: dict[str, set[str]] = {}

    def known(self, file: str) -> set[str]:
        if file not in self._known:
            names = set(BUILT_IN[file])
            for directory in DIRECTORIES:
                try:
                    text = self._ctx.host.read_file(f"{directory}/{file}").decode("utf-8", "replace")
                except OSError:
                    continue
                rows = (line.partition("#")[0].split() for line in text.splitlines())
                names |= {row[1] for row in rows if len(row) > 1}
            self._known[file] = names
        return self._known[file]


def check_routes(ctx: Context) -> None:
    """Judges every route and rule of the file."""
    names = Names(ctx)
    owners = [ctx.root, *ctx.root.blocks("vrrp_instance")]
    for owner in owners:
        for path in BLOCKS:
            for item in owner.entries(path):
                _check(ctx, names, item, path)


def _check(ctx: Context, names: Names, item: OptionLine, path: str) -> None:
    for options in (item.options, *item.hops):
        for name in INTERFACES:
            if name in options:
                value, at = options[name]
                ctx.interface(value, path, item.line, at)
        for word, file in NAMED.items():
            if word not in options:
                continue
            value, at = options[word]
            text = str(value)
            if text[:1].isdigit() or text in names.known(file):
                continue
            ctx.error(f"{path}: '{text}' is not in {file}; the line is ignored", item.line, at)
