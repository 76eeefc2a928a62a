/* SPDX-License-Identifier: GPL-2.0 */
/* Long: it declares every kernel structure that the programs read, once. */
/*
 * The few kernel structures that the programs read. Only the fields named here are used. CO-RE
 * (preserve_access_index) finds their offsets on the running kernel, so the order and the sizes in
 * these declarations mean nothing.
 */
#ifndef SOCKET_BYPASS_KERNEL_H
#define SOCKET_BYPASS_KERNEL_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/*
 * A program takes a void * as its context: a pointer to the structure would put the names of all
 * fields of that structure into the object, and nothing reads them.
 */

/* Keeps a function out of line, because several places call it or it is too large to repeat. */
#define NOINLINE static __noinline __attribute__((unused))

/*
 * The same, but the verifier checks the function once, for any arguments, and takes its result as
 * unknown. It walks a static function anew from each state that calls it, so two loops in a row
 * cost their product. A pointer argument is null or memory of the size of its type.
 */
#define VERIFIED_ONCE __noinline __attribute__((unused))

/*
 * Orders everything before it before everything behind it. An atomic addition whose old value is
 * not used orders nothing on aarch64, and clang generates no other for programs of the oldest
 * kernels. So this writes the instruction by its bytes: r2 = atomic_fetch_add((u64 *)(r1 + 0), r2).
 */
static __always_inline void full_barrier(void)
{
	__u64 word = 0;

	asm volatile("r1 = %[word]\n\tr2 = 0\n\t.quad 0x1000021db" ::[word] "r"(&word)
		     : "r1", "r2", "memory");
}

/*
 * Gives a pointer to a kernel structure at any address, whose fields a program can load like those
 * of its own memory. Such a load takes some nanoseconds, a tenth of bpf_probe_read_kernel(), and
 * gives 0 where nothing is mapped. The kernel has bpf_rdonly_cast() since Linux 6.2. The verifier's
 * own enumerator for it tells whether a kernel has it, because libbpf before 1.2 cannot ask for a
 * function.
 */
extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __ksym __weak;

enum special_kfunc_type {
	KF_bpf_rdonly_cast,
};

