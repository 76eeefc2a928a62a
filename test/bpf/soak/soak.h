/* SPDX-License-Identifier: Apache-2.0 */
/* What the parent and the two ends of a connection share; see soak.c. */
#ifndef SOAK_H
#define SOAK_H

#include "../common/common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MAX_SLOTS = 256, CLIENT = 0, SERVER = 1 };

/* How an end sends and reads. Each end has its own way, but WAY_TALK is for both or neither. */
enum way {
	WAY_POLL, /* one thread that never blocks */
	WAY_EDGE, /* the same, with edge-triggered epoll */
	WAY_THREADS, /* a blocking thread for each direction */
	WAY_WAITALL, /* the same, with recv(MSG_WAITALL) */
	WAY_SENDERS, /* the same, but three threads take turns to send */
	WAY_POOL, /* two threads, of which each reads and sends in turn */
	WAY_SHARED, /* two processes do the same with descriptors from fork() */
	WAY_URING, /* a thread for each direction, with io_uring */
	WAY_TALK, /* requests and replies by one blocking thread */
	WAYS,
};

/* One direction. */
struct stream {
	uint64_t seed;
	_Atomic uint64_t sent, received;
	_Atomic bool is_ended; /* the reader has seen the end of the stream */
};

/* For an end whose threads or processes take turns: whose turn it is, and what is left to do. */
struct turns {
	pthread_mutex_t turn;
	bool is_reading, is_sending;
};

struct slot {
	struct stream stream[2]; /* indexed by the end that sends */
	struct turns turns[2];
	enum way way[2];
	uint64_t seed;
	uint64_t stop_at; /* ns; when the senders stop */
	uint32_t largest; /* message to send */
	uint32_t read_largest;
	uint32_t nap; /* a reader sleeps about once in this many reads */
	uint32_t pause; /* a sender sleeps about once in this many sends */
	_Atomic int is_cut[2]; /* errno with which each end lost the connection */
	_Atomic uint32_t spurious; /* blocking calls that returned EAGAIN */
};

struct shared {
	_Atomic bool is_over, is_churn_over;
	_Atomic uint64_t storms, storm_errors, containers;
	struct slot slots[MAX_SLOTS];
};

extern struct shared *shared;

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Plays one end until it is over. Exits with 0 if every byte was right and in order. */
void play(struct slot *slot, int fd, int end) __attribute__((noreturn));

/* Makes one call on the thread's own io_uring. Returns the call's result, or -errno. */
enum ring_call { RING_SEND = 26, RING_RECV = 27 };
int call_ring(enum ring_call call, int fd, void *bytes, uint32_t size);

/* Hogs of CPU and memory, and cgroups that come and go below `folder`, each with a client in it. */
void hog_processor(void) __attribute__((noreturn));
void hog_memory(void) __attribute__((noreturn));
void churn_containers(const char *folder, int port) __attribute__((noreturn));

/* Connections that come and go. */
void storm_server(int listener) __attribute__((noreturn));
void storm_client(int port, uint64_t seed) __attribute__((noreturn));

#endif
