// SPDX-License-Identifier: MIT
// A small ring of bytes with a fixed capacity: FIFOs of UARTs, keyboards and mice. Never overflows: push()
// says no.
#pragma once

#include <algorithm>

#include "core/archive.h"
#include "core/integers.h"

namespace shadowbox {

template <unsigned Capacity>
class ByteQueue {
 public:
    unsigned size() const { return count_; }
    unsigned room() const { return Capacity - count_; }
    bool empty() const { return count_ == 0; }
    bool full() const { return count_ == Capacity; }
    void clear() { head_ = count_ = 0; }
    bool push(u8 byte) {
        if (full()) return false;
        bytes_[(head_ + count_++) % Capacity] = byte;
        return true;
    }
    /// The oldest byte; 0 if there is none.
    u8 pop() {
        if (empty()) return 0;
        u8 byte = bytes_[head_];
        head_ = (head_ + 1) % Capacity;
        --count_;
        return byte;
    }
    u8 front() const { return empty() ? 0 : bytes_[head_]; }
    void serialize(Archive& archive) {
        archive(bytes_, head_, count_);
        head_ %= Capacity;
        count_ = std::min(count_, u32{Capacity});
    }

 private:
    u8 bytes_[Capacity] = {};
    u32 head_ = 0, count_ = 0;
};

}  // namespace shadowbox
