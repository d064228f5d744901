// SPDX-License-Identifier: MIT
#include "vmm/lines/char_open.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/log.h"
#include "vmm/lines/char_socket.h"

namespace shadowbox {

namespace {

/// Output only.
class FileLine final : public CharLine {
 public:
    FileLine(Stream file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    void send(std::span<const u8> bytes) override {
        if (file_.write(bytes).ended && !std::exchange(told_, true))
            spdlog::warn("cannot write to '{}': {}; output is being lost", path_, std::strerror(errno));
    }

 private:
    Stream file_;
    std::string path_;
    bool told_ = false;
};

Expected<Stream> open_socket(const ChardevConfig& config) {
    if (!config.path.empty())
        return config.server ? Stream::listen_unix(config.path) : Stream::connect_unix(config.path);
    return config.server ? Stream::listen_tcp(config.host, config.port)
                         : Stream::connect_tcp(config.host, config.port);
}

}  // namespace

Expected<OpenedChar> open_char(const ChardevConfig& config, PollLoop& loop, CharConsole& console,
                               const std::string& guest) {
    OpenedChar opened;
    if (config.kind == "stdio") {
        opened.line = console.add_guest(guest);
    } else if (config.kind == "file") {
        auto file = Stream::create_file(config.path);
        if (!file) return tl::unexpected(file.error());
        opened.line = std::make_unique<FileLine>(std::move(*file), config.path);
    } else if (config.kind == "socket") {
        auto socket = open_socket(config);
        if (!socket) return tl::unexpected(socket.error());
        opened.line = std::make_unique<SocketLine>(loop, std::move(*socket), config.server, config.wait);
    }
    if (!config.log_file.empty()) {
        auto log = Stream::create_file(config.log_file);
        if (!log) return tl::unexpected(log.error());
        opened.log = std::move(*log);
    }
    return opened;
}

}  // namespace shadowbox