#define CAN_CAST bpf_core_enum_value_exists(enum special_kfunc_type, KF_bpf_rdonly_cast)
#define CAST(type, address) \
	((type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

/* A field of a structure at any address; 0 if it cannot be read. */
#define LOAD(type, address, field)                                 \
	({                                                         \
		typeof(((type *)0)->field) loaded = 0;             \
		type *place = (type *)(address);                   \
		if (CAN_CAST)                                      \
			loaded = CAST(type, place)->field;         \
		else                                               \
			BPF_CORE_READ_INTO(&loaded, place, field); \
		loaded;                                            \
	})

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct files_struct {
	atomic_t count; /* how many tasks share these descriptors */
};

struct task_struct {
	int pid; /* of the thread, in the initial pid namespace */
	__u32 flags;
	struct files_struct *files;
};

struct io_kiocb { /* a request of io_uring */
	__u32 flags; /* the low half of them since Linux 6.9 */
};

struct wait_queue_head {
	struct list_head head;
};

struct wait_queue_entry {
	void *private;
	void *func;
	struct list_head entry;
};

struct epoll_event {
	__u32 events;
};

struct epitem {
	struct epoll_event event;
};

struct eppoll_entry {
	struct epitem *base;
	struct wait_queue_entry wait;
};

struct socket_wq {
	struct wait_queue_head wait;
};

struct bpf_local_storage_data {
	__u8 data[0];
};

struct bpf_local_storage_elem {
	struct hlist_node snode;
	struct bpf_local_storage_data sdata;
};

struct bpf_local_storage {
	struct hlist_head list;
};

struct proto {
	unsigned long *memory_pressure;
};

struct in6_addr {
	__u32 unused[4];
};

/* Only the names count: bpf_core_enum_value() gives the values of the running kernel. */
enum sock_flags { SOCK_URGINLINE, SOCK_RCVTSTAMP, SOCK_ZEROCOPY };

struct sk_filter;

struct netns_ipv4 {
	int sysctl_tcp_rmem[3];
};

struct net {
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	possible_net_t skc_net;
	atomic64_t skc_cookie;
	struct proto *skc_prot;
	__u16 skc_family;
	__u8 skc_state; /* volatile unsigned char in the kernel */
	__u8 skc_reuse : 4;
	unsigned long skc_flags; /* bits of enum sock_flags */
	__u16 skc_num; /* local port, host order */
	__u16 skc_dport; /* remote port, network order */
	__u32 skc_rcv_saddr; /* local address */
	__u32 skc_daddr;
	struct in6_addr skc_v6_rcv_saddr; /* both only with CONFIG_IPV6 */
	struct in6_addr skc_v6_daddr;
};

struct inode {
	unsigned long i_ino;
};

struct sock;

typedef struct {
	atomic64_t refcnt; /* atomic_long_t on some; 0 is one reference */
} file_ref_t;

struct file {
	file_ref_t f_ref; /* since Linux 6.13 */
	atomic64_t f_count; /* before Linux 6.13; atomic_long_t */
	__u32 f_flags;
};

struct socket {
	struct sock *sk;
	struct file *file;
};

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

typedef struct {
	int owned;
} socket_lock_t;

typedef struct {
	long counter;
} atomic_long_t;

struct page_counter { /* in pages */
	atomic_long_t usage;
	unsigned long max;
	struct page_counter *parent;
};

struct mem_cgroup {
	struct page_counter memory;
	struct page_counter tcpmem; /* cgroup v1 */
	bool tcpmem_active;
	__u64 socket_pressure; /* until when, in jiffies; unsigned long on older kernels */
};

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct socket_wq *sk_wq;
	struct socket *sk_socket; /* 0 before accept() and after close() */
	void *sk_user_data;
	struct bpf_local_storage *sk_bpf_storage;
	struct mem_cgroup *sk_memcg; /* 0 if its cgroup does not count socket memory */
	__u32 sk_rcvbuf; /* int in the kernel; never negative */
	__u8 sk_shutdown;
	__u8 sk_userlocks : 4;
	__u32 sk_disconnects; /* int in the kernel; since Linux 6.6, 6.1.58 */
	__u8 sk_kern_sock : 1;
	int sk_rcvlowat; /* 1 unless a program has set it */
	int sk_peek_off; /* -1 unless a program has set it; TCP has it since Linux 6.9 */
	__u32 sk_tsflags; /* 0 unless a program has set it; u16 on Linux 6.1 */
	unsigned long sk_max_pacing_rate; /* ~0 unless a program has set it; bytes a second */
	struct sk_filter *sk_filter;
};

struct tcp_ulp_ops {
	int unused;
};

struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 data_segs_in; /* with bytes, since Linux 4.6 */
	__u32 data_segs_out;
	__u32 snd_una;
	__u32 copied_seq;
	__u32 rcv_wnd; /* bytes that this end has let the other send */
	__u32 rcv_wup; /* what this end has acknowledged to the other */
	__u32 notsent_lowat;
	__u64 tcp_mstamp; /* us; when a packet last came or went */
	__u64 bytes_sent; /* by TCP, with those sent again */
	__u64 bytes_retrans;
	__u8 repair : 1;
	__u8 recvmsg_inq : 1; /* TCP_INQ */
	__u8 is_mptcp : 1; /* only with CONFIG_MPTCP */
};

struct sk_psock {
	struct sock *sk;
	struct list_head ingress_msg;
	/*
	 * bytes queued, both redirected and by skb; since "bpf, sockmap: Fix FIONREAD for sockmap"
	 * (7.0; 6.12.75, 6.18.14)
	 */
	__u32 msg_tot_len;
	refcount_t refcnt;
};

struct bpf_sock_ops_kern {
	struct sock *sk;
};

struct scatterlist {
	__u32 length;
};

struct sk_msg_sg {
	__u32 start; /* of `data`, the first element in use */
	struct scatterlist data[2];
};

struct sk_msg {
	struct sk_msg_sg sg;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

#pragma clang attribute pop

#endif
