// SPDX-License-Identifier: MIT
// Translated blocks for people and for perf: `-d in_asm,out_asm` (QEMU's words) as text through Capstone, to
// stderr or to the file of -D; `-perfmap` as /tmp/perf-PID.map, by which perf gives samples in translated
// code a guest address.
#pragma once

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "core/error.h"
#include "cpu/jit/translation_listener.h"

namespace shadowbox {

struct TranslationLogConfig {
    bool guest_code = false;  ///< -d in_asm
    bool host_code = false;   ///< -d out_asm
    std::string file;         ///< -D; empty: stderr
    bool perf_map = false;
    bool wanted() const { return guest_code || host_code || perf_map; }
};

class TranslationLog final : public jit::TranslationListener {
 public:
    static Expected<std::unique_ptr<TranslationLog>> create(const TranslationLogConfig& config);
    void translated(const jit::Translation& block) override;

 private:
    struct Close {
        void operator()(std::FILE* file) const {
            if (file != stderr) std::fclose(file);
        }
    };
    using Stream = std::unique_ptr<std::FILE, Close>;

    explicit TranslationLog(const TranslationLogConfig& config) : config_(config) {}

    const TranslationLogConfig config_;
    std::mutex mutex_;   // one block's lines stay together
    Stream text_, map_;  // guarded by mutex_
};

}  // namespace shadowbox
