// SPDX-License-Identifier: MIT
#include "corpus/corpus_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "sequences/start_state.h"

namespace shadowbox::compare {

namespace {

constexpr char kMagic[9] = "SBCORPUS";
constexpr std::size_t kHeaderBytes = 8 + 5 * 4;
constexpr u8 kLowPageFlag = 1, kYmmFlag = 2, kAmdFlag = 4;
/// More than a file of ours unpacks to: a bound for what a damaged size can ask for.
constexpr u32 kMaxColumnBytes = 64u << 20;

u32 crc_of(const u8* bytes, std::size_t size) {
    return static_cast<u32>(crc32(0, bytes, static_cast<uInt>(size)));
}

/// Of all but the field that holds it.
u32 checksum(const Bytes& file) {
    uLong crc = crc32(0, file.data(), kHeaderBytes - 4);
    return static_cast<u32>(
        crc32(crc, file.data() + kHeaderBytes, static_cast<uInt>(file.size() - kHeaderBytes)));
}

/// What this build derives from a few numbers: other bytes mean that its entries would start otherwise.
u32 derivation() {
    Bytes drawn;
    auto add = [&drawn](const void* from, std::size_t size) {
        drawn.insert(drawn.end(), static_cast<const u8*>(from), static_cast<const u8*>(from) + size);
    };
    std::vector<u8> image(kImageSize);
    for (u64 seed = 1; seed <= 64; ++seed) {
        RandomSource random = RandomSource::at(seed * 0x9E3779B97F4A7C15);
        TestCase c = derive_start_state(random, true, true, 0x23);
        fill_image(c.memory_seed, image.data(), image.size());
        add(c.start.fx, sizeof c.start.fx);
        add(c.start.ymm_high, sizeof c.start.ymm_high);
        add(c.start.gpr, sizeof c.start.gpr);
        add(&c.start.flags, 8);
        add(&c.code_offset, 4);
        add(image.data(), image.size());
    }
    fill_read_only(image.data());
    add(image.data(), kReadOnlySize);
    return crc_of(drawn.data(), drawn.size());
}

void put32(Bytes& to, u32 value) {
    for (unsigned i = 0; i < 4; ++i) to.push_back(static_cast<u8>(value >> 8 * i));
}
void put_text(Bytes& to, const std::string& text) {
    std::size_t size = std::min<std::size_t>(text.size(), 255);
    to.push_back(static_cast<u8>(size));
    to.insert(to.end(), text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
}

Bytes packed(const Bytes& raw) {
    uLongf size = compressBound(static_cast<uLong>(raw.size()));
    Bytes out(size);
    compress2(out.data(), &size, raw.data(), static_cast<uLong>(raw.size()), 9);
    out.resize(size);
    return out;
}

void put_section(Bytes& to, const CorpusSection& s) {
    to.push_back(static_cast<u8>(s.source));
    to.push_back(static_cast<u8>((s.low_page ? kLowPageFlag : 0) | (s.host.v3 ? kYmmFlag : 0) |
                                 (s.host.amd ? kAmdFlag : 0)));
    for (u32 word : {s.host.leaf1_ecx, s.host.leaf7_ebx, s.host.extended_ecx, s.entries}) put32(to, word);
    put_text(to, s.vendor);
    put_text(to, s.cpu);
    Bytes columns[CorpusColumns::kCount];
    for (unsigned n = 0; n < CorpusColumns::kCount; ++n) {
        columns[n] = packed(s.columns[n]);
        put32(to, static_cast<u32>(s.columns[n].size()));
        put32(to, static_cast<u32>(columns[n].size()));
    }
    for (const Bytes& column : columns) to.insert(to.end(), column.begin(), column.end());
}

/// Reads what a checksum has vouched for, and does not trust it all the same.
struct Cursor {
    const Bytes& bytes;
    std::size_t at = 0;
    bool bad = false;
    const u8* take(std::size_t size) {
        if (bad || size > bytes.size() - at) {
            bad = true;
            return nullptr;
        }
        at += size;
        return bytes.data() + at - size;
    }
    u8 byte() {
        const u8* b = take(1);
        return b ? *b : 0;
    }
    u32 word() {
        const u8* b = take(4);
        return b ? static_cast<u32>(b[0] | b[1] << 8 | b[2] << 16) | static_cast<u32>(b[3]) << 24 : 0;
    }
    std::string text() {
        unsigned size = byte();
        const u8* b = take(size);
        return b ? std::string(reinterpret_cast<const char*>(b), size) : "";
    }
};

bool take_section(Cursor& in, CorpusSection& s) {
    s.source = static_cast<CorpusSource>(in.byte());
    u8 flags = in.byte();
    s.low_page = flags & kLowPageFlag;
    s.host.v3 = flags & kYmmFlag;
    s.host.amd = flags & kAmdFlag;
    for (u32* word : {&s.host.leaf1_ecx, &s.host.leaf7_ebx, &s.host.extended_ecx, &s.entries})
        *word = in.word();
    s.vendor = in.text();
    s.cpu = in.text();
    u32 raw[CorpusColumns::kCount], small[CorpusColumns::kCount];
    for (unsigned n = 0; n < CorpusColumns::kCount; ++n) raw[n] = in.word(), small[n] = in.word();
    for (unsigned n = 0; n < CorpusColumns::kCount; ++n) {
        const u8* from = in.take(small[n]);
        if (!from || raw[n] > kMaxColumnBytes) return false;
        s.columns[n].resize(raw[n]);
        uLongf size = raw[n];
        if (uncompress(s.columns[n].data(), &size, from, small[n]) != Z_OK || size != raw[n]) return false;
    }
    return !in.bad && s.source <= CorpusSource::kResultsOf64Bit;
}

}  // namespace

const char* name_of(CorpusSource source) {
    switch (source) {
        case CorpusSource::kRealCpu: return "real CPU";
        case CorpusSource::kQemuTcg: return "QEMU TCG";
        case CorpusSource::kResultsOf64Bit: return "results of 64-bit mode";
    }
    return "?";
}

void Corpus::merge(CorpusSection section) {
    std::erase_if(sections, [&](const CorpusSection& s) {
        return s.vendor == section.vendor && s.source == section.source;
    });
    sections.push_back(std::move(section));
}

std::string read_corpus(const std::string& path, Corpus& corpus) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return fmt::format("cannot open corpus {}: {}", path, strerror(errno));
    Bytes bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (bytes.size() < 8 || memcmp(bytes.data(), kMagic, 8) != 0)
        return path + " is not a corpus of host_compare";
    Cursor cursor{bytes, 8};
    u32 version = cursor.word(), states = cursor.word(), derived = cursor.word(), sections = cursor.word(),
        crc = cursor.word();
    if (cursor.bad) return fmt::format("corpus {} is cut short", path);
    if (version != kCorpusVersion)
        return fmt::format("corpus {} has version {}, this host_compare reads {}", path, version,
                           kCorpusVersion);
    if (checksum(bytes) != crc)
        return fmt::format("corpus {} is damaged or cut short: its checksum does not fit", path);
    if (states != kStartStateVersion || derived != derivation())
        return fmt::format(
            "corpus {} was recorded with start states that this host_compare derives otherwise "
            "(version {}, here {}): record it again",
            path, states, kStartStateVersion);
    Corpus read;
    for (u32 n = 0; n < sections; ++n) {
        CorpusSection section;
        if (!take_section(cursor, section)) return fmt::format("corpus {} is damaged: section {}", path, n);
        read.sections.push_back(std::move(section));
    }
    if (cursor.at != bytes.size()) return fmt::format("corpus {} is damaged: bytes behind its end", path);
    corpus = std::move(read);
    return "";
}

std::string write_corpus(const std::string& path, const Corpus& corpus) {
    Bytes body, whole(kMagic, kMagic + 8);
    for (const CorpusSection& section : corpus.sections) put_section(body, section);
    put32(whole, kCorpusVersion);
    put32(whole, kStartStateVersion);
    put32(whole, derivation());
    put32(whole, static_cast<u32>(corpus.sections.size()));
    put32(whole, 0);
    whole.insert(whole.end(), body.begin(), body.end());
    Bytes crc;
    put32(crc, checksum(whole));
    std::copy(crc.begin(), crc.end(), whole.begin() + kHeaderBytes - 4);
    if (whole.size() > kCorpusMaxBytes)
        return fmt::format("the corpus would have {} bytes, more than {}", whole.size(), kCorpusMaxBytes);
    std::string fresh = path + ".new";
    std::ofstream out(fresh, std::ios::binary);
    out.write(reinterpret_cast<const char*>(whole.data()), static_cast<std::streamsize>(whole.size()));
    out.close();
    if (!out || std::rename(fresh.c_str(), path.c_str()) != 0)
        return fmt::format("cannot write corpus {}: {}", path, strerror(errno));
    return "";
}

std::size_t packed_size(const CorpusSection& section) {
    Bytes bytes;
    put_section(bytes, section);
    return bytes.size();
}

}  // namespace shadowbox::compare
