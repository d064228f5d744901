// SPDX-License-Identifier: MIT
// A debugger in small: steps a child through code by PTRACE_SINGLESTEP, watches memory by its debug registers, and prints
// where each trap came. What it prints depends on no vendor, so test_debugger.py compares a guest with the bare machine.
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

extern char code_begin[], code_end[], int80_call[];
// System calls by both ways, repeats, flags, a stack segment's load, an IRET that is not alone in its page.
__asm__(
    "   .text\n   .globl code_begin, code_end, int80_call\n"
    "code_begin:\n"
    "   mov $39, %eax\n   syscall\n   nop\n"
    "   mov $39, %eax\n   syscall\n   mov $39, %eax\n   syscall\n   add $1, %eax\n"
    "   lea buffer(%rip), %rdi\n   mov $3, %ecx\n   rep stosb\n   xor %ecx, %ecx\n   rep stosb\n"
    "   mov %ss, %eax\n   mov %eax, %ss\n   nop\n   nop\n"
    "   pushfq\n   popfq\n   nop\n"
    "   call 1f\n   jmp 2f\n1: ret\n2: mov $2, %ecx\n3: loop 3b\n"
    "   mov %rsp, %rax\n   mov %ss, %ecx\n   push %rcx\n   push %rax\n   pushfq\n   mov %cs, %ecx\n   push %rcx\n"
    "   lea 4f(%rip), %rcx\n   push %rcx\n   iretq\n4: nop\n   cpuid\n   rdtsc\n   nop\n"
    "int80_call:\n"
    "   mov $20, %eax\n   int $0x80\n   nop\n   nop\n"
    "   ret\n"
    "code_end:\n");
void code_of_child(void) __asm__("code_begin");

char buffer[64] __attribute__((aligned(64)));
volatile long watched __attribute__((aligned(64)));
volatile long other __attribute__((aligned(4096)));

static void stores(void) {
    int ends[2];
    long value = 7;
    watched = 1;
    __asm__ volatile("nop");
    other = watched;
    __asm__ volatile("lock incq %0" : "+m"(watched));
    __asm__ volatile("cld\n rep stosb" : : "D"(&watched), "c"(3L), "a"(0) : "memory");
    if (pipe(ends) || write(ends[1], &value, sizeof value) != sizeof value) exit(1);
    if (read(ends[0], (void*)&watched, sizeof watched) != sizeof watched) exit(1);  // the kernel stores
    if (write(ends[1], (void*)&watched, sizeof watched) != sizeof watched) exit(1);  // and loads
    watched = 2;
}

static pid_t start(void (*what)(void)) {
    pid_t child = fork();
    if (child) {
        waitpid(child, NULL, 0);
        return child;
    }
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    what();
    _exit(0);
}
static int next(pid_t child, int how, struct user_regs_struct* regs) {
    int status;
    if (ptrace(how, child, 0, 0) || waitpid(child, &status, 0) != child) exit(2);
    if (WIFEXITED(status)) return 0;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
        printf("status %x\n", status);
        return 0;
    }
    ptrace(PTRACE_GETREGS, child, 0, regs);
    return 1;
}

static void step(void) {
    struct user_regs_struct regs;
    pid_t child = start(code_of_child);
    while (next(child, PTRACE_SINGLESTEP, &regs)) {
        if (regs.rip >= (unsigned long)code_begin && regs.rip < (unsigned long)code_end)
            printf("step %llx cx %llx tf %d\n", regs.rip - (unsigned long)code_begin,
                   regs.rcx < 16 ? regs.rcx : 0, (int)(regs.eflags >> 8 & 1));
    }
}

static int debug_register(pid_t child, int n, unsigned long value) {
    return ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg) + n * sizeof(long), value);
}
static void watch(const char* name, unsigned long at, unsigned long control) {
    struct user_regs_struct regs;
    pid_t child = start(stores);
    int hits = 0;
    if (debug_register(child, 0, at) || debug_register(child, 7, control)) {
        printf("%s: error %d\n", name, errno);
        ptrace(PTRACE_KILL, child, 0, 0);
        return;
    }
    while (next(child, PTRACE_CONT, &regs)) {
        unsigned long dr6 = (unsigned long)ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg) + 6 * sizeof(long), 0);
        printf("%s: hit %d dr6 %lx value %ld\n", name, ++hits, dr6 & 0x400F,
               ptrace(PTRACE_PEEKDATA, child, &watched, 0));
        debug_register(child, 6, 0);
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    step();
    watch("write", (unsigned long)&watched, 0x000D0001 | 0x100);
    watch("read or write", (unsigned long)&watched, 0x000F0001 | 0x100);
    watch("execute", (unsigned long)stores, 0x00000001);
    printf("STEPPED\n");
    return 0;
}
