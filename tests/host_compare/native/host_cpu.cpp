// SPDX-License-Identifier: MIT
#include <cpuid.h>

#include "cpu/state/cpu_model.h"
#include "sequences/row_use.h"

namespace shadowbox::compare {

HostCpu HostCpu::here() {
    HostCpu host;
    unsigned a, b = 0, c, d;
    __get_cpuid(0, &a, &b, &c, &d);
    host.amd = b == 0x68747541;  // "Auth"
    __get_cpuid(1, &a, &b, &host.leaf1_ecx, &d);
    __get_cpuid_count(7, 0, &a, &host.leaf7_ebx, &c, &d);
    __get_cpuid(0x80000001, &a, &b, &host.extended_ecx, &d);
    host.v3 = host_runs_v3();
    return host;
}

}  // namespace shadowbox::compare
