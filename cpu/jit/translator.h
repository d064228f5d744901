// SPDX-License-Identifier: MIT
// Translates one block and what likely runs after it (trace.cpp): one pass over the decoded instructions,
// guided by a backward pass over the flags. Made for each translation by Jit::translate(). Emitters by
// family: translate_*.cpp.
//
// Flags. The host's RFLAGS hold the guest's arithmetic flags whenever an instruction of the guest just made
// them. What the translator inserts (TLB probes, polls) destroys them; before that they go into the frame,
// unless nobody can see them or the compare that made them can be made again from registers that have not
// changed (kRecover). Memory is accessed before registers change, so an instruction that cannot go on leaves
// to the interpreter's cell for it.
#pragma once

#include <span>
#include <vector>

#include "cpu/decode/opcode_row.h"
#include "cpu/jit/cold_path.h"
#include "cpu/jit/jit.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

/// One memory access that takes part in a group (group_analysis.cpp).
struct Access {
    int group = -1;
    u8 base = 0;  ///< guest register
    i32 disp = 0;
    i64 base_delta = 0;  ///< the register minus the group's value, here
};

/// Accesses at constant distances from one value: one check of the page serves all of them. Offsets from that
/// value.
struct Group {
    i64 low = 0, high = 0;
    bool is_stack = false;  ///< its page is kept from block to block
    bool write = false;
    unsigned members = 0;
    size_t part = 0;       ///< of the last member
    bool checked = false;  ///< emission has passed the check, and its slot holds the page
    int slot = -1;         ///< offset of its PageSlot from kTlb; -1: none, each use checks
};

struct Step {
    Insn insn;  ///< as decoded, operands in the encoding's order
    const OpcodeRow* row;
    Block* block;  ///< that it is decoded in
    u64 rip;
    u16 cell;                   ///< the interpreter's cell for it
    u16 number;                 ///< in its block
    u32 reads = 0, writes = 0;  ///< flags; `writes` for certain
    u32 live_after = 0, live_before = 0;
    u32 gprs_written = 0;  ///< bits by number, at least those that change
    bool may_exit = false;
    Access operand, stack;
    i16 x87_ip = -1, x87_dp = -1;  ///< steps whose FIP and FDP are not stored yet when this one begins
};

/// One block of a translation; its steps lie behind each other.
struct Part {
    Block* block;
    unsigned first, end;  ///< steps
};

enum Use : u8 { kUnused = 0, kRead = 1, kWrite = 2, kReadWrite = 3 };

class Translator {
 public:
    Translator(Jit& jit, Vcpu& cpu, Block& block) : jit_(jit), e_(jit.emitter_), cpu_(cpu), block_(block) {}
    /// False: nothing to gain, or the bytes are not those that the block was decoded from.
    bool run();
    const std::vector<Part>& parts() const { return parts_; }
    std::span<const u8> code() const { return code_; }
    std::span<const u8> cold_code() const { return cold_code_; }

 private:
    // --- analysis (flag_analysis.cpp) ---
    bool decode(Block& block);
    void analyse();
    void find_groups();  // group_analysis.cpp
    bool explicit_access(const Step& s, unsigned& size, bool& write) const;

    // --- which blocks (trace.cpp) ---
    bool choose_parts();
    Block* likely_successor();
    bool continues(unsigned i) const { return part_ + 1 < parts_.size() && i + 1 == parts_[part_].end; }
    void begin_part();
    void begin_loop();
    bool at_loop_state();  ///< emitting may go on at loop_: what held there holds now
    bool closes_loop(u64 target, unsigned i) const {
        return loop_ && i + 1 == steps_.size() && target == block_.rip;
    }

    // --- flags (translator.cpp) ---
    void begin(unsigned i);
    void clobber_flags();  ///< what follows destroys RFLAGS
    void need_flags();     ///< RFLAGS must hold the guest's flags
    void made_flags(unsigned i,
                    bool again = false);  ///< the host instruction just emitted made what step i makes
    void remake_compare();
    void flags_to_frame();  ///< before an exit or a checked entry

