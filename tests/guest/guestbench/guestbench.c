// SPDX-License-Identifier: MIT
/* guestbench: small CPU, memory and kernel workloads that run inside a guest.
 *
 * Each workload prints "BEGIN name" and "END name checksum" on stdout. Times are
 * taken OUTSIDE the guest, from when those lines arrive on the serial port, so a
 * guest clock that runs fast or slow cannot flatter a result. The checksum must be
 * the same on every emulator and on the bare machine.
 *
 * usage: guestbench [-s SCALE] [name ...]     (no name: all of them)
 */
#define _GNU_SOURCE
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint64_t u64;
static u64 rng_state = 88172645463325252ull;
static u64 rng(void) { u64 x = rng_state; x ^= x << 13; x ^= x >> 7; x ^= x << 17; return rng_state = x; }

/* ---- integer ---- */
static u64 w_sieve(int s) {
    u64 sum = 0; int n = 1 << 20; char *c = malloc(n);
    for (int r = 0; r < 6 * s; r++) {
        memset(c, 1, n);
        for (int i = 2; (long)i * i < n; i++) if (c[i]) for (int j = i * i; j < n; j += i) c[j] = 0;
        for (int i = 2; i < n; i++) sum += c[i] ? i : 0;
    }
    free(c); return sum;
}
static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static u64 w_fib(int s) { u64 x = 0; for (int i = 0; i < s; i++) x += fib(34); return x; }
static int cmp_u32(const void *a, const void *b) { uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b; return x < y ? -1 : x > y; }
static u64 w_qsort(int s) {
    int n = 400000; uint32_t *v = malloc(n * 4); u64 x = 0; rng_state = 1;
    for (int r = 0; r < s; r++) { for (int i = 0; i < n; i++) v[i] = rng(); qsort(v, n, 4, cmp_u32); x += v[n / 2]; }
    free(v); return x;
}
static u64 w_crc(int s) {
    static uint32_t t[256]; for (uint32_t i = 0; i < 256; i++) { uint32_t c = i; for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1; t[i] = c; }
    int n = 1 << 20; unsigned char *b = malloc(n); for (int i = 0; i < n; i++) b[i] = i * 7;
    uint32_t c = ~0u; for (int r = 0; r < 60 * s; r++) for (int i = 0; i < n; i++) c = t[(c ^ b[i]) & 255] ^ (c >> 8);
    free(b); return ~c;
}
/* a bytecode interpreter: indirect jumps, as in Python or Lua */
static u64 w_interp(int s) {
    enum { PUSH, ADD, DEC, JNZ, SWAP, XOR, HALT };
    unsigned char prog[] = {PUSH, 7, SWAP, PUSH, 13, XOR, ADD, DEC, JNZ, 0, HALT};
    u64 total = 0;
    for (int r = 0; r < s; r++) {
        u64 st[16] = {0}, ctr = 12000000, acc = 0; int sp = 0, pc = 0;
        for (;;) switch (prog[pc++]) {
            case PUSH: st[sp++ & 15] = prog[pc++]; break;
            case ADD: acc += st[--sp & 15]; break;
            case XOR: acc ^= st[--sp & 15] << (ctr & 7); break;
            case SWAP: acc = (acc << 3) | (acc >> 61); break;
            case DEC: ctr--; break;
            case JNZ: if (ctr) pc = prog[pc]; else pc++; break;
            case HALT: goto done;
        }
    done: total += acc;
    }
    return total;
}
static u64 w_chase(int s) { /* dependent loads over 32 MiB: TLB and cache */
    int n = 1 << 22; u64 *p = malloc((size_t)n * 8); rng_state = 7;
    for (int i = 0; i < n; i++) p[i] = i;
    for (int i = n - 1; i > 0; i--) { int j = rng() % i; u64 t = p[i]; p[i] = p[j]; p[j] = t; }
    u64 k = 0, x = 0; for (long i = 0; i < 12000000L * s; i++) { k = p[k]; x += k; }
    free(p); return x;
}
static u64 w_sha(int s) { /* SHA-256 compression, plain C: rotates, adds, 64 rounds */
    static const uint32_t K[64] = {
#define R8(a) a,a*3+1,a*5+2,a*7+3,a*11+4,a*13+5,a*17+6,a*19+7
        R8(0x428a2f98u),R8(0x3956c25bu),R8(0xd807aa98u),R8(0x72be5d74u),R8(0xe49b69c1u),R8(0x2de92c6fu),R8(0x983e5152u),R8(0xc6e00bf3u)};
    uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (long n = 0; n < 220000L * s; n++) {
        uint32_t w[64]; for (int i = 0; i < 16; i++) w[i] = h[i & 7] + n * i;
#define ROR(x, k) ((x) >> (k) | (x) << (32 - (k)))
        for (int i = 16; i < 64; i++) { uint32_t a = w[i - 15], b = w[i - 2]; w[i] = w[i - 16] + w[i - 7] + (ROR(a, 7) ^ ROR(a, 18) ^ a >> 3) + (ROR(b, 17) ^ ROR(b, 19) ^ b >> 10); }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], q = h[7];
        for (int i = 0; i < 64; i++) {
            uint32_t t1 = q + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i], t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            q = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
        }
        h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += q;
    }
    return h[0] ^ (u64)h[7] << 32;
}
static u64 w_divmul(int s) { u64 x = 0x123456789abcdefull, y = 0; for (long i = 1; i < 8000000L * s; i++) { y += x / (i | 1) + x % (i + 3); x = x * 6364136223846793005ull + i; } return y; }

