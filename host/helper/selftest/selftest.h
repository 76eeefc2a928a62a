// SPDX-License-Identifier: Apache-2.0
#ifndef SELFTEST_H
#define SELFTEST_H

#include "probe.h"

/* end.c: one end of a connection whose content is checked. */
enum { BLOCKED = -1, FAILED = -2 };

struct end {
	int fd;
	bool is_client;
	unsigned int connection;
	struct stream out;
	struct stream in;
};

struct end make_end(int fd, bool is_client, unsigned int connection);
/*
 * Gives the number of bytes moved without waiting, 0 at the end of the stream, BLOCKED or FAILED.
 */
ssize_t push(struct end *end, size_t count);
ssize_t pull(struct end *end, size_t count);
bool send_bytes(struct end *end, size_t count);
bool receive_bytes(struct end *end, size_t count);
bool receive_end(struct end *end);
bool converse(struct end *end, unsigned int rounds, size_t largest);
/* Draws a size from 1 to `largest`; small sizes are as frequent as large ones. */
size_t draw_size(struct stream *stream, size_t largest);
bool pump(struct end *end, size_t count);

/* report.c: what the running case reports, visible to both processes. */
struct result {
	const char *error;
	const char *direction;
	const char *skipped;
	uint64_t bytes;
	uint64_t ns;
	/*
	 * How many bytes each side's latest connection has handed to the kernel; index 1 is the
	 * client's.
	 */
	uint64_t sent[2];
	uint64_t offset;
	int64_t belongs_at;
	int code;
	int expected;
	int found;
	int is_failed;
	bool is_to_server;
};

/* One for each case. */
extern struct result *results;
extern unsigned int case_number;
void share_results(void);
void add_bytes(size_t count);
void skip_case(const char *reason);
void note_sent(const struct end *end);
/* Keeps the first failure of a case; always false. */
bool fail(const char *error, int code);
bool fail_in(const struct end *end, const char *error, int code);
/*
 * Nothing came in time. Both sides time out at once, and the one that misses bytes is to be heard.
 */
bool fail_silence(const struct end *end, const char *error);
bool fail_out(const struct end *end, const char *error, int code);
/* Advances the stream, or fails with the first wrong byte. */
bool check_content(struct end *end, const uint8_t *bytes, size_t count);

/* scenes.c, script.c */
struct scene {
	const char *name;
	const char *client;
	const char *server;
	/* How many more connections follow, one after another. */
	uint8_t more_connections;
	uint8_t family;
	/* A TCP option that the listener gets, with the value 5. */
	uint8_t option;
};

extern const struct scene scenes[];
extern const unsigned int scene_count;
bool play(const struct scene *scene, const struct place *place, bool is_client);
const char *name_ending(ssize_t received, int code);

/* wakeups.c */
bool poll_rounds(struct end *end);
bool recv_rounds(struct end *end);

/* facts.c: what this kernel does with redirected bytes. */
enum fact {
	FIONREAD_REDIRECTED,
	FIONREAD_TCP,
	MSG_WAITALL_FACT,
	MSG_PEEK_FACT,
	SO_RCVLOWAT_FACT,
	SPLICE,
	SPLICE_NONBLOCK,
	OOB,
	RECV_SIGNAL,
	RESET_BLOCKED,
	SEND_AFTER_SHUTDOWN,
	RECV_STOPPED,
	RECV_SHUTDOWN,
	MSG_TRUNC_FACT,
	SO_PEEK_OFF_FACT,
	TCP_INQ_FACT,
	TIMESTAMPS,
	ZEROCOPY_RECEIVE,
	RESET,
	CLOSE_UNREAD,
	FACTS,
};

enum count {
	ROUNDS,
	EPOLL_EDGE_WOKEN,
	POLL_WOKEN,
	RECV_WOKEN,
	SPURIOUS_EAGAIN,
	COUNTS,
};

struct facts {
	const char *words[FACTS];
	uint32_t counts[COUNTS];
	/* Not printed: the client of wake_recv has stopped waiting. */
	uint32_t is_given_up;
};

extern struct facts *facts;
enum { WARM_UP = 8 };
void measure_facts(void);

#endif
