"""The advert engine: what must be on time whatever Python does.

One thread, without the GIL from its start to its end, owns the sockets and the two timers of the protocol for all
instances. It decides nothing: it carries out one standing order per instance (`vrrp/orders.py` says what each means)
and reports what no order covers. Three rules make it safe to leave alone:

* Read before you time out. A turn takes commands, then drains every readable socket, then looks at deadlines. An
  advert counts from its arrival (kernel stamp), not from when it was read. A drain ends when the queue is empty or when
  it reaches datagrams younger than the turn, so a flood cannot hold it.
* Nobody speaks on a dead man's behalf. Adverts leave only while the core renews the lease. Those that are signed (AH,
  auth_hmac) are signed when they leave, with libcrypto, for each has a sequence of its own.
* One event of an instance is with the core at a time. What arrives meanwhile waits behind it, in order (the latest
  eight), and is judged by the order that is in force once the core has settled the event; deadlines wait too. So none
  is judged by an order that the core is about to take back.

What costs is to wake up, not the advert: the second advert of a phase is due at a whole millisecond, so those of many
instances leave in one turn, those of one socket in one system call; and while many adverts arrive the thread reads them
every 2 ms at most, unless a deadline or a command is first (`_c/advert_loop.pxd`).

Between the threads a ring of commands goes down (blocks are made by Python and freed by the engine; `hold` and `go`
make one wake-up of many) and a ring of small event records goes up; each ring has one writer, one reader and an
eventfd. The ring up cannot overflow: an instance has at most one event to settle, one lost lease and one send error
outstanding.

`AdvertEngine(virtual=True)` has no thread, no clock and no sockets: `step(now, heard)` makes one turn. Tests hold it
against its Python twin, `vrrp/engine.py`.
"""

import threading

from fastha.model.net import packed, unpacked
from fastha.model.snapshot import Histogram
from fastha.vrrp.events import AdvertReceived, EngineLate, LeaseLost, MasterDown, Overslept
from fastha.vrrp.orders import SendFailed

cimport cython
from advert cimport (
    AH_SIZE, after, binding_t, command_t, datagram_t, engine_t, event_t, expected_of, frames_t, frame_t, instance_t,
    order_t, packets_of, packet_t, peers_of, room_t, socket_t, BATCH, BOUNDS, COMMAND_BIND, COMMAND_CLOSE,
    COMMAND_FRAMES, COMMAND_GROW, COMMAND_LISTEN, COMMAND_ORDER, COMMAND_SEND, COMMAND_SETTLE, COMMAND_STOP,
    COMMAND_UNBIND, COMMAND_UNLISTEN, COMMANDS, CONTROL_SIZE, EVENT_ADVERT, EVENT_DOWN, EVENT_LATE, EVENT_LEASE,
    EVENT_OVERSLEPT, HEAD_SIZE, KEY_SIZE, LATENESS_BOUNDS, PROTOCOL, RECEIVE_SIZE, SHORTEST
)
from advert_loop cimport drop_socket, run, take_commands
from advert_room cimport close_room, make_room, move_in
from advert_rules cimport fire, hear, overflowed, was_away
from atomic cimport fh_load, fh_load_u, fh_store, fh_store_u
from heap cimport heap_close, heap_t
from libc.errno cimport EAGAIN, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from linux_net cimport (
    AF_INET, AF_INET6, EFD_CLOEXEC, EFD_NONBLOCK, EPOLL_CLOEXEC, PR_SET_TIMERSLACK, SIG_SETMASK, epoll_create1,
    eventfd, eventfd_read, eventfd_write, prctl, pthread_sigmask, sigfillset, sigset_t
)
from posix.unistd cimport close, usleep

COUNTER_NAMES = (
    "sent", "received", "expected", "reported", "ignored", "waited", "waiting_lost", "unknown_vrid", "too_short",
    "truncated", "overflow", "send_failed", "receive_failed", "missed", "away", "lease_lost", "frames",
    "frames_failed", "turns", "no_memory", "overslept",
)

cdef enum:
    MOST_INSTANCES = 65536
    HELD = 64  # commands that wait for `go` at most
    PATIENCE = 2000  # times 0.1 ms: how long the engine may take for its commands


# ------------------------------------------------------------------------------------------------------------ border

