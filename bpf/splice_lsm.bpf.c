// SPDX-License-Identifier: GPL-2.0
/* The splice guard where `bpf` is in the kernel's list of LSMs. */
#include "splice_file.h"

SEC("lsm/file_permission")
int guard_splice(__u64 *ctx)
{
	return judge_permission((void *)ctx[0], ctx[1], ctx[2]);
}

char LICENSE[] SEC("license") = "GPL";
