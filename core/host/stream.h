// SPDX-License-Identifier: MIT
// A byte stream of the host: a socket (TCP or Unix, connected or listening), a standard stream, or a file
// that is only written from front to back. Sockets never block; standard streams and files do.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

struct StreamResult {
    std::size_t bytes = 0;
    bool ended = false;  ///< the other end is gone, or the end of the file
};

class Stream {
 public:
    Stream() = default;
    Stream(Stream&& other) noexcept;
    Stream& operator=(Stream&& other) noexcept;
    ~Stream();

    static Expected<Stream> connect_tcp(const std::string& host, u16 port);
    static Expected<Stream> connect_unix(const std::string& path);
    /// Empty `host`: every address of this machine.
    static Expected<Stream> listen_tcp(const std::string& host, u16 port);
    /// Replaces a socket that nobody serves any more; takes the socket away when closed.
    static Expected<Stream> listen_unix(const std::string& path);
    /// Made or emptied. Also takes FIFOs and terminals.
    static Expected<Stream> create_file(const std::string& path);
    /// 0, 1 or 2; not closed by us.
    static Stream standard(int number);

    /// Of a listening socket: the next caller, if one waits.
    std::optional<Stream> accept();
    StreamResult read(std::span<u8> to);
    /// Sockets: as much as goes without waiting. Others: everything.
    StreamResult write(std::span<const u8> from);
    /// Whether a pipe or terminal takes up to 4096 bytes now, waiting for it up to `milliseconds`.
    bool wait_writable(int milliseconds) const;
    /// A socket's buffered output still leaves; the other end sees the end of the stream.
    void close();
    int descriptor() const { return descriptor_; }
    explicit operator bool() const { return descriptor_ >= 0; }
    /// The TCP port a listening socket got (tests listen on port 0).
    u16 local_port() const;

 private:
    explicit Stream(int descriptor, bool socket) : descriptor_(descriptor), socket_(socket) {}
    int descriptor_ = -1;
    bool socket_ = false, owned_ = true;
    std::string unlink_path_;
};

/// Writing where the reader is gone, or beyond the limit of a file's size (ulimit -f), becomes an error
/// instead of death. Call once at start.
void ignore_write_signals();

}  // namespace shadowbox