cdef int fill_address(uint8_t *to, object address) except -1:
    """Write 4 or 16 octets of an Address into a field of 16."""
    cdef bytes octets = packed(address)
    cdef const uint8_t *data = octets
    memset(to, 0, 16)
    memcpy(to, data, len(octets))
    return 0


cdef object address_of(const uint8_t *octets, int family):
    return unpacked((<const char *> octets)[:4 if family == 4 else 16])


cdef uint16_t is_multicast(const uint8_t *octets, int family) noexcept:
    if family == 6:
        return 1 if octets[0] == 0xff else 0
    return 1 if octets[0] >> 4 == 14 else 0


cdef order_t *make_order(object order, tuple datagrams) except NULL:
    """A block for the engine from an Order (None: only datagrams, to be sent once)."""
    cdef bytes expected = order.expected if order is not None else b""
    cdef size_t size = sizeof(order_t) + ((<size_t> len(expected) + 7) & ~<size_t> 7)
    cdef uint32_t packets_at = <uint32_t> size
    cdef bytes payload
    cdef const uint8_t *data
    cdef order_t *block
    cdef packet_t *packet
    for datagram in datagrams:
        if not SHORTEST <= len(datagram.payload) <= RECEIVE_SIZE - HEAD_SIZE:
            raise ValueError(f"an advert of {len(datagram.payload)} octets")
        size += (sizeof(packet_t) + <size_t> len(datagram.payload) + 7) & ~<size_t> 7
    block = <order_t *> calloc(1, size)
    if block == NULL:
        raise MemoryError
    try:
        if order is not None:
            block.mode = order.mode
            block.generation = order.generation
            block.interval = order.interval
            block.shifted = 1 if order.shift is not None else 0
            block.shift = order.shift or 0
            block.first = order.first
            block.second = order.second
            block.deadline = order.deadline
            block.restart = order.restart
            block.grace = order.grace
            block.expected = <uint32_t> len(expected)
            block.ttl = order.expected_ttl
            block.patience = order.patience
            block.sequence = order.sequence
            if order.expected_source is not None:
                block.has_source = 1
                fill_address(block.source, order.expected_source)
            data = expected
            memcpy(expected_of(block), data, block.expected)
        block.packets = <uint32_t> len(datagrams)
        block.packets_at = packets_at
        packet = packets_of(block)
        for datagram in datagrams:
            payload = datagram.payload
            data = payload
            packet.size = <uint32_t> ((sizeof(packet_t) + <size_t> len(payload) + 7) & ~<size_t> 7)
            packet.length = <uint16_t> len(payload)
            fill_address(packet.destination, datagram.destination)
            packet.multicast = is_multicast(packet.destination, 6 if ":" in datagram.destination else 4)
            memcpy(packet + 1, data, packet.length)
            packet = after(packet)
    except BaseException:
        free(block)
        raise
    return block


