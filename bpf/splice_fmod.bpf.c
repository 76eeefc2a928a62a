// SPDX-License-Identifier: GPL-2.0
/*
 * The splice guard at the function that calls the LSMs, whatever is in their list: on x86_64, and
 * on aarch64 since Linux 6.4.
 */
#include "splice_file.h"

SEC("fmod_ret/security_file_permission")
int guard_splice(__u64 *ctx)
{
	return judge_permission((void *)ctx[0], ctx[1], ctx[2]);
}

char LICENSE[] SEC("license") = "GPL";
