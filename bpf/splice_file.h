/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The splice guard in the two ways that run at each read and write of the host, so that everything
 * that is not a splice must cost next to nothing.
 */
#ifndef SOCKET_BYPASS_SPLICE_FILE_H
#define SOCKET_BYPASS_SPLICE_FILE_H

#include "splice.h"

/*
 * The numbers of splice(2) and, below, of sendfile(2) into a pipe. Those of 32-bit programs are
 * among them, because none of these numbers is that of a call that reads a socket in another way.
 */
static __always_inline bool is_splice(__u64 number, bool is_x86)
{
	if (is_x86)
		return number == 275 || number == 313;
	return number == 76 || number == 340;
}

static __always_inline bool is_sendfile(__u64 number, bool is_x86)
{
	return number == (is_x86 ? 40 : 71) || number == 187 || number == 239;
}

/* io_uring runs a splice in a worker. */
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

/* Whether the system call of this thread splices from the file. */
static __always_inline bool is_spliced_by_call(__u64 file, __u64 number, bool is_x86,
					       __u32 splice_source, __u32 sendfile_source)
{
	struct task_struct___splice *task = get_task();

	if (!is_splice(number, is_x86) && !is_sendfile(number, is_x86))
		return false;
	/* A read that was submitted to io_uring may be run at the end of any call. */
	if (!bpf_core_field_exists(task->io_uring) || !task->io_uring)
		return true;
	return file == (__u64)get_file(is_splice(number, is_x86) ? splice_source : sendfile_source);
}

static __always_inline bool is_splicing(__u64 file)
{
	struct task_struct___splice *task = get_task();
	struct pt_regs___x86 *x86;
	struct pt_regs___arm64 *arm64;
	__u64 number;

	if (task->flags & PF_IO_WORKER)
		return is_worker_splicing(task);
	x86 = (void *)bpf_task_pt_regs((void *)task);
	if (bpf_core_field_exists(x86->orig_ax)) {
		number = x86->orig_ax & ~(__u64)X32;
		if (number == 275 || number == 40)
			return is_spliced_by_call(file, number, true, x86->di, x86->si);
		return is_spliced_by_call(file, number, true, x86->bx, x86->cx);
	}
	arm64 = (void *)x86;
	return is_spliced_by_call(file, (__u32)arm64->syscallno, false, arm64->regs[0],
				  arm64->regs[1]);
}

/* `before` is the result of those that ran before. */
static __always_inline int judge_permission(const struct file___splice *file, int mask, int before)
{
	if (before || !(mask & MAY_READ) || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK ||
	    !is_splicing((__u64)file))
		return before;
	return judge_splice((__u64)file);
}

#endif
