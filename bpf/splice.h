/* SPDX-License-Identifier: GPL-2.0 */
/* Long: three objects share this body, one for each way into the kernel. */
/*
 * The splice guard. It runs when a file is read and decides whether a splice from a socket goes on.
 * A program whose splice is refused uses recv() instead, as it does for files that cannot be
 * spliced. A socket that is spliced from before anything was redirected to it stays on TCP. Three
 * objects have this code, for three ways into the kernel; the host script tries them.
 */
#ifndef SOCKET_BYPASS_SPLICE_H
#define SOCKET_BYPASS_SPLICE_H

#include "feeds.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define TCP_CLOSE 7
#define PF_IO_WORKER 0x10
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define MAY_READ 4
#define IORING_OP_SPLICE 30
#define EINVAL 22
#define ENOSYS 38
#define MAX_STORAGES 8
#define MAX_PROGRAMS 1024
#define USER_DATA_FLAGS 7ULL /* as in peer.h */
#define X32 0x40000000
#define HAPROXY 0x0079786f72706168ULL /* "haproxy" and its NUL */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___x86 {
	unsigned long bx;
	unsigned long cx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};

struct pt_regs___arm64 {
	__u64 regs[31];
	int syscallno;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct___splice {
	struct fdtable *fdt;
};

struct task_struct___splice {
	struct task_struct___splice *group_leader;
	char comm[16];
	void *worker_private;
	void *io_uring;
	__u32 flags;
	struct files_struct___splice *files;
};

struct inode___splice {
	unsigned short i_mode;
};

struct file___splice {
	struct inode___splice *f_inode;
	void *private_data;
};

struct sock___splice {
	__u16 sk_protocol;
};

struct io_wq_work {
	int unused;
};

struct io_worker {
	struct io_wq_work *cur_work;
};

struct io_kiocb___splice {
	struct io_wq_work work;
	__u8 opcode;
};

#pragma clang attribute pop

struct state_words { /* the first words of struct socket_state */
	__u64 cookie;
	__u64 sock;
	__u64 layout;
};

struct program {
	char name[16] __attribute__((aligned(8)));
};

struct acts {
	/* sockets that stay on TCP because the program splices from them, or asks for all bytes */
	__u64 kept;
	__u64 refused; /* splices that were refused */
};

struct { /* by the name of the program that splices */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PROGRAMS);
	__type(key, struct program);
	__type(value, struct acts);
} programs SEC(".maps");

static __always_inline struct task_struct___splice *get_task(void)
{
	return (void *)bpf_get_current_task_btf();
}

/* The file of a descriptor of this task; 0 if there is none. */
static __always_inline struct file___splice *get_file(__u32 descriptor)
{
	struct files_struct___splice *files = get_task()->files;
	struct fdtable *table = LOAD(struct files_struct___splice, files, fdt);
	struct file___splice *file = 0;

	if (descriptor < LOAD(struct fdtable, table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file),
				      LOAD(struct fdtable, table, fd) + descriptor);
	return file;
}

/* The name of the process, because threads may have names of their own, as those of io_uring do. */
static __always_inline void get_program(struct program *program)
{
	struct task_struct___splice *task = get_task();

	__builtin_memset(program, 0, sizeof(*program));
	BPF_CORE_READ_STR_INTO(&program->name, task, group_leader, comm);
}

NOINLINE void count_act(const struct program *program, bool is_refused)
{
	struct acts none = {}, *found = bpf_map_lookup_elem(&programs, program);

	if (!found) {
		bpf_map_update_elem(&programs, program, &none, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&programs, program);
	}
	if (found)
		__sync_fetch_and_add(is_refused ? &found->refused : &found->kept, 1);
}

/*
 * splice() returns EINVAL for a file that cannot be spliced. HAProxy since 3.3 changes to recv()
 * only at ENOSYS, and earlier versions do so at either.
 */
static __always_inline int get_error(const struct program *program)
{
	return *(const __u64 *)program->name == HAPROXY ? -ENOSYS : -EINVAL;
}

static __always_inline bool is_in_a_sockmap(__u64 sk)
{
	__u64 data = (__u64)LOAD(struct sock, sk, sk_user_data) & ~USER_DATA_FLAGS;

	return data && (__u64)LOAD(struct sk_psock, data, sk) == sk;
}

/*
 * Finds the state of a socket that is in a map of ours and open, because only for such a socket
 * something will tell when it closes. It searches like find_state() of peer.h, but for all
 * generations.
 */
