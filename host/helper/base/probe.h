/* SPDX-License-Identifier: Apache-2.0 */
/* Long: it lists what each file offers to the others. */
/*
 * What the files of the probe share. Most of them know only sockets; those that use BPF include
 * linux/bpf.h.
 */
#ifndef PROBE_H
#define PROBE_H

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	LARGEST_MESSAGE = 64 * 1024,
	/* How long one step may make no progress before it counts as failed. */
	PATIENCE_MS = 2000,
	/*
	 * How long a connection may take to be established: enough for three repetitions of a SYN
	 * that met a queue full of strangers.
	 */
	CONNECT_MS = 8000,
};

/* text.c: one output buffer, written out by flush_text(). */
void put_text(const char *text);
void put_printable(const char *text, size_t length);
/* Unchanged bytes, for paths that a shell is to use. */
void put_bytes(const char *bytes, size_t length);
void put_number(uint64_t number);
void put_tenths(uint64_t tenths);
void flush_text(int fd);
/* The same without the end of a line. */
void write_text(int fd);
void drop_text(void);
const char *name_error(int code);
/* The next name in a list of names that each end in a NUL. */
const char *next_name(const char *name);
/* One line on stderr, of up to six parts. */
#define say(...) SAY_SIX(__VA_ARGS__, "", "", "", "", "")
#define SAY_SIX(a, b, c, d, e, f, ...) say_parts(a, b, c, d, e, f)
void say_parts(const char *a, const char *b, const char *c, const char *d, const char *e,
	       const char *f);
bool same_text(const char *a, const char *b);
/* False if there is no room for it. */
bool join_path(char *path, size_t room, const char *folder, const char *name);
/* Accepts plain decimal digits only; false otherwise. */
bool read_number(const char *text, uint64_t largest, uint64_t *number);

/* json.c: writes the members of an object, with commas where they belong. */
void open_object(const char *name);
void close_object(void);
void open_array(const char *name);
void close_array(void);
/* Behind NULL comes an item of an array. */
void put_name(const char *name);
void put_string_member(const char *name, const char *value);
void put_number_member(const char *name, uint64_t value);
void put_tenths_member(const char *name, uint64_t tenths);
void put_bool_member(const char *name, bool value);

/* process.c */
uint64_t now_ns(void);
uint64_t now_ms(void);
/* That long from now, as now_ns() counts. */
uint64_t in_ms(unsigned int ms);
void sleep_ms(unsigned int ms);
/* Memory that this process and those it forks share. */
void *share_memory(size_t size);
/* Starts a child that ends with its parent. Returns 0 in the child, -1 on failure. */
pid_t spawn(void);
/* Returns the wait status, or -1 for a child that had to be killed after `ms`. */
int reap(pid_t child, unsigned int ms);
/* Runs `expired` on SIGALRM after `seconds`, whatever the caller blocked or ignored. */
void limit_time(unsigned int seconds, void (*expired)(int signal));
/* Ends the process with a message after 30 s. */
void limit_verb(const char *verb);
/* `command` must follow a "--". It returns only on failure, with an exit code. */
int run_command(char **command);

/* folder.c: like system calls, this returns -1 and sets errno; it follows no link. */
int open_folder(int above, const char *name);

enum { FOLDER = 4 }; /* DT_DIR */

/* A directory entry as the kernel writes it. */
struct entry {
	uint64_t inode;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[];
};

struct listing {
	int fd;
	/* Why the listing stopped, if that was not the end. */
	int error;
	long at;
	long end;
	char entries[1024] __attribute__((aligned(8)));
};

/*
 * NULL when there are no more entries. An entry that appears meanwhile may be missing, and one that
 * goes may still be listed.
 */
const struct entry *next_entry(struct listing *listing);

/*
 * namespaces.c: calls `visit` inside each network namespace in which a process lives, until one
 * call fails; this process stays in the last one. Says what failed.
 */
struct visit {
	const char *verb;
	bool (*visit)(void *context);
	void *context;
	/* If not NULL, counts processes that do not show their namespace to this one. */
	unsigned int *hidden;
};

bool visit_namespaces(const struct visit *with);

/* sockets.c */
union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct place {
	int listener;
	union address address;
	socklen_t length;
	struct guests *guests;
	/*
	 * There are so many connections that the kernel must choose their ports at connect(): only
	 * there it reuses a port whose last connection has just ended.
	 */
	bool is_crowded;
};

enum family { IPV4, IPV6, IPV4_MAPPED };

/* Returns 0 or an errno. EADDRNOTAVAIL and EAFNOSUPPORT mean that the host has no ::1. */
int open_listener(struct place *place, enum family family, uint16_t port);
/* A socket with a port of its own; the server accepts a connection from that port. */
int open_client(const struct place *place);
/* Both give a connected socket, or -1 and errno, within CONNECT_MS; answer() rejects strangers. */
int dial(const struct place *place);
int answer(const struct place *place);
bool set_option(int fd, int level, int option, int value);
/* Closing `fd` will send RST. */
bool reset_on_close(int fd);
bool wait_for(int fd, short events, uint64_t deadline_ns);

