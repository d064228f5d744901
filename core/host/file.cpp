// SPDX-License-Identifier: MIT
// File: POSIX. Locks are OFD locks (fcntl(2), "Open file description locks"): unlike classic POSIX locks
// they are not lost when another descriptor of the same file is closed.
#include "core/host/file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>
#endif

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace shadowbox {

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    return *this;
}

File::~File() {
    if (descriptor_ >= 0) close(descriptor_);
}

Expected<File> File::open(const std::string& path, Mode mode) {
    int flags = mode == Mode::kReadOnly    ? O_RDONLY
                : mode == Mode::kReadWrite ? O_RDWR
                : mode == Mode::kCreate    ? O_RDWR | O_CREAT | O_TRUNC
                                           : O_RDWR | O_CREAT | O_EXCL;
    // Content to be read lies in files and disks; others are refused, and a FIFO would have us wait for its
    // writer. What we make may be /dev/null.
    const bool reads = mode == Mode::kReadOnly || mode == Mode::kReadWrite;
    if (reads) flags |= O_NONBLOCK;
    File file;
    file.path_ = path;
    do {
        file.descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    } while (file.descriptor_ < 0 && errno == EINTR);
    if (file.descriptor_ < 0) {
        ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound
                         : errno == EACCES || errno == EPERM || errno == EROFS || errno == EEXIST
                             ? ErrorCode::kDenied
                             : ErrorCode::kIo;
        return make_error(code, "cannot open '{}': {}", path, errno_text(errno));
    }
    struct stat status {};
    if (fstat(file.descriptor_, &status) != 0) return file;
    if (S_ISDIR(status.st_mode)) return make_error(ErrorCode::kInvalidArgument, "'{}' is a directory", path);
    if (reads && !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return make_error(ErrorCode::kInvalidArgument, "'{}' is {}, neither a file nor a disk", path,
                          S_ISFIFO(status.st_mode)   ? "a FIFO"
                          : S_ISCHR(status.st_mode)  ? "a character device"
                          : S_ISSOCK(status.st_mode) ? "a socket"
                                                     : "special");
    return file;
}

Expected<File> File::temporary() {
    const char* directory = std::getenv("TMPDIR");
    std::string name = std::string(directory && *directory ? directory : "/tmp") + "/shadowbox-XXXXXX";
    File file;
    file.descriptor_ = mkostemp(name.data(), O_CLOEXEC);
    if (file.descriptor_ < 0) {
        return make_error(ErrorCode::kIo, "cannot make a temporary file '{}': {}", name, errno_text(errno));
    }
    unlink(name.c_str());
    file.path_ = name;
    return file;
}

Expected<std::vector<u8>> File::read_all(const std::string& path, u64 limit) {
    Expected<File> file = open(path, Mode::kReadOnly);
    if (!file) return tl::unexpected<Error>(file.error());
    Expected<u64> size = file->size();
    if (!size) return tl::unexpected<Error>(size.error());
    if (*size > limit) {
        return make_error(ErrorCode::kInvalidArgument, "'{}' has {} bytes, more than the {} allowed here",
                          path, *size, limit);
    }
    std::vector<u8> content(*size);
    if (Expected<void> done = file->read(0, content); !done) return tl::unexpected<Error>(done.error());
    return content;
}

Expected<void> File::read(u64 offset, std::span<u8> to) const {
    while (!to.empty()) {
        ssize_t count = pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return make_error(ErrorCode::kIo, "cannot read '{}': {}", path_, errno_text(errno));
        if (count == 0)
            return make_error(ErrorCode::kIo, "'{}' ends before offset {}", path_, offset + to.size());
        offset += static_cast<u64>(count);
        to = to.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

Expected<void> File::write(u64 offset, std::span<const u8> from) {
    while (!from.empty()) {
        ssize_t count = pwrite(descriptor_, from.data(), from.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return make_error(ErrorCode::kIo, "cannot write '{}': {}", path_, errno_text(errno));
        offset += static_cast<u64>(count);
        from = from.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

Expected<u64> File::size() const {
    struct stat status {};
    if (fstat(descriptor_, &status) != 0) {
        return make_error(ErrorCode::kIo, "cannot examine '{}': {}", path_, errno_text(errno));
    }
    if (!S_ISBLK(status.st_mode)) return static_cast<u64>(status.st_size);
    off_t end = lseek(descriptor_, 0, SEEK_END);  // a block device has no st_size
    if (end < 0) return make_error(ErrorCode::kIo, "cannot size '{}': {}", path_, errno_text(errno));
    return static_cast<u64>(end);
}

void File::remove_name() { unlink(path_.c_str()); }

Expected<void> File::bypass_cache() {
#ifdef O_DIRECT
    const int flags = fcntl(descriptor_, F_GETFL);
    if (flags >= 0 && fcntl(descriptor_, F_SETFL, flags | O_DIRECT) == 0) return {};
#endif
    return make_error(ErrorCode::kUnsupported, "'{}' cannot be used past the page cache", path_);
}

Expected<void> File::resize(u64 size) {
    if (ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
        return make_error(ErrorCode::kIo, "cannot resize '{}': {}", path_, errno_text(errno));
    }
    return {};
}

Expected<void> File::flush() {
    if (fdatasync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) {
        return make_error(ErrorCode::kIo, "cannot flush '{}': {}", path_, errno_text(errno));
    }
    return {};
}

Expected<void> File::discard(u64 offset, u64 size) {
#ifdef FALLOC_FL_PUNCH_HOLE
    if (fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(size)) == 0) {
        return {};
    }
#endif
    static const std::vector<u8> zeros(u64{1} << 16);
    while (size) {
        u64 part = size < zeros.size() ? size : zeros.size();
        if (Expected<void> done = write(offset, std::span(zeros).first(part)); !done) return done;
        offset += part;
        size -= part;
    }
    return {};
}

Expected<void> File::lock_shared() { return lock(false); }
Expected<void> File::lock_exclusive() { return lock(true); }

Expected<void> File::lock(bool exclusive) {
    struct flock request {};
    request.l_type = exclusive ? F_WRLCK : F_RDLCK;
    request.l_whence = SEEK_SET;
    if (fcntl(descriptor_, F_OFD_SETLK, &request) == 0) return {};
    if (errno == EAGAIN || errno == EACCES) {
        return make_error(ErrorCode::kDenied, "'{}' is in use by another machine", path_);
    }
    return make_error(ErrorCode::kIo, "cannot lock '{}': {}", path_, errno_text(errno));
}

}  // namespace shadowbox
