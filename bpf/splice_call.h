/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The splice guard at the system calls, where the kernel lets their results be changed. It costs
 * nothing elsewhere, and does not see io_uring.
 */
#ifndef SOCKET_BYPASS_SPLICE_CALL_H
#define SOCKET_BYPASS_SPLICE_CALL_H

#include "splice.h"

static __always_inline int judge_call(__u32 descriptor, int before)
{
	struct file___splice *file = before ? 0 : get_file(descriptor);
	struct inode___splice *inode;

	if (!file)
		return before;
	inode = LOAD(struct file___splice, file, f_inode);
	if ((LOAD(struct inode___splice, inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	return judge_splice((__u64)file);
}

#endif