/* ---- floating point and SIMD ---- */
static u64 f2u(double d) { u64 u; memcpy(&u, &d, 8); return u; }
static u64 w_nbody(int s) {
    double x[5], y[5], z[5], vx[5] = {0}, vy[5] = {0}, vz[5] = {0}, m[5];
    for (int i = 0; i < 5; i++) { x[i] = i * 1.7 + 1; y[i] = i * i * 0.31; z[i] = 2.5 - i; m[i] = 1.0 / (i + 1); }
    for (long n = 0; n < 400000L * s; n++) {
        for (int i = 0; i < 5; i++) for (int j = i + 1; j < 5; j++) {
            double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j], d2 = dx * dx + dy * dy + dz * dz, g = 0.001 / (d2 * sqrt(d2));
            vx[i] -= dx * m[j] * g; vy[i] -= dy * m[j] * g; vz[i] -= dz * m[j] * g; vx[j] += dx * m[i] * g; vy[j] += dy * m[i] * g; vz[j] += dz * m[i] * g;
        }
        for (int i = 0; i < 5; i++) { x[i] += 0.001 * vx[i]; y[i] += 0.001 * vy[i]; z[i] += 0.001 * vz[i]; }
    }
    return f2u(x[0]) ^ f2u(y[1]) ^ f2u(z[2]);
}
static u64 w_matmul(int s) { /* float matrix product, vectorised by the compiler (SSE) */
    enum { N = 256 }; static float a[N][N], b[N][N], c[N][N];
    for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) { a[i][j] = (i * j) % 7; b[i][j] = (i + j) % 5; c[i][j] = 0; }
    for (int r = 0; r < 6 * s; r++) for (int i = 0; i < N; i++) for (int k = 0; k < N; k++) { float t = a[i][k]; for (int j = 0; j < N; j++) c[i][j] += t * b[k][j]; }
    double x = 0; for (int i = 0; i < N; i++) x += c[i][(i * 7) % N]; return f2u(x);
}
static u64 w_x87(int s) { long double x = 0.5L, y = 0; for (long i = 0; i < 3000000L * s; i++) { x = x * 3.7L * (1.0L - x); y += x / (1.0L + i); } return f2u((double)y); }
static u64 w_simdint(int s) { /* byte-wise SSE2: saturating adds, compares, shuffles, as in codecs */
    typedef unsigned char v16 __attribute__((vector_size(16)));
    static v16 a[4096], b[4096]; v16 acc = {0}; for (int i = 0; i < 4096; i++) for (int k = 0; k < 16; k++) { a[i][k] = i * k; b[i][k] = i ^ k; }
    for (int r = 0; r < 3000 * s; r++) for (int i = 0; i < 4096; i++) { v16 m = (v16)(a[i] > b[i]); acc += (a[i] & m) ^ (b[i] & ~m); acc ^= a[(i + r) & 4095] - b[i]; }
    u64 x[2]; memcpy(x, &acc, 16); return x[0] ^ x[1];
}

