"""One vrrp_instance: from its block to its part of the Plan.

The order follows RFC 5798 5.2 and 6.1 where it matters: family, then version, then what the version allows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastha.config.arguments import is_multicast
from fastha.config.lines import AddressLine
from fastha.config.semantics.addresses import virtual_addresses
from fastha.config.semantics.authentication import auth_hmac
from fastha.config.semantics.context import Context
from fastha.config.semantics.garp import Garp
from fastha.config.semantics.routes import Lines, followed
from fastha.config.semantics.tracking import Tracking
from fastha.config.semantics.vmac import Vmacs
from fastha.config.tree import Node
from fastha.model.net import Address, Family, family_of
from fastha.model.plan import AuthType, MadeLink, Track, UnicastChecksum, UnicastPeer, VirtualAddress, VrrpInstance
from fastha.model.routes import Route, Rule
from fastha.model.units import MS, Ns, S

GROUP4, GROUP6 = Address("224.0.0.18"), Address("ff02::12")
LINK_LOCAL = ("fe8", "fe9", "fea", "feb")
MAX_V3_INTERVAL: Ns = 40_950 * MS
CENTISECOND: Ns = 10 * MS
NO_INTERFACE = "none"
"""Stands for the interface of an instance that is refused because it has none."""


@dataclass(slots=True)
class Reader:
    """Reads instances one after the other; global defaults are taken once."""

    ctx: Context
    tracking: Tracking
    lines: Lines
    followed: Mapping[str, tuple[str, ...]]
    """instance -> interfaces that it follows because of static items."""
    vmacs: Vmacs
    garp: Garp = field(init=False)

    def __post_init__(self) -> None:
        self.garp = Garp.of_globals(self.ctx.defs)

    def read(self, node: Node, group: Node | None) -> VrrpInstance | None:
        """The instance of a block; None when it cannot be run. `group` is the sync group it belongs to."""
        return _Instance(self, node, group).plan()


class _Instance:
    """The work on one instance: each method settles one question and reports what does not fit."""

    def __init__(self, reader: Reader, node: Node, group: Node | None) -> None:
        self.ctx = reader.ctx
        self.defs = reader.ctx.defs
        self.tracking = reader.tracking
        self.lines = reader.lines
        self.vmacs = reader.vmacs
        self.followed = reader.followed.get(node.header, ())
        self.garp = reader.garp.of_instance(node)
        self.node = node
        self.group = group
        self.name: str = node.header
        self.strict: bool = node.get("strict_mode", self.defs.get("vrrp_strict", False))
        self.master: bool = node.get("state", "BACKUP") == "MASTER"
        self.priority: int = node.get("priority", 255 if self.master else 100)
        self.family: Family = self._family()
        self.version = self._version()

    def error(self, message: str, setting: str = "", *, suggestion: str = "") -> None:
        line = self.node.line_of(setting) if setting else self.node.line
        self.ctx.error(f"{self.name}: {message}", line, 0 if setting else 1, suggestion=suggestion)

    def advise(self, message: str, setting: str = "", *, suggestion: str = "") -> None:
        line = self.node.line_of(setting) if setting else self.node.line
        self.ctx.advise(f"{self.name}: {message}", line, 0 if setting else 1, suggestion=suggestion)

    def refuse(self, message: str, setting: str = "", *, suggestion: str = "") -> None:
        """`setting`: the value that is at fault; by default the instance as a whole."""
        line = self.node.line_of(setting) if setting else self.node.line
        self.ctx.refuse(f"{self.name}: {message}", line, 1, suggestion=suggestion)

    def _family(self) -> Family:
        first = next(iter(self.node.entries("virtual_ipaddress")), None)
        if first is not None:
            family: Family = first.family
            if self.node.has("native_ipv6") and family == 4:
                self.error("native_ipv6 and IPv4 addresses; native_ipv6 is ignored", "native_ipv6")
            return family
        if self.node.has("native_ipv6"):
            return 6
        source = self.node.maybe("source")
        peers = self.node.entries("unicast_peer")
        if source is not None:
            return family_of(source)
        return family_of(peers[0].address) if peers else 4

    def _version(self) -> int:
        written: int | None = self.node.maybe("version")
        if self.family == 6:
            if written == 2 and self.strict:
                self.error("IPv6 needs version 3 in strict mode; version 3 is used", "version")
                return 3
            return written or 3
        return written or self.defs.get("vrrp_version", 2)

    def plan(self) -> VrrpInstance | None:
        node, defs = self.node, self.defs
        interface = self._interface()
        vrid: int | None = node.maybe("virtual_router_id")
        if vrid is None:
            self.refuse("virtual_router_id is missing", suggestion="it must be the same on all routers of the group")
        peers = self._peers()
        self._state()
        made = None
        on_base = (node.has("vmac_xmit_base") and not self.strict) or self._unicast_wanted()
        if interface and vrid:
            made = self.vmacs.of_instance(node, interface, vrid, self.family, strict=self.strict, speaks=not on_base)
        # without its interface the instance is refused; its addresses are judged as if it had one
        stand_in = node.get("interface", NO_INTERFACE) if interface is None else interface
        addresses, excluded = self._addresses(stand_in, made, vrid or 0)
        auth_type, password = self._authentication()
        nopreempt, preempt_delay = self._preemption()
        if node.has("vmac_xmit_base") and (self.strict or not node.has("use_vmac")):
            self.error("vmac_xmit_base needs use_vmac, and is not for strict mode; it is ignored", "vmac_xmit_base")
        routes = self.lines.routes(node, "virtual_routes")
        rules = self.lines.rules(node, "virtual_rules")
        tracks = self._tracks(interface or "")
        base, interface = interface, self._runs_on(interface, made, on_base=on_base)
        known = {name for name in (base, interface) if name}
        interfaces = self._with_followed(tracks[0], known, (*addresses, *excluded), (*routes, *rules))
        if vrid is None or interface is None or not self._bindable(interface, peers):
            return None
        down = node.get("down_timer_adverts", defs.get("vrrp_down_timer_adverts", 3))
        if self.strict and down != 3:
            self.error("down_timer_adverts is 3 in strict mode", "down_timer_adverts")
            down = 3
        interval = self._adver_int()
        delay, repeat = self._lower_priority_garp()
        extra: tuple[bool, int] = node.get("garp_extra_if", defs.get("vrrp_garp_extra_if", (False, 0)))
        return VrrpInstance(
            name=self.name,
            interface=interface,
            base=base if base and base != interface else "",
            vrf=node.get("vrf", "") if not interface else "",
            virtual_router_id=vrid,
            family=self.family,
            version=self.version,
            initial_master=self.master,
            priority=self.priority,
            adver_int=interval,
            down_timer_adverts=down,
            nopreempt=nopreempt,
            preempt_delay=preempt_delay,
            timer_expired_backup=self._timer_expired(nopreempt),
            auth_type=auth_type,
            auth_pass=password,
            auth_hmac=auth_hmac(self.ctx, node, interval, strict=self.strict),
            source=self._source(),
            track_src_ip=node.has("track_src_ip") and node.has("source") and bool(interface),
            group=self._group(bool(peers)),
            unicast_peers=peers,
            unicast_ttl=self._unicast_ttl(bool(peers)),
            fault_no_peer=not peers and self._unicast_wanted() and node.has("unicast_fault_no_peer"),
            old_unicast_checksum=self._unicast_checksum(),
            check_unicast_src=node.has("check_unicast_src")
            or defs.has("vrrp_check_unicast_src")
            or any(p.min_ttl or p.max_ttl != 255 for p in peers),
            addresses=addresses,
            excluded_addresses=excluded,
            routes=routes,
            rules=rules,
            track_interfaces=interfaces,
            track_scripts=tracks[1],
            track_files=tracks[2],
            track_processes=tracks[3],
            dont_track_primary=node.has("dont_track_primary"),
            garp_master_delay=self.garp.master_delay,
            garp_master_repeat=self.garp.master_repeat,
            garp_master_refresh=self.garp.master_refresh,
            garp_master_refresh_repeat=self.garp.master_refresh_repeat,
            garp_lower_prio_delay=delay,
            garp_lower_prio_repeat=repeat,
            garp_interval=defs.get("vrrp_garp_interval", 0),
            gna_interval=defs.get("vrrp_gna_interval", 0),
            garp_extra_if=extra[1] * S,
            garp_extra_all=extra[0],
            lower_prio_no_advert=self._strictly("lower_prio_no_advert", strict=True),
            higher_prio_send_advert=self._strictly("higher_prio_send_advert", strict=False),
            # any BOOL of the instance's own word turns it on, even false: so keepalived
            skip_check_adv_addr=node.has("skip_check_adv_addr") or defs.get("vrrp_skip_check_adv_addr", False),
            strict_mode=self.strict,
            accept=self._accept(),
            v3_checksum_as_v2=node.get("v3_checksum_as_v2", defs.get("v3_checksum_as_v2", False)),
            owner_ignore_adverts=self._owner_ignores(),
            notify_priority_changes=self._notify_priority_changes(),
            promote_secondaries=self.node.has("promote_secondaries"),
            notify_deleted=node.has("notify_deleted"),
        )

    def _interface(self) -> str | None:
        """The interface, or None when the instance cannot have one; empty: it does without, which takes unicast and a
        source address."""
        node = self.node
        name: str | None = node.maybe("interface")
        if name is None and node.has("source") and node.entries("unicast_peer"):
            return ""
        if name is None:
            self.refuse("interface is missing", suggestion="only unicast with unicast_src_ip does without")
            return None
        if node.has("vrf"):
            self.error("vrf is for instances without an interface; it is ignored", "vrf")
        known = self.ctx.host.interfaces().get(name)
        if known is not None and known.loopback:
            self.refuse(f"{name} is the loopback interface, which has no neighbours", "interface")
            return None
        if not self.ctx.interface(name, f"vrrp_instance {self.name}", node.line_of("interface")):
            return None
        return name

    def _bindable(self, interface: str, peers: tuple[UnicastPeer, ...]) -> bool:
        """Whether an instance without an interface has all it takes."""
        if interface:
            return True
        if not peers or self._source() is None:
            self.refuse("interface is missing, and there is no usable peer or source address to do without")
            return False
        vrf: str | None = self.node.maybe("vrf")
        return vrf is None or self.ctx.interface(vrf, f"vrf of {self.name}", self.node.line_of("vrf"))

    def _peers(self) -> tuple[UnicastPeer, ...]:
        peers: dict[Address, UnicastPeer] = {}
        for item in self.node.entries("unicast_peer"):
            if family_of(item.address) != self.family:
                self.ctx.error(f"{self.name}: peer {item.address} is not IPv{self.family}; it is skipped", item.line)
            elif item.address in peers:
                self.ctx.error(f"{self.name}: peer {item.address} is there twice", item.line)
            else:
                peers[item.address] = UnicastPeer(
                    address=item.address,
                    min_ttl=item.min_ttl or 0,
                    max_ttl=255 if item.max_ttl is None else item.max_ttl,
                )
        if not peers and self._unicast_wanted():
            text, suggestion = "a unicast word, and no usable peer", "name the other routers in unicast_peer { }"
            if self.node.has("unicast_fault_no_peer"):
                message = f"{self.name}: {text}: it stays in FAULT"
                self.ctx.report.note(message, self.node.line, 1, suggestion=suggestion)
            else:
                self.error(f"{text}: multicast is used", suggestion=suggestion)
        made = next((word for word in ("use_vmac", "use_ipvlan") if self.node.has(word)), "")
        if made and self._unicast_wanted() and not self.node.has("vmac_xmit_base"):
            self.advise(f"unicast with {made} needs vmac_xmit_base; it is taken as set", made)
        if peers and self.strict and self._multicast_capable():
            self.refuse("unicast is not allowed in strict mode")
        return tuple(peers.values())

    def _multicast_capable(self) -> bool:
        known = self.ctx.host.interfaces().get(self.node.maybe("interface") or "")
        return known is None or known.multicast

    def _unicast_checksum(self) -> UnicastChecksum:
        written: object = self.node.maybe("old_unicast_checksum")
        if written is None:
            return UnicastChecksum.DETECT
        return UnicastChecksum.NEVER_OLD if written == "never" else UnicastChecksum.OLD

    def _unicast_wanted(self) -> bool:
        source = self.node.values.get("source")
        """A word of unicast stands there, whether or not it comes to that."""
        return (
            bool(self.node.blocks("unicast_peer"))
            or self.node.has("unicast_fault_no_peer")
            or self.node.has("check_unicast_src")
            or self.node.has("old_unicast_checksum")
            or (source is not None and source[1].words[0] == "unicast_src_ip")
        )

    def _state(self) -> None:
        """Initial state and priority must agree where the RFC says so."""
        if self.strict and self.master != (self.priority == 255):
            if self.node.has("state"):
                self.error("state MASTER and priority 255 belong together in strict mode", "state")
            self.master = self.priority == 255
        elif self.priority == 255 and not self.node.has("state"):
            self.master = True

    @staticmethod
    def _runs_on(interface: str | None, made: MadeLink | None, *, on_base: bool) -> str | None:
        """Where adverts leave and arrive."""
        if made is None or made.mac is None:
            return made.name if made else interface
        return interface if on_base else made.name

    def _place(self, item: AddressLine, interface: str, made: MadeLink | None, vrid: int) -> str:
        """The interface of an address: the instance's own, even when the one underneath is named, or the named one; or
        one with a virtual MAC on top of it."""
        dev = item.dev or interface
        own = dev in {interface, made.name if made else interface}
        if own and made and (item.family == self.family or not self.node.has("use_vmac_addr")):
            return made.name
        base = self.ctx.made.get(dev, dev)
        if (
            vrid
            and base
            and (item.options.get("use_vmac") or (self.node.has("use_vmac_addr") and not self._at_home(item)))
        ):
            return self.vmacs.of_address(base, vrid, item.family).name
        return dev

    def _at_home(self, item: AddressLine) -> bool:
        return item.dev in {None, self.node.maybe("interface")} and item.family == self.family

    def _addresses(
        self, interface: str, made: MadeLink | None, vrid: int
    ) -> tuple[tuple[VirtualAddress, ...], tuple[VirtualAddress, ...]]:
        node = self.node

        def place_of(item: AddressLine) -> str:
            return self._place(item, interface, made, vrid)

        addresses = virtual_addresses(
            self.ctx, node, "virtual_ipaddress", place_of=place_of, family=self.family, what=self.name
        )
        excluded = virtual_addresses(
            self.ctx,
            node,
            "virtual_ipaddress_excluded",
            place_of=place_of,
            family=None,
            what=self.name,
            taken=addresses,
        )
        if not addresses:
            if self.strict or self.version == 3:
                self.refuse("virtual_ipaddress is empty, and version 3 and strict mode need an address")
            elif not node.has("no_virtual_ipaddress"):
                self.advise("virtual_ipaddress is missing or empty", suggestion="or say no_virtual_ipaddress")
        if self.family == 6 and addresses and not self.node.entries("unicast_peer"):
            self._link_local_first(addresses[0])
        if self.strict and node.has("no_virtual_ipaddress"):
            self.error("no_virtual_ipaddress is not allowed in strict mode", "no_virtual_ipaddress")
        return addresses, excluded

    def _link_local_first(self, first: VirtualAddress) -> None:
        """RFC 5798 5.2.9."""
        if first.address.startswith(LINK_LOCAL):
            return
        text = f"the first address, {first.address}, is not link-local, as the RFC wants it for IPv6"
        if self.strict:
            self.advise(text, suggestion="put the fe80:: address first")
        else:
            self.ctx.report.note(f"{self.name}: {text}", self.node.line, 1)

    def _authentication(self) -> tuple[AuthType, bytes | None]:
        blocks = self.node.blocks("authentication")
        if not blocks:
            return AuthType.NONE, None
        settings: dict[str, Any] = {}
        for block in blocks:
            settings |= {name: value for name, (value, _) in block.values.items()}
        kind, password = settings.get("auth_type"), settings.get("auth_pass")
        if kind is None:
            return AuthType.NONE, None
        problem = ""
        if self.node.blocks("auth_hmac"):
            problem = "authentication and auth_hmac; authentication is dropped"
        elif self.strict:
            problem = "strict mode has no authentication; it is dropped"
        elif self.version == 3:
            problem = "version 3 has no authentication; it is dropped"
        elif not password:
            problem = "auth_type without a password; authentication is dropped"
        elif kind == "AH" and self.family == 6:
            problem = "AH is for IPv4 only; authentication is dropped"
        if problem:
            self.ctx.error(f"{self.name}: {problem}", blocks[0].line)
            return AuthType.NONE, None
        if kind == "AH" and self.master and self.priority != 255:
            self.error("AH and state MASTER do not go together; it starts as BACKUP", "state")
            self.master = False
        data = str(password).encode("utf-8", "surrogateescape")[:8].ljust(8, b"\0")
        return AuthType(kind), data

    def _preemption(self) -> tuple[bool, Ns]:
        node = self.node
        nopreempt = node.has("nopreempt")
        if nopreempt and node.has("preempt") and node.line_of("preempt").order > node.line_of("nopreempt").order:
            nopreempt = False
        delay: Ns = node.get("preempt_delay", 0)
        if nopreempt and (self.master or self.priority == 255):
            reason = "priority 255" if self.priority == 255 else "state MASTER"
            self.error(
                f"nopreempt does not work with {reason}; it is dropped",
                "nopreempt",
                suggestion="write 'state BACKUP' on all routers" if self.master else "",
            )
            nopreempt = False
        if delay:
            reason = ""
            if self.strict:
                reason = "strict mode"
            elif self.master:
                reason = "state MASTER"
            elif nopreempt:
                reason = "nopreempt"
            if reason:
                self.error(f"preempt_delay does not work with {reason}; it is dropped", "preempt_delay")
                delay = 0
        return nopreempt, delay

    def _timer_expired(self, nopreempt: bool) -> int | None:
        priority: int | None = self.node.maybe("timer_expired_backup")
        if priority is not None and not nopreempt:
            self.error("timer_expired_backup needs nopreempt; it is ignored", "timer_expired_backup")
            return None
        return priority

    def _adver_int(self) -> Ns:
        interval: Ns = self.node.get("advert_int", S)
        if self.version == 3:
            if interval % CENTISECOND:
                self.error("advert_int of version 3 is a multiple of 0.01 s; it is rounded", "advert_int")
                interval = max((interval + CENTISECOND // 2) // CENTISECOND, 1) * CENTISECOND
            if interval > MAX_V3_INTERVAL:
                self.error("advert_int of version 3 is at most 40.95 s; 40.95 is used", "advert_int")
                interval = MAX_V3_INTERVAL
        elif interval % S:
            rounded = max((interval + S // 2) // S, 1)
            self.error(
                f"advert_int of version 2 is a whole number of seconds; {rounded} is used",
                "advert_int",
                suggestion="version 3 knows hundredths of a second",
            )
            interval = rounded * S
        return interval

    def _source(self) -> Address | None:
        source: Address | None = self.node.maybe("source")
        if source is None and self.node.has("use_ipvlan"):
            source = self.node.maybe("use_ipvlan").get("address")
        if source is not None and family_of(source) != self.family:
            self.error(f"source address {source} is not IPv{self.family}; it is ignored", "source")
            return None
        return source

    def _group(self, unicast: bool) -> Address:
        written: Address | None = self.node.maybe("mcast_dst_ip")
        if written is not None:
            if unicast:
                self.error("mcast_dst_ip with unicast peers; it is ignored", "mcast_dst_ip")
            elif family_of(written) != self.family:
                self.error(f"mcast_dst_ip {written} is not IPv{self.family}; it is ignored", "mcast_dst_ip")
            elif is_multicast(written):
                return written
        if self.family == 6:
            return self.defs.get("vrrp_mcast_group6", GROUP6)
        return self.defs.get("vrrp_mcast_group4", GROUP4)

    def _unicast_ttl(self, unicast: bool) -> int | None:
        ttl: int | None = self.node.maybe("unicast_ttl")
        if ttl is not None and not unicast:
            self.error("unicast_ttl without unicast peers; it is ignored", "unicast_ttl")
            return None
        return ttl or None  # 0 is as if it was not there

    def _lower_priority_garp(self) -> tuple[Ns, int]:
        garp, node = self.garp, self.node
        if not self.strict:
            return garp.lower_prio_delay, garp.lower_prio_repeat
        for name in ("garp_lower_prio_delay", "garp_lower_prio_repeat"):
            if node.get(name, 0):
                self.error(f"{name} is 0 in strict mode", name)
        return 0, 0

    def _strictly(self, name: str, *, strict: bool) -> bool:
        """A switch that strict mode decides, and reports when the file says otherwise."""
        if not self.strict:
            return bool(self.node.get(name, self.defs.get(f"vrrp_{name}", False)))
        if self.node.get(name, strict) != strict:
            self.error(f"{name} is {'true' if strict else 'false'} in strict mode", name)
        return strict

    def _accept(self) -> bool:
        node = self.node
        if self.strict and node.has("accept") and self.version == 2 and self.priority != 255:
            self.error("accept is not allowed in strict mode with version 2", "accept")
            return False
        if self.strict and not node.has("accept"):
            return self.priority == 255
        return not node.has("no_accept") or (
            node.has("accept") and node.line_of("accept").order > node.line_of("no_accept").order
        )

    def _owner_ignores(self) -> bool:
        written: bool | None = self.node.maybe("owner_ignore_adverts")
        owner = self.priority == 255
        if written and not owner:
            self.error("owner_ignore_adverts is for priority 255; it is ignored", "owner_ignore_adverts")
        if written is False and owner and self.strict:
            self.error("owner_ignore_adverts is true in strict mode", "owner_ignore_adverts")
        if not owner:
            return False
        if self.strict:
            return True
        return bool(self.defs.get("vrrp_owner_ignore_adverts", False) if written is None else written)

    def _notify_priority_changes(self) -> bool:
        default: bool = self.defs.get("vrrp_notify_priority_changes", False)
        if self.group is not None:
            default = self.group.get("notify_priority_changes", default)
        return self.node.get("notify_priority_changes", default)

    def _tracks(
        self, interface: str
    ) -> tuple[tuple[Track, ...], tuple[Track, ...], tuple[Track, ...], tuple[Track, ...]]:
        node, what = self.node, self.name
        weightless = self.group is not None and not self.group.has("sync_group_tracking_weight")
        kinds = (("script", "track_script"), ("file", "track_file.references"), ("process", "track_process"))
        scripts, files, processes = (
            self._owner_tracks(
                self.tracking.references(node, kind, path, what, weightless=weightless and kind != "process"), path
            )
            for kind, path in kinds
        )
        self.tracking.references(node, "bfd", "track_bfd", what)
        interfaces = self._owner_tracks(
            track_interfaces(self.ctx, node, what, own=interface, weightless=weightless), "track_interface"
        )
        return interfaces, scripts, files, processes

    def _with_followed(
        self,
        tracks: tuple[Track, ...],
        own: set[str],
        addresses: Iterable[VirtualAddress],
        lines: Iterable[Route | Rule],
    ) -> tuple[Track, ...]:
        """The interfaces of addresses, routes and rules are tracked too, unless those say no_track."""
        wanted = [address.dev for address in addresses if not address.no_track]
        wanted += [dev for line in lines for dev in followed(line)]
        known = {*own, *(track.name for track in tracks)}
        more = dict.fromkeys(name for name in (*wanted, *self.followed) if name not in known)
        return (*tracks, *(Track(name=name, implied=True) for name in more))

    def _owner_tracks(self, tracks: tuple[Track, ...], path: str) -> tuple[Track, ...]:
        """An address owner has one priority: weighted trackers mean nothing to it."""
        if self.priority != 255:
            return tracks
        weighted = [track.name for track in tracks if track.weight]
        if weighted:
            block = self.node.blocks(path)[0]
            self.ctx.error(
                f"{self.name}: weights of {', '.join(weighted)} have no effect with priority 255; they are ignored",
                block.line,
            )
        return tuple(track for track in tracks if not track.weight)


def track_interfaces(
    ctx: Context, node: Node, what: str, *, own: str = "", weightless: bool = False
) -> tuple[Track, ...]:
    """track_interface of an instance or group."""
    result: dict[str, Track] = {}
    for item in node.entries("track_interface"):
        if item.name in ctx.made:
            continue  # it is up when the interface underneath is, and that is tracked anyway
        if item.name == own:
            ctx.error(f"{what} tracks its own interface {own} anyway; the entry is ignored", item.line)
        elif item.name in result:
            ctx.error(f"{what} tracks {item.name} twice; the second one is ignored", item.line)
        elif ctx.interface(item.name, f"track_interface of {what}", item.line, 0):
            weight = 0 if weightless else item.weight or 0
            result[item.name] = Track(name=item.name, weight=weight, reverse=bool(item.reverse))
    return tuple(result.values())
