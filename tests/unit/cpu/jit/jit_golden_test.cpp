// SPDX-License-Identifier: MIT
// The host code that common instruction forms become, against jit_golden.txt beside this file: a worse (or
// better) translation shows as a diff. After a wanted change run `SHADOWBOX_UPDATE_GOLDEN=1 unit_cpu "jit:
// the host code*"` and read the diff.
#include <capstone/capstone.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "cpu/jit/host_cpu.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/translation_listener.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

struct Form {
    const char* text;
    std::vector<u8> bytes;  ///< HLT follows
};

const std::vector<Form> kForms = {
    {"mov rax, rbx", {0x48, 0x89, 0xD8}},
    {"mov r14d, ecx", {0x41, 0x89, 0xCE}},
    {"mov eax, 5", {0xB8, 5, 0, 0, 0}},
    {"lea rdx, [rax + rcx*4 + 8]", {0x48, 0x8D, 0x54, 0x88, 0x08}},
    {"add rax, rbx; cmp rax, rcx; jne +2; nop; nop",
     {0x48, 0x01, 0xD8, 0x48, 0x39, 0xC8, 0x75, 0x02, 0x90, 0x90}},
    {"mov r14d, ecx; ror r14d, 11; xor eax, r14d",
     {0x41, 0x89, 0xCE, 0x41, 0xC1, 0xCE, 0x0B, 0x44, 0x31, 0xF0}},
    {"mov rax, [rbx]", {0x48, 0x8B, 0x03}},
    {"mov rax, [rbx + rcx*8]", {0x48, 0x8B, 0x04, 0xCB}},
    {"mov rax, [rip + 4096]", {0x48, 0x8B, 0x05, 0x00, 0x10, 0x00, 0x00}},
    {"mov rax, gs:[40]", {0x65, 0x48, 0x8B, 0x04, 0x25, 0x28, 0, 0, 0}},
    {"mov [rbx], rax", {0x48, 0x89, 0x03}},
    {"mov rax, [rbx]; mov rcx, [rbx + 8]; mov [rbx + 16], rax",
     {0x48, 0x8B, 0x03, 0x48, 0x8B, 0x4B, 0x08, 0x48, 0x89, 0x43, 0x10}},
    {"add dword [rbx], 1", {0x83, 0x03, 0x01}},
    {"lock xadd [rbx], rax", {0xF0, 0x48, 0x0F, 0xC1, 0x03}},
    {"movzx ecx, byte [rdx]", {0x0F, 0xB6, 0x0A}},
    {"push rbp; mov rbp, rsp; push rbx; pop rbx; pop rbp", {0x55, 0x48, 0x89, 0xE5, 0x53, 0x5B, 0x5D}},
    {"call +0", {0xE8, 0, 0, 0, 0}},
    {"ret", {0xC3}},
    {"jmp rax", {0xFF, 0xE0}},
    {"loop: mov eax, [rbx]; add rbx, 4; cmp rbx, rcx; jne loop",
     {0x8B, 0x03, 0x48, 0x83, 0xC3, 0x04, 0x48, 0x39, 0xCB, 0x75, 0xF5}},
    {"shl eax, cl; test eax, eax", {0xD3, 0xE0, 0x85, 0xC0}},
    {"imul rax, rbx, 10", {0x48, 0x6B, 0xC3, 0x0A}},
    {"mul rcx", {0x48, 0xF7, 0xE1}},
    {"div rcx", {0x48, 0xF7, 0xF1}},
    {"setne al; cmovne rax, rbx", {0x0F, 0x95, 0xC0, 0x48, 0x0F, 0x45, 0xC3}},
    {"add rax, rbx; adc rcx, [rbx + rdi*8]; setc [rip + 4096]",
     {0x48, 0x01, 0xD8, 0x48, 0x13, 0x0C, 0xFB, 0x0F, 0x92, 0x05, 0x00, 0x10, 0x00, 0x00}},
    {"dec eax; mov [rbx + rdi], cl; jne +2; nop; nop",
     {0xFF, 0xC8, 0x88, 0x0C, 0x3B, 0x75, 0x02, 0x90, 0x90}},
    {"movbe rax, [rbx]; movbe [rbx + 8], r10d",
     {0x48, 0x0F, 0x38, 0xF0, 0x03, 0x44, 0x0F, 0x38, 0xF1, 0x53, 0x08}},
    {"mulx r10, rax, r11; rorx r10d, r11d, 7",
     {0xC4, 0x42, 0xFB, 0xF6, 0xD3, 0xC4, 0x43, 0x7B, 0xF0, 0xD3, 0x07}},
    {"pcmpestri xmm0, [rbx], 0", {0x66, 0x0F, 0x3A, 0x61, 0x03, 0x00}},
    {"bsf rax, rbx; popcnt rcx, rbx", {0x48, 0x0F, 0xBC, 0xC3, 0xF3, 0x48, 0x0F, 0xB8, 0xCB}},
    {"mov ecx, 16; rep movsb", {0xB9, 16, 0, 0, 0, 0xF3, 0xA4}},
    {"addsd xmm0, [rbx]; mulsd xmm1, xmm0", {0xF2, 0x0F, 0x58, 0x03, 0xF2, 0x0F, 0x59, 0xC8}},
    {"movaps xmm0, [rbx]", {0x0F, 0x28, 0x03}},
    {"vaddps ymm0, ymm1, [rbx]", {0xC5, 0xF4, 0x58, 0x03}},
    {"fld qword [rbx]; fadd st0, st1; fstp qword [rbx]", {0xDD, 0x03, 0xD8, 0xC1, 0xDD, 0x1B}},
    {"pushfq", {0x9C}},
    {"cli; mov eax, ds", {0xFA, 0x8C, 0xD8}},
    {"swapgs", {0x0F, 0x01, 0xF8}},
    {"shrd rax, rbx, cl", {0x48, 0x0F, 0xAD, 0xD8}},
    {"sti", {0xFB}},
    {"clac; mov rax, [rbx]", {0x0F, 0x01, 0xCA, 0x48, 0x8B, 0x03}},
    {"rdtsc", {0x0F, 0x31}},
    {"bt [rbx], rcx", {0x48, 0x0F, 0xA3, 0x0B}},
    {"lock bts [rbx], rcx", {0xF0, 0x48, 0x0F, 0xAB, 0x0B}},
    {"btr r12d, ecx", {0x41, 0x0F, 0xB3, 0xCC}},
    {"syscall", {0x0F, 0x05}},
    {"mov ax, es; prefetcht0 [rbx]; pause", {0x66, 0x8C, 0xC0, 0x0F, 0x18, 0x0B, 0xF3, 0x90}},
    {"wrgsbase rax", {0xF3, 0x48, 0x0F, 0xAE, 0xD8}},
    {"mov [rbx], cs", {0x8C, 0x0B}},
    {"lock cmpxchg16b [rbx]", {0xF0, 0x48, 0x0F, 0xC7, 0x0B}},
    {"sysretq", {0x48, 0x0F, 0x07}},
};

