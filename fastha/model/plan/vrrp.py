"""The VRRP process's part of the Plan: instances, groups, addresses, links."""

from dataclasses import dataclass, field
from enum import StrEnum

from fastha.model.net import Address, Family
from fastha.model.plan.common import ProcessSettings
from fastha.model.routes import Route, Rule
from fastha.model.units import Ns, S


class AuthType(StrEnum):
    NONE = "none"
    PASS = "PASS"  # noqa: S105
    AH = "AH"


class HmacMode(StrEnum):
    """What auth_hmac does with signatures."""

    ENFORCE = "enforce"
    """Signs, and takes only what is signed."""
    PERMISSIVE = "permissive"
    """Signs, and takes what is not signed too."""
    RECEIVE_ONLY = "receive-only"
    """Does not sign; takes what is signed rightly, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthHmac:
    """auth_hmac: signed adverts, for either version and family."""

    keys: dict[int, bytes] = field(repr=False)
    """id (1..255) -> 32..64 bytes."""
    active_key: int
    """The one that signs; it is in `keys`."""
    time_window: int
    """Seconds that clocks may be apart."""
    monotonic: bool = False
    """anti_replay monotonic: sequences only have to rise; clocks do not matter."""
    mode: HmacMode = HmacMode.ENFORCE


class UnicastChecksum(StrEnum):
    """old_unicast_checksum: the destination in the pseudo header of version 3 unicast over IPv4."""

    DETECT = "detect"
    """The peer's address, until a peer is heard that uses the multicast group."""
    OLD = "old"
    """The multicast group, as releases before 1.3.6 did."""
    NEVER_OLD = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAddress:
    """One line of virtual_ipaddress, virtual_ipaddress_excluded or static_ipaddress."""

    address: Address
    prefixlen: int
    dev: str
    scope: int = 0
    broadcast: Address | None = None
    label: str | None = None
    peer: Address | None = None
    home: bool = False
    nodad: bool = True
    mngtmpaddr: bool = False
    noprefixroute: bool = False
    autojoin: bool = False
    no_track: bool = False
    preferred_lft: int | None = None
    """Seconds; None is forever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A reference to a tracked thing with its weight; 0 means FAULT on failure."""

    name: str
    weight: int = 0
    reverse: bool = False
    implied: bool = False
    """Nobody wrote it: the interface of an address, a route or a rule."""


