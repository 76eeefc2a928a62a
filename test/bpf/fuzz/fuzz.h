/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the same calls on a plain connection and on an enrolled one; see main.c. A sequence is
 * drawn from a number (plan.c), processes in both worlds perform it step by step (actor.c,
 * world.c), and the results of each step are judged (judge.c).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../common/common.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PLAIN, ENROLLED, WORLDS };

enum {
	CONNECTIONS = 3,
	ENDS = 2 * CONNECTIONS, /* an even end connects, the odd one after it is accepted */
	PROCESSES = 2,
	ACTORS = 2 * PROCESSES, /* the main thread of each process, then their second threads */
	MAX_STEPS = 160,
	BUFFER = 1 << 20,
};

enum call {
	CALL_CONNECT,
	CALL_ACCEPT,
	CALL_FORK,
	CALL_SEND,
	CALL_BURST, /* many tiny messages */
	CALL_HUGE, /* up to some MB, blocking */
	CALL_RECV,
	CALL_READ_ALL, /* until EAGAIN, the end, or an error */
	CALL_POLL, /* blocking */
	CALL_EPOLL_CTL,
	CALL_EPOLL_WAIT,
	CALL_SHUTDOWN,
	CALL_CLOSE,
	CALL_RESET, /* close with SO_LINGER 0 */
	CALL_DISCONNECT, /* connect(AF_UNSPEC), and connect again */
	CALL_SET,
	CALL_GET,
	CALL_ERROR, /* SO_ERROR */
	CALL_UNREAD, /* FIONREAD */
	CALL_OUTQ, /* SIOCOUTQ */
	CALL_NAMES, /* getsockname(), getpeername() */
	CALL_DUP,
	CALL_PASS, /* to the other process, by SCM_RIGHTS */
	CALL_NONBLOCK,
	CALL_SPLICE, /* from the socket */
	CALL_SIGNAL, /* to a thread that sleeps in a call */
	CALL_SLEEP,
	CALL_DRAIN, /* sets the drain knob of the generation */
	CALL_EXIT, /* ends the second process */
	CALLS,
	/* The judge asks for these beside the plan. */
	CALL_SEND_REST = CALLS, /* blocking */
	CALL_READ_EXACT,
	CALL_TAKE, /* the descriptor that was passed */
	CALL_LOOK,
};

/* Ways to send and to receive. */
enum {
	WAY_CALL,
	WAY_FILE,
	WAY_VECTOR,
	WAY_MESSAGE,
	RECEIVE_WAYS,
	WAY_SENDFILE = RECEIVE_WAYS,
	SEND_WAYS
};

struct step {
	enum call call;
	int actor, end;
	int way;
	int flags; /* MSG_, EPOLL, SHUT_ */
	int option; /* index of options[] */
	int value;
	uint32_t size;
};

/* A whole sequence. */
struct plan {
	uint64_t seed;
	int family; /* IPv4, IPv6, IPv4 to a dual-stack listener */
	int buffer[2]; /* SO_RCVBUF of either end, set before it is connected, or 0 */
	bool is_nodelay, is_inline, is_restarting, has_threads;
	int count;
	struct step steps[MAX_STEPS];
};

struct socket_option {
	const char *name;
	int level, number;
	int largest; /* largest value to set */
};

extern const struct socket_option options[];
extern const int option_count;

struct result {
	int64_t value; /* what the call returned */
	int error;
	uint32_t detail; /* events, or what ended CALL_READ_ALL */
	uint32_t pipes; /* number of SIGPIPE */
};

/* What can be seen of an end at any time. */
struct view {
	bool is_open;
	uint32_t events;
	int state;
	uint64_t sent, received; /* over TCP */
	uint32_t waiting; /* bytes not sent yet */
};

enum { IDLE, ASKED, DONE };

/* Passes a step to an actor and its result back. */
struct desk {
	_Atomic uint32_t turn;
	_Atomic pid_t process, thread;
	struct step step;
	uint64_t key, offset;
	struct result result;
	struct view views[ENDS];
	uint8_t bytes[BUFFER];
};

struct world {
	struct desk actors[ACTORS];
	struct desk spawner;
	struct plan plan; /* without the steps */
};

struct shared {
	struct world worlds[WORLDS];
};

extern struct shared *shared;
extern double slowness;

/* main.c */
void fill(uint8_t *bytes, uint64_t key, uint64_t offset, size_t count);
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* plan.c */
void make_plan(struct plan *plan, uint64_t seed);
int describe_step(char *text, size_t size, const struct step *step);
int effective_flags(const struct step *step);

/* actor.c */
void play(struct world *world, int actor) __attribute__((noreturn));
void perform(struct desk *desk);

/* world.c */
void start_worlds(bool is_control);
void begin_sequence(const struct plan *plan);
void end_sequence(void);
/* Waits until its actors are there. */
void await_process(int process);
void ask(int world, int actor, const struct step *step, uint64_t key, uint64_t offset);
bool is_done(int world, int actor, uint64_t wait_ns);
bool is_asleep(int world, int actor);
void wait_turn(struct desk *desk, uint32_t turn);
void set_turn(struct desk *desk, uint32_t turn);
bool has_ended(pid_t process);

/* judge.c */
extern bool is_strict, is_verbose;
extern uint64_t allowed[], steps_done;
extern const char *const allowances[];
extern const int allowance_count;
extern int drain_fd;
/* Runs the steps that are set in `chosen`. Gives the fault, or NULL; the log lists all steps. */
const char *run_sequence(const struct plan *plan, const bool *chosen);
const char *get_log(void);

#endif
