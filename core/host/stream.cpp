// SPDX-License-Identifier: MIT
// Stream: POSIX sockets and descriptors.
#include "core/host/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <utility>

namespace shadowbox {

namespace {

void set_nonblocking(int descriptor) { fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK); }

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Expected<AddressList> look_up(const std::string& host, u16 port, bool passive) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = (passive ? AI_PASSIVE : 0) | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    int error =
        getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error)
        return make_error(ErrorCode::kNotFound, "cannot find host '{}': {}", host, gai_strerror(error));
    return AddressList(found, &freeaddrinfo);
}

Expected<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty()) return make_error(ErrorCode::kInvalidArgument, "a Unix socket needs a path");
    if (path.size() >= sizeof address.sun_path)
        return make_error(ErrorCode::kInvalidArgument,
                          "the socket path '{}' is longer than the {} characters the system allows", path,
                          sizeof address.sun_path - 1);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

}  // namespace

Stream::Stream(Stream&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      socket_(other.socket_),
      owned_(other.owned_),
      unlink_path_(std::exchange(other.unlink_path_, {})) {}

Stream& Stream::operator=(Stream&& other) noexcept {
    if (this == &other) return *this;
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    socket_ = other.socket_;
    owned_ = other.owned_;
    unlink_path_ = std::exchange(other.unlink_path_, {});
    return *this;
}

Stream::~Stream() { close(); }

void Stream::close() {
    if (descriptor_ >= 0 && owned_) ::close(descriptor_);
    descriptor_ = -1;
    if (!unlink_path_.empty()) unlink(std::exchange(unlink_path_, {}).c_str());
}

Expected<Stream> Stream::connect_tcp(const std::string& host, u16 port) {
    auto addresses = look_up(host.empty() ? "localhost" : host, port, false);
    if (!addresses) return tl::unexpected(addresses.error());
    int error = 0;
    for (addrinfo* at = addresses->get(); at; at = at->ai_next) {
        Stream stream(socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol), true);
        if (!stream) continue;
        if (connect(stream.descriptor_, at->ai_addr, at->ai_addrlen) != 0) {
            error = errno;
            continue;
        }
        int yes = 1;
        setsockopt(stream.descriptor_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        set_nonblocking(stream.descriptor_);
        return stream;
    }
    return make_error(ErrorCode::kNotFound, "cannot connect to {}:{}: {}", host, port, errno_text(error));
}

Expected<Stream> Stream::connect_unix(const std::string& path) {
    auto address = unix_address(path);
    if (!address) return tl::unexpected(address.error());
    Stream stream(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), true);
    if (!stream || connect(stream.descriptor_, reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0)
        return make_error(ErrorCode::kNotFound, "cannot connect to socket '{}': {}", path, errno_text(errno));
    set_nonblocking(stream.descriptor_);
    return stream;
}

Expected<Stream> Stream::listen_tcp(const std::string& host, u16 port) {
    auto addresses = look_up(host, port, true);
    if (!addresses) return tl::unexpected(addresses.error());
    int error = 0;
    for (addrinfo* at = addresses->get(); at; at = at->ai_next) {
        Stream stream(socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol),
                      true);
        if (!stream) continue;
        int yes = 1;
        setsockopt(stream.descriptor_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(stream.descriptor_, at->ai_addr, at->ai_addrlen) == 0 &&
            ::listen(stream.descriptor_, 4) == 0)
            return stream;
        error = errno;
        if (error == EADDRINUSE) break;  // the other address family would only hide it
    }
    if (error == EADDRINUSE)
        return make_error(ErrorCode::kDenied, "port {} is in use by another program: choose another port",
                          port);
    return make_error(ErrorCode::kDenied, "cannot listen on {}:{}: {}", host, port, errno_text(error));
}

Expected<Stream> Stream::listen_unix(const std::string& path) {
    auto address = unix_address(path);
    if (!address) return tl::unexpected(address.error());
    struct stat present {};
    if (lstat(path.c_str(), &present) == 0) {
        if (!S_ISSOCK(present.st_mode))
            return make_error(ErrorCode::kDenied, "'{}' exists and is no socket: choose another path", path);
        if (connect_unix(path))
            return make_error(ErrorCode::kDenied,
                              "socket '{}' is in use by another program: choose another path", path);
        unlink(path.c_str());
    }
    Stream stream(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), true);
    if (!stream || bind(stream.descriptor_, reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0 ||
        ::listen(stream.descriptor_, 4) != 0)
        return make_error(ErrorCode::kDenied, "cannot listen on socket '{}': {}", path, errno_text(errno));
    stream.unlink_path_ = path;
    return stream;
}

Expected<Stream> Stream::create_file(const std::string& path) {
    Stream stream(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666), false);
    if (!stream) return make_error(ErrorCode::kDenied, "cannot write file '{}': {}", path, errno_text(errno));
    return stream;
}

Stream Stream::standard(int number) {
    Stream stream(number, false);
    stream.owned_ = false;
    return stream;
}

std::optional<Stream> Stream::accept() {
    int caller = accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (caller < 0) return std::nullopt;
    int yes = 1;
    setsockopt(caller, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);  // fails on Unix sockets, which need none
    return Stream(caller, true);
}

StreamResult Stream::read(std::span<u8> to) {
    for (;;) {
        ssize_t count = ::read(descriptor_, to.data(), to.size());
        if (count > 0) return {static_cast<std::size_t>(count), false};
        if (count == 0) return {0, true};
        if (errno == EINTR) continue;
        return {0, errno != EAGAIN && errno != EWOULDBLOCK};
    }
}

StreamResult Stream::write(std::span<const u8> from) {
    StreamResult result;
    while (result.bytes < from.size()) {
        const u8* at = from.data() + result.bytes;
        const std::size_t left = from.size() - result.bytes;
        // A socket whose other end went is the end of the stream, not of a process that forgot to ignore
        // SIGPIPE.
        ssize_t count =
            socket_ ? ::send(descriptor_, at, left, MSG_NOSIGNAL) : ::write(descriptor_, at, left);
        if (count >= 0) {
            result.bytes += static_cast<std::size_t>(count);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (socket_) break;
            usleep(2000);  // somebody else made our standard stream non-blocking
        } else if (errno != EINTR) {
            result.ended = true;
            break;
        }
    }
    return result;
}

bool Stream::wait_writable(int milliseconds) const {
    pollfd one{descriptor_, POLLOUT, 0};
    return poll(&one, 1, milliseconds) != 0;  // an error is found out by the write
}

u16 Stream::local_port() const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
    if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
    return 0;
}

void ignore_write_signals() {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

}  // namespace shadowbox
