/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two ways that are asked at each read and write of the host: what is no splice must cost next
 * to nothing.
 */
#ifndef SOCKET_BYPASS_SPLICE_FILE_H
#define SOCKET_BYPASS_SPLICE_FILE_H

#include "splice.h"

/*
 * splice(2), and sendfile(2) into a pipe; of 32-bit programs too, for no number here is that of a
 * call that reads a socket in another way.
 */
static __always_inline bool is_splice_call(__u64 number, bool is_x86)
{
	number &= ~(__u64)X32;
	if (is_x86)
		return number == 275 || number == 40 || number == 313 || number == 187 ||
		       number == 239;
	return number == 76 || number == 71 || number == 340 || number == 187 || number == 239;
}

/* io_uring splices in a worker. */
static __always_inline bool is_worker_splicing(struct task_struct___splice *task)
{
	struct io_worker *worker = task->worker_private;
	struct io_kiocb___splice *request = 0;

	if (!bpf_core_field_exists(worker->cur_work) || !bpf_core_field_exists(request->work))
		return false;
	request = (void *)LOAD(struct io_worker, worker, cur_work) -
		  bpf_core_field_offset(request->work);
	return LOAD(struct io_kiocb___splice, request, opcode) == IORING_OP_SPLICE;
}

static __always_inline bool is_splicing(void)
{
	struct task_struct___splice *task = get_task();
	void *regs;

	if (task->flags & PF_IO_WORKER)
		return is_worker_splicing(task);
	regs = (void *)bpf_task_pt_regs((void *)task);
	if (bpf_core_field_exists(((struct pt_regs___x86 *)regs)->orig_ax))
		return is_splice_call(((struct pt_regs___x86 *)regs)->orig_ax, true);
	return is_splice_call((__u32)((struct pt_regs___arm64 *)regs)->syscallno, false);
}

/* `before` is what those who were asked before have said. */
static __always_inline int judge_permission(const struct file___splice *file, int mask, int before)
{
	if (before || !(mask & MAY_READ) || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK ||
	    !is_splicing())
		return before;
	return judge_splice((__u64)file);
}

#endif