@cython.final
cdef class AdvertEngine:
    """The engine as Python sees it. All methods belong to one thread of Python, the core loop's.

    Descriptors given to it are its own from then on. `instances` bounds the instance numbers (0 .. instances-1) until
    `grow`.
    """

    cdef engine_t *engine
    cdef object thread
    cdef object thread_id
    cdef uint64_t taken  # number of the last event that `events` returned
    cdef list free_slots
    cdef bint holding
    cdef uint64_t woken  # the command that the engine was woken for last

    def __cinit__(self, int instances=4096, *, bint virtual=False):
        cdef engine_t *e
        cdef room_t *room
        cdef int32_t i
        if not 0 < instances <= MOST_INSTANCES:
            raise ValueError(f"{instances} instances")
        e = self.engine = <engine_t *> calloc(1, sizeof(engine_t))
        if e == NULL:
            raise MemoryError
        e.epoll = e.wake = e.news = -1
        e.virtual = virtual
        room = make_room(instances)
        e.commands = <command_t *> calloc(COMMANDS, sizeof(command_t))
        if room == NULL or e.commands == NULL:
            close_room(room)
            raise MemoryError
        move_in(e, room)
        for i in range(BATCH):
            e.messages[i].msg_hdr.msg_name = &e.names[i]
            e.messages[i].msg_hdr.msg_iov = &e.vectors[i]
            e.messages[i].msg_hdr.msg_iovlen = 1
            e.messages[i].msg_hdr.msg_control = &e.controls[i * CONTROL_SIZE]
            e.vectors[i].iov_base = &e.buffers[i * RECEIVE_SIZE]
            e.vectors[i].iov_len = RECEIVE_SIZE
        self.free_slots = list(range(instances - 1, -1, -1))
        if virtual:
            return
        e.epoll = epoll_create1(EPOLL_CLOEXEC)
        e.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        e.news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if min(e.epoll, e.wake, e.news) < 0:
            raise OSError(errno, "descriptors for the advert engine")

    def __dealloc__(self):
        cdef engine_t *e = self.engine
        cdef int32_t i
        cdef datagram_t *heard
        cdef frames_t *block
        if e == NULL:
            return
        take_commands(e, COMMANDS)
        if e.instances != NULL and e.sockets != NULL:
            for i in range(e.capacity):
                free(e.instances[i].binding)
                free(e.instances[i].order)
                free(e.instances[i].report)
                while e.instances[i].waiting != NULL:
                    heard = e.instances[i].waiting
                    e.instances[i].waiting = heard.next
                    free(heard)
                e.instances[i].binding = NULL
                if e.sockets[i] != NULL:
                    drop_socket(e, i)
        while e.outbox != NULL:
            heard = e.outbox
            e.outbox = heard.next
            free(heard)
        while e.frames != NULL:
            block = e.frames
            e.frames = block.next
            free(block)
        for fd in (e.epoll, e.wake, e.news):
            if fd >= 0:
                close(fd)
        heap_close(&e.heap)
        free(e.instances)
        free(e.sockets)
        free(e.pending)
        free(e.commands)
        free(e.events)
        free(e)

    # ----------------------------------------------------------------------------------------------------- life

    def start(self):
        """Begin: the thread runs until `stop`."""
        if self.engine.virtual or self.thread is not None:
            raise RuntimeError("a virtual or running engine does not start")
        begun = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(begun,), name="adverts", daemon=True)
        self.thread.start()
        begun.wait()

    def _run(self, begun):
        cdef engine_t *e = self.engine
        cdef sigset_t all_signals
        prctl(PR_SET_TIMERSLACK, 1)  # ns; it counts where real time is refused
        sigfillset(&all_signals)
        pthread_sigmask(SIG_SETMASK, &all_signals, NULL)
        self.thread_id = threading.get_native_id()
        begun.set()
        with nogil:
            run(e)

    def stop(self, double timeout=1.0):
        """End after what was given before this has been done; True when the thread has ended within `timeout` s."""
        if self.thread is None:
            return True
        self._push(COMMAND_STOP, 0, 0, NULL)
        self.go()
        self.thread.join(timeout)
        return not self.thread.is_alive()

    @property
    def native_id(self):
        """The kernel's id of the thread, for its scheduling class; None before `start`."""
        return self.thread_id

    def fileno(self):
        """An eventfd, readable when `events` has something."""
        return self.engine.news

    # ------------------------------------------------------------------------------------------------- commands

    cdef int _push(self, int kind, int index, int64_t number, void *block) except -1:
        cdef engine_t *e = self.engine
        cdef uint64_t head = e.commands_head
        cdef command_t *command
        if head - fh_load_u(&e.commands_tail) >= COMMANDS:
            try:
                self._wait(head - COMMANDS + 1)
            except BaseException:
                free(block)
                raise
        command = &e.commands[head & (COMMANDS - 1)]
        command.kind = kind
        command.index = index
        command.number = number
        command.block = block
        fh_store_u(&e.commands_head, head + 1)
        if not self.holding or head + 1 - self.woken >= HELD:
            self._wake()
        return 0

    cdef int _wake(self) except -1:
        """Tell the engine that there are commands."""
        self.woken = self.engine.commands_head
        if not self.engine.virtual and eventfd_write(self.engine.wake, 1) < 0 and errno != EAGAIN:
            raise OSError(errno, "eventfd")
        return 0

    cdef int _wait(self, uint64_t number) except -1:
        """Until the engine has taken so many commands."""
        cdef engine_t *e = self.engine
        cdef int patience = PATIENCE
        self._wake()
        while <int64_t> (number - fh_load_u(&e.commands_tail)) > 0:
            patience -= 1
            if patience == 0 or e.virtual or self.thread is None:
                raise TimeoutError("the advert engine does not take commands")
            with nogil:
                usleep(100)
        return 0

    def hold(self):
        """Commands are not worth a wake-up each: from now on they wait for `go`, in portions of 64 at most."""
        self.holding = True

    def go(self):
        """What was held is to be done; and from now on every command at once."""
        self.holding = False
        if self.engine.commands_head != self.woken:
            self._wake()

    def grow(self, int instances):
        """Have room for instance numbers up to `instances` - 1, never for fewer than before. Returns when the engine
        has moved, which takes some microseconds."""
        cdef engine_t *e = self.engine
        cdef room_t *room
        cdef int had = e.capacity
        if instances <= had:
            return
        if instances > MOST_INSTANCES:
            raise ValueError(f"{instances} instances")
        room = make_room(instances)
        if room == NULL:
            raise MemoryError
        if self.thread is None:
            move_in(e, room)
        else:
            self._push(COMMAND_GROW, 0, 0, room)
            self._wait(e.commands_head)
        self.free_slots = [*range(instances - 1, had - 1, -1), *self.free_slots]

    cdef int _check(self, instance) except -1:
        if not 0 <= instance < self.engine.capacity:
            raise ValueError(f"instance {instance} of {self.engine.capacity}")
        return instance

    def listen(self, int fd, int family, unsigned int interface=0, int protocol=PROTOCOL):
        """Read adverts from this socket (protocol 112, or 51: with an authentication header; non-blocking, set up by
        `system.sockets`); returns its slot.

        One socket for each (protocol, family, interface, group or unicast source); `interface` is the index. Virtual:
        `fd` is -1.
        """
        cdef socket_t *s
        cdef int slot
        cdef int i
        if not self.free_slots:
            raise ValueError("more sockets than instances")
        s = <socket_t *> calloc(1, sizeof(socket_t))
        if s == NULL:
            raise MemoryError
        s.fd = fd
        s.family = AF_INET if family == 4 else AF_INET6
        s.interface = interface
        s.before = 0 if protocol == PROTOCOL else AH_SIZE
        for i in range(256):
            s.by_vrid[i] = -1
        slot = self.free_slots.pop()
        self._push(COMMAND_LISTEN, slot, 0, s)
        return slot

    def unlisten(self, int slot):
        """Close a socket given to `listen`; its instances are bound elsewhere or unbound before."""
        if not 0 <= slot < self.engine.capacity or slot in self.free_slots:
            raise ValueError(f"listener {slot}")
        self._push(COMMAND_UNLISTEN, slot, 0, NULL)
        self.free_slots.append(slot)

    def close(self, int fd):
        """Close a sending socket when everything given before has been sent."""
        self._push(COMMAND_CLOSE, 0, fd, NULL)

    def bind(self, endpoint, int listener, int sender, unsigned int interface):
        """Tie an instance to its sockets: `listener` a slot, `sender` a raw socket (-1: none, sends fail), `interface`
        its index. Again: moves it; its order stays."""
        cdef int instance = self._check(endpoint.instance)
        cdef binding_t *block
        cdef uint8_t *peer
        cdef bytes key = endpoint.seal.key if endpoint.seal is not None else b""
        cdef const uint8_t *octets = key
        if not 0 <= endpoint.virtual_router_id <= 255 or not 0 <= (endpoint.ttl or 0) <= 255 or len(key) > KEY_SIZE:
            raise ValueError(f"{endpoint}")
        if endpoint.protocol != PROTOCOL and endpoint.family != 4:
            raise ValueError(f"{endpoint}")
        if not -1 <= listener < self.engine.capacity:
            raise ValueError(f"listener {listener}")
        block = <binding_t *> calloc(1, sizeof(binding_t) + 16 * <size_t> len(endpoint.peers))
        if block == NULL:
            raise MemoryError
        try:
            block.listener = listener
            block.sender = sender
            block.interface = interface
            block.family = endpoint.family
            block.vrid = endpoint.virtual_router_id
            block.ttl = -1 if endpoint.ttl is None else endpoint.ttl
            block.multicast = 1 if endpoint.group is not None else 0
            block.has_source = 1 if endpoint.source is not None else 0
            if endpoint.source is not None:
                fill_address(block.source, endpoint.source)
            if endpoint.seal is not None:
                block.seal = endpoint.seal.kind
                block.key_id = endpoint.seal.key_id
                block.window = endpoint.seal.window
                block.key_length = <uint32_t> len(key)
                memcpy(block.key, octets, block.key_length)
            peer = peers_of(block)
            for address in endpoint.peers:
                fill_address(peer, address)
                peer += 16
            block.peers = <uint32_t> len(endpoint.peers)
        except BaseException:
            free(block)
            raise
        self._push(COMMAND_BIND, instance, 0, block)

    def unbind(self, int instance):
        """The instance is no more: nothing is heard for it or sent."""
        self._push(COMMAND_UNBIND, self._check(instance), 0, NULL)

    def order(self, order):
        """Give a standing order (`vrrp.orders.Order`)."""
        cdef int instance = self._check(order.instance)
        self._push(COMMAND_ORDER, instance, 0, make_order(order, order.datagrams))

    def send(self, int instance, tuple datagrams):
        """Send these adverts once, at once, lease or not."""
        self._push(COMMAND_SEND, self._check(instance), 0, make_order(None, datagrams))

    def frames(self, int fd, list frames):
        """Send link-layer frames, (interface index, octets) each, through an AF_PACKET socket, after the adverts that
        are due, a bounded number a turn. The engine does not own `fd`."""
        cdef size_t size = sizeof(frames_t)
        cdef frames_t *block
        cdef frame_t *frame
        cdef bytes octets
        cdef const uint8_t *data
        if not frames:
            return
        for _, octets in frames:
            if not 14 <= len(octets) <= 1514:
                raise ValueError(f"a frame of {len(octets)} octets")
            size += (sizeof(frame_t) + <size_t> len(octets) + 7) & ~<size_t> 7
        block = <frames_t *> calloc(1, size)
        if block == NULL:
            raise MemoryError
        block.fd = fd
        block.count = <uint32_t> len(frames)
        block.at = sizeof(frames_t)
        frame = <frame_t *> (block + 1)
        try:
            for interface, octets in frames:
                data = octets
                frame.interface = interface
                frame.length = <uint32_t> len(octets)
                frame.size = <uint32_t> ((sizeof(frame_t) + frame.length + 7) & ~<size_t> 7)
                memcpy(frame + 1, data, frame.length)
                frame = <frame_t *> (<uint8_t *> frame + frame.size)
        except BaseException:
            free(block)
            raise
        self._push(COMMAND_FRAMES, 0, 0, block)

    def renew(self, int64_t now):
        """The core is alive at `now`: adverts may go on for the longer of 1 s and three intervals."""
        fh_store(&self.engine.lease, now)

    # --------------------------------------------------------------------------------------------------- events

    def events(self, int limit=1024):
        """What has happened, oldest first, at most `limit`; to be followed by `settle` when handled.

        AdvertReceived, MasterDown, LeaseLost, Overslept, EngineLate for the core; SendFailed for the log.
        """
        cdef engine_t *e = self.engine
        cdef uint64_t tail = e.events_tail, head, ignored
        cdef event_t *event
        cdef list result = []
        if not e.virtual:
            eventfd_read(e.news, &ignored)  # before looking, or an event that comes between lies unseen
        head = fh_load_u(&e.events_head)
        while tail != head and len(result) < limit:
            event = &e.events[tail & (e.events_size - 1)]
            if event.kind == EVENT_ADVERT:
                result.append(self._advert(event))
            elif event.kind == EVENT_DOWN:
                result.append(MasterDown(event.instance, event.generation, event.at))
            elif event.kind == EVENT_LEASE:
                result.append(LeaseLost(event.instance, event.generation, event.at))
            elif event.kind == EVENT_OVERSLEPT:
                result.append(Overslept(event.instance, event.generation, event.at))
            elif event.kind == EVENT_LATE:
                result.append(EngineLate(event.at))
            else:
                result.append(SendFailed(event.instance, event.error))
            self.taken = event.number
            tail += 1
        fh_store_u(&e.events_tail, tail)
        if tail != head and not e.virtual:
            eventfd_write(e.news, 1)
        return result

    cdef object _advert(self, event_t *event):
        cdef datagram_t *heard = self.engine.instances[event.instance].report
        cdef int family = 4 if heard.family == 4 else 6
        return AdvertReceived(
            instance=event.instance,
            generation=event.generation,
            source=address_of(heard.source, family),
            destination=address_of(heard.destination, family),
            ttl=heard.ttl,
            multicast=heard.multicast != 0,
            payload=(<const char *> heard.payload)[:heard.length],
            at=event.at,
            length_ok=heard.length_ok != 0,
            interface=heard.interface,
            before=(<const char *> heard.payload - heard.before)[:heard.before],
            wall=heard.wall,
            own_sequence=heard.sequence,
        )

    def settle(self):
        """All events returned so far are handled and the orders that follow from them given: what waited goes on."""
        self._push(COMMAND_SETTLE, 0, <int64_t> self.taken, NULL)

    # ---------------------------------------------------------------------------------------------------- state

    def counters(self, int instance):
        """(adverts sent under orders and once, expected adverts heard) of one instance since it was bound."""
        cdef instance_t *one = &self.engine.instances[self._check(instance)]
        return fh_load_u(&one.sent), fh_load_u(&one.expected)

    def stats(self):
        """Counters of the whole engine by name (`VrrpSnapshot.engine`)."""
        return {name: fh_load_u(&self.engine.counters[i]) for i, name in enumerate(COUNTER_NAMES)}

    def lateness(self):
        """How late adverts left, from when they were due: a Histogram."""
        cdef int i
        cdef list bounds = [], counts = []
        for i in range(BOUNDS):
            bounds.append(LATENESS_BOUNDS[i])
            counts.append(fh_load_u(&self.engine.lateness[i]))
        counts.append(fh_load_u(&self.engine.lateness[<int> BOUNDS]))
        return Histogram(
            bounds=tuple(bounds),
            counts=tuple(counts),
            total=sum(counts),
            maximum=fh_load(&self.engine.lateness_most),
        )

    def unknown_vrids(self, int slot):
        """VRIDs heard on a socket that belong to no instance there."""
        cdef socket_t *s
        if not 0 <= slot < self.engine.capacity or slot in self.free_slots:
            raise ValueError(f"listener {slot}")
        s = self.engine.sockets[slot]
        if s == NULL:  # on its way
            return frozenset()
        return frozenset(v for v in range(256) if s.unknown[v >> 3] >> (v & 7) & 1)

    # -------------------------------------------------------------------------------------------------- virtual

    def step(self, int64_t now, heard=(), *, int64_t away=0, int overflow=-1, int64_t wall=0):
        """Virtual engines only: one turn at `now`, as the thread makes it. Takes the commands, hears `heard`, each
        (slot, AdvertReceived), looks at deadlines; returns [(instance, destination, octets)] sent.

        `away`: the turn comes so much later than the engine wanted. `overflow`: a slot whose queue overflowed. `wall`:
        what the wall clock says. Octets are the message with its trailer, or the whole packet of one sealed with AH.
        """
        cdef engine_t *e = self.engine
        cdef datagram_t got
        cdef datagram_t *sent
        cdef bytes payload
        cdef const uint8_t *data
        cdef list result = []
        if not e.virtual:
            raise RuntimeError("only a virtual engine steps")
        e.turn = now
        e.wall = wall
        take_commands(e, COMMANDS)
        for slot, advert in heard:
            if not 0 <= slot < e.sockets_used or e.sockets[slot] == NULL:
                raise ValueError(f"slot {slot}")
            payload = advert.before + advert.payload
            data = payload
            memset(&got, 0, sizeof(got))
            got.before = <uint32_t> len(advert.before)
            got.payload = data + got.before
            got.length = <uint32_t> len(advert.payload)
            got.at = min(advert.at, now)
            got.wall = advert.wall
            got.interface = advert.interface
            got.family = 4 if e.sockets[slot].family == AF_INET else 6
            got.ttl = advert.ttl
            got.multicast = advert.multicast
            got.length_ok = advert.length_ok
            fill_address(got.source, advert.source)
            fill_address(got.destination, advert.destination)
            hear(e, e.sockets[slot], &got)
        if overflow >= 0:
            e.sockets[overflow].drops += 1
            overflowed(e, e.sockets[overflow])
        if away > 0:
            was_away(e, away)
        fire(e)
        while e.outbox != NULL:
            sent = e.outbox
            e.outbox = sent.next
            result.append((
                <int> sent.interface,
                address_of(sent.destination, sent.family),
                (<const char *> sent.payload)[:sent.length],
            ))
            free(sent)
        return result

    def deadline(self):
        """Virtual engines only: when `step` is due next; None: nothing is."""
        cdef heap_t *heap = &self.engine.heap
        if not self.engine.virtual:
            raise RuntimeError("only a virtual engine tells its deadline")
        return heap.keys[heap.items[0]] if heap.count else None
