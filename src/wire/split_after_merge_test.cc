// Split after merge is the identity: a million random frames of interleaved flows, most of them
// mergeable, some different, damaged or malformed, are merged and cut again. Each flow must come
// out as it went in, byte for byte and in order. The only licence: the id of IPv4 packets that must
// not be fragmented, where a sender repeats it (RFC 6864, section 4.1).
#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "wire/merge.h"
#include "wire/split.h"
#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;
using test::TcpFrame;

#ifdef NDEBUG
constexpr size_t kFrames = 1'000'000;
#else
constexpr size_t kFrames = 100'000;  // under sanitizers
#endif
constexpr size_t kBatch = 64;

class Generator {
 public:
  Generator() {
    for (size_t i = 0; i < kFlows; i++) {
      Flow& flow = flows_[i];
      flow.next.ipv6 = i % 3 == 0;
      flow.next.udp = i >= kTcpFlows;
      flow.next.tcp.source_port = static_cast<uint16_t>(1000 + i);
      flow.next.tcp.sequence = static_cast<uint32_t>(random_());
      flow.constant_id = i % 4 == 1;
      flow.segment = i == 1 ? 1448 : 2 + (random_() % 90);
      flow.next.options.resize(i % 2 == 0 ? 12 : 0, 1);
    }
  }

  // The flow's number is told to nobody but the test.
  std::pair<size_t, Buffer> next() {
    size_t index = one_in(4) ? random_() % kFlows : last_;
    last_ = index;
    Flow& flow = flows_[index];
    TcpFrame frame = flow.next;
    frame.payload.resize(flow.segment);
    for (size_t i = 0; i < 8 && i < frame.payload.size(); i++) {
      frame.payload[i] = static_cast<uint8_t>(random_());
    }
    if (one_in(8)) frame.payload.resize(random_() % (flow.segment + 1));
    if (one_in(12)) change(frame);
    flow.next.tcp.sequence = frame.tcp.sequence + static_cast<uint32_t>(frame.payload.size());
    if (!flow.constant_id) flow.next.id++;
    Buffer bytes = frame.frame();
    if (bytes.size() < 60 && one_in(2)) bytes.resize(60, static_cast<uint8_t>(random_()));
    if (!one_in(20)) return {index, bytes};
    Buffer damaged = bytes;
    damage(damaged);
    return {same_flow(bytes, damaged) ? index : kFlows + strays_++, damaged};
  }

 private:
  struct Flow {
    TcpFrame next;
    bool constant_id = false;
    size_t segment = 0;
  };

  bool one_in(uint32_t n) { return random_() % n == 0; }

  // A frame whose addresses, ports or protocol were damaged is of another flow to whoever sees it.
  static bool same_flow(const Buffer& before, const Buffer& after) {
    size_t begin = before[12] == 0x86 ? 22 : 26;
    size_t size = before[12] == 0x86 ? 36 : 12;
    size_t protocol = before[12] == 0x86 ? 20 : 23;
    if (after.size() > protocol && after[protocol] != before[protocol]) return false;
    return after.size() < begin + size || after.size() > before.size() ||
           std::equal(before.begin() + static_cast<ptrdiff_t>(begin),
                      before.begin() + static_cast<ptrdiff_t>(begin + size),
                      after.begin() + static_cast<ptrdiff_t>(begin));
  }

  void change(TcpFrame& frame) {
    switch (random_() % 12) {
      case 0:
        frame.tcp.acknowledgement++;
        break;
      case 1:
        frame.tcp.window++;
        break;
      case 2:
        frame.ttl--;
        break;
      case 3:
        frame.traffic_class ^= 3;
        break;
      case 4:
        frame.id = static_cast<uint16_t>(random_());
        break;
      case 5:
        frame.fragment = static_cast<uint16_t>(random_());
        break;
      case 6:
        frame.flow_label ^= 1;
        break;
      case 7:
        frame.tcp.sequence += static_cast<uint32_t>(random_() % 3);
        break;
      case 8:
        frame.tcp.urgent = 1;
        break;
      case 9:
        frame.options.resize(4 * (random_() % 10), 1);
        break;
      case 10:
        frame.tcp.reserved = 1;
        break;
      default:
        frame.tcp.flags ^= static_cast<uint8_t>(random_());
        break;
    }
  }

