// The VM's end with a capture at it: what crosses it is copied, and nothing else changes.
#pragma once

#include <memory>

#include "forward/capture.h"
#include "forward/vm_end.h"

namespace vmnet {

class CapturedVmEnd final : public VmEnd {
 public:
  // `capture` outlives the object.
  CapturedVmEnd(std::unique_ptr<VmEnd> end, Capture& capture)
      : end_(std::move(end)), capture_(capture) {}

  Transfer read(ReceiveBatch& batch) override {
    Transfer transfer = end_->read(batch);
    capture_.add_from_vm(batch);
    return transfer;
  }
  // Before they go, since the VM may answer at once.
  Transfer write(const SendBatch& batch) override {
    capture_.add_to_vm(batch);
    return end_->write(batch);
  }
  void send(std::span<const uint8_t> frame) override {
    capture_.add_reply(frame);
    end_->send(frame);
  }

  int ready_fd() const override { return end_->ready_fd(); }
  uint64_t epoch() const override { return end_->epoch(); }
  bool is_bound() const override { return end_->is_bound(); }
  ReadShape read_shape(size_t max_frame) const override { return end_->read_shape(max_frame); }
  Client client() const override { return end_->client(); }
  void client_gone(uint64_t epoch) override { end_->client_gone(epoch); }
  const WakeUp& client_changed() const override { return end_->client_changed(); }
  uint64_t refused() const override { return end_->refused(); }
  std::string_view what_is_refused() const override { return end_->what_is_refused(); }
  int admission_fd() const override { return end_->admission_fd(); }
  void accept_clients() override { end_->accept_clients(); }

 private:
  std::unique_ptr<VmEnd> end_;
  Capture& capture_;
};

}  // namespace vmnet
