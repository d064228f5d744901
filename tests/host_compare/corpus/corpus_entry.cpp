// SPDX-License-Identifier: MIT
#include "corpus/corpus_entry.h"

#include <cstring>
#include <memory>

#include "sequences/start_state.h"

namespace shadowbox::compare {

namespace {

// The head of an entry: how many instructions, and how its start is told.
constexpr u8 kInsnsMask = 7, kProgram = 8, kWrittenOut = 16, kMoved = 32, kOtherSelector = 64;
constexpr u8 kMemoryHashed = 0xFF;

/// What is compared of x87 and vector state, without what is not; x87 registers by their own numbers, which a
/// push or pop does not change.
constexpr unsigned kX87At = 9, kXmmAt = kX87At + 80, kYmmAt = kXmmAt + 256, kStateBytes = kYmmAt + 256;
using StateBytes = u8[kStateBytes];

unsigned top_of(const u8* fx) { return fx[3] >> 3 & 7; }

void gather(const MachineState& s, StateBytes& out) {
    memcpy(out, s.fx, 5);
    memcpy(out + 5, s.fx + 24, 4);
    for (unsigned i = 0; i < 8; ++i)
        memcpy(out + kX87At + 10 * ((top_of(s.fx) + i) & 7), s.fx + 32 + 16 * i, 10);
    memcpy(out + kXmmAt, s.fx + 160, 256);
    memcpy(out + kYmmAt, s.ymm_high, 256);
}

void scatter(const StateBytes& in, MachineState& s) {
    memcpy(s.fx, in, 5);
    memcpy(s.fx + 24, in + 5, 4);
    for (unsigned i = 0; i < 8; ++i)
        memcpy(s.fx + 32 + 16 * i, in + kX87At + 10 * ((top_of(s.fx) + i) & 7), 10);
    memcpy(s.fx + 160, in + kXmmAt, 256);
    memcpy(s.ymm_high, in + kYmmAt, 256);
}

void put(Bytes& to, u64 value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) to.push_back(static_cast<u8>(value >> 8 * i));
}
void put_varint(Bytes& to, u64 value) {
    for (; value >= 0x80; value >>= 7) to.push_back(static_cast<u8>(value | 0x80));
    to.push_back(static_cast<u8>(value));
}
u64 folded(i64 value) { return static_cast<u64>(value) << 1 ^ static_cast<u64>(value >> 63); }
i64 unfolded(u64 value) { return static_cast<i64>(value >> 1) ^ -static_cast<i64>(value & 1); }

/// Where `now` differs from `before`: runs of bytes with the distance between them. Single equal bytes do not
/// part a run.
void put_changes(Bytes& to, const u8* before, const u8* now, unsigned size) {
    Bytes runs;
    unsigned count = 0, last = 0;
    auto differs = [&](unsigned at) { return at < size && before[at] != now[at]; };
    for (unsigned at = 0; at < size; ++at) {
        if (!differs(at)) continue;
        unsigned end = at + 1;
        while (differs(end) || differs(end + 1)) ++end;
        put_varint(runs, at - last);
        put_varint(runs, end - at);
        runs.insert(runs.end(), now + at, now + end);
        last = at = end;
        ++count;
    }
    put_varint(to, count);
    to.insert(to.end(), runs.begin(), runs.end());
}

struct Reader {
    const Bytes& bytes;
    std::size_t at = 0;
    bool bad = false;

    u64 number(unsigned size) {
        u64 value = 0;
        for (unsigned i = 0; i < size; ++i) value |= u64{byte()} << 8 * i;
        return value;
    }
    u8 byte() {
        if (at >= bytes.size()) bad = true;
        return bad ? 0 : bytes[at++];
    }
    u64 varint() {
        u64 value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            u8 b = byte();
            value |= u64{b & 0x7Fu} << shift;
            if (!(b & 0x80)) break;
        }
        return value;
    }
    void copy(u8* to, u64 size) {
        if (bad || size > bytes.size() - at) {
            bad = true;
            return;
        }
        memcpy(to, bytes.data() + at, size);
        at += size;
    }
    void changes(u8* now, u64 size) {
        u64 place = 0;
        for (u64 runs = varint(); runs && !bad; --runs) {
            place += varint();
            u64 length = varint();
            if (place > size || length > size - place)
                bad = true;
            else
                copy(now + place, length);
            place += length;
        }
    }
};

/// Registers, flags, x87 and vectors.
void put_state(Bytes& to, const MachineState& before, const MachineState& now) {
    u8 mask = 0;
    Bytes values;
    for (unsigned i = 0; i < 8; ++i) {
        if (static_cast<u32>(before.gpr[i]) == static_cast<u32>(now.gpr[i])) continue;
        mask = static_cast<u8>(mask | 1u << i);
        put(values, now.gpr[i], 4);
    }
    to.push_back(mask);
    to.insert(to.end(), values.begin(), values.end());
    put_varint(to, (before.flags ^ now.flags) & 0xFFFFFFFF);
    StateBytes a, b;
    gather(before, a);
    gather(now, b);
    put_changes(to, a, b, kStateBytes);
}

void take_state(Reader& in, MachineState& s) {
    u8 mask = in.byte();
    for (unsigned i = 0; i < 8; ++i)
        if (mask >> i & 1) s.gpr[i] = in.number(4);
    s.flags ^= in.varint();
    StateBytes bytes;
    gather(s, bytes);
    in.changes(bytes, kStateBytes);
    scatter(bytes, s);
}

TestCase derived_case(u64 seed, bool ymm) {
    RandomSource random = RandomSource::at(seed);
    return derive_start_state(random, true, ymm, 0x23);
}