MOST_ADDRESSES = 255
"""What the count field of an advert can say."""
ETHERNET, IPV4, IPV6, VRRP, V2_PASSWORD, AH, HMAC_TRAILER = 14, 20, 40, 8, 8, 24, 28
"""Octets of an advert beside its addresses (RFC 5798 5.2, RFC 2402 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnicastPeer:
    address: Address
    min_ttl: int = 0
    max_ttl: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpInstance:
    name: str
    interface: str
    """Where adverts leave and arrive; empty: wherever routing says (unicast only)."""
    virtual_router_id: int
    base: str = ""
    """The interface underneath, when that is one of our own making."""
    vrf: str = ""
    """VRF that an instance without an interface is bound to."""
    family: Family = 4
    version: int = 2
    initial_master: bool = False
    """`state MASTER` was written (see vrrp-behaviour 2.5: it changes little)."""
    priority: int = 100
    adver_int: Ns = S
    down_timer_adverts: int = 3
    nopreempt: bool = False
    preempt_delay: Ns = 0
    timer_expired_backup: int | None = None
    """Priority of the router that has taken over when our own timer was late; None: not thought of."""
    auth_type: AuthType = AuthType.NONE
    auth_pass: bytes | None = None
    """8 bytes, zero-padded."""
    auth_hmac: AuthHmac | None = None
    source: Address | None = None
    """mcast_src_ip or unicast_src_ip; None: the interface's primary (IPv4) or link-local (IPv6) address."""
    track_src_ip: bool = False
    group: Address = Address("224.0.0.18")
    """Multicast destination; with unicast peers only the pseudo header of an old checksum has it."""
    unicast_peers: tuple[UnicastPeer, ...] = ()
    unicast_ttl: int | None = None
    """None: 255 over IPv4, the kernel's default over IPv6."""
    fault_no_peer: bool = False
    """unicast_fault_no_peer, and no peer is usable: FAULT for good."""
    old_unicast_checksum: UnicastChecksum = UnicastChecksum.DETECT
    check_unicast_src: bool = False
    addresses: tuple[VirtualAddress, ...] = ()
    excluded_addresses: tuple[VirtualAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    track_interfaces: tuple[Track, ...] = ()
    track_scripts: tuple[Track, ...] = ()
    track_files: tuple[Track, ...] = ()
    track_processes: tuple[Track, ...] = ()
    rx_buffer: int = 0
    """Octets that it adds to the receive buffer of its socket (kernel_rx_buf_size, vrrp_rx_bufs_policy)."""
    dont_track_primary: bool = False
    garp_master_delay: Ns = 5 * S
    garp_master_repeat: int = 5
    garp_master_refresh: Ns = 0
    garp_master_refresh_repeat: int = 1
    garp_lower_prio_delay: Ns = 5 * S
    garp_lower_prio_repeat: int = 5
    garp_interval: Ns = 0
    gna_interval: Ns = 0
    garp_extra_if: Ns = 0
    """Period of announcements on its other interfaces; 0: none."""
    garp_extra_all: bool = False
    """On all of them, not only on those of our own making."""
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool = False
    skip_check_adv_addr: bool = False
    strict_mode: bool = False
    accept: bool = True
    v3_checksum_as_v2: bool = False
    owner_ignore_adverts: bool = False
    notify_priority_changes: bool = False
    promote_secondaries: bool = False
    """It asks for that on its interface; what is to be set is in the whole plan."""
    notify_deleted: bool = False
    """Removal by a reload is told as DELETED, not as FAULT."""

    @property
    def unicast(self) -> bool:
        return bool(self.unicast_peers)

    @property
    def source_interface(self) -> str:
        """Whose address adverts leave from when none is configured. An interface with a virtual MAC has no IPv4 address
        of its own, but a link-local IPv6 address."""
        return self.base if self.base and self.family == 4 else self.interface

    @property
    def owner(self) -> bool:
        """Priority 255: the address owner."""
        return self.priority == 255

    def room_for_addresses(self, mtu: int) -> int:
        """How many addresses an advert carries on a link; the Ethernet header counts too, as in keepalived."""
        return max(0, min(MOST_ADDRESSES, (mtu - self._octets_beside_addresses()) // (4 if self.family == 4 else 16)))

    def advert_octets(self) -> int:
        """Of a whole packet, with the Ethernet header."""
        return self._octets_beside_addresses() + len(self.addresses) * (4 if self.family == 4 else 16)

    def _octets_beside_addresses(self) -> int:
        taken = ETHERNET + (IPV4 if self.family == 4 else IPV6) + VRRP
        if self.version == 2 and self.family == 4:
            taken += V2_PASSWORD
        if self.auth_type is AuthType.AH:
            taken += AH
        if self.auth_hmac is not None:
            taken += HMAC_TRAILER
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class GarpGroup:
    """garp_group: interfaces that share one queue of announcements."""

    interfaces: tuple[str, ...]
    garp_interval: Ns = 0
    gna_interval: Ns = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLink:
    """An interface of our own making: a macvlan with a virtual MAC address (use_vmac), or an ipvlan."""

    name: str
    base: str
    """The interface underneath."""
    mac: str | None = None
    """Of a macvlan; None: an ipvlan, which has that of its base."""
    mode: int = 0
    """ipvlan: 0 bridge, 1 private, 2 vepa. A macvlan is always private."""
    group: int | None = None
    """Link group; None: that of the base."""
    family: Family = 4
    """Of the instance it was made for: what its sysctls are set to."""
    ipv6: bool = False
    """It has IPv6 addresses (family 4); without, IPv6 is off there."""
    speaks: bool = True
    """Adverts leave from it: over IPv6 it needs the link-local address of its base. False with vmac_xmit_base."""
    address: Address | None = None
    """Its own address: what adverts of an ipvlan leave from."""
    prefixlen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallSettings:
    """nftables and its kin: how the rules of no_accept and of virtual MAC addresses are made."""

    table: str = "keepalived"
    priority: int = -1
    counters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncGroup:
    name: str
    members: tuple[str, ...]
    track_interfaces: tuple[Track, ...] = ()
    track_scripts: tuple[Track, ...] = ()
    track_files: tuple[Track, ...] = ()
    track_processes: tuple[Track, ...] = ()
    sync_group_tracking_weight: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """vrrp_recording: where to, and after how many octets it ends."""

    path: str
    room: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpPlan:
    """All that the vrrp process gets."""

    instances: tuple[VrrpInstance, ...] = ()
    sync_groups: tuple[SyncGroup, ...] = ()
    static_addresses: tuple[VirtualAddress, ...] = ()
    static_routes: tuple[Route, ...] = ()
    static_rules: tuple[Rule, ...] = ()
    garp_groups: tuple[GarpGroup, ...] = ()
    made_links: tuple[MadeLink, ...] = ()
    promote_secondaries: tuple[str, ...] = ()
    """Interfaces that have it while running."""
    disable_local_igmp: bool = False
    firewall: FirewallSettings = FirewallSettings()
    linkbeat: dict[str, str] = field(default_factory=dict)
    """Interfaces whose link is polled -> MII, ETHTOOL, IOCTL; empty: whichever works."""
    interface_delays: dict[str, tuple[Ns, Ns]] = field(default_factory=dict)
    """interface -> (down delay, up delay)."""
    startup_delay: Ns = 0
    dynamic_interfaces: bool = False
    allow_if_changes: bool = False
    """An interface that comes back may be of another type, or on another interface."""
    log_unknown_vrids: bool = False
    fifo_write_states_on_reload: bool = False
    """After a reload the FIFOs get the state of unchanged instances and groups too."""
    log_detail: bool = False
    recording: Recording | None = None
    """Write down what the core hears and asks for, from its start on."""
    process: ProcessSettings = ProcessSettings()
