#include "wire/pcapng.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "wire/bytes.h"

namespace vmnet {
namespace {

// A block as a reader takes it apart: its type, what is between head and tail.
struct Block {
  uint32_t type = 0;
  std::vector<uint8_t> body;

  uint32_t at(size_t offset) const { return load_native<uint32_t>(body.data() + offset); }
};

// All blocks of a file, whose sizes must agree.
std::vector<Block> blocks_of(const std::vector<uint8_t>& file) {
  std::vector<Block> blocks;
  size_t offset = 0;
  while (offset + 12 <= file.size()) {
    uint32_t size = load_native<uint32_t>(&file[offset + 4]);
    EXPECT_EQ(size % 4, 0U);
    if (size < 12 || offset + size > file.size()) break;
    EXPECT_EQ(load_native<uint32_t>(&file[offset + size - 4]), size);
    blocks.push_back({load_native<uint32_t>(&file[offset]),
                      {file.begin() + static_cast<ptrdiff_t>(offset + 8),
                       file.begin() + static_cast<ptrdiff_t>(offset + size - 4)}});
    offset += size;
  }
  EXPECT_EQ(offset, file.size());
  return blocks;
}

// The value of the option with that code, of those from `offset` on.
std::vector<uint8_t> option_of(const Block& block, size_t offset, uint16_t code) {
  while (offset + 4 <= block.body.size()) {
    uint16_t found = load_native<uint16_t>(&block.body[offset]);
    uint16_t size = load_native<uint16_t>(&block.body[offset + 2]);
    if (found == 0) {
      EXPECT_EQ(offset + 4, block.body.size()) << "options after the end of options";
      break;
    }
    if (found == code) {
      return {block.body.begin() + static_cast<ptrdiff_t>(offset + 4),
              block.body.begin() + static_cast<ptrdiff_t>(offset + 4 + size)};
    }
    offset += 4 + ((size + 3U) / 4 * 4);
  }
  return {};
}

std::string text_of(const std::vector<uint8_t>& value) { return {value.begin(), value.end()}; }

TEST(Pcapng, BeginsWithASectionAndAnEthernetInterface) {
  auto blocks = blocks_of(pcapng_start("vmnet-helper v0.14.0", "vmnet0"));
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(blocks[0].type, 0x0a0d0d0aU);
  EXPECT_EQ(blocks[0].at(0), 0x1a2b3c4dU);
  EXPECT_EQ(blocks[0].at(4), 1U) << "version 1.0";
  EXPECT_EQ(text_of(option_of(blocks[0], 16, 4)), "vmnet-helper v0.14.0");
  EXPECT_EQ(blocks[1].type, 1U);
  EXPECT_EQ(blocks[1].at(0), 1U) << "Ethernet";
  EXPECT_EQ(blocks[1].at(4), 0U) << "no limit";
  EXPECT_EQ(text_of(option_of(blocks[1], 8, 2)), "vmnet0");
  EXPECT_EQ(option_of(blocks[1], 8, 9), std::vector<uint8_t>{9}) << "nanoseconds";
}

TEST(Pcapng, AnInterfaceWithoutANameHasNone) {
  auto blocks = blocks_of(pcapng_start("x", ""));
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(option_of(blocks[1], 8, 9), std::vector<uint8_t>{9});
}

TEST(Pcapng, HasAFrameOfAnySizeWithItsTimeAndDirection) {
  constexpr uint64_t kTime = 1'795'860'000'123'456'789;
  for (size_t size : {14U, 15U, 16U, 17U, 60U, 1514U, 65'558U}) {
    std::vector<uint8_t> file(pcapng_packet_size(size), 0xee);
    auto place = write_pcapng_packet(file, kTime, CaptureDirection::kOutbound, size);
    ASSERT_EQ(place.size(), size);
    std::ranges::fill(place, 0x5a);
    EXPECT_EQ(pcapng_block_size(file.data()), file.size());
    EXPECT_EQ(pcapng_packet_time(file.data()), kTime);
    auto blocks = blocks_of(file);
    ASSERT_EQ(blocks.size(), 1U);
    const Block& packet = blocks[0];
    EXPECT_EQ(packet.type, 6U);
    EXPECT_EQ(packet.at(0), 0U) << "the first interface";
    EXPECT_EQ(uint64_t{packet.at(4)} << 32 | packet.at(8), kTime);
    EXPECT_EQ(packet.at(12), size);
    EXPECT_EQ(packet.at(16), size);
    const size_t options = 20 + ((size + 3) / 4 * 4);
    EXPECT_TRUE(std::all_of(packet.body.begin() + 20,
                            packet.body.begin() + static_cast<ptrdiff_t>(20 + size),
                            [](uint8_t byte) { return byte == 0x5a; }));
    EXPECT_TRUE(std::all_of(packet.body.begin() + static_cast<ptrdiff_t>(20 + size),
                            packet.body.begin() + static_cast<ptrdiff_t>(options),
                            [](uint8_t byte) { return byte == 0; }));
    auto flags = option_of(packet, options, 2);
    ASSERT_EQ(flags.size(), 4U);
    EXPECT_EQ(load_native<uint32_t>(flags.data()), 2U) << "outbound";
  }
}

TEST(Pcapng, TellsTheDirectionsApart) {
  std::vector<uint8_t> file(pcapng_packet_size(60));
  write_pcapng_packet(file, 0, CaptureDirection::kInbound, 60);
  auto flags = option_of(blocks_of(file)[0], 80, 2);
  EXPECT_EQ(load_native<uint32_t>(flags.data()), 1U);
}

TEST(Pcapng, EndsWithWhatWasLost) {
  auto blocks = blocks_of(pcapng_end(7, 1000, 3));
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(blocks[0].type, 5U);
  EXPECT_EQ(blocks[0].at(8), 7U);
  EXPECT_EQ(load_native<uint64_t>(option_of(blocks[0], 12, 4).data()), 1000U);
  EXPECT_EQ(load_native<uint64_t>(option_of(blocks[0], 12, 5).data()), 3U);
}

}  // namespace
}  // namespace vmnet
