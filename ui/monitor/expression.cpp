// SPDX-License-Identifier: MIT
#include "ui/monitor/expression.h"

#include <cctype>

#include "cpu/state/vcpu.h"
#include "ui/options/size_text.h"

namespace shadowbox {

namespace {

class Parser {
 public:
    Parser(std::string_view text, const RegisterLookup& lookup) : text_(text), lookup_(lookup) {}

    Expected<u64> all() {
        auto value = bits();
        if (!value) return value;
        skip();
        if (at_ < text_.size())
            return make_error(ErrorCode::kInvalidArgument, "unexpected '{}' in expression",
                              text_.substr(at_));
        return value;
    }

 private:
    static constexpr int kDeepest = 100;

    void skip() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    }
    char next() {
        skip();
        return at_ < text_.size() ? text_[at_] : 0;
    }

    using Level = Expected<u64> (Parser::*)();
    Expected<u64> left_to_right(std::string_view operators, Level operand) {
        auto left = (this->*operand)();
        while (left && next() && operators.find(next()) != std::string_view::npos) {
            char op = text_[at_++];
            auto right = (this->*operand)();
            if (!right) return right;
            left = apply(op, *left, *right);
        }
        return left;
    }
    static Expected<u64> apply(char op, u64 a, u64 b) {
        switch (op) {
            case '&': return a & b;
            case '|': return a | b;
            case '^': return a ^ b;
            case '+': return a + b;
            case '-': return a - b;
            case '*': return a * b;
            default: break;
        }
        if (b == 0) return make_error(ErrorCode::kInvalidArgument, "division by zero");
        return op == '/' ? a / b : a % b;
    }
    Expected<u64> bits() { return left_to_right("&|^", &Parser::sum); }
    Expected<u64> sum() { return left_to_right("+-", &Parser::product); }
    Expected<u64> product() { return left_to_right("*/%", &Parser::unary); }

    Expected<u64> unary() {
        if (++depth_ > kDeepest)
            return make_error(ErrorCode::kInvalidArgument, "the expression is nested too deeply");
        char c = next();
        Expected<u64> value = 0;
        if (c == '-' || c == '~' || c == '+') {
            ++at_;
            value = unary();
            if (value && c == '-')
                value = 0 - *value;
            else if (value && c == '~')
                value = ~*value;
        } else if (c == '(') {
            ++at_;
            value = bits();
            if (value && next() != ')')
                value = make_error(ErrorCode::kInvalidArgument, "')' is missing");
            else
                ++at_;
        } else {
            value = leaf();
        }
        --depth_;
        return value;
    }

    Expected<u64> leaf() {
        std::size_t start = at_;
        if (next() == '$')
            start = ++at_;
        else
            start = at_;
        bool is_register = start > 0 && text_[start - 1] == '$';
        while (at_ < text_.size() && (isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
            ++at_;
        std::string_view word = text_.substr(start, at_ - start);
        if (!is_register) {
            if (word.empty())
                return make_error(ErrorCode::kInvalidArgument, "a number or $register is missing");
            return parse_number(word);
        }
        if (auto value = lookup_(word)) return *value;
        return make_error(ErrorCode::kInvalidArgument, "unknown register '${}'", word);
    }

    std::string_view text_;
    const RegisterLookup& lookup_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

constexpr std::string_view kGpr64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::string_view kGpr32[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
constexpr std::string_view kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};

}  // namespace

Expected<u64> evaluate(std::string_view text, const RegisterLookup& lookup) {
    return Parser(text, lookup).all();
}

RegisterLookup registers_of(const Vcpu& vcpu) {
    return [&vcpu](std::string_view name) -> std::optional<u64> {
        for (unsigned i = 0; i < 16; ++i)
            if (name == kGpr64[i]) return vcpu.gpr[i];
        for (unsigned i = 0; i < 8; ++i)
            if (name == kGpr32[i]) return static_cast<u32>(vcpu.gpr[i]);
        for (unsigned i = 0; i < 6; ++i) {
            if (name == kSegments[i]) return vcpu.seg[i].selector;
            if (name.ends_with(".base") && name.substr(0, 2) == kSegments[i]) return vcpu.seg[i].base;
        }
        if (name == "rip" || name == "eip" || name == "pc") return vcpu.rip;
        if (name == "sp") return vcpu.gpr[kRsp];
        if (name == "rflags" || name == "eflags") return vcpu.rflags();
        if (name == "cr0") return vcpu.cr0;
        if (name == "cr2") return vcpu.cr2;
        if (name == "cr3") return vcpu.cr3;
        if (name == "cr4") return vcpu.cr4;
        if (name == "efer") return vcpu.efer;
        if (name.size() == 3 && name.starts_with("dr") && name[2] >= '0' && name[2] <= '7')
            return vcpu.dr[name[2] - '0'];
        return std::nullopt;
    };
}

}  // namespace shadowbox
