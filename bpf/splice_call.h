/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way by the system calls, where the kernel lets their results be changed: it costs nothing
 * elsewhere, and does not see io_uring.
 */
#ifndef SOCKET_BYPASS_SPLICE_CALL_H
#define SOCKET_BYPASS_SPLICE_CALL_H

#include "splice.h"

static __always_inline int judge_call(__u32 descriptor, int before)
{
	struct files_struct___splice *files = get_task()->files;
	struct fdtable *table = LOAD(struct files_struct___splice, files, fdt);
	struct file___splice *file = 0;
	struct inode___splice *inode;

	if (before || descriptor >= LOAD(struct fdtable, table, max_fds))
		return before;
	bpf_probe_read_kernel(&file, sizeof(file), LOAD(struct fdtable, table, fd) + descriptor);
	inode = LOAD(struct file___splice, file, f_inode);
	if ((LOAD(struct inode___splice, inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	return judge_splice((__u64)file);
}

#endif
