/* SPDX-License-Identifier: Apache-2.0 */
/* Long: it lists what each file offers to the others. */
/* What the files of `advise` share. */
#ifndef ADVISE_H
#define ADVISE_H

#include "netlink.h"

enum {
	LISTENS = 10, /* TCP_LISTEN */
	NOBODY = -1,
	MOST_SPACES = 1024,
	/* Of each look, which bounds the memory to about 100 MiB. */
	MOST_ENDS = 1 << 18,
	/* Each one costs its closing process a message, and us its reading. */
	MOST_ENDED = 100000,
	/*
	 * How many sockets are borrowed from their processes and asked for their options: of those
	 * that listen, each of which speaks for all that it accepts, and of the others.
	 */
	MOST_ASKED = 20000,
};

/* As the end, or the service, sees it. */
enum direction { IN, OUT };

enum trait {
	IS_ENDED = 1,
	/* It was not there at the first look. */
	IS_NEW = 2,
	/* Its namespace has a socket that listens on its port. */
	IS_SERVER = 4,
	HAS_TLS = 8,
	HAS_MPTCP = 16,
	HAS_ULP = 32,
	DEFERS = 64,
	HAS_LOWAT = 128,
	HAS_ZEROCOPY = 256,
	HAS_OPTION = 512,
	/* Its process passes on what it gets here, byte for byte. */
	RELAYS = 1024,
	/* Its process both accepts connections and makes some. */
	HAS_BOTH = 4096,
	/* It takes the bypass already, where nothing counts what it moves. */
	IS_ENROLLED = 2048,
	/* It listens, and its process is known to have accepted a connection there. */
	HAS_ACCEPTED = 8192,
	/* Its options are known. */
	IS_ASKED = 16384,
	/* It listens at [::] or another address of IPv6, and takes no connection of IPv4. */
	ONLY_IPV6 = 32768,
};

/* One socket of a connection, or one that listens. */
struct tcp_end {
	struct point local, remote;
	uint64_t cookie;
	/* By direction: bytes and data segments in all, and those since the first look. */
	uint64_t bytes[2], moved[2];
	uint32_t segments[2], moved_segments[2];
	/* Segments that were sent again, which `segments` has and `moved_segments` has not. */
	uint32_t resent;
	uint32_t mss;
	uint32_t inode;
	/* The interface that it is bound to, or 0. */
	uint32_t device;
	uint16_t space;
	uint16_t traits;
	uint8_t state;
	/* Places in `processes` and in the same list of ends, or NOBODY. */
	int process;
	int peer;
};

struct tcp_ends {
	struct tcp_end *all;
	uint32_t count;
	uint32_t room;
	/* How many found no room. */
	uint64_t left_out;
};

/* table.c: growing lists, and places in them by hash. */
/* Gives zeros, or ends the process. */
void *take_memory(size_t size);
void *grow(void *list, uint32_t count, uint32_t *room, size_t size);
/* NULL if there are MOST_ENDS. */
struct tcp_end *add_end(struct tcp_ends *ends);

struct index {
	uint32_t *slots;
	uint32_t mask;
};

void make_index(struct index *index, uint32_t count);
void drop_index(struct index *index);
void put_place(struct index *index, uint64_t hash, uint32_t place);
/* Gives one place after another that may have this hash. `at` begins as the hash. */
bool next_place(const struct index *index, uint64_t *at, uint32_t *place);

/* addresses.c */
/* Calls `add` with each address of the namespace's interfaces. */
void list_addresses(void (*add)(const uint8_t *address));

/* diag.c: asks the kernel for the sockets of the namespace that this process is in. */
/* A socket that hears of each TCP socket that ends there, or -1. */
int open_ended(void);
bool list_ends(uint16_t space, struct tcp_ends *ends);
/* Takes all that has come; false if some were lost. */
bool take_ended(int fd, uint16_t space, struct tcp_ends *ends);
/* Reads a message of the kernel, or refuses it. */
bool read_end(const uint8_t *message, size_t length, struct tcp_end *end);

/* spaces.c: the network namespaces in which a process lives. */
struct space {
	uint64_t inode;
	/* How many connections it had accepted at each look. */
	uint64_t accepted[2];
	uint8_t is_met[2];
	/* How many of those accepted between the looks were seen or heard of. */
	uint64_t heard;
	int ended;
};

extern struct space spaces[MOST_SPACES];
extern uint32_t space_count;

/* What was not seen, and why. */
struct unseen {
	/* Namespaces and sockets beyond our bounds, refused namespaces, sockets not asked. */
	uint32_t spaces_left_out;
	uint32_t refused_spaces;
	/* Processes of which we may not know the namespace. */
	uint32_t refused_processes;
	uint32_t not_asked;
	bool is_confined;
	/* The kernel tells only who has CAP_NET_ADMIN of TLS in the kernel and the like. */
	bool lacks_net_admin;
	/* It could not hear what ends, or not all of it. */
	bool is_deaf;
	/* It has heard so much that it stopped before the end. */
	bool is_sampled;
	/* Connections that were accepted meanwhile but of which nothing was heard. */
	uint64_t missed;
	/* Sockets and services for which there was no room. */
	uint64_t left_out;
	/* Services with more clients or dangers than there is room for. */
	uint32_t cut_services;
};

extern struct unseen unseen;

