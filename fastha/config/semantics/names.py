"""The numbers that iproute2's files give names to."""

from fastha.config.arguments import c_integer
from fastha.config.semantics.context import Context

BUILT_IN: dict[str, dict[str, int]] = {
    "rt_tables": {"unspec": 0, "default": 253, "main": 254, "local": 255},
    "rt_protos": {
        "unspec": 0, "redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "zebra": 11, "bird": 12, "dhcp": 16,
        "keepalived": 18,
    },
    "rt_scopes": {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255},
    "rt_dsfield": {"default": 0},
    "rt_realms": {"cosmos": 0},
    "group": {"default": 0},
    "protocols": {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "ah": 51,
                  "ipv6-icmp": 58, "vrrp": 112, "sctp": 132, "udplite": 136},
}  # fmt: skip
DEFAULT_ETC, DEFAULT_USR = "/etc/iproute2", "/usr/share/iproute2"


class Names:
    """Names to numbers, each file read once. Of a name in two files the first one counts."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._known: dict[str, dict[str, int]] = {}
        etc, usr = ctx.defs.get("iproute_etc_dir", DEFAULT_ETC), ctx.defs.get("iproute_usr_dir", DEFAULT_USR)
        self._directories = (etc.rstrip("/"), usr.rstrip("/"), "/usr/lib/iproute2")

    def number(self, file: str, text: str, most: int) -> int | None:
        """What a word stands for: a number (C notation) up to `most`, or a name of `file`. None: neither."""
        number = c_integer(text)
        if number is not None and 0 <= number <= most:
            return number
        return self._names(file).get(text)

    def _names(self, file: str) -> dict[str, int]:
        if file not in self._known:
            found: dict[str, int] = {}
            paths = ["/etc/protocols"] if file == "protocols" else [f"{at}/{file}" for at in self._directories]
            for path in paths:
                for row in self._rows(path):
                    # "NUMBER NAME" in iproute2's files, "NAME NUMBER" in /etc/protocols
                    written, name = (row[1], row[0]) if file == "protocols" else (row[0], row[1])
                    number = c_integer(written)
                    if number is not None:
                        found.setdefault(name, number)
            self._known[file] = {**BUILT_IN[file], **found}
        return self._known[file]

    def _rows(self, path: str) -> list[list[str]]:
        try:
            text = self._ctx.host.read_file(path).decode("utf-8", "replace")
        except OSError:
            return []
        rows = (line.partition("#")[0].split() for line in text.splitlines())
        return [row for row in rows if len(row) > 1]
