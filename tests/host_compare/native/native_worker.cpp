// SPDX-License-Identifier: MIT
#include "native/native_worker.h"

#include <asm/ldt.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <new>

namespace shadowbox::compare {

namespace {

// --- inside the child's signal handler: no TLS (FS is 0 there), no library ---
Shared* g_shared;
u8* g_code_alias;  // the code pages, writable
int g_in, g_out;
bool g_low, g_ldt, g_running;
unsigned g_next;  // case under way + 1
unsigned g_dirty_at, g_dirty_size;

long raw(long number, long a, long b, long c) {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
void copy(void* to, const void* from, std::size_t size) {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

constexpr int kGpr[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                          REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
constexpr unsigned kFxLoaded = 416;  // up to XMM15; the software bytes at 464 are the kernel's

// Behind the FXSAVE image the kernel puts an XSAVE area in the standard format, if the software bytes in the
// image say so.
constexpr unsigned kStateBv = 512, kYmmHigh = 576;
constexpr u64 kYmm = 4;
bool has_ymm(const u8* fx) {
    u32 magic;
    u64 components;
    copy(&magic, fx + 464, 4);
    copy(&components, fx + 472, 8);
    return magic == 0x46505853 && (components & kYmm);
}

void each_region(u8* image, bool save) {
    auto move = [&](u64 linear, u64 size, u64 at) {
        u8* place = reinterpret_cast<u8*>(linear);
        if (save)
            copy(image + at, place, size);
        else
            copy(place, image + at, size);
    };
    if (g_low) move(kLow, kLowSize, 0);
    move(kData, kDataSize, kLowSize);
    move(kStack, kStackSize, kLowSize + kDataSize);
}

void store_outcome(const siginfo_t* info, const ucontext_t* uc, Outcome& out) {
    const greg_t* regs = uc->uc_mcontext.gregs;
    bool seccomp = info->si_signo == SIGSYS;
    out.kind = seccomp ? Outcome::kSystemCall : Outcome::kException;
    out.vector = static_cast<u8>(regs[REG_TRAPNO]);
    out.error = static_cast<u32>(regs[REG_ERR]);
    out.cr2 = static_cast<u64>(regs[REG_CR2]);
    for (unsigned i = 0; i < 16; ++i) out.end.gpr[i] = static_cast<u64>(regs[kGpr[i]]);
    out.end.rip = static_cast<u64>(regs[REG_RIP]);
    out.end.flags = static_cast<u64>(regs[REG_EFL]);
    out.end.cs = static_cast<u16>(regs[REG_CSGSFS]);
    auto* fx = reinterpret_cast<const u8*>(uc->uc_mcontext.fpregs);
    copy(out.end.fx, fx, 512);
    u64 present;
    copy(&present, fx + kStateBv, 8);
    if (has_ymm(fx) && (present & kYmm))
        copy(out.end.ymm_high, fx + kYmmHigh, 256);
    else
        for (u8& byte : out.end.ymm_high) *const_cast<volatile u8*>(&byte) = 0;
    each_region(out.image, true);
}

/// Flat data segments for compatibility mode, base 0 for FS and GS in both. A wild jump may have loaded
/// others.
void load_segments() { asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(0x2B)); }

void load_case(const TestCase& c, ucontext_t* uc) {
    load_segments();
    static u8 image[kImageSize];
    fill_image(c.memory_seed, image, kImageSize);
    apply_patches(c, image);
    each_region(image, false);
    for (unsigned i = 0; i < g_dirty_size; ++i) g_code_alias[g_dirty_at + i] = 0xF4;
    g_dirty_at = c.code_offset;
    g_dirty_size = c.code_size;
    if (g_dirty_at + g_dirty_size > kCodeSize) g_dirty_size = static_cast<unsigned>(kCodeSize) - g_dirty_at;
    copy(g_code_alias + g_dirty_at, c.code, g_dirty_size);
    greg_t* regs = uc->uc_mcontext.gregs;
    for (unsigned i = 0; i < 16; ++i) regs[kGpr[i]] = static_cast<greg_t>(c.start.gpr[i]);
    regs[REG_RIP] = static_cast<greg_t>(c.start.rip);
    regs[REG_EFL] = static_cast<greg_t>(c.start.flags);
    regs[REG_CSGSFS] = static_cast<greg_t>(u64{c.start.cs} | 0x2Bull << 48);
    uc->uc_flags |= 6;  // UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS: SS comes from the frame
    auto* fx = reinterpret_cast<u8*>(uc->uc_mcontext.fpregs);
    copy(fx, c.start.fx, kFxLoaded);
    u64 present;
    copy(&present, fx + kStateBv, 8);
    present |= 3;  // XSTATE_BV: x87 and SSE are not in their initial state
    if (has_ymm(fx)) {
        present |= kYmm;
        copy(fx + kYmmHigh, c.start.ymm_high, 256);
    }
    copy(fx + kStateBv, &present, 8);
}

void on_signal(int, siginfo_t* info, void* context) {
    __builtin_ia32_writeeflags_u64(0x202);  // the test may have left AC, NT or ID
    auto* uc = static_cast<ucontext_t*>(context);
    if (g_running) {
        store_outcome(info, uc, g_shared->outcomes[g_next - 1]);
        g_shared->done = g_next;
    }
    if (!g_running || g_next == g_shared->count) {  // ask for the next batch
        char byte = 1;
        if (g_running) raw(SYS_write, g_out, reinterpret_cast<long>(&byte), 1);
        if (raw(SYS_read, g_in, reinterpret_cast<long>(&byte), 1) != 1) raw(SYS_exit_group, 0, 0, 0);
        g_next = 0;
        g_running = true;
    }
    load_case(g_shared->cases[g_next], uc);
    ++g_next;
}

// --- set-up ---

bool map_at(u64 where, u64 size, int protection, int fd = -1) {
    int flags = MAP_FIXED_NOREPLACE | MAP_POPULATE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void* got = mmap(reinterpret_cast<void*>(where), size, protection, flags, fd, 0);
    return got == reinterpret_cast<void*>(where);
}

/// A flat 32-bit code segment as entry 1. A kernel without modify_ldt lets the case that tries it die.
void set_ldt_code32() {
    user_desc entry{};
    entry.entry_number = kLdtCode32 >> 3;
    entry.limit = 0xFFFFF;
    entry.seg_32bit = entry.limit_in_pages = entry.useable = 1;
    entry.contents = 2;  // code, not conforming
    syscall(SYS_modify_ldt, 1, &entry, sizeof entry);
}

void filter_system_calls() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    sock_fprog filter{sizeof program / sizeof *program, program};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

[[noreturn]] void child_main() {
    int memory = memfd_create("host_compare", 0);
    if (memory < 0 || ftruncate(memory, kCodeSize) != 0) _exit(3);
    g_code_alias = static_cast<u8*>(
        mmap(nullptr, kCodeSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory, 0));
    if (g_code_alias == MAP_FAILED) _exit(3);
    memset(g_code_alias, 0xF4, kCodeSize);
    bool mapped = map_at(kCode, kCodeSize, PROT_READ | PROT_EXEC, memory) &&
                  map_at(kData, kDataSize, PROT_READ | PROT_WRITE) &&
                  map_at(kReadOnly, kReadOnlySize, PROT_READ | PROT_WRITE) &&
                  map_at(kStack, kStackSize, PROT_READ | PROT_WRITE);
    if (!mapped) _exit(4);
    if (g_low) g_low = map_at(kLow, kLowSize, PROT_READ | PROT_WRITE);
    fill_read_only(reinterpret_cast<u8*>(kReadOnly));
    mprotect(reinterpret_cast<void*>(kReadOnly), kReadOnlySize, PROT_READ);
    for (u64 page = kCode; page < kCode + kCodeSize; page += 4096)
        (void)*reinterpret_cast<volatile u8*>(page);
    mlock(reinterpret_cast<void*>(kCode), kCodeSize);

    constexpr std::size_t kAltStack = 1 << 20;
    void* alternate = mmap(nullptr, kAltStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack{};
    stack.ss_sp = alternate;
    stack.ss_size = kAltStack;
    sigaltstack(&stack, nullptr);
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) sigaction(signal, &action, nullptr);
    if (g_ldt) set_ldt_code32();
    filter_system_calls();
    load_segments();  // from here on nothing may use TLS
    asm volatile("hlt");
    __builtin_unreachable();
}

}  // namespace

NativeWorker::NativeWorker() {
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    shared_ = new (memory) Shared;
    void* low = mmap(reinterpret_cast<void*>(kLow), kLowSize, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    low_page_ = low == reinterpret_cast<void*>(kLow);
    if (low != MAP_FAILED) munmap(low, kLowSize);
    start();
}

NativeWorker::~NativeWorker() {
    if (!shared_) return;
    stop();
    munmap(shared_, sizeof(Shared));
}

void NativeWorker::start() {
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) return;
    fflush(nullptr);
    child_ = fork();
    if (child_ == 0) {
        close(down[1]);
        close(up[0]);
        g_shared = shared_;
        g_in = down[0];
        g_out = up[1];
        g_low = low_page_;
        g_ldt = ldt_;
        child_main();
    }
    close(down[0]);
    close(up[1]);
    to_child_ = down[1];
    from_child_ = up[0];
}

void NativeWorker::stop() {
    close(to_child_);
    close(from_child_);
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
}

void NativeWorker::use_ldt() {
    ldt_ = true;
    stop();
    start();
}

void NativeWorker::run() {
    unsigned total = shared_->count;
    for (unsigned first = 0; first < total;) {
        shared_->done = 0;
        char byte = 1;
        bool sent = write(to_child_, &byte, 1) == 1;
        pollfd waiting{from_child_, POLLIN, 0};
        int ready = sent ? poll(&waiting, 1, 2000) : 1;
        if (sent && ready == 1 && (waiting.revents & POLLIN) && read(from_child_, &byte, 1) == 1) return;
        // The case after the last finished one hung or killed the child. The rest goes to a new child, one by
        // one.
        unsigned bad = first + shared_->done;
        stop();
        start();
        shared_->outcomes[bad].kind = ready == 0 ? Outcome::kEndless : Outcome::kDied;
        run_singly(bad + 1, total);
        return;
    }
}

/// Each case through slot 0, whose own case and outcome are put back.
void NativeWorker::run_singly(unsigned first, unsigned total) {
    TestCase kept_case = shared_->cases[0];
    auto kept = std::make_unique<Outcome>(shared_->outcomes[0]);
    for (unsigned i = first; i < total; ++i) {
        shared_->cases[0] = shared_->cases[i];
        shared_->count = 1;
        run();
        shared_->outcomes[i] = shared_->outcomes[0];
    }
    shared_->cases[0] = kept_case;
    shared_->outcomes[0] = *kept;
    shared_->count = total;
}

}  // namespace shadowbox::compare
