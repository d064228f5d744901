// SPDX-License-Identifier: MIT
// The stderr logger, and the rate limiter for odd guest behaviour.
#include "core/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace shadowbox {

namespace {

struct OddityLog {
    std::mutex mutex;
    std::map<std::string, unsigned long, std::less<>> counts;
    std::set<std::string, std::less<>> told;  // guest and kind
    std::chrono::steady_clock::time_point window_start{};
    int lines_in_window = 0;
};

OddityLog& oddity_log() {
    static OddityLog log;
    return log;
}

constexpr int kLinesPerSecond = 10;

thread_local std::string_view guest_here;

void count(OddityLog& log, std::string_view kind) {
    auto found = log.counts.find(kind);
    if (found == log.counts.end()) found = log.counts.emplace(std::string(kind), 0).first;
    ++found->second;
}

}  // namespace

void init_logging(bool verbose) {
    auto logger =
        std::make_shared<spdlog::logger>("shadowbox", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%n: %l: %v");
    logger->set_level(verbose ? spdlog::level::debug : spdlog::level::info);
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
}

GuestLogScope::GuestLogScope(std::string_view guest) : before_(guest_here) { guest_here = guest; }
GuestLogScope::~GuestLogScope() { guest_here = before_; }

void guest_habit(std::string_view kind) {
    std::lock_guard lock(oddity_log().mutex);
    count(oddity_log(), kind);
}

void guest_oddity(std::string_view kind, std::string_view text) {
    OddityLog& log = oddity_log();
    std::unique_lock lock(log.mutex);
    count(log, kind);
    // One line per guest and kind: later ones are only counted. The window keeps a guest that meets many
    // kinds at once from flooding the terminal.
    if (!log.told.insert(std::string(guest_here) + '\n' + std::string(kind)).second) return;
    auto now = std::chrono::steady_clock::now();
    if (now - log.window_start >= std::chrono::seconds(1)) {
        log.window_start = now;
        log.lines_in_window = 0;
    }
    if (++log.lines_in_window > kLinesPerSecond) return;
    lock.unlock();
    spdlog::warn("[{}] {}: {}", guest_here.empty() ? "guest" : guest_here, kind, text);
}

unsigned long guest_oddity_count(std::string_view kind) {
    OddityLog& log = oddity_log();
    std::lock_guard lock(log.mutex);
    auto found = log.counts.find(kind);
    return found == log.counts.end() ? 0 : found->second;
}

}  // namespace shadowbox