/* stream.c: a pseudo-random stream of bytes that can be made at any offset. */
struct stream {
	uint64_t seed;
	uint64_t offset;
	/* The source of the sizes of its messages: both ends draw the same ones. */
	uint64_t sizes;
};

void fill_from(const struct stream *stream, uint8_t *bytes, size_t count);
/* The number of leading bytes that are right. */
size_t count_right(const struct stream *stream, const uint8_t *bytes, size_t count);
uint8_t byte_at(const struct stream *stream, uint64_t offset);
/* The offset at which these bytes stand in the stream, or -1. */
int64_t find_bytes(const struct stream *stream, const uint8_t *bytes, size_t count);
uint64_t next_random(uint64_t *state);

#ifdef PROBE_CORRUPT
/* These exist only in the build that proves that the self-test finds faults. */
bool plan_corruption(const char *kind, const char *side, const char *offset);
bool is_cut(const struct stream *stream);
#endif

/* histogram.c */
void count_latency(uint64_t ns);
/* The latency that `per_mille` of all counted messages do not exceed, within 1 %. */
uint64_t find_latency(unsigned int per_mille);

/* owners.c: reads about a process through its open folder in /proc. */
void put_name_of(const char *name, size_t length);
/* Returns the length of the name, or 0 if the process has ended. */
size_t read_process_name(int process, char *name, size_t room);
/* Reads the inode of the socket to which `fd`, an entry of the open folder, is a link. */
bool read_inode(int folder, const char *fd, char *inode, size_t room);

/* words.c: reads files of other processes, and the words in them. */
struct reader {
	int fd;
	size_t at;
	size_t end;
	/* How many bytes of the file may still be read. */
	size_t left;
	char bytes[4096];
};

/* Reads the next line, cut if it is longer than the buffer; false at the end. */
bool next_line(struct reader *reader, char *line, size_t room);
size_t read_whole(int folder, const char *name, char *bytes, size_t room);
bool starts_with(const char *text, const char *begin);
/* Behind all leading characters that are, or are not, among `bytes`. */
const char *skip(const char *text, const char *bytes);
const char *skip_to(const char *text, const char *bytes);
/* Reads upper-case digits, and moves `text` behind them. */
uint64_t number_in(const char **text, unsigned int base);
/* A number from /proc/PID/status; 0 if it is missing. */
uint64_t read_status(int process, const char *name);

/* program.c */
bool is_go(int process);
/* The name of the file that the process runs; returns its length. */
size_t read_program(int process, char *program, size_t room);
/*
 * Prints the outermost systemd service whose cgroup the process is in; what is below is up to that
 * service.
 */
void put_unit(int process);
/*
 * What the bypass may do to a program: "splice", "plain" or "unread" for HAProxy by its
 * configuration, "known" for other programs that splice, "stubborn" for those that cannot do
 * without, "asks" for those that believe FIONREAD, "go", or "-".
 */
const char *find_kind(int proc, int process, const char *name, const char *program);

/* haproxy.c: "splice", "plain", or "unread" if its configuration cannot be read. */
const char *look_at_haproxy(int proc, int process);

/* bpf.c: like system calls, these return -1 and set errno. */
union bpf_attr;
struct bpf_map_info;
int bpf(int command, union bpf_attr *attr);
int open_pin(const char *path);
int map_info(int fd, struct bpf_map_info *info);
int program_id(int fd);
int look_up(int map, const void *key, void *value);
/* Gives the first key for NULL. Both keys may lie in the same place. */
int next_key(int map, const void *key, void *next);
/* The highest number in the kernel's list of CPUs, such as 0-3,8, plus one; 0 if unknown. */
unsigned int count_processors(void);

enum { MOST_PROGRAMS = 64 }; /* BPF_CGROUP_MAX_PROGS */

struct attached {
	uint32_t count;
	/* The flags of the cgroup, such as BPF_F_ALLOW_MULTI. */
	uint32_t flags;
	uint32_t ids[MOST_PROGRAMS];
};

/* The sock_ops programs of an open cgroup. */
int list_attached(int cgroup, struct attached *attached);

/* One function for each verb. `words` are the arguments behind the verb, with NULL at the end. */
int verb_lock(char **words);
int verb_grace(char **words);
int verb_cgroup(char **words);
int verb_selftest(char **words);
int verb_bench(char **words);
int verb_iterate(char **words);
int verb_list(char **words);
int verb_claim(char **words);
int verb_write(char **words);
int verb_hooks(char **words);
int verb_owners(char **words);
int verb_attach(char **words);
int verb_splice(char **words);
int verb_listeners(char **words);
int verb_established(char **words);
int verb_unread(char **words);
int verb_map(char **words);
int verb_advise(char **words);
int verb_tap(char **words);
int verb_tapped(char **words);
int verb_check(char **words);
int verb_serve(char **words);
int verb_unsupported(char **words);

#endif
