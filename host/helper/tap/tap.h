/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the tap share (docs/reference/tap.md). */
#ifndef TAP_H
#define TAP_H

#include "probe.h"

/* As in bpf/tap.h. */
enum {
	TAP_BYPASS = 1,
	TAP_ACTIVE = 2,
	TAP_FIRST = 4,
	TAP_LAST = 8,
	TAP_LARGEST = 32768,
};

/* What lies in the ring before the bytes of a piece of a message. */
struct piece {
	uint64_t time;
	uint32_t sequence;
	uint32_t acknowledged;
	uint32_t size;
	uint32_t offset;
	uint32_t length;
	uint32_t flags;
	uint32_t from[4];
	uint32_t to[4];
	uint16_t from_port;
	uint16_t to_port;
	uint32_t unused;
};

/* control.c: the maps of the generation that is tapped. */
struct tapped {
	const char *instance;
	const char *generation;
	int folder;
	int knobs;
	int rings;
	int counters;
};

/* All false after having said why. */
bool open_tapped(struct tapped *tapped, const char *instance, const char *generation);
/* True if this process is now the only tap of the instance. */
bool claim_tap(const struct tapped *tapped);
bool is_serving(const struct tapped *tapped);
/* Takes a ring away, and whatever a killed tap has left. */
void stop_tap(const struct tapped *tapped);
bool set_wish(const struct tapped *tapped, uint64_t port, uint64_t snaplen);
/* Whether messages are shown until `until_ns`; safe in a handler of a signal. */
bool set_lease(const struct tapped *tapped, uint64_t until_ns);
bool put_ring(const struct tapped *tapped, int ring);
/* Messages that all taps of this generation have missed. */
uint64_t count_lost(const struct tapped *tapped);

/* lease.c */
void begin_lease(const struct tapped *tapped, uint64_t until_ns);
void end_lease(void);
/* Whether a signal has ended the tap. */
bool is_tap_ended(void);
/* Whether this process was held up for so long that the programs stopped showing messages. */
bool is_lease_lapsed(void);

/* ring.c: the ring between the programs and the tap. */
struct ring {
	int fd;
	uint32_t mask;
	uint64_t taken;
	volatile uint64_t *consumer;
	const volatile uint64_t *producer;
	const uint8_t *bytes;
};

bool make_ring(struct ring *ring);
/* The next piece, with its bytes behind it; NULL if there is none. */
const struct piece *next_piece(struct ring *ring);
void release_piece(struct ring *ring);

/* capture.c: writes pcapng. */
struct capture {
	int fd;
	/* Why writing failed; 0 if it has not. */
	int error;
	uint64_t written;
	uint64_t packets;
};

enum { INBOUND = 1, OUTBOUND = 2 };

bool begin_capture(struct capture *capture, const char *instance, uint16_t port, uint32_t snaplen);
/* `length` bytes that a packet of `whole` bytes begins with. The time is in ns since 1970. */
void put_packet(struct capture *capture, uint64_t time, const uint8_t *packet, uint32_t length,
		uint32_t whole, uint32_t direction, const char *comment);
void end_capture(struct capture *capture, uint64_t from, uint64_t to, uint64_t received,
		 uint64_t lost);
void flush_capture(struct capture *capture);

/* packets.c: makes packets of a piece. */
/* What to add to the time of a piece for that since 1970. */
uint64_t get_offset_of_clock(void);
void put_piece(struct capture *capture, const struct piece *piece, uint64_t since_1970,
	       uint16_t port);

#endif