/* If not, a socket that no process seems to have open may be one of a process. */
bool sees_all_processes(void);

bool visit_spaces(unsigned int look, struct tcp_ends *ends);
/*
 * Listens to what ends until then, and gives for how many milliseconds it did; the sockets for that
 * were opened at `since_ns`.
 */
uint64_t hear_ended(uint64_t since_ns, uint64_t until_ns, struct tcp_ends *ended);
/* Whether it belongs to an interface of any of the namespaces. */
bool is_host_address(const uint8_t *address);

/* processes.c */
struct process {
	uint64_t pid;
	char name[16];
	/* What find_kind() says. */
	const char *kind;
};

extern struct process *processes;
extern uint32_t process_count;

/*
 * Its folder; that of another thread if the first one has ended, because only a thread that lives
 * shows what it has open. -1 if there is none.
 */
int open_process(int proc, const char *pid);
/* Finds who has these sockets open, and at the last look asks the sockets for their options. */
bool find_processes(struct tcp_ends *ends, bool is_last);
const char *name_process(int process);

/* options.c */
/* False if the process could not be asked. */
bool ask_options(int pidfd, unsigned int fd, struct tcp_end *end);

/* enrolled.c */
/* Reads the inodes of sockets that are enrolled, one a line, from stdin; false at anything else. */
bool read_enrolled(void);
void mark_enrolled(struct tcp_ends *ends);

/* merge.c: both looks and what ended between them, as one list of how much each end moved. */
void merge(struct tcp_ends *first, struct tcp_ends *ended, struct tcp_ends *last);

/* servers.c: finds who listens for each connection that was accepted. */
void find_servers(struct tcp_ends *ends);

/* pairs.c: finds the other end of each connection on this host. */
void find_pairs(struct tcp_ends *ends);

/* relays.c */
void find_relays(struct tcp_ends *ends);

/* services.c */
enum { MOST_SERVICES = 1024, MOST_CLIENTS = 16, MOST_DANGERS = 16 };

/* The strongest one first. */
enum effect {
	/* The program is harmed. */
	HARMS,
	/* The connection stays on TCP by itself. */
	STAYS,
	/* It depends on what the program does. */
	MAY_HARM,
};

struct danger_kind {
	const char *name;
	enum effect effect;
	const char *reason;
};

struct danger {
	const struct danger_kind *kind;
	const char *program;
};

struct sums {
	/* How many connections are between namespaces, and how many stay on TCP. */
	uint64_t across, staying;
	uint64_t bytes[2], messages[2];
};

enum advice { INCLUDE, LEAVE, DANGER, WATCH };
enum kind { REQUEST, STREAM, IDLE };

struct service {
	uint16_t port;
	const char *program;
	const char *clients[MOST_CLIENTS];
	uint32_t client_count;
	uint32_t connections;
	uint32_t on_host;
	uint32_t enrolled;
	/* Connections that came and went between the looks, and what their clients sent. */
	uint64_t shorts, shorts_on_host, short_messages;
	/* Of all connections on this host, and of the short ones among them. */
	struct sums sums, short_sums;
	struct danger dangers[MOST_DANGERS];
	uint32_t danger_count;
	/* It has more clients or dangers than there is room for. */
	bool is_cut;
	enum kind kind;
	enum advice advice;
	/* Hundredths; both are 0 if there is none. */
	uint32_t gain_from, gain_to;
	/* The program of which the reason is said, or NULL. */
	const char *whose;
	const char *reason;
};

extern struct service services[MOST_SERVICES];
extern uint32_t service_count;

void find_services(const struct tcp_ends *ends);
/* Adds what ended while nobody listened, if that was a part of the time. */
void estimate_shorts(uint64_t ms, uint64_t heard_ms);
/* dangers.c */
void find_dangers_of_port(struct service *service);
/* Of one end of a connection of this service. */
void find_dangers(struct service *service, const struct tcp_end *end);
/* A socket with such a trait stays on TCP by itself. */
bool stays_on_tcp(const struct tcp_end *end);
/* Whether FIONREAD of this kernel misses what is redirected. */
extern bool misses_redirected;
/* Whether it is known to miss nothing, so that connections of listeners that defer are enrolled. */
extern bool is_fionread_exact;

/* gain.c: the expected ratio to plain TCP, from the host's own bench or from our table. */
/* Words by four: rr or stream, size, and the least and the most ratio in hundredths. */
bool read_gains(char **words);
void expect_gain(struct service *service, uint64_t size);

/* judge.c */
void judge_services(uint64_t ms);

struct run {
	uint64_t ms;
	bool is_json;
	/* The expected gain is from this host's own bench. */
	bool is_bench;
	uint64_t sockets;
};

/* print.c, show.c */
void print_json(const struct run *run);
void show_table(const struct run *run);
void put_hundredths(uint64_t hundredths);
extern const char *const kind_words[];
extern const char *const advice_words[];
/* How large the mean message was, in tenths of a byte. */
uint64_t find_size(const struct service *service, enum direction direction);
/* Says the reason, with what to do for each name in it. */
void put_reason(const struct service *service, void (*put)(const char *text));
/* Whether the traffic block has the port; false for one that stands there already. */
bool is_listed(uint32_t service);

/* unseen.c: false if all was seen. */
bool put_unseen(bool is_quoted);

#endif
