// SPDX-License-Identifier: MIT
#include "vmm/disks/image_backend.h"

#include "core/host/thread.h"
#include "core/log.h"

namespace shadowbox {

HostIoExecutor::HostIoExecutor(std::function<void()> wake)
    : wake_(std::move(wake)), thread_([this] { main(); }) {}

HostIoExecutor::~HostIoExecutor() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void HostIoExecutor::submit(Work work, BlockBackend::Completion done) {
    {
        std::lock_guard lock(mutex_);
        jobs_.push_back({std::move(work), std::move(done)});
    }
    changed_.notify_all();
}

void HostIoExecutor::main() {
    name_thread("disk");
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        if (jobs_.empty()) return;  // what was submitted is still written before the end
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        busy_ = true;
        lock.unlock();
        IoStatus status = job.work();
        lock.lock();
        finished_.push_back({std::move(job.done), status});
        lock.unlock();
        wake_();
        lock.lock();
        busy_ = false;  // not before: who drains may count on being woken
        changed_.notify_all();
    }
}

void HostIoExecutor::run_completions() {
    std::vector<Finished> finished;
    {
        std::lock_guard lock(mutex_);
        finished.swap(finished_);
    }
    for (Finished& item : finished) item.done(item.status);
}

void HostIoExecutor::drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return jobs_.empty() && !busy_; });
}

DeterministicIoExecutor::DeterministicIoExecutor(TimerQueue& timers)
    : timers_(timers), timer_(timers, "disk", [this] { expire(); }) {}

void DeterministicIoExecutor::submit(Work work, BlockBackend::Completion done) {
    IoStatus status = work();
    pending_.push_back({timers_.now() + kLatency, std::move(done), status});
    if (!timer_.armed()) timer_.arm(pending_.front().due);
}

void DeterministicIoExecutor::expire() {
    GuestNs now = timers_.now();
    while (!pending_.empty() && pending_.front().due <= now) {
        Pending item = std::move(pending_.front());
        pending_.pop_front();
        item.done(item.status);
    }
    if (!pending_.empty()) timer_.arm(pending_.front().due);
}

namespace {
/// A full disk fails every request of a busy guest: the first is told, then their number each time it grew
/// tenfold.
IoStatus report(ImageFile& image, const Expected<void>& result) {
    if (result) return IoStatus::kOk;
    u64 count = image.count_failure(), round = 10;
    while (round < count) round *= 10;
    if (count == 1)
        spdlog::error("disk I/O failed, the guest gets an error: {}", result.error().text());
    else if (count == round)
        spdlog::error("disk I/O failed {} times on '{}', last: {}", count, image.path(),
                      result.error().text());
    return IoStatus::kError;
}
}  // namespace

void ImageBackend::read(u64 offset, Pieces to, Completion done) {
    executor_.submit(
        [image = image_, offset, to = std::move(to)] {
            u64 at = offset;
            for (const BlockPiece& piece : to) {
                if (auto result = image->read(at, piece.bytes); !result) return report(*image, result);
                at += piece.bytes.size();
            }
            return IoStatus::kOk;
        },
        std::move(done));
}

void ImageBackend::write(u64 offset, Pieces from, Completion done) {
    if (image_->read_only()) return done(IoStatus::kReadOnly);
    executor_.submit(
        [image = image_, offset, from = std::move(from)] {
            u64 at = offset;
            for (const BlockPiece& piece : from) {
                if (auto result = image->write(at, piece.bytes); !result) return report(*image, result);
                at += piece.bytes.size();
            }
            return IoStatus::kOk;
        },
        std::move(done));
}

void ImageBackend::flush(Completion done) {
    executor_.submit([image = image_] { return report(*image, image->flush()); }, std::move(done));
}

}  // namespace shadowbox
