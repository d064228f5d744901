// SPDX-License-Identifier: MIT
#include "ui/display/png_file.h"

#include <png.h>

#include <cstring>

#include "core/host/stream.h"

namespace shadowbox {

namespace {

/// Red, green, blue of each pixel.
Expected<std::vector<u8>> rows_of(const ScreenImage& image) {
    if (image.width == 0 || image.height == 0)
        return make_error(ErrorCode::kNotFound, "the screen shows nothing yet");
    std::vector<u8> rows;
    rows.reserve(image.pixels.size() * 3);
    for (u32 pixel : image.pixels)
        rows.insert(rows.end(),
                    {static_cast<u8>(pixel >> 16), static_cast<u8>(pixel >> 8), static_cast<u8>(pixel)});
    return rows;
}

Expected<void> write_file(const std::string& file, std::span<const u8> bytes) {
    auto stream = Stream::create_file(file);
    if (!stream) return tl::unexpected(stream.error());
    if (stream->write(bytes).ended) return make_error(ErrorCode::kIo, "cannot write '{}'", file);
    return {};
}

}  // namespace

Expected<void> write_ppm(const ScreenImage& image, const std::string& file) {
    auto rows = rows_of(image);
    if (!rows) return tl::unexpected(rows.error());
    std::string header = fmt::format("P6\n{} {}\n255\n", image.width, image.height);
    rows->insert(rows->begin(), header.begin(), header.end());
    return write_file(file, *rows);
}

Expected<void> write_png(const ScreenImage& image, const std::string& file) {
    auto rows = rows_of(image);
    if (!rows) return tl::unexpected(rows.error());
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = image.width;
    png.height = image.height;
    png.format = PNG_FORMAT_RGB;
    png_alloc_size_t size = 0;
    bool ok = png_image_write_to_memory(&png, nullptr, &size, 0, rows->data(), 0, nullptr);
    std::vector<u8> bytes(ok ? size : 0);
    ok = ok && png_image_write_to_memory(&png, bytes.data(), &size, 0, rows->data(), 0, nullptr);
    if (!ok) return make_error(ErrorCode::kIo, "cannot encode the screen: {}", png.message);
    return write_file(file, std::span(bytes).first(size));
}

}  // namespace shadowbox