    // --- leaving ---
    void leave_if(u8 condition, unsigned i, ExitKind kind = ExitKind::kCell);  ///< conditional exit at step i
    void leave(unsigned i, ExitKind kind = ExitKind::kCell);
    void emit_cold();
    void emit_cold(const Cold& cold);
    void probe_again(const Cold& cold, const ColdProbe& probe);
    void cell_exit(const Step& s, ExitKind kind);
    void call_cell(unsigned i);  ///< C++ runs the interpreter's handler for step i
    void end_in_cell(
        unsigned i);  ///< likewise for an instruction that ends the block; goes on at the RIP it sets
    void link_to(u64 target, bool same_page);  ///< jumps to another block, flags as they are
    void fall_through(u64 next, unsigned i);
    void branch_if(u8 condition, u64 target, bool same_page);
    u32 new_link(u64 target, bool same_page, bool host_flags);
    void set_site(u32 link, u8* site);
    void poll(unsigned i);
    void poll_at_jump(u64 target);      ///< without touching RFLAGS
    bool wants_poll(unsigned i) const;  ///< step i, the last of its part, may close a cycle

    // --- outside 64-bit mode (translate_legacy.cpp) ---
    bool long64() const { return block_.mode & mode_bits::kLong64; }
    bool stack32() const { return block_.mode & mode_bits::kStack32; }
    bool is_flat(unsigned seg) const;  ///< base 0, and its limit cannot be exceeded
    u64 linear(u64 rip) const { return long64() ? rip : (rip + (block_.mode >> 32)) & 0xFFFFFFFF; }
    u64 next_rip_of(unsigned i) const;  ///< behind step i
    bool next_on_page(
        u64 next) const;  ///< the instruction behind the block lies on its last instruction's page
    bool beyond_limit(u64 target) const { return !long64() && target > cpu_.seg[kCs].limit; }
    void rewrite(Step& s) const;  ///< forms that 64-bit mode lacks, as others that mean the same
    void check_limit(unsigned i, unsigned seg, unsigned size, bool write);
    void add_base(unsigned seg, u8 to);
    void stack_offset(u8 base, i32 disp);  ///< host register + disp as the stack's size makes it, into RCX
    void move_stack_pointer(i32 bytes);    ///< uses RAX where the stack is 16-bit
    void link_next(u64 next);
    bool leave_here(unsigned i);  ///< the interpreter does step i, which ends the block
    void load_target(const Operand2& from, unsigned bytes);
    void store_return(const Mem& to, u64 next, unsigned bytes);
    bool push_legacy(unsigned i);
    bool pop_legacy(unsigned i);
    bool leave_frame_legacy(unsigned i);
    bool call_legacy(unsigned i);
    bool ret_legacy(unsigned i);
    void jump_indirect_legacy(unsigned i);
    bool loop(unsigned i);
    bool load_address_legacy(unsigned i);
    // --- system instructions (translate_system.cpp) ---
    bool system(unsigned i);
    Mem vcpu_field(const void* field) const;
    void check_supervisor(unsigned i);
    bool set_interrupt_flag(unsigned i);
    bool alignment_check_flag(unsigned i, bool set);
    bool read_time(unsigned i, bool with_aux);
    void rflags_to_rax();
    void check_cr4(unsigned i, u64 bit);
    bool read_segment_base(unsigned i);
    bool write_segment_base(unsigned i);
    void leave_unless_canonical(unsigned i, u8 reg);
    bool read_pkru(unsigned i);
    bool pause(unsigned i);
    // translate_syscall.cpp
    bool system_call(unsigned i);
    bool system_return(unsigned i);
    void begin_system_transfer(unsigned i);
    void end_system_transfer(unsigned i);
    void image_of_rax();
    void load_flat_segments(i32 code_offset, i32 stack_offset, u32 code, u32 stack, u8 rpl);
    void select_context(u32 privilege);
    bool swap_gs(unsigned i);
    bool move_from_segment(unsigned i);
    bool push_flags(unsigned i);
    // translate_segments.cpp
    void write_beside_code(const Cold& cold, const ColdProbe& probe);
    bool segment_register(unsigned i);  ///< moves from and to segment registers
    void store_selector(unsigned seg);  ///< ECX: selector; real and virtual-8086 mode
    bool legacy_string(unsigned i);
    Mem probe_string(unsigned i, u8 reg, unsigned seg, unsigned size, bool write);
    void string_offset(u8 reg, unsigned asize);
    void advance(u8 reg, unsigned asize, i32 bytes);

