"""Routes and rules against the machine: interfaces, and the names that iproute2's files give to numbers."""

from fastha.config.arguments import c_integer
from fastha.config.routes import OptionLine
from fastha.config.schema.routes import NAMED
from fastha.config.semantics.context import Context

DIRECTORIES = ("/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2")
BUILT_IN = {
    "rt_tables": {"main", "local", "default", "unspec"},
    "rt_protos": {"redirect", "kernel", "boot", "static", "ra", "keepalived", "dhcp", "zebra", "bird", "unspec"},
    "rt_scopes": {"global", "universe", "nowhere", "host", "link", "site"},
    "rt_dsfield": {"default"},
    "rt_realms": {"cosmos"},
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
        for word, (file, most) in NAMED.items():
            if word not in options:
                continue
            value, at = options[word]
            for text in str(value).split("/") if word == "realms" else [str(value)]:
                number = c_integer(text)
                if text not in names.known(file) and (number is None or not 0 <= number <= most):
                    ctx.error(
                        f"{path}: '{text}' is no number up to {most} and not in {file}; the line is ignored",
                        item.line,
                        at,
                    )
        if "vrf" in options and options["vrf"][0] not in ctx.host.interfaces():
            name, at = options["vrf"]
            ctx.error(f"{path}: there is no VRF {name}; the line is ignored", item.line, at)
        if "track_group" in options and not path.startswith("static"):
            ctx.error(f"{path}: track_group is for static routes and rules only", item.line, options["track_group"][1])
