// SPDX-License-Identifier: MIT
// The asynchronous side of an image, as devices see it. Under the host clock a worker thread does the host's
// I/O and completions come back on the VM's device thread; under icount the I/O is done at once (the guest
// waits, no guest time passes) and completes at a fixed guest time after the request (design section 5).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "devices/storage/block_backend.h"
#include "vmm/disks/image_file.h"

namespace shadowbox {

class IoExecutor {
 public:
    using Work = std::function<IoStatus()>;
    virtual ~IoExecutor() = default;
    /// Runs `work` off the device lock, then `done` under it. Device lock held.
    virtual void submit(Work work, BlockBackend::Completion done) = 0;
    /// Device lock held: runs the completions that are due (host clock).
    virtual void run_completions() {}
    /// Waits until nothing is under way any more; device lock not held.
    virtual void drain() {}
};

class HostIoExecutor final : public IoExecutor {
 public:
    /// `wake` tells the device thread that completions wait.
    explicit HostIoExecutor(std::function<void()> wake);
    ~HostIoExecutor() override;
    void submit(Work work, BlockBackend::Completion done) override;
    void run_completions() override;
    void drain() override;

 private:
    void main();
    struct Job {
        Work work;
        BlockBackend::Completion done;
    };
    struct Finished {
        BlockBackend::Completion done;
        IoStatus status;
    };
    std::function<void()> wake_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;            // guarded by mutex_
    std::vector<Finished> finished_;  // guarded by mutex_
    bool ending_ = false, busy_ = false;
    std::thread thread_;
};

class DeterministicIoExecutor final : public IoExecutor {
 public:
    static constexpr GuestNs kLatency = 100'000;
    explicit DeterministicIoExecutor(TimerQueue& timers);
    void submit(Work work, BlockBackend::Completion done) override;

 private:
    void expire();
    struct Pending {
        GuestNs due;
        BlockBackend::Completion done;
        IoStatus status;
    };
    std::deque<Pending> pending_;  // in order of due time
    TimerQueue& timers_;
    Timer timer_;
};

class ImageBackend final : public BlockBackend {
 public:
    ImageBackend(std::unique_ptr<ImageFile> image, IoExecutor& executor)
        : image_(std::move(image)), executor_(executor) {}
    u64 size_bytes() const override { return image_->size_bytes(); }
    bool read_only() const override { return image_->read_only(); }
    using BlockBackend::read;
    using BlockBackend::write;
    void read(u64 offset, Pieces to, Completion done) override;
    void write(u64 offset, Pieces from, Completion done) override;
    void flush(Completion done) override;
    std::string label() const override { return image_->path(); }

 private:
    std::shared_ptr<ImageFile> image_;
    IoExecutor& executor_;
};

}  // namespace shadowbox
