/* SPDX-License-Identifier: Apache-2.0 */
/* What looks at the sockets of other programs shares: names of their ends, and netlink. */
#ifndef NETLINK_H
#define NETLINK_H

#include "probe.h"

/* points.c */
/* IPv4 as ::ffff:a.b.c.d; the port in the order of the host. It has no padding. */
struct point {
	uint8_t address[16];
	uint16_t port;
};

struct point point_of(uint8_t family, const uint32_t *address, uint16_t port);
bool is_same_point(const struct point *a, const struct point *b);
/* Every network namespace has loopback addresses of its own. */
bool is_loopback(const uint8_t *address);
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count);

/* netlink.c */
/* A socket with its own address, or -1. `groups` are bits. */
int open_netlink(int protocol, uint32_t groups);
/* Finds an attribute in `length` bytes; NULL if it is missing or does not fit. */
const uint8_t *find_attribute(const uint8_t *bytes, size_t length, unsigned int type, size_t *size);
/*
 * Hands on each message of an answer; true at its end, else errno says why: EINTR if what is listed
 * has changed meanwhile, so that some of it may be missing.
 */
bool take_answer(int fd, bool (*take)(const uint8_t *message, size_t length, void *into),
		 void *into);
/*
 * Hands on each TCP socket of a family in these states (bits) of the network namespace in which
 * `fd` was opened. `wanted` are bits of the attributes that the kernel does not give by itself.
 */
bool list_sockets(int fd, uint8_t family, uint8_t wanted, uint32_t states,
		  bool (*take)(const uint8_t *message, size_t length, void *into), void *into);

#endif
