# Datagrams of the advert engine: what the kernel says beside one that arrived, and batches of those that leave.

from advert cimport (
    BATCH, CONTROL_SIZE, FRAMES, FRAMES_A_TURN, FRAMES_FAILED, HEAD_SIZE, IP_SIZE, PROTOCOL, SEAL_AH, SEAL_HMAC,
    SEND_FAILED, SENT, TOO_SHORT, TRAILER_SIZE, TRUNCATED, after, batch_t, binding_t, copy_of, count, datagram_t,
    engine_t, frame_t, frames_t, instance_t, order_t, packet_t, packets_of, sending, socket_t
)
from advert_seal cimport AH_PROTOCOL, following, make_authentication, make_trailer, wall_of
from atomic cimport fh_count
from inet cimport get16, put16
from libc.errno cimport EADDRNOTAVAIL, EINTR, EOPNOTSUPP, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from linux_net cimport (
    AF_INET6, AF_INET, AF_PACKET, CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, IPPROTO_IPV6,
    IPV6_HOPLIMIT, IPV6_PKTINFO, MSG_DONTROUTE, MSG_DONTWAIT, MSG_TRUNC, SO_RXQ_OVFL, SO_TIMESTAMPNS, SOL_SOCKET,
    cmsghdr, in6_pktinfo, mmsghdr, msghdr, sendmmsg, sockaddr_in, sockaddr_in6, sockaddr_ll, timespec
)

cdef inline bint dissect(
    engine_t *e, socket_t *s, mmsghdr *message, int64_t now, int64_t wall, datagram_t *heard
) noexcept nogil:
    """Fill `heard` from a received datagram; False, counted, when there is nothing in it to judge."""
    cdef msghdr *header = &message.msg_hdr
    cdef const uint8_t *data = <const uint8_t *> header.msg_iov.iov_base
    cdef uint32_t length = message.msg_len, head = 0
    cdef cmsghdr *control = CMSG_FIRSTHDR(header)
    cdef timespec stamp
    cdef in6_pktinfo info
    cdef int ttl
    cdef int64_t age = 0
    memset(heard, 0, sizeof(datagram_t))
    heard.length_ok = 1
    heard.family = 4 if s.family == AF_INET else 6
    heard.interface = s.interface
    while control != NULL:
        if control.cmsg_level == SOL_SOCKET and control.cmsg_type == SO_TIMESTAMPNS:
            memcpy(&stamp, CMSG_DATA(control), sizeof(timespec))
            age = wall - (stamp.tv_sec * 1_000_000_000 + stamp.tv_nsec)
        elif control.cmsg_level == SOL_SOCKET and control.cmsg_type == SO_RXQ_OVFL:
            memcpy(&s.drops, CMSG_DATA(control), sizeof(uint32_t))
        elif control.cmsg_level == IPPROTO_IPV6 and control.cmsg_type == IPV6_PKTINFO:
            memcpy(&info, CMSG_DATA(control), sizeof(in6_pktinfo))
            memcpy(heard.destination, info.ipi6_addr.s6_addr, 16)
            heard.interface = info.ipi6_ifindex
        elif control.cmsg_level == IPPROTO_IPV6 and control.cmsg_type == IPV6_HOPLIMIT:
            memcpy(&ttl, CMSG_DATA(control), sizeof(int))
            heard.ttl = <uint8_t> (ttl & 0xff)
        control = CMSG_NXTHDR(header, control)
    # the stamp's clock can step: an advert is never younger than now, nor older than the last time the queue was empty
    if age > now - s.drained_at:
        age = now - s.drained_at
    heard.at = now - age if age > 0 else now
    heard.wall = wall - (now - heard.at)
    if header.msg_flags & MSG_TRUNC:
        count(e, TRUNCATED)
        return False
    if s.family == AF_INET6:
        memcpy(heard.source, (<sockaddr_in6 *> header.msg_name).sin6_addr.s6_addr, 16)
        heard.multicast = heard.destination[0] == 0xff
        heard.payload = data
        heard.length = length
        return True
    if length >= 20:
        head = <uint32_t> (data[0] & 15) * 4
    if head >= 20 and s.before:
        heard.before = head + s.before
        head = heard.before
    if head < 20 or head > length:
        count(e, TOO_SHORT)
        return False
    memcpy(heard.source, data + 12, 4)
    memcpy(heard.destination, data + 16, 4)
    heard.multicast = heard.destination[0] >> 4 == 14
    heard.ttl = data[8]
    heard.length_ok = get16(data + 2) == length
    heard.payload = data + head
    heard.length = length - head
    return True


