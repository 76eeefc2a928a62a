// SPDX-License-Identifier: GPL-2.0
#include "splice_call.h"

SEC("fmod_ret/__x64_sys_splice")
int guard_splice(__u64 *ctx)
{
	struct pt_regs___x86 *regs = (void *)ctx[0];

	return judge_call(regs->di, ctx[1]);
}

SEC("fmod_ret/__x64_sys_sendfile64")
int guard_sendfile(__u64 *ctx)
{
	struct pt_regs___x86 *regs = (void *)ctx[0];

	return judge_call(regs->si, ctx[1]);
}

char LICENSE[] SEC("license") = "GPL";
