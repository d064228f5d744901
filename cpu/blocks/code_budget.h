// SPDX-License-Identifier: MIT
// How much memory decoded blocks and host code may take, of all vCPUs of the process together. Each vCPU says
// what its own take (`Share`); who runs hot grows, and when all are more than the budget the one with the
// most is asked to evict its oldest region. It does so on its own thread, so what is held may exceed the
// budget for a moment.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

class CodeBudget {
 public:
    /// Without being told: a boot of Debian to its login takes 250 MiB, a compiler's run 400.
    static constexpr u64 kDefaultBytes = u64{512} << 20;
    /// However small the budget is, a vCPU is not asked for these.
    static constexpr u64 kLeastShare = 1u << 20;

    class Share {
     public:
        Share(CodeBudget& budget, std::function<void()> ask);
        ~Share();
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;

        /// What the owner's caches take now. May call somebody's `ask`.
        void set(u64 bytes);
        u64 bytes() const { return bytes_.load(std::memory_order_relaxed); }
        /// Up to here the owner may grow without anybody's being asked, or else its equal part of the budget.
        u64 room() const;
        /// Whether it was asked to give back since the last call.
        bool take_asked() { return asked_.load(std::memory_order_relaxed) && asked_.exchange(false); }

     private:
        friend class CodeBudget;
        CodeBudget& budget_;
        const std::function<void()> ask_;  ///< from any thread; must not call back
        std::atomic<u64> bytes_{0};
        std::atomic<bool> asked_{false};
    };

    explicit CodeBudget(u64 limit = kDefaultBytes) : limit_(limit) {}
    void set_limit(u64 bytes) { limit_ = bytes; }
    u64 limit() const { return limit_.load(std::memory_order_relaxed); }
    u64 used() const { return used_.load(std::memory_order_relaxed); }

 private:
    void ask_largest();

    std::atomic<u64> limit_, used_{0};
    std::atomic<u32> count_{0};
    std::mutex mutex_;
    std::vector<Share*> shares_;
};

}  // namespace shadowbox