cdef inline void flush(engine_t *e) noexcept nogil:
    """Send what is in the batch."""
    cdef batch_t *out = &e.out
    cdef uint32_t done = 0
    cdef int got, problem
    while done < out.count:
        got = sendmmsg(out.fd, &out.messages[done], out.count - done, out.flags)
        problem = errno
        if got < 0 and problem == EINTR:
            continue
        for _ in range(got):
            if out.owners[done] >= 0:
                count(e, SENT)
                sending(e, out.owners[done], 0)
            else:
                count(e, FRAMES)
            done += 1
        if got <= 0:
            if out.owners[done] >= 0:
                count(e, SEND_FAILED)
                sending(e, out.owners[done], problem)
            else:
                count(e, FRAMES_FAILED)
            done += 1
    out.count = 0


cdef inline uint32_t room(engine_t *e, int fd, int flags, int32_t owner) noexcept nogil:
    """A free place in the batch for a datagram of this descriptor; what does not go with it is sent before."""
    cdef batch_t *out = &e.out
    cdef uint32_t at
    cdef msghdr *header
    if out.count == BATCH or (out.count and (out.fd != fd or out.flags != flags)):
        flush(e)
    at = out.count
    out.count += 1
    out.fd = fd
    out.flags = flags
    out.owners[at] = owner
    header = &out.messages[at].msg_hdr
    memset(header, 0, sizeof(msghdr))
    memset(&out.names[at], 0, sizeof(sockaddr_in6))
    header.msg_name = &out.names[at]
    header.msg_iov = &out.vectors[at * 3]
    return at


cdef inline uint32_t write_head4(engine_t *e, instance_t *one, packet_t *packet, uint8_t *header) noexcept nogil:
    """Our own IPv4 header (no options, no fragments, internetwork control; the kernel sets its checksum) and, of a
    packet sealed so, the authentication header. Octets written; 0 when it cannot be sealed."""
    cdef binding_t *binding = one.binding
    cdef uint32_t size = HEAD_SIZE if binding.seal == SEAL_AH else IP_SIZE
    one.identification = one.identification % 0xffff + 1  # 0 would be replaced by the kernel
    memset(header, 0, IP_SIZE)
    header[0] = 0x45
    header[1] = 0xc0
    put16(header + 2, size + packet.length + (<uint32_t> TRAILER_SIZE if binding.seal == SEAL_HMAC else <uint32_t> 0))
    put16(header + 4, one.identification)
    header[8] = <uint8_t> (binding.ttl & 0xff)
    header[9] = <uint8_t> AH_PROTOCOL if binding.seal == SEAL_AH else <uint8_t> PROTOCOL
    memcpy(header + 12, binding.source, 4)
    memcpy(header + 16, packet.destination, 4)
    if binding.seal == SEAL_AH and not make_authentication(e, one, packet, header):
        return 0
    return size


