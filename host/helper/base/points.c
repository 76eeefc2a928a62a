// SPDX-License-Identifier: Apache-2.0
/* Names of the ends of a connection. */
#include "netlink.h"

#include <string.h>

struct point point_of(uint8_t family, const uint32_t *address, uint16_t port)
{
	struct point point = { .port = ntohs(port) };

	if (family == AF_INET6) {
		memcpy(point.address, address, 16);
	} else {
		memset(point.address + 10, 0xff, 2);
		memcpy(point.address + 12, address, 4);
	}
	return point;
}

/* FNV-1a, whose upper bits are mixed into the lower ones. */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
	const uint8_t *byte = bytes;

	hash ^= 0xcbf29ce484222325;
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3;
	return hash ^ hash >> 32;
}

bool is_same_point(const struct point *a, const struct point *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool is_loopback(const uint8_t *address)
{
	static const uint8_t v6[16] = { [15] = 1 };
	static const uint8_t v4[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 };

	return memcmp(address, v6, sizeof(v6)) == 0 || memcmp(address, v4, sizeof(v4)) == 0;
}
