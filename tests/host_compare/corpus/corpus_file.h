// SPDX-License-Identifier: MIT
// The recorded corpus: what real CPUs made of 32-bit sequences, for hosts that cannot ask one. One file of
// sections, one for each CPU vendor and kind of source; a recording replaces its own. Little endian, CRC-32
// over everything, deflated by zlib. Made by recording.h, read by replay.h; entries are laid out in
// corpus_entry.h. Needs no x86.
//
//   "SBCORPUS" version:4 start-state-version:4 derivation:4 sections:4 crc:4 (of all the rest)
//   section: source:1 flags:1 feature words:12 entries:4, vendor and CPU (length:1, text),
//            then for each of the columns: size:4 packed:4, and the packed columns
#pragma once

#include <string>
#include <vector>

#include "sequences/row_use.h"

namespace shadowbox::compare {

constexpr u32 kCorpusVersion = 1;
constexpr std::size_t kCorpusMaxBytes = 3u << 20;  ///< the whole file, whatever is merged into it

enum class CorpusSource : u8 { kRealCpu, kQemuTcg, kResultsOf64Bit };
const char* name_of(CorpusSource source);

using Bytes = std::vector<u8>;

/// Like with like compresses better: code, start states, outcomes.
struct CorpusColumns {
    static constexpr unsigned kCount = 3;
    Bytes code, start, end;
    Bytes& operator[](unsigned n) { return n == 0 ? code : n == 1 ? start : end; }
    const Bytes& operator[](unsigned n) const { return n == 0 ? code : n == 1 ? start : end; }
};

struct CorpusSection {
    CorpusSource source = CorpusSource::kRealCpu;
    std::string vendor, cpu;  ///< CPUID's words
    bool low_page = false;    ///< the page that 16-bit addresses reach was mapped
    HostCpu host;             ///< what it could, and whether it is AMD's
    u32 entries = 0;
    CorpusColumns columns;
};

struct Corpus {
    std::vector<CorpusSection> sections;
    /// Drops the section of the same vendor and source, adds this one.
    void merge(CorpusSection section);
};

/// Empty, or one line: missing, not a corpus, damaged, cut short, of a newer version, of another derivation
/// of states.
std::string read_corpus(const std::string& path, Corpus& corpus);
/// Empty, or why it could not be written.
std::string write_corpus(const std::string& path, const Corpus& corpus);
std::size_t packed_size(const CorpusSection& section);

}  // namespace shadowbox::compare
