#include "wire/pcapng.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "wire/bytes.h"

namespace vmnet {
namespace {

constexpr uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr uint32_t kInterfaceDescription = 1;
constexpr uint32_t kInterfaceStatistics = 5;
constexpr uint32_t kEnhancedPacket = 6;

constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr uint16_t kLinkTypeEthernet = 1;
constexpr uint8_t kNanoseconds = 9;  // 10 to the -9

// Codes of options, each of its kind of block.
constexpr uint16_t kUserApplication = 4;
constexpr uint16_t kInterfaceName = 2;
constexpr uint16_t kTimeResolution = 9;
constexpr uint16_t kPacketFlags = 2;
constexpr uint16_t kReceived = 4;
constexpr uint16_t kDropped = 5;

constexpr size_t kPacketHead = 28;
constexpr size_t kPacketTail = 16;

template <typename T>
void store_native(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

// A block being put together: numbers in this machine's order, everything padded to four bytes.
class Block {
 public:
  explicit Block(uint32_t type) {
    add(type);
    add(uint32_t{0});  // the size, known at the end
  }

  template <typename T>
  void add(T value) {
    auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(value));
  }

  void add_option(uint16_t code, std::span<const uint8_t> value) {
    add(code);
    add(static_cast<uint16_t>(value.size()));
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize((bytes_.size() + 3) / 4 * 4);
  }
  void add_option(uint16_t code, std::string_view text) {
    add_option(code, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  void add_option(uint16_t code, uint64_t number) {
    add_option(code, {reinterpret_cast<const uint8_t*>(&number), sizeof(number)});
  }

  // Its options and it are at their end.
  std::vector<uint8_t> finish() && {
    add(uint32_t{0});
    auto size = static_cast<uint32_t>(bytes_.size() + sizeof(uint32_t));
    store_native(bytes_.data() + 4, size);
    add(size);
    return std::move(bytes_);
  }

 private:
  std::vector<uint8_t> bytes_;
};

void add_time(Block& block, uint64_t time) {
  block.add(static_cast<uint32_t>(time >> 32));
  block.add(static_cast<uint32_t>(time));
}

}  // namespace

std::vector<uint8_t> pcapng_start(std::string_view application, std::string_view interface_name) {
  Block section(kSectionHeader);
  section.add(kByteOrderMagic);
  section.add(uint16_t{1});  // version 1.0
  section.add(uint16_t{0});
  section.add(~uint64_t{0});  // the section's size: not told
  section.add_option(kUserApplication, application);
  std::vector<uint8_t> start = std::move(section).finish();

  Block interface(kInterfaceDescription);
  interface.add(kLinkTypeEthernet);
  interface.add(uint16_t{0});  // reserved
  interface.add(uint32_t{0});  // frames are not cut
  if (!interface_name.empty()) interface.add_option(kInterfaceName, interface_name);
  interface.add_option(kTimeResolution, {&kNanoseconds, 1});
  std::vector<uint8_t> description = std::move(interface).finish();
  start.insert(start.end(), description.begin(), description.end());
  return start;
}

MutableBytes write_pcapng_packet(MutableBytes block, uint64_t time, CaptureDirection direction,
                                 size_t frame_size) {
  uint8_t* head = block.data();
  auto block_size = static_cast<uint32_t>(block.size());
  auto size = static_cast<uint32_t>(frame_size);
  store_native(head, kEnhancedPacket);
  store_native(head + 4, block_size);
  store_native(head + 8, uint32_t{0});  // the interface
  store_native(head + 12, static_cast<uint32_t>(time >> 32));
  store_native(head + 16, static_cast<uint32_t>(time));
  store_native(head + 20, size);  // here, and as it was
  store_native(head + 24, size);
  uint8_t* tail = head + block.size() - kPacketTail;
  std::fill(head + kPacketHead + frame_size, tail, 0);
  store_native(tail, kPacketFlags);
  store_native(tail + 2, uint16_t{4});
  store_native(tail + 4, static_cast<uint32_t>(direction));
  store_native(tail + 8, uint32_t{0});  // no more options
  store_native(tail + 12, block_size);
  return block.subspan(kPacketHead, frame_size);
}

size_t pcapng_block_size(const uint8_t* block) { return load_native<uint32_t>(block + 4); }

uint64_t pcapng_packet_time(const uint8_t* block) {
  return uint64_t{load_native<uint32_t>(block + 12)} << 32 | load_native<uint32_t>(block + 16);
}

std::vector<uint8_t> pcapng_end(uint64_t time, uint64_t frames, uint64_t lost) {
  Block statistics(kInterfaceStatistics);
  statistics.add(uint32_t{0});  // the interface
  add_time(statistics, time);
  statistics.add_option(kReceived, frames);
  statistics.add_option(kDropped, lost);
  return std::move(statistics).finish();
}

}  // namespace vmnet
