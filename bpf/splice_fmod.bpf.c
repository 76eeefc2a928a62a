// SPDX-License-Identifier: GPL-2.0
/*
 * The splice guard at the call that asks the LSMs, in whatever list: x86_64, and aarch64 from Linux
 * 6.4 on.
 */
#include "splice_file.h"

SEC("fmod_ret/security_file_permission")
int guard_splice(__u64 *ctx)
{
	return judge_permission((void *)ctx[0], ctx[1], ctx[2]);
}

char LICENSE[] SEC("license") = "GPL";
