#include "wire/dhcp_message.h"

#include <algorithm>

#include "wire/bytes.h"

namespace vmnet {
namespace {

constexpr uint8_t kBootRequest = 1;
constexpr uint8_t kBootReply = 2;
constexpr uint8_t kEthernet = 1;
constexpr uint32_t kMagicCookie = 0x63825363;

// Offsets of the fixed part (RFC 2131, figure 1).
constexpr size_t kTransactionAt = 4;
constexpr size_t kFlagsAt = 10;
constexpr size_t kClientAt = 12;
constexpr size_t kYoursAt = 16;
constexpr size_t kRelayAt = 24;
constexpr size_t kHardwareAt = 28;
constexpr size_t kHardwareSize = 16;
constexpr size_t kServerNameAt = 44;
constexpr size_t kServerNameSize = 64;
constexpr size_t kFileAt = 108;
constexpr size_t kFileSize = 128;
constexpr size_t kCookieAt = 236;
constexpr size_t kOptionsAt = 240;

constexpr uint8_t kOverloadFile = 1;
constexpr uint8_t kOverloadServerName = 2;

std::optional<Ipv4> address_of(Bytes value) {
  if (value.size() != 4) return std::nullopt;
  return Ipv4{load_be32(value.data())};
}

// What options say, in the order they were met; the first one of a kind counts.
struct Options {
  Bytes type;
  Bytes overload;
  Bytes requested;
  Bytes server_id;
  Bytes client_id;
  Bytes relay_agent;
  Bytes parameters;

  Bytes* find(uint8_t code) {
    switch (static_cast<DhcpOption>(code)) {
      case DhcpOption::kMessageType:
        return &type;
      case DhcpOption::kOverload:
        return &overload;
      case DhcpOption::kRequestedAddress:
        return &requested;
      case DhcpOption::kServerId:
        return &server_id;
      case DhcpOption::kClientId:
        return &client_id;
      case DhcpOption::kRelayAgent:
        return &relay_agent;
      case DhcpOption::kParameterList:
        return &parameters;
      default:
        return nullptr;
    }
  }
};

// False: an option runs past the field.
bool read_options(Bytes field, Options& options) {
  size_t at = 0;
  while (at < field.size()) {
    uint8_t code = field[at++];
    if (code == static_cast<uint8_t>(DhcpOption::kPad)) continue;
    if (code == static_cast<uint8_t>(DhcpOption::kEnd)) return true;
    if (at == field.size()) return false;
    size_t length = field[at++];
    if (length > field.size() - at) return false;
    Bytes* option = options.find(code);
    if (option != nullptr && option->empty()) *option = field.subspan(at, length);
    at += length;
  }
  return true;
}

// RFC 2131, section 4.1: the options field first, then file, then sname.
bool read_all_options(Bytes message, Options& options) {
  if (!read_options(message.subspan(kOptionsAt), options)) return false;
  if (options.overload.size() != 1) return true;
  uint8_t overload = options.overload[0];
  if ((overload & kOverloadFile) != 0 &&
      !read_options(message.subspan(kFileAt, kFileSize), options)) {
    return false;
  }
  return (overload & kOverloadServerName) == 0 ||
         read_options(message.subspan(kServerNameAt, kServerNameSize), options);
}

}  // namespace

std::optional<DhcpRequest> read_dhcp_request(Bytes message) {
  if (message.size() < kOptionsAt) return std::nullopt;
  const uint8_t* p = message.data();
  bool ethernet = p[1] == kEthernet && p[2] == sizeof(Mac::bytes);
  if (p[0] != kBootRequest || !ethernet || load_be32(p + kCookieAt) != kMagicCookie) {
    return std::nullopt;
  }
  Options options;
  if (!read_all_options(message, options) || options.type.size() != 1) return std::nullopt;
  DhcpRequest request{.transaction = load_be32(p + kTransactionAt),
                      .flags = load_be16(p + kFlagsAt),
                      .client = {load_be32(p + kClientAt)},
                      .relay = {load_be32(p + kRelayAt)},
                      .hardware = {},
                      .hardware_field = message.subspan(kHardwareAt, kHardwareSize),
                      .type = static_cast<DhcpType>(options.type[0]),
                      .requested = address_of(options.requested),
                      .server_id = address_of(options.server_id),
                      .client_id = options.client_id,
                      .relay_agent = options.relay_agent,
                      .parameters = options.parameters};
  std::copy_n(p + kHardwareAt, request.hardware.bytes.size(), request.hardware.bytes.begin());
  return request;
}

DhcpWriter::DhcpWriter(const DhcpReply& reply, MutableBytes to) : to_(to), size_(kOptionsAt) {
  std::ranges::fill(to_.first(kOptionsAt), uint8_t{0});
  uint8_t* p = to_.data();
  p[0] = kBootReply;
  p[1] = kEthernet;
  p[2] = sizeof(Mac::bytes);
  store_be32(p + kTransactionAt, reply.transaction);
  store_be16(p + kFlagsAt, reply.flags);
  store_be32(p + kClientAt, reply.client.value);
  store_be32(p + kYoursAt, reply.yours.value);
  store_be32(p + kRelayAt, reply.relay.value);
  std::ranges::copy(reply.hardware_field, p + kHardwareAt);
  store_be32(p + kCookieAt, kMagicCookie);
}

void DhcpWriter::add(DhcpOption option, Bytes value) {
  constexpr size_t kEndSize = 1;
  if (value.size() > 255 || size_ + 2 + value.size() + kEndSize > to_.size()) return;
  to_[size_++] = static_cast<uint8_t>(option);
  to_[size_++] = static_cast<uint8_t>(value.size());
  std::ranges::copy(value, to_.begin() + static_cast<ptrdiff_t>(size_));
  size_ += value.size();
}

void DhcpWriter::add_u16(DhcpOption option, uint16_t value) {
  uint8_t bytes[2];
  store_be16(bytes, value);
  add(option, bytes);
}

void DhcpWriter::add_u32(DhcpOption option, uint32_t value) {
  uint8_t bytes[4];
  store_be32(bytes, value);
  add(option, bytes);
}

size_t DhcpWriter::finish() {
  to_[size_++] = static_cast<uint8_t>(DhcpOption::kEnd);
  while (size_ < kMinMessage) to_[size_++] = 0;
  return size_;
}

}  // namespace vmnet
