"""vrrp_script, track_file and vrrp_track_process, and the references to them."""

from dataclasses import dataclass
from typing import Any

from fastha.config.diagnostics import closest
from fastha.config.lines import TrackLine
from fastha.config.semantics.context import Context
from fastha.config.semantics.scripts import Scripts
from fastha.config.tree import Node
from fastha.model.plan import Track, TrackFile, TrackProcess, TrackScript
from fastha.model.units import S


@dataclass(slots=True)
class Tracked:
    """Something an instance may refer to, with its own weight; `order` is where it was defined."""

    name: str
    weight: int
    reverse: bool
    order: int


class Tracking:
    """Everything that can be tracked, by kind and name; `used` holds what is referred to."""

    def __init__(self, ctx: Context, scripts: Scripts) -> None:
        self._ctx = ctx
        self._scripts = scripts
        self.used: dict[str, set[str]] = {"script": set(), "file": set(), "process": set(), "bfd": set()}
        self._script_plans: dict[str, TrackScript] = {}
        self._dropped_scripts: set[str] = set()
        self._known: dict[str, dict[str, Tracked]] = {
            "script": self._named("vrrp_script", 0),
            "file": self._named("track_file", 1) | self._named("vrrp_track_file", 1),
            "process": self._named("vrrp_track_process", 0),
            "bfd": self._named("bfd_instance", 0),
        }
        for node in ctx.root.blocks("vrrp_script"):
            self._script(node)
        self._files = self._file_plans()
        self._processes = self._process_plans()

    def _named(self, path: str, default: int) -> dict[str, Tracked]:
        result: dict[str, Tracked] = {}
        for node in self._ctx.root.blocks(path):
            weight, reverse = node.get("weight", (default, False))
            result.setdefault(node.header, Tracked(node.header, weight, reverse, node.line.order))
        return result

    def _script(self, node: Node) -> None:
        ctx, name = self._ctx, node.header
        script = node.maybe("script")
        if script is None:
            ctx.error(f"vrrp_script {name} has no script; it is removed", node.line, 1)
            self._forget("script", node)
            return
        if name in self._script_plans:
            return
        written = node.maybe("user")
        what = f"track script {name}"
        if written is not None:
            account = self._scripts.account(written, node.line_of("user"))
        elif self._scripts.default_account is None:
            self._scripts.command(script, what)
            account = None
        else:
            account = self._scripts.default_account
        if account is None:
            self._forget("script", node)
            return
        if not ctx.root.blocks("vrrp_instance"):
            ctx.report.note(f"{what} is not run: there is no vrrp_instance that could track it", node.line, 1)
            return
        command = self._scripts.run_as(script, account, what, strict=True)
        if command is None:
            self._dropped_scripts.add(name)
            return
        interval = node.get("interval", S)
        weight, reverse = node.get("weight", (0, False))
        self._script_plans[name] = TrackScript(
            name=name,
            command=command,
            interval=interval,
            timeout=node.get("timeout", interval),
            weight=weight,
            reverse=reverse,
            rise=node.get("rise", 1),
            fall=node.get("fall", 1),
        )

    def _forget(self, kind: str, node: Node) -> None:
        """The definition is gone, and references to it find nothing."""
        known = self._known[kind].get(node.header)
        if known is not None and known.order == node.line.order:
            del self._known[kind][node.header]

    def _file_plans(self) -> dict[str, TrackFile]:
        result: dict[str, TrackFile] = {}
        for path in ("track_file", "vrrp_track_file"):
            for node in self._ctx.root.blocks(path):
                if not node.has("file"):
                    self._ctx.error(f"{path} {node.header} names no file; it is ignored", node.line, 1)
                    self._forget("file", node)
                    continue
                file = str(node.maybe("file"))
                directory = file.rpartition("/")[0] or ("/" if file.startswith("/") else ".")
                if self._ctx.host.stat(directory) is None:
                    self._ctx.error(
                        f"the directory of {path} {node.header} does not exist: {directory}; it is ignored",
                        node.line_of("file"),
                        1,
                    )
                    self._forget("file", node)
                    continue
                weight, reverse = node.get("weight", (1, False))
                value, overwrite = node.get("init_file", (None, False))
                result.setdefault(
                    node.header,
                    TrackFile(
                        name=node.header,
                        path=file,
                        weight=weight,
                        reverse=reverse,
                        init_value=value,
                        init_overwrite=overwrite,
                    ),
                )
        return result

    def _process_plans(self) -> dict[str, TrackProcess]:
        result: dict[str, TrackProcess] = {}
        for node in self._ctx.root.blocks("vrrp_track_process"):
            if not node.has("process"):
                self._ctx.error(f"vrrp_track_process {node.header} names no process; it is ignored", node.line, 1)
                self._forget("process", node)
                continue
            process: tuple[str, ...] = node.get("process", ())
            weight, reverse = node.get("weight", (0, False))
            quorum, most = node.get("quorum", 1), node.maybe("quorum_max")
            if most is not None and node.has("quorum") and most < quorum:
                self._ctx.error(
                    f"quorum_max {most} is below quorum {quorum}; it is ignored", node.line_of("quorum_max"), 1
                )
                most = None
            delay = node.get("delay", 0)
            result.setdefault(
                node.header,
                TrackProcess(
                    name=node.header,
                    process=process,
                    param_match=node.get("param_match", "exact" if len(process) > 1 else "none"),
                    weight=weight,
                    reverse=reverse,
                    quorum=quorum,
                    quorum_max=most,
                    fork_delay=node.get("fork_delay", delay),
                    terminate_delay=node.get("terminate_delay", delay),
                    full_command=node.has("full_command"),
                ),
            )
        return result

    def references(self, node: Node, kind: str, path: str, what: str, *, weightless: bool = False) -> tuple[Track, ...]:
        """The references of one block of an instance or group. Unknown, later or repeated ones are reported.

        `weightless`: in a sync group without sync_group_tracking_weight, where only plain references are kept.
        """
        result: dict[str, Track] = {}
        for item in node.entries(path):
            track = self._reference(item, kind, what)
            if track is None:
                continue
            if track.name in result:
                self._ctx.error(f"{what} tracks {track.name} twice; the second one is ignored", item.line)
                continue
            if weightless and track.weight:
                self._ctx.error(
                    f"{what}: tracked {kind} {track.name} has a weight, and members of a sync group cannot have "
                    "different priorities; it is ignored",
                    item.line,
                    suggestion="see sync_group_tracking_weight",
                )
                continue
            self.used[kind].add(track.name)
            if kind == "script" and track.name in self._dropped_scripts:
                continue
            result[track.name] = track
        return tuple(result.values())

    def _reference(self, item: TrackLine, kind: str, what: str) -> Track | None:
        known = self._known[kind].get(item.name)
        if known is None or known.order > item.line.order:
            later = "it is defined further down, and must come before" if known is not None else ""
            self._ctx.error(
                f"{what} tracks {kind} '{item.name}', which is not defined; it is ignored",
                item.line,
                suggestion=later or closest(item.name, self._known[kind]),
            )
            return None
        return Track(
            name=item.name,
            weight=known.weight if item.weight is None else item.weight,
            reverse=known.reverse if item.reverse is None else item.reverse,
        )

    def scripts(self) -> tuple[TrackScript, ...]:
        """Those that somebody tracks."""
        return tuple(plan for name, plan in self._script_plans.items() if name in self.used["script"])

    def files(self) -> tuple[TrackFile, ...]:
        return tuple(plan for name, plan in self._files.items() if name in self.used["file"])

    def processes(self) -> tuple[TrackProcess, ...]:
        return tuple(plan for name, plan in self._processes.items() if name in self.used["process"])

    def file_for_check(self, name: str, order: int) -> Tracked | None:
        """The track_file that stands before the line with this order; it is then in use."""
        known = self._known["file"].get(name)
        if known is None or known.order >= order:
            return None
        self.used["file"].add(name)
        return known

    def bfd_known(self, name: Any, order: int) -> bool:
        known = self._known["bfd"].get(name)
        return known is not None and known.order < order