NOINLINE __u64 find_open(__u64 sk, __u64 cookie)
{
	struct bpf_local_storage *storage;
	struct hlist_node *node = 0;
	int i;

	if (!is_in_a_sockmap(sk))
		return 0;
	storage = LOAD(struct sock, sk, sk_bpf_storage);
	if (storage)
		node = LOAD(struct bpf_local_storage, storage, list.first);
	for (i = 0; i < MAX_STORAGES && node; i++) {
		struct bpf_local_storage_elem *elem =
			(void *)node - bpf_core_field_offset(struct bpf_local_storage_elem, snode);
		struct state_words words = {};
		void *found = (void *)elem +
			      bpf_core_field_offset(struct bpf_local_storage_elem, sdata) +
			      bpf_core_field_offset(struct bpf_local_storage_data, data);

		if (bpf_probe_read_kernel(&words, sizeof(words), found))
			return 0;
		if (words.sock == sk && words.layout == LAYOUT &&
		    !((words.cookie ^ cookie) & COOKIE_MASK))
			return (__u64)found;
		node = LOAD(struct hlist_node, node, next);
	}
	return 0;
}

static __always_inline bool has_closed(__u64 state)
{
	struct state_words words = {};

	bpf_probe_read_kernel(&words, sizeof(words), (void *)state);
	return words.layout != LAYOUT;
}

/*
 * Keeps a socket on TCP from here on, unless something was redirected to it before or it is not
 * open. Gives what the socket is then.
 */
NOINLINE __u64 keep(__u64 sk, __u64 cookie, __u64 why, bool *is_new)
{
	__u64 state = cookie ? find_open(sk, cookie) : 0, feed;

	if (!state)
		return FEED_NONE;
	feed = claim_feed(cookie, why);
	if (!feed) {
		/*
		 * There is no room. The sender reads `past` after its claim, so one of the two sees
		 * the other.
		 */
		bpf_map_update_elem(&past, &cookie, &why, BPF_ANY);
		full_barrier();
		return get_feed(&feeds, cookie);
	}
	full_barrier();
	if (feed == why && has_closed(state)) {
		bpf_map_delete_elem(&feeds, &cookie);
		return FEED_NONE;
	}
	*is_new = feed == why;
	return feed;
}

/* Gives FEED_REDIRECTED if a splice from the socket must not go on. */
NOINLINE __u64 decide(__u64 sk, __u64 cookie, bool *is_new)
{
	__u64 feed = get_feed(&feeds, cookie), spliced = FEED_SPLICED;

	if (cookie && feed)
		return feed;
	if (cookie && get_feed(&past, cookie) == FEED_REDIRECTED)
		return FEED_REDIRECTED;
	if (!get_feed(&splicers, sk))
		bpf_map_update_elem(&splicers, &sk, &spliced, BPF_ANY);
	return keep(sk, cookie, FEED_SPLICED, is_new);
}

/* Whether this was the last refusal: the sender, which reads this entry, redirects no more. */
NOINLINE bool note_refusal(__u64 cookie)
{
	__u64 *found = bpf_map_lookup_elem(&past, &cookie), first = FEED_REFUSED + 1;

	if (!found)
		bpf_map_update_elem(&past, &cookie, &first, BPF_NOEXIST);
	if (!found || *found < FEED_REFUSED)
		return false;
	*found += 1;
	if (*found < FEED_REFUSED + MOST_REFUSALS)
		return false;
	*found = FEED_SPLICED;
	return true;
}

static __always_inline bool is_tcp(__u64 sk)
{
	__u16 family = LOAD(struct sock, sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       LOAD(struct sock___splice, sk, sk_protocol) == IPPROTO_TCP;
}

/* Called when a splice from this file begins. Gives 0, or the error that ends the splice. */
NOINLINE int judge_splice(__u64 file)
{
	__u64 socket = (__u64)LOAD(struct file___splice, file, private_data);
	__u64 sk = (__u64)LOAD(struct socket, socket, sk), cookie, feed;
	struct program program;
	bool is_new = false;

	if (!sk || !is_tcp(sk))
		return 0;
	/* A cookie of 0 means that nobody has asked for one, so the socket was never enrolled. */
	cookie = LOAD(struct sock, sk, __sk_common.skc_cookie.counter);
	feed = decide(sk, cookie, &is_new);
	if (feed != FEED_REDIRECTED && !is_new)
		return 0;
	get_program(&program);
	/* The probe, which tries the guard, is not connected and does not count. */
	if (LOAD(struct sock, sk, __sk_common.skc_state) != TCP_CLOSE)
		count_act(&program, feed == FEED_REDIRECTED);
	if (feed == FEED_REDIRECTED && note_refusal(cookie))
		count_act(&program, false);
	return feed == FEED_REDIRECTED ? get_error(&program) : 0;
}

#endif