    // --- operands (translate_memory.cpp) ---
    u8 read(unsigned guest, u8 scratch);  ///< host register that holds it
    void write(unsigned guest, u8 host);  ///< 64-bit result to its home
    static Operand2 home(unsigned guest) {
        return kHome[guest] == kInFrame ? Operand2(in_frame(frame_gpr(guest))) : Operand2(kHome[guest]);
    }
    static u8 home_or(unsigned guest, u8 scratch) {
        return kHome[guest] == kInFrame ? scratch : kHome[guest];
    }  ///< for a result
    bool address_is_constant(const Step& s, u64& gva) const;
    void offset(const Step& s, u8 to);  ///< effective address into `to`
    Mem base_and_index(const Insn& n, u8 base_scratch,
                       u8 index_scratch);  ///< and displacement, loaded from the frame if need be
    void address(const Step& s, u8 to);    ///< linear address into `to`
    Mem probe(unsigned i, unsigned size, bool write, bool aligned = false);
    Mem probe_at(unsigned i, u8 base, i32 disp, unsigned size, bool write);  ///< at host register + disp
    bool in_group(const Access& access) const;
    int take_slot(bool write);  ///< offset from kTlb of a PageSlot of this translation's own; -1: none left
    Cold start_probe(unsigned i, const AddressAgain& address = {});
    Cold page_slot_cold(unsigned i, int slot, u16 request, const AddressAgain& address = {});
    Mem probe_slot(unsigned i, unsigned size, bool write, bool aligned, int slot);
    Mem group_access(unsigned i, const Access& access, unsigned size, bool write, bool aligned);
    void check_group(unsigned i, const Access& access, bool write);
    // probe_keeping_flags.cpp
    bool check_keeps_flags(
        unsigned i) const;  ///< the access at step i is to be checked without touching RFLAGS
    bool probe_keeping_flags(unsigned i, unsigned size, bool write, Mem& there);
    void compare_page_keeping_flags(const Cold& missed, int slot, unsigned size);
    Operand2 access_base_operand(const Access& access) const { return home(access.base); }
    void end_groups();  ///< C++ ran: nothing checked before holds
    Mem finish_probe(Cold& cold, unsigned size, bool write);
    void check_alignment(unsigned i, u8 reg, unsigned size);
    void gva_again(unsigned i, const AddressAgain& again);  ///< the probe's linear address into RCX
    u8 single(const Mem& mem, u8 to);                       ///< host address in one register