/// The way through the first translation, from the checked entry up to the call or exit that the HLT is.
class Listing : public jit::TranslationListener {
 public:
    void translated(const jit::Translation& block) override {
        if (!text.empty()) return;
        csh handle = 0;
        REQUIRE(cs_open(CS_ARCH_X86, CS_MODE_64, &handle) == CS_ERR_OK);
        cs_insn* insns = nullptr;
        const size_t count =
            cs_disasm(handle, block.host.bytes.data(), block.host.bytes.size(), 0, 0, &insns);
        const u64 cold = block.cold.address - block.host.address;
        bool outward = false;
        for (size_t n = 0; n < count && !outward; ++n) {
            std::string operands = insns[n].op_str;
            const bool transfer = insns[n].mnemonic == std::string("call") || insns[n].mnemonic[0] == 'j';
            const u64 target = transfer ? std::strtoull(operands.c_str(), nullptr, 16) : 0;
            if (transfer && operands.starts_with("0x") && target - cold < block.cold.bytes.size()) {
                operands = "(cold)";
            } else if (transfer && operands.starts_with("0x") && target >= block.host.bytes.size()) {
                operands = "(stub)";
                outward = true;
            } else if (insns[n].mnemonic == std::string("movabs")) {
                operands = std::regex_replace(operands, std::regex("0x[0-9a-f]+"), "(address)");
            }
            text += fmt::format("    {} {}\n", insns[n].mnemonic, operands);
        }
        if (count) cs_free(insns, count);
        cs_close(&handle);
    }
    std::string text;
};

std::string translations() {
    std::string all;
    for (const Form& form : kForms) {
        SimdMachine machine;
        Listing listing;
        REQUIRE(machine.cpu->enable_jit(1));
        machine.cpu->jit->set_listener(&listing);
        for (unsigned g = 0; g < 16; ++g) machine.cpu->gpr[g] = SimdMachine::kData;
        machine.cpu->gpr[kRcx] += 4;
        machine.put(SimdMachine::kData, u64{0xF4});  // RET and JMP lead to this HLT
        machine.put(SimdMachine::kStack, SimdMachine::kData);
        machine.run(form.bytes);
        all += fmt::format("{}\n{}\n", form.text, listing.text);
    }
    return all;
}

}  // namespace

TEST_CASE("jit: the host code of common instruction forms is that of jit_golden.txt") {
    if (!jit::kHostCpu.bmi2) {
        WARN("skipped: the listing is that of hosts with BMI2");
        return;
    }
    const auto path = std::filesystem::path(JIT_GOLDEN_FILE);
    const std::string now = translations();
    if (std::getenv("SHADOWBOX_UPDATE_GOLDEN")) {
        std::ofstream(path) << now;
        return;
    }
    std::ifstream file(path);
    REQUIRE(file);
    std::stringstream golden;
    golden << file.rdbuf();
    std::string was_form, now_form;
    std::stringstream was(golden.str()), is(now);
    for (std::string was_line, now_line; std::getline(was, was_line) && std::getline(is, now_line);) {
        if (!was_line.empty() && was_line[0] != ' ') was_form = was_line;
        INFO(was_form);
        REQUIRE(now_line == was_line);
    }
    CHECK(golden.str() == now);
}
