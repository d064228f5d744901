// SPDX-License-Identifier: MIT
// The wait of a PPN lock: a few dozen pauses, then yielding, since the host may have fewer processors than we
// have threads.
#pragma once

#include "core/host/thread.h"

namespace shadowbox {

class SpinWait {
 public:
    void pause() {
        if (++count_ > 64) {
            yield_thread();
            return;
        }
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }

 private:
    unsigned count_ = 0;
};

}  // namespace shadowbox