    // --- families: false if the form has no code here ---
    void emit(unsigned i);
    bool translate(unsigned i);
    bool general(unsigned i);  // translate_general.cpp
    bool general_0f(unsigned i);
    bool again(unsigned i, unsigned bytes, Use reg_use, Use rm_use, u8 extension);
    bool again_high_byte(unsigned i, Use reg_use, Use rm_use, u8 extension);
    bool shift(unsigned i);
    bool double_shift(unsigned i);
    bool load_address(unsigned i);
    bool load_constant(unsigned i);
    bool widen(unsigned i);
    bool extend_high_byte(unsigned i);
    void need_flags_for(
        unsigned i);  ///< RFLAGS must hold the guest's if step i reads some or leaves some alone
    Operand2 beside_rax(unsigned i, unsigned bytes, bool write);
    bool multiply(unsigned i);  // translate_muldiv.cpp
    bool divide(unsigned i);
    bool exchange(unsigned i);
    bool compare_exchange(unsigned i);
    bool compare_exchange_pair(unsigned i);
    bool bit_test(unsigned i);
    // translate_bit_string.cpp
    bool bit_test_by_register(unsigned i);
    void bit_string_address(const Step& s);
    Mem probe_bit_string(unsigned i, unsigned size, bool write);
    bool vex_general(unsigned i);  // translate_bmi.cpp
    bool multiply_flagless(unsigned i);
    bool swap_bytes(unsigned i);
    bool push(unsigned i);  // translate_stack.cpp
    bool pop(unsigned i);
    bool leave_frame(unsigned i);
    bool jump(unsigned i);  // translate_branch.cpp
    void leave_trace(u8 condition, u64 target, bool same_page, u64 next, bool follows_target);
    void find_target();
    void jump_to_entry();
    void jump_indirect(unsigned i);
    void push_return(unsigned i, u8 host_address, u8 scratch);
    void remember_return(unsigned i);
    void return_by_ring(unsigned i);
    void return_by_table(const Cold& cold);
    void count_hit(HitKind kind, bool missed = false,
                   u8 scratch = hRcx);           ///< where hits are counted; destroys RFLAGS
    void jump_cached(unsigned i, bool is_call);  // inline_cache.cpp
    void look_up_target(const Cold& cold, const ColdCache& path);
    bool call(unsigned i);
    bool ret(unsigned i);
    bool string(unsigned i);  // translate_string.cpp
    bool repeat_string(unsigned i);
    bool direction(bool down);
    void test_direction();
    Mem probe_register(unsigned i, unsigned guest, unsigned size, bool write);
    bool vector(unsigned i);  // translate_vector.cpp
    void before_string_compare(unsigned i, Operand2& rm);
    void after_string_compare(unsigned i);
    void need_vectors(unsigned i, u8 level);
    bool vex(unsigned i);  // translate_vex.cpp
    bool zero_upper(unsigned i);
    bool vex_native(const Step& s) const;  ///< has code, in this block's mode
    u8 vector_level(const Step& s) const;  ///< VectorLevel that its code wants
    bool x87(unsigned i);                  // translate_x87.cpp
    void need_x87(unsigned i);
    void load_control_word(unsigned i, const Mem& where);
    void begin_x87(unsigned i);
    void store_x87_pointers(int ip, int dp);
    void settle_x87_pointers();  ///< whoever comes next may look at them; destroys RAX and RCX
    void emit_immediate(const Step& s);

    unsigned operand_size(const Step& s, Operand operand) const;
    bool backward(u64 target, unsigned i) const { return target <= steps_[i].rip; }

    Jit& jit_;
    Emitter& e_;
    Vcpu& cpu_;
    Block& block_;
    std::vector<Part> parts_;
    std::vector<Step> steps_;
    unsigned part_ = 0;       ///< that emission is in
    unsigned loop_part_ = 0;  ///< first part of the loop's second copy, which repeats; 0: none
    u8* loop_ = nullptr;      ///< where it begins
    FlagsIn loop_flags_ = FlagsIn::kFrame;
    int loop_recover_ = -1;
    u8 loop_vectors_ = kVectorsNone;
    bool loop_x87_ = false;
    std::vector<bool> loop_checked_;  ///< groups
    std::vector<Cold> cold_;
    std::vector<Group> groups_;
    int rdx_group_ = -1, carried_rdx_group_ = -1;  ///< group whose delta RDX holds
    /// What the code that ends at `end` left in a scratch register: the value of a guest register that lives
    /// in the frame.
    struct Held {
        u8 host, guest;
        const u8* end;
    };
    Held held_{0, 0, nullptr};
    bool rdx_kept_ = false;  ///< the step's emitter left RDX as its accesses did
    unsigned read_slots_used_ = 0, write_slots_used_ = 0;
    FlagsIn flags_ = FlagsIn::kFrame;
    int recover_ = -1;                 ///< step whose compare made the flags and can be made again
    u32 recover_gprs_ = 0;             ///< registers it reads
    u8 vectors_known_ = kVectorsNone;  ///< VectorLevel at least
    bool x87_known_ = false;
    int x87_ip_ = -1, x87_dp_ = -1;  ///< steps whose FIP and FDP are not stored yet
    bool casts_shadow_ = false;      ///< the step is an STI: no interrupt before the next instruction
    bool polled_ = false, wants_poll_ = false, ended_ = false;
    std::span<const u8> code_, cold_code_;  ///< that were emitted
};

}  // namespace shadowbox::jit
