// --capture: every frame that crosses the VM's socket, into a file or to a live reader, as pcapng.
//
// Whoever moves frames copies them into a ring and goes on; a thread writes the rings to the file.
// A slow disk or reader fills the rings, and what finds no room then is lost to the capture and
// counted. When the file cannot be written any more the capture ends, and says so in the log.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "platform/frame_batch.h"

namespace vmnet {

struct CaptureConfig {
  UniqueFd file;           // open for writing; a FIFO does not block
  std::string name;        // of the file, as the user knows it
  uint64_t max_bytes = 0;  // the file grows no larger
  std::string application;
  std::string interface_name;
};

struct CaptureCounts {
  uint64_t packets = 0;  // put into the rings
  uint64_t bytes = 0;    // of them
  uint64_t drops = 0;    // lost for want of room
};

class Capture {
 public:
  // Allocates all there is to allocate and writes the beginning of the file.
  static Result<std::unique_ptr<Capture>> create(CaptureConfig config);
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // Writes what is there still, unless that takes too long (half a second). Nobody adds frames.
  ~Capture();

  // Starts the thread that writes, and returns when it is there.
  Status start_thread();

  // Each of these never waits for the file. By the thread that reads the VM's socket.
  void add_from_vm(ReceiveBatch& batch);
  // By the thread that writes it.
  void add_to_vm(const SendBatch& batch);
  // A frame that the helper itself made for the VM. Any thread.
  void add_reply(std::span<const uint8_t> frame);

  // Any thread.
  CaptureCounts counts() const;

 private:
  class Writer;
  explicit Capture(std::shared_ptr<Writer> writer);

  // Of the thread too, which a write that does not return may keep longer than this.
  std::shared_ptr<Writer> writer_;
  Thread thread_;
};

}  // namespace vmnet
