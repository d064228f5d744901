// SPDX-License-Identifier: MIT
// The decoder: any bytes in any mode. It never reads beyond what it is given (the bytes end where their heap
// block ends, which the address sanitizer watches), an instruction has 1 to 15 bytes, and more bytes behind
// it change nothing.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <memory>

#include "cpu/decode/decoder.h"
#include "cpu/decode/opcode_row.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"
#include "tests/fuzz/fuzz_input.h"

namespace shadowbox::fuzz {

namespace {

/// The modes a processor can be in, with whatever else makes blocks differ.
u64 choose_mode(Input& in) {
    using namespace mode_bits;
    static constexpr u64 kModes[] = {0,
                                     kProtected,
                                     kProtected | kCode32 | kStack32,
                                     kProtected | kVm86,
                                     kProtected | kLongMode | kLong64,
                                     kProtected | kLongMode,
                                     kProtected | kLongMode | kCode32 | kStack32,
                                     kProtected | kStack32};
    u8 more = in.byte();
    u64 mode = kModes[in.below(std::size(kModes))];
    if (more & 1) mode |= kSingleStep;
    if (more & 2) mode |= kFpuNm;
    if (more & 4) mode |= kFpuEm;
    if (more & 8) mode |= kSseUd;
    if (more & 16) mode |= kSseUnmasked;
    if (more & 32) mode |= kFlat;
    if (more & 64) mode |= kAvxOff;
    if (!(mode & kLong64)) mode |= in.number(4) << 32;
    return mode;
}

DecodeStatus decode_exactly(const DecodeContext& context, const std::vector<u8>& bytes, std::size_t size,
                            Insn& insn) {
    std::unique_ptr<u8[]> exact(new u8[size]);
    if (size) memcpy(exact.get(), bytes.data(), size);
    memset(&insn, 0, sizeof insn);
    return decode_insn(context, exact.get(), static_cast<unsigned>(size), insn);
}

bool same(const Insn& a, const Insn& b) {
    return a.row == b.row && a.length == b.length && a.disp == b.disp && a.imm == b.imm && a.reg == b.reg &&
           a.rm == b.rm && a.index == b.index && a.scale == b.scale && a.osize == b.osize &&
           a.asize == b.asize && a.seg == b.seg && a.mem == b.mem && a.lock == b.lock && a.rep == b.rep &&
           a.vex_l == b.vex_l && a.vvvv == b.vvvv;
}

std::string tell(const Insn& i) {
    return fmt::format(
        "row {} length {} disp {:x} imm {:x} reg {} rm {} index {} scale {} osize {} asize {} seg {} mem {} "
        "lock {} rep {}",
        u32{i.row}, u32{i.length}, i.disp, i.imm, u32{i.reg}, u32{i.rm}, u32{i.index}, u32{i.scale},
        u32{i.osize}, u32{i.asize}, u32{i.seg}, u32{i.mem}, u32{i.lock}, u32{i.rep});
}

}  // namespace

void fuzz_decoder(std::span<const u8> input) {
    const CpuModel& model =
        !input.empty() && input[0] & 0x80 ? cpu_model_v3() : cpu_model_v2();  // decoding needs no such host
    Input in(input);
    DecodeContext context{choose_mode(in), in.flag() ? in.number(8) : in.number(2), &model};
    std::vector<u8> bytes = in.take(24);
    Insn whole, part;
    DecodeStatus status = decode_exactly(context, bytes, bytes.size(), whole);
    if (status == DecodeStatus::kOk) {
        FUZZ_CHECK(whole.length >= 1 && whole.length <= 15 && whole.length <= bytes.size(),
                   "length {} of {} bytes", u32{whole.length}, bytes.size());
        FUZZ_CHECK(whole.row < kOpcodeRowCount, "row {}", whole.row);
        Insn chosen = whole;
        choose_handler(context, chosen, false);
        FUZZ_CHECK(chosen.handler != nullptr, "row {} has no handler", whole.row);
    }
    // With 15 bytes it may still ask for the 16th, which decides between #GP and #UD; too long may be certain
    // earlier.
    if (status == DecodeStatus::kNeedMore)
        FUZZ_CHECK(bytes.size() <= 15, "more than {} bytes wanted", bytes.size());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        DecodeStatus shorter = decode_exactly(context, bytes, size, part);
        if (shorter == DecodeStatus::kNeedMore) continue;
        FUZZ_CHECK(shorter == status, "status {} of {} bytes, {} of {}", static_cast<int>(shorter), size,
                   static_cast<int>(status), bytes.size());
        if (status == DecodeStatus::kOk) {
            FUZZ_CHECK(size >= whole.length, "decoded {} bytes from {}", u32{whole.length}, size);
            FUZZ_CHECK(same(part, whole), "{} and {}: {:02x}", tell(part), tell(whole),
                       fmt::join(bytes, " "));
        }
    }
}

}  // namespace shadowbox::fuzz
