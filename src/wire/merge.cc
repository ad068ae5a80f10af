#include "wire/merge.h"

#include <algorithm>
#include <cstring>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/split.h"

namespace vmnet {
namespace {

bool equal(const uint8_t* a, const uint8_t* b, size_t size) { return std::memcmp(a, b, size) == 0; }

const uint8_t* ip_of(Bytes frame, const TransportLayout& layout) {
  return frame.data() + layout.ip;
}

const uint8_t* transport_of(Bytes frame, const TransportLayout& layout) {
  return frame.data() + layout.transport;
}

Bytes addresses_of(Bytes frame, const TransportLayout& layout) {
  return layout.ipv6 ? frame.subspan(layout.ip + 8, 32) : frame.subspan(layout.ip + 12, 8);
}

// Only spreads flows over the table; a collision costs a merge, nothing else.
size_t flow_hash(Bytes frame, const TransportLayout& layout) {
  Bytes addresses = addresses_of(frame, layout);
  uint64_t hash = load_native<uint32_t>(transport_of(frame, layout)) ^ layout.protocol;
  for (size_t at = 0; at < addresses.size(); at += 8) {
    hash = (hash ^ load_native<uint64_t>(addresses.data() + at)) * 0x9e3779b97f4a7c15;
  }
  return hash >> 58;
}

bool same_flow(Bytes a, const TransportLayout& la, Bytes b, const TransportLayout& lb) {
  if (la.ipv6 != lb.ipv6 || la.protocol != lb.protocol) return false;
  Bytes addresses = addresses_of(a, la);
  return equal(addresses.data(), addresses_of(b, lb).data(), addresses.size()) &&
         equal(transport_of(a, la), transport_of(b, lb), 4);
}

bool ip_header_is_plain(Bytes frame, const TransportLayout& layout) {
  if (layout.ip != EthernetHeader::kSize) return false;
  size_t size = layout.transport - layout.ip;
  if (layout.ipv6) return size == Ipv6Header::kSize;
  const uint8_t* ip = ip_of(frame, layout);
  uint16_t fragment = load_be16(ip + Ipv4Header::kFragmentAt);
  return size == Ipv4Header::kMinSize && (fragment & ~Ipv4Header::kDontFragment) == 0 &&
         load_be16(ip + Ipv4Header::kChecksumAt) != 0xffff &&  // splitting would make 0 of it
         ipv4_checksum_is_valid(frame.subspan(layout.ip, size));
}

// To TCP 0xffff is as valid as 0, but splitting would make 0 of it; to UDP 0 means none.
bool checksum_is_plain(Bytes frame, const TransportLayout& layout) {
  uint16_t field = load_be16(transport_of(frame, layout) + layout.checksum_offset());
  return field != (layout.is_tcp() ? 0xffff : 0);
}

bool checksum_is_valid(Bytes frame, const TransportLayout& layout) {
  Bytes segment = frame.subspan(layout.transport, layout.end - layout.transport);
  uint16_t pseudo = pseudo_sum_of(frame, layout, segment.size());
  return checksum_is_plain(frame, layout) && sum_is_valid(ones_add(pseudo, ones_sum(segment)));
}

// A datagram says nothing of what follows it; of a TCP segment, that it is the last to be merged.
bool ends_group(Bytes frame, const TransportLayout& layout) {
  constexpr uint8_t kLast = TcpHeader::kFin | TcpHeader::kPsh;
  return layout.is_tcp() && (transport_of(frame, layout)[TcpHeader::kFlagsAt] & kLast) != 0;
}

// Traffic class, DF, TTL or hop limit, flow label.
bool same_ip_fields(const uint8_t* a, const uint8_t* b, bool ipv6) {
  if (ipv6) return equal(a, b, 4) && a[7] == b[7];
  return a[1] == b[1] && equal(a + 6, b + 6, 3);
}

// Everything of the TCP header but ports, sequence, checksum and the flags that may differ.
bool same_tcp_fields(const uint8_t* a, const uint8_t* b, size_t header_size) {
  constexpr uint8_t kMayDiffer = TcpHeader::kCwr | TcpHeader::kFin | TcpHeader::kPsh;
  auto flags = static_cast<uint8_t>(a[TcpHeader::kFlagsAt] ^ b[TcpHeader::kFlagsAt]);
  return (flags & ~kMayDiffer) == 0 && equal(a + TcpHeader::kAckAt, b + TcpHeader::kAckAt, 5) &&
         equal(a + TcpHeader::kWindowAt, b + TcpHeader::kWindowAt, 2) &&
         equal(a + TcpHeader::kUrgentAt, b + TcpHeader::kUrgentAt, 2) &&
         equal(a + TcpHeader::kMinSize, b + TcpHeader::kMinSize, header_size - TcpHeader::kMinSize);
}

uint16_t id_of(const uint8_t* ip) { return load_be16(ip + Ipv4Header::kIdAt); }

// Whether a segment goes on where `sent` bytes of payload behind the first have ended.
bool continues_tcp(const uint8_t* first, const uint8_t* tcp, size_t sent, size_t header_size) {
  uint32_t expected = load_be32(first + TcpHeader::kSequenceAt) + static_cast<uint32_t>(sent);
  return load_be32(tcp + TcpHeader::kSequenceAt) == expected &&
         (tcp[TcpHeader::kFlagsAt] & TcpHeader::kCwr) == 0 &&
         same_tcp_fields(first, tcp, header_size);
}

// Ids grow by one, as segmentation makes them, or stay the same where they mean nothing (DF,
// RFC 6864, section 4.1).
bool id_step_is_allowed(const uint8_t* ip, uint16_t step) {
  uint16_t fragment = load_be16(ip + Ipv4Header::kFragmentAt);
  return step == 1 || (step == 0 && (fragment & Ipv4Header::kDontFragment) != 0);
}

}  // namespace

Merger::Merger(size_t capacity, Options options) : options_(options) {
  entries_.reserve(capacity);
  clear();
}

void Merger::clear() {
  entries_.clear();
  open_.fill(kEnd);
}

void Merger::add(MutableBytes frame) {
  auto index = static_cast<uint32_t>(entries_.size());
  Entry& entry = entries_.emplace_back();
  entry.part = frame;
  auto layout = find_transport(frame);
  if (!layout) {
    // A fragment or a malformed packet may belong to any flow.
    open_.fill(kEnd);
    return;
  }
  if (!layout->is_tcp() && !options_.merge_udp) return;
  entry.layout = *layout;
  entry.size = layout->end;
  entry.segment_size = layout->payload_size();

  uint32_t& open = open_[flow_hash(frame, *layout)];
  bool mergeable = may_lead(entry);
  if (mergeable && open != kEnd && may_join(entries_[open], entry)) {
    join(open, index);
    bool is_short = layout->payload_size() < entries_[open].segment_size;
    if (is_short || ends_group(frame, *layout)) open = kEnd;
    return;
  }
  if (mergeable) {
    open = ends_group(frame, *layout) ? kEnd : index;
  } else if (open != kEnd &&
             same_flow(entries_[open].part, entries_[open].layout, frame, *layout)) {
    open = kEnd;
  }
}

bool Merger::may_lead(const Entry& entry) const {
  const TransportLayout& layout = entry.layout;
  if (layout.is_tcp()) {
    constexpr uint8_t kNeverMerged = TcpHeader::kSyn | TcpHeader::kRst | TcpHeader::kUrg;
    uint8_t flags = transport_of(entry.part, layout)[TcpHeader::kFlagsAt];
    if ((flags & kNeverMerged) != 0 || (flags & TcpHeader::kAck) == 0) return false;
  }
  // What follows the packet (padding, a trailer) could not be given back by splitting.
  bool ends_with_packet = layout.end == entry.part.size();
  return layout.payload_size() > 1 && ends_with_packet &&
         layout.end <= options_.max_segment_frame && checksum_is_plain(entry.part, layout) &&
         ip_header_is_plain(entry.part, layout);
}

bool Merger::may_join(const Entry& group, const Entry& entry) const {
  const TransportLayout& layout = entry.layout;
  size_t payload = layout.payload_size();
  bool fits = group.segments < kMaxSegments && payload <= group.segment_size &&
              group.size + payload <= options_.max_frame;
  if (!fits || layout.ipv6 != group.layout.ipv6 || layout.payload != group.layout.payload) {
    return false;
  }
  if (!equal(group.part.data(), entry.part.data(), EthernetHeader::kSize) ||
      !same_flow(group.part, group.layout, entry.part, layout)) {
    return false;
  }
  if (layout.is_tcp() &&
      !continues_tcp(transport_of(group.part, group.layout), transport_of(entry.part, layout),
                     group.size - group.layout.payload, layout.payload - layout.transport)) {
    return false;
  }
  const uint8_t* ip = ip_of(entry.part, layout);
  const uint8_t* first_ip = ip_of(group.part, group.layout);
  if (!same_ip_fields(first_ip, ip, layout.ipv6)) return false;
  if (!layout.ipv6) {
    auto distance = static_cast<uint16_t>(id_of(ip) - id_of(first_ip));
    bool right = group.segments == 1
                     ? id_step_is_allowed(ip, distance)
                     : distance == static_cast<uint16_t>(group.id_step * group.segments);
    if (!right) return false;
  }
  if (!options_.verify_checksums) return true;
  bool first_is_known = group.segments > 1;
  return (first_is_known || checksum_is_valid(group.part, group.layout)) &&
         checksum_is_valid(entry.part, layout);
}

void Merger::join(uint32_t group_index, uint32_t entry_index) {
  Entry& group = entries_[group_index];
  Entry& entry = entries_[entry_index];
  const TransportLayout& layout = entry.layout;
  if (group.segments == 1) {
    if (!layout.ipv6) {
      group.id_step = static_cast<uint16_t>(id_of(ip_of(entry.part, layout)) -
                                            id_of(ip_of(group.part, group.layout)));
    }
    group.next = entry_index;
  } else {
    entries_[group.last].next = entry_index;
  }
  group.last = entry_index;
  group.segments++;
  group.size += layout.payload_size();
  entry.leads = false;
  entry.next = kEnd;
  // From here on only flags are read of the joined frame's headers, by finish_group().
  entry.part = entry.part.subspan(layout.payload, layout.payload_size());
}

void Merger::finish() {
  for (Entry& entry : entries_) {
    if (entry.leads && entry.segments > 1) finish_group(entry);
  }
}

void Merger::finish_group(Entry& group) const {
  const TransportLayout& layout = group.layout;
  size_t packet = group.size - layout.ip;
  uint8_t* ip = group.part.data() + layout.ip;
  if (layout.ipv6) {
    store_be16(ip + Ipv6Header::kPayloadLengthAt,
               static_cast<uint16_t>(packet - Ipv6Header::kSize));
  } else {
    store_be16(ip + Ipv4Header::kTotalLengthAt, static_cast<uint16_t>(packet));
    finish_ipv4_checksum(group.part.subspan(layout.ip, Ipv4Header::kMinSize));
  }
  uint8_t type = VirtioHeader::kGsoUdpL4;
  uint8_t* transport = group.part.data() + layout.transport;
  if (layout.is_tcp()) {
    const Entry& last = entries_[group.last];
    const uint8_t* last_tcp = last.part.data() - (layout.payload - layout.transport);
    uint8_t& flags = transport[TcpHeader::kFlagsAt];
    flags |=
        static_cast<uint8_t>(last_tcp[TcpHeader::kFlagsAt] & (TcpHeader::kFin | TcpHeader::kPsh));
    type = layout.ipv6 ? VirtioHeader::kGsoTcpv6 : VirtioHeader::kGsoTcpv4;
    if ((flags & TcpHeader::kCwr) != 0) type |= VirtioHeader::kGsoEcn;
  } else {
    store_be16(transport + UdpHeader::kLengthAt,
               static_cast<uint16_t>(group.size - layout.transport));
  }
  store_be16(transport + layout.checksum_offset(),
             pseudo_sum_of(group.part, layout, group.size - layout.transport));
  group.header = {.flags = VirtioHeader::kNeedsChecksum,
                  .gso_type = type,
                  .header_length = static_cast<uint16_t>(layout.payload),
                  .gso_size = static_cast<uint16_t>(group.segment_size),
                  .checksum_start = static_cast<uint16_t>(layout.transport),
                  .checksum_offset = static_cast<uint16_t>(layout.checksum_offset())};
}

}  // namespace vmnet