cdef inline bint head4(engine_t *e, uint32_t at, instance_t *one, packet_t *packet) noexcept nogil:
    """IPv4: with a header of our own. False when it cannot be sealed."""
    cdef uint8_t *header = &e.out.headers[at * HEAD_SIZE]
    cdef sockaddr_in *name = <sockaddr_in *> &e.out.names[at]
    cdef uint32_t size = write_head4(e, one, packet, header)
    name.sin_family = <unsigned short> AF_INET
    memcpy(&name.sin_addr, packet.destination, 4)
    e.out.messages[at].msg_hdr.msg_namelen = sizeof(sockaddr_in)
    e.out.messages[at].msg_hdr.msg_iovlen = 2
    e.out.vectors[at * 3].iov_base = header
    e.out.vectors[at * 3].iov_len = size
    e.out.vectors[at * 3 + 1].iov_base = packet + 1
    e.out.vectors[at * 3 + 1].iov_len = packet.length
    return size > 0


cdef inline void head6(engine_t *e, uint32_t at, instance_t *one, packet_t *packet) noexcept nogil:
    """IPv6: source, interface and hop limit beside the message; the kernel makes header and checksum."""
    cdef binding_t *binding = one.binding
    cdef sockaddr_in6 *name = &e.out.names[at]
    cdef msghdr *header = &e.out.messages[at].msg_hdr
    cdef cmsghdr *control
    cdef in6_pktinfo info
    cdef int hops = binding.ttl
    name.sin6_family = <unsigned short> AF_INET6
    memcpy(&name.sin6_addr, packet.destination, 16)
    name.sin6_scope_id = binding.interface
    header.msg_namelen = sizeof(sockaddr_in6)
    header.msg_iovlen = 1
    e.out.vectors[at * 3].iov_base = packet + 1
    e.out.vectors[at * 3].iov_len = packet.length
    header.msg_control = &e.out.controls[at * CONTROL_SIZE]
    header.msg_controllen = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int))
    memset(header.msg_control, 0, header.msg_controllen)
    memcpy(&info.ipi6_addr, binding.source, 16)
    info.ipi6_ifindex = binding.interface
    control = CMSG_FIRSTHDR(header)
    control.cmsg_level = IPPROTO_IPV6
    control.cmsg_type = IPV6_PKTINFO
    control.cmsg_len = CMSG_LEN(sizeof(in6_pktinfo))
    memcpy(CMSG_DATA(control), &info, sizeof(in6_pktinfo))
    control = CMSG_NXTHDR(header, control)
    control.cmsg_level = IPPROTO_IPV6
    control.cmsg_type = IPV6_HOPLIMIT
    control.cmsg_len = CMSG_LEN(sizeof(int))
    memcpy(CMSG_DATA(control), &hops, sizeof(int))


cdef inline void post(engine_t *e, int32_t instance, packet_t *packet, const uint8_t *trailer) noexcept nogil:
    """Virtual: put a packet where `step` finds it."""
    cdef instance_t *one = &e.instances[instance]
    cdef datagram_t heard
    cdef datagram_t *copy
    cdef uint8_t[HEAD_SIZE] head
    cdef uint32_t size = 0, behind = TRAILER_SIZE if one.binding.seal == SEAL_HMAC else 0
    if one.binding.seal == SEAL_AH:
        size = write_head4(e, one, packet, head)
    memset(&heard, 0, sizeof(datagram_t))
    memcpy(e.scratch, head, size)
    memcpy(e.scratch + size, packet + 1, packet.length)
    memcpy(e.scratch + size + packet.length, trailer, behind)
    heard.payload = e.scratch
    heard.length = size + packet.length + behind
    heard.interface = <uint32_t> instance
    heard.family = one.binding.family
    memcpy(heard.destination, packet.destination, 16)
    copy = copy_of(e, &heard)
    if copy == NULL:
        return
    if e.outbox == NULL:
        e.outbox = copy
    else:
        e.outbox_last.next = copy
    e.outbox_last = copy