void put_memory(Bytes& to, const TestCase& c, const Outcome& outcome) {
    static u8 before[kImageSize];
    fill_image(c.memory_seed, before, kImageSize);
    apply_patches(c, before);
    unsigned changed = 0;
    for (unsigned i = 0; i < kImageSize; ++i) changed += before[i] != outcome.image[i];
    bool hashed = changed > kMaxMemoryBytes;
    to.push_back(hashed ? kMemoryHashed : 0);
    if (hashed)
        put(to, hash_of_image(outcome.image), 8);
    else
        put_changes(to, before, outcome.image, kImageSize);
}

void take_case(const CorpusSection& section, Reader& code, Reader& start, TestCase& c, unsigned& insns) {
    u8 head = code.byte();
    insns = head & kInsnsMask;
    if (head & kWrittenOut) {
        c = TestCase{};
        c.mode32 = true;
        c.memory_seed = start.number(8);
        c.start.cs = 0x23;
        c.start.flags = 0x202;
    } else {
        c = derived_case(start.number(8), section.host.v3);
    }
    c.long_code = head & kProgram;
    take_state(start, c.start);
    if (head & kMoved) c.code_offset = static_cast<unsigned>(start.number(2));
    if (head & kOtherSelector) c.start.cs = static_cast<u16>(start.number(2));
    c.start.rip = kCode + c.code_offset;
    c.patches = start.byte();
    if (c.patches > kMaxPatches || c.code_offset >= kCodeSize || insns > kMaxInsns) {
        start.bad = true;
        return;
    }
    for (unsigned i = 0; i < c.patches; ++i) {
        Patch& p = c.patch[i];
        p.linear = start.number(4);
        p.size = start.byte();
        if (p.size > sizeof p.bytes)
            start.bad = true;
        else
            start.copy(p.bytes, p.size);
    }
    c.code_size = code.byte();
    if (c.code_size > kMaxCode)
        code.bad = true;
    else
        code.copy(c.code, c.code_size);
}

void take_outcome(Reader& end, const TestCase& c, Recorded& r) {
    Outcome& o = r.outcome;
    o.kind = Outcome::kException;
    o.vector = end.byte();
    o.error = static_cast<u32>(end.varint());
    o.cr2 = o.vector == 14 ? end.varint() : 0;
    o.end = c.start;
    o.end.rip = c.start.rip + static_cast<u64>(unfolded(end.varint()));
    o.end.cs = static_cast<u16>(c.start.cs ^ end.varint());
    take_state(end, o.end);
    fill_image(c.memory_seed, o.image, kImageSize);
    apply_patches(c, o.image);
    r.memory_hashed = end.byte() == kMemoryHashed;
    if (r.memory_hashed)
        r.memory_hash = end.number(8);
    else
        end.changes(o.image, kImageSize);
}

}  // namespace

u64 hash_of_image(const u8* image) {
    u64 hash = 0xCBF29CE484222325;
    for (u64 at = 0; at < kImageSize; at += 8) {
        u64 word = 0;
        for (unsigned i = 0; i < 8; ++i) word |= u64{image[at + i]} << 8 * i;
        hash = (hash ^ word) * 0x9E3779B97F4A7C15;
        hash ^= hash >> 29;
    }
    return hash;
}

void append_entry(const TestCase& c, const Outcome& outcome, bool derived, CorpusSection& section) {
    TestCase base;
    base.start.flags = 0x202;
    base.start.cs = 0x23;
    if (derived) base = derived_case(c.state_seed, section.host.v3);
    bool moved = c.code_offset != base.code_offset, other_selector = c.start.cs != base.start.cs;
    Bytes &code = section.columns.code, &start = section.columns.start, &end = section.columns.end;
    code.push_back(static_cast<u8>(c.insns | (c.long_code ? kProgram : 0) | (derived ? 0 : kWrittenOut) |
                                   (moved ? kMoved : 0) | (other_selector ? kOtherSelector : 0)));
    code.push_back(static_cast<u8>(c.code_size));
    code.insert(code.end(), c.code, c.code + c.code_size);

    put(start, derived ? c.state_seed : c.memory_seed, 8);
    put_state(start, base.start, c.start);
    if (moved) put(start, c.code_offset, 2);
    if (other_selector) put(start, c.start.cs, 2);
    start.push_back(static_cast<u8>(c.patches));
    for (unsigned i = 0; i < c.patches; ++i) {
        put(start, c.patch[i].linear, 4);
        start.push_back(c.patch[i].size);
        start.insert(start.end(), c.patch[i].bytes, c.patch[i].bytes + c.patch[i].size);
    }

    end.push_back(outcome.vector);
    put_varint(end, outcome.error);
    if (outcome.vector == 14) put_varint(end, outcome.cr2);
    put_varint(end, folded(static_cast<i64>(outcome.end.rip - c.start.rip)));
    put_varint(end, static_cast<u64>(outcome.end.cs ^ c.start.cs));
    put_state(end, c.start, outcome.end);
    put_memory(end, c, outcome);
    ++section.entries;
}

bool each_entry(const CorpusSection& section,
                const std::function<void(u32, TestCase&, unsigned, Recorded&)>& use) {
    Reader code{section.columns.code}, start{section.columns.start}, end{section.columns.end};
    auto recorded = std::make_unique<Recorded>();
    for (u32 number = 0; number < section.entries; ++number) {
        TestCase c;
        unsigned insns = 0;
        take_case(section, code, start, c, insns);
        if (!code.bad && !start.bad) take_outcome(end, c, *recorded);
        if (code.bad || start.bad || end.bad) return false;
        use(number, c, insns, *recorded);
    }
    return code.at == code.bytes.size() && start.at == start.bytes.size() && end.at == end.bytes.size();
}

}  // namespace shadowbox::compare