/* ---- memory ---- */
static u64 w_memcpy(int s) { size_t n = 16 << 20; char *a = malloc(n), *b = malloc(n); memset(a, 3, n); u64 x = 0; for (int r = 0; r < 30 * s; r++) { memcpy(b, a, n); a[r] ^= b[r * 17]; x += b[n - 1 - r]; } free(a); free(b); return x; }
static u64 w_strings(int s) { char *t = malloc(1 << 16); for (int i = 0; i < 65535; i++) t[i] = 'a' + i % 23; t[65535] = 0; u64 x = 0; for (int r = 0; r < 5000 * s; r++) { t[(r * 31) & 0xffff] = 'z'; x += strlen(t) + (u64)(strchr(t + r % 100, '!') != NULL) + (u64)(memchr(t, 'Q', 65535) != NULL); t[65535] = 0; } free(t); return x; }

/* ---- kernel ---- */
static u64 w_syscall(int s) { u64 x = 0; for (long i = 0; i < 400000L * s; i++) x += syscall(SYS_getppid) > 0; return x; }
static u64 w_pipe(int s) { /* context switches */
    int a[2], b[2]; char c = 1; if (pipe(a) || pipe(b)) return 0; long n = 20000L * s;
    pid_t p = fork(); if (!p) { for (long i = 0; i < n; i++) { if (read(a[0], &c, 1) != 1 || write(b[1], &c, 1) != 1) _exit(1); } _exit(0); }
    u64 x = 0; for (long i = 0; i < n; i++) { if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) return 0; x += c; }
    waitpid(p, NULL, 0); close(a[0]); close(a[1]); close(b[0]); close(b[1]); return x;
}
static u64 w_fork(int s) { u64 x = 0; for (int i = 0; i < 400 * s; i++) { pid_t p = fork(); if (!p) _exit(3); int st; waitpid(p, &st, 0); x += WEXITSTATUS(st); } return x; }
static u64 w_pagefault(int s) { u64 x = 0; size_t n = 8 << 20; for (int r = 0; r < 6 * s; r++) { char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); for (size_t i = 0; i < n; i += 4096) p[i] = i >> 12; for (size_t i = 0; i < n; i += 4096) x += (unsigned char)p[i]; munmap(p, n); } return x; }

static const struct { const char *name; u64 (*fn)(int); } all[] = {
    {"sieve", w_sieve}, {"fib", w_fib}, {"qsort", w_qsort}, {"crc", w_crc}, {"interp", w_interp}, {"chase", w_chase}, {"sha", w_sha}, {"divmul", w_divmul},
    {"nbody", w_nbody}, {"matmul", w_matmul}, {"x87", w_x87}, {"simdint", w_simdint}, {"memcpy", w_memcpy}, {"strings", w_strings},
    {"syscall", w_syscall}, {"pipe", w_pipe}, {"fork", w_fork}, {"pagefault", w_pagefault}};

int main(int argc, char **argv) {
    int scale = 1, i = 1; setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && !strcmp(argv[1], "-s")) { scale = atoi(argv[2]); i = 3; }
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        int want = i >= argc; for (int a = i; a < argc; a++) want |= !strcmp(argv[a], all[k].name);
        if (!want) continue;
        printf("BEGIN %s\n", all[k].name); u64 r = all[k].fn(scale); printf("END %s %016llx\n", all[k].name, (unsigned long long)r);
    }
    return 0;
}