cdef inline bint seal(engine_t *e, instance_t *one, packet_t *first, uint8_t *trailer) noexcept nogil:
    """Count one advert on, and make its trailer, which is the same for all destinations (the checksum, in which they
    differ, is not covered). False when that cannot be done."""
    cdef binding_t *binding = one.binding
    if binding.seal == SEAL_HMAC:
        one.sequence = following(one.sequence, wall_of(e), binding.window)
        return binding.has_source and make_trailer(e, one, first, trailer)
    if binding.seal == SEAL_AH:
        one.sequence = <uint32_t> (one.sequence + 1)
        return binding.has_source
    return True


cdef inline void add_trailer(engine_t *e, uint32_t at, const uint8_t *trailer) noexcept nogil:
    """Put a trailer behind the message at this place of the batch."""
    cdef msghdr *header = &e.out.messages[at].msg_hdr
    cdef uint8_t *copy = &e.out.trailers[at * TRAILER_SIZE]
    memcpy(copy, trailer, TRAILER_SIZE)
    e.out.vectors[at * 3 + header.msg_iovlen].iov_base = copy
    e.out.vectors[at * 3 + header.msg_iovlen].iov_len = TRAILER_SIZE
    header.msg_iovlen += 1


cdef inline void send_packets(engine_t *e, int32_t instance, order_t *order) noexcept nogil:
    """Put every packet of `order` into the batch: one advert, one datagram per destination."""
    cdef instance_t *one = &e.instances[instance]
    cdef packet_t *packet = packets_of(order)
    cdef uint8_t[TRAILER_SIZE] trailer
    cdef uint32_t at
    cdef int flags
    cdef bint sealed
    if order.packets == 0 or one.binding == NULL:
        return
    fh_count(&one.sent, 1)
    if not e.virtual and (one.binding.sender < 0 or not one.binding.has_source):
        count(e, SEND_FAILED)
        sending(e, instance, EADDRNOTAVAIL)
        return
    sealed = seal(e, one, packet, trailer)
    for _ in range(order.packets):
        if e.virtual and sealed:
            post(e, instance, packet, trailer)
        elif sealed:
            flags = MSG_DONTWAIT | MSG_DONTROUTE if packet.multicast and one.binding.family == 4 else MSG_DONTWAIT
            at = room(e, one.binding.sender, flags, instance)
            if one.binding.family == 4:
                sealed = head4(e, at, one, packet)
            else:
                head6(e, at, one, packet)
            if one.binding.seal == SEAL_HMAC:
                add_trailer(e, at, trailer)
            if not sealed:
                e.out.count -= 1
        if not sealed:
            count(e, SEND_FAILED)
            sending(e, instance, EOPNOTSUPP)
            return
        packet = after(packet)


cdef inline void send_frames(engine_t *e) noexcept nogil:
    """Send link-layer frames (GARP, neighbour advertisements) that are queued, as many as a turn allows."""
    cdef uint32_t budget = FRAMES_A_TURN, at
    cdef frames_t *block
    cdef frame_t *frame
    cdef sockaddr_ll *name
    while e.frames != NULL and budget:
        block = e.frames
        while block.count and budget:
            frame = <frame_t *> (<uint8_t *> block + block.at)
            block.at += frame.size
            block.count -= 1
            budget -= 1
            at = room(e, block.fd, MSG_DONTWAIT, -1)
            name = <sockaddr_ll *> &e.out.names[at]
            name.sll_family = <unsigned short> AF_PACKET
            name.sll_ifindex = <int> frame.interface
            name.sll_halen = 6
            memcpy(name.sll_addr, frame + 1, 6)
            put16(<uint8_t *> &name.sll_protocol, get16(<uint8_t *> (frame + 1) + 12))
            e.out.messages[at].msg_hdr.msg_namelen = sizeof(sockaddr_ll)
            e.out.messages[at].msg_hdr.msg_iovlen = 1
            e.out.vectors[at * 3].iov_base = frame + 1
            e.out.vectors[at * 3].iov_len = frame.length
        flush(e)
        if block.count == 0:
            e.frames = block.next
            free(block)
