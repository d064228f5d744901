// SPDX-License-Identifier: MIT
#include "ui/monitor/translation_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/host/thread.h"
#include "ui/monitor/disassembly.h"

namespace shadowbox {

namespace {

void append_listing(std::string& out, std::span<const u8> bytes, u64 address, unsigned bits) {
    for (std::size_t at = 0; at < bytes.size();) {
        DisassembledInsn insn = disassemble(bytes.subspan(at), address + at, bits);
        std::string hex;
        for (unsigned i = 0; i < insn.length && at + i < bytes.size(); ++i)
            hex += fmt::format("{:02x}", bytes[at + i]);
        out += fmt::format("0x{:012x}:  {:<30} {}\n", address + at, hex, insn.text);
        at += insn.length;
    }
}

Expected<std::FILE*> open_text(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (!file) return make_error(ErrorCode::kIo, "{}: {}", path, std::strerror(errno));
    return file;
}

}  // namespace

Expected<std::unique_ptr<TranslationLog>> TranslationLog::create(const TranslationLogConfig& config) {
    std::unique_ptr<TranslationLog> log(new TranslationLog(config));
    if (config.guest_code || config.host_code) {
        if (config.file.empty()) {
            log->text_.reset(stderr);
        } else {
            auto file = open_text(config.file);
            if (!file) return wrap_error(file.error(), "-D");
            log->text_.reset(*file);
        }
    }
    if (config.perf_map) {
        auto file = open_text(fmt::format("/tmp/perf-{}.map", process_id()));
        if (!file) return wrap_error(file.error(), "-perfmap");
        log->map_.reset(*file);
    }
    return log;
}

void TranslationLog::translated(const jit::Translation& block) {
    std::string text;
    if (config_.guest_code) {
        for (const auto& code : block.guest) {
            text += fmt::format("IN: vcpu {} rip 0x{:x} [{} instructions]\n", block.vcpu, code.rip,
                                code.instructions);
            append_listing(text, code.bytes, code.rip, block.bits);
        }
    }
    if (config_.host_code) {
        for (auto [title, code] : {std::pair{"OUT", &block.host}, std::pair{"COLD", &block.cold}}) {
            text += fmt::format("{}: rip 0x{:x} [size={}]\n", title, block.guest[0].rip, code->bytes.size());
            append_listing(text, code->bytes, code->address, 64);
        }
    }
    std::lock_guard lock(mutex_);
    if (text_) fmt::print(text_.get(), "{}\n", text);
    if (map_) {
        fmt::print(map_.get(), "{:x} {:x} guest_{:x}\n", block.host.address, block.host.bytes.size(),
                   block.guest[0].rip);
        fmt::print(map_.get(), "{:x} {:x} cold_{:x}\n", block.cold.address, block.cold.bytes.size(),
                   block.guest[0].rip);
        std::fflush(map_.get());  // perf reads it when the process may be gone without ceremony
    }
}

}  // namespace shadowbox