  void damage(Buffer& bytes) {
    switch (random_() % 4) {
      case 0:
        bytes[random_() % bytes.size()] ^= static_cast<uint8_t>(1 << (random_() % 8));
        break;
      case 1:
        bytes[12 + (random_() % std::min<size_t>(42, bytes.size() - 12))] =
            static_cast<uint8_t>(random_());
        break;
      case 2:
        bytes.resize(random_() % bytes.size());
        break;
      default: {
        const uint8_t tag[] = {0x81, 0, 0, static_cast<uint8_t>(random_() % 2)};
        if (bytes.size() > 12) bytes.insert(bytes.begin() + 12, tag, tag + 4);
      }
    }
  }

  static constexpr size_t kTcpFlows = 7;
  static constexpr size_t kFlows = 10;
  std::mt19937 random_{20261123};
  Flow flows_[kFlows];
  size_t last_ = 0;
  size_t strays_ = 0;
};

bool same(const Buffer& in, Buffer out) {
  if (in == out) return true;
  if (out.size() != in.size() || out.size() < 42) return false;
  bool repeats_id = in[12] == 8 && in[13] == 0 && (in[20] & 0x40) != 0;
  if (!repeats_id) return false;
  if (!ipv4_checksum_is_valid(Bytes(out).subspan(14, 20))) return false;
  for (size_t at : {18U, 19U, 24U, 25U}) out[at] = in[at];
  return in == out;
}

void split_group(const Merger& merger, size_t first, std::vector<Buffer>& out) {
  Buffer frame;
  for (auto at = static_cast<uint32_t>(first); at != Merger::kEnd; at = merger.next(at)) {
    test::append(frame, merger.part(at));
  }
  if (!merger.is_merged(first)) {
    out.push_back(frame);
    return;
  }
  ASSERT_LE(frame.size(), 65'535U);
  auto segmenter = Segmenter::create(merger.header(first), frame, 1514);
  ASSERT_TRUE(segmenter);
  for (size_t i = 0; i < segmenter->count(); i++) {
    Bytes payload = Bytes(frame).subspan(segmenter->payload_start(i), segmenter->payload_size(i));
    Buffer segment(segmenter->header_size());
    segmenter->write_header(i, payload, segment);
    test::append(segment, payload);
    out.push_back(segment);
  }
}

TEST(SplitAfterMerge, IsTheIdentityOnAMillionFrames) {
  Generator generator;
  Merger merger(kBatch, {.merge_udp = true});
  size_t merged = 0;
  for (size_t done = 0; done < kFrames; done += kBatch) {
    std::map<size_t, std::vector<Buffer>> in;
    std::vector<Buffer> batch;
    std::vector<size_t> flow_of;
    for (size_t i = 0; i < kBatch; i++) {
      auto [flow, frame] = generator.next();
      in[flow].push_back(frame);
      batch.push_back(frame);
      flow_of.push_back(flow);
    }
    merger.clear();
    for (Buffer& frame : batch) merger.add(frame);
    merger.finish();
    for (size_t i = 0; i < kBatch; i++) {
      if (!merger.begins_group(i)) continue;
      std::vector<Buffer> out;
      split_group(merger, i, out);
      if (out.size() > 1) merged += out.size();
      // The group's frames are the next ones of the flow that its first frame is of.
      auto& expected = in[flow_of[i]];
      ASSERT_LE(out.size(), expected.size());
      for (size_t j = 0; j < out.size(); j++) {
        ASSERT_TRUE(same(expected[j], out[j]))
            << "frame " << done + i << " segment " << j << "\nin  "
            << testing::PrintToString(expected[j]) << "\nout " << testing::PrintToString(out[j]);
      }
      expected.erase(expected.begin(), expected.begin() + static_cast<ptrdiff_t>(out.size()));
    }
    for (auto& [flow, left] : in) ASSERT_TRUE(left.empty());
  }
  // Without this the test could pass by merging nothing.
  EXPECT_GT(merged, kFrames / 4);
  RecordProperty("merged", static_cast<int>(merged));
}

}  // namespace
}  // namespace vmnet
