// SPDX-License-Identifier: Apache-2.0
/*
 * Makes packets of what sockets sent. The addresses, ports, sequence numbers and bytes are true;
 * the rest of the headers is made up. What the tap did not keep of a message shows as packets that
 * were longer than what the file holds of them.
 */
#include "tap.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

enum {
	/* The most bytes behind the headers of IPv4 and TCP. */
	LARGEST_SEGMENT = UINT16_MAX - 20 - 20,
	WINDOW = UINT16_MAX,
	HOPS = 64,
	SYN = 0x02,
	PSH = 0x08,
	ACK = 0x10,
};

/*
 * The option of a SYN that makes a window of UINT16_MAX cover all that is ever unacknowledged here.
 */
static const uint8_t window_scale[] = { 1, 3, 3, 14 };

struct headers {
	const uint32_t *from;
	const uint32_t *to;
	uint16_t from_port;
	uint16_t to_port;
	uint32_t sequence;
	uint32_t acknowledged;
	uint8_t flags;
};

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

/* Adds bytes to a sum of 16-bit words; all but the last ones have an even length. */
static uint64_t add(uint64_t sum, const uint8_t *bytes, size_t length)
{
	size_t i = 0;

	for (; i + 1 < length; i += 2)
		sum += (uint64_t)(bytes[i] << 8 | bytes[i + 1]);
	return i < length ? sum + (uint64_t)(bytes[i] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static bool is_mapped(const uint32_t *address)
{
	return !address[0] && !address[1] && address[2] == htonl(0xffff);
}

/* Returns the length of the header of IP, and the sum of what TCP adds of it. */
static size_t put_ip(uint8_t *at, const struct headers *headers, size_t length, uint64_t *sum)
{
	static uint16_t identification;

	if (is_mapped(headers->from) && is_mapped(headers->to)) {
		memset(at, 0, 20);
		at[0] = 0x45;
		put16(at + 2, (uint16_t)(20 + length));
		put16(at + 4, identification++);
		at[6] = 0x40; /* do not fragment */
		at[8] = HOPS;
		at[9] = IPPROTO_TCP;
		memcpy(at + 12, &headers->from[3], 4);
		memcpy(at + 16, &headers->to[3], 4);
		put16(at + 10, fold(add(0, at, 20)));
		*sum = add(IPPROTO_TCP + length, at + 12, 8);
		return 20;
	}
	memset(at, 0, 8);
	at[0] = 0x60;
	put16(at + 4, (uint16_t)length);
	at[6] = IPPROTO_TCP;
	at[7] = HOPS;
	memcpy(at + 8, headers->from, 16);
	memcpy(at + 24, headers->to, 16);
	*sum = add(IPPROTO_TCP + length, at + 8, 32);
	return 40;
}

/* A segment of `whole` bytes, of which `length` are there. */
static void put_segment(struct capture *capture, const struct headers *headers, uint64_t time,
			const uint8_t *bytes, uint32_t length, uint32_t whole, uint32_t direction,
			const char *comment)
{
	static uint8_t packet[40 + 24 + TAP_LARGEST];
	size_t options = headers->flags & SYN ? sizeof(window_scale) : 0;
	size_t tcp = 20 + options, ip;
	uint8_t *at;
	uint64_t sum;

	ip = put_ip(packet, headers, tcp + whole, &sum);
	at = packet + ip;
	memset(at, 0, 20);
	put16(at, headers->from_port);
	put16(at + 2, headers->to_port);
	put32(at + 4, headers->sequence);
	put32(at + 8, headers->flags & ACK ? headers->acknowledged : 0);
	at[12] = (uint8_t)(tcp / 4 << 4);
	at[13] = headers->flags;
	put16(at + 14, WINDOW);
	memcpy(at + 20, window_scale, options);
	memcpy(at + tcp, bytes, length);
	/* That of a segment that was cut cannot be known, and nobody can check it. */
	if (length == whole)
		put16(at + 16, fold(add(sum, at, tcp + length)));
	put_packet(capture, time, packet, (uint32_t)(ip + tcp) + length,
		   (uint32_t)(ip + tcp) + whole, direction, comment);
}

static struct headers turn(const struct headers *there, uint8_t flags)
{
	return (struct headers){ .from = there->to,
				 .to = there->from,
				 .from_port = there->to_port,
				 .to_port = there->from_port,
				 .sequence = there->acknowledged,
				 .acknowledged = there->sequence,
				 .flags = flags };
}

/* If neither end has the port itself, it is one that the client calls the server by. */
static uint32_t name_direction(const struct headers *headers, uint16_t port, bool is_from_client)
{
	if (headers->to_port == port || headers->from_port == port)
		is_from_client = headers->to_port == port;
	return is_from_client ? INBOUND : OUTBOUND;
}

/*
 * The handshake of a connection that is seen from its first byte on. Without it, readers of the
 * file take a later connection with the same ports for the same one.
 */
static void put_handshake(struct capture *capture, const struct headers *first, uint64_t time,
			  uint32_t flags, uint16_t port)
{
	static const char comment[] = "made up: the handshake before the first message";
	struct headers client = *first, server;

	if (!(flags & TAP_ACTIVE))
		client = turn(first, 0);
	client.flags = SYN;
	client.sequence--;
	server = turn(&client, SYN | ACK);
	server.sequence--;
	server.acknowledged = client.sequence + 1;
	put_segment(capture, &client, time, NULL, 0, 0, name_direction(&client, port, true),
		    comment);
	put_segment(capture, &server, time, NULL, 0, 0, name_direction(&server, port, false),
		    comment);
	client.sequence++;
	client.flags = ACK;
	put_segment(capture, &client, time, NULL, 0, 0, name_direction(&client, port, true),
		    comment);
}

uint64_t get_offset_of_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - now_ns();
}

void put_piece(struct capture *capture, const struct piece *piece, uint64_t since_1970,
	       uint16_t port)
{
	const char *comment = piece->flags & TAP_BYPASS ? "bypass" : "tcp";
	const uint8_t *bytes = (const uint8_t *)(piece + 1);
	struct headers headers = { .from = piece->from,
				   .to = piece->to,
				   .from_port = piece->from_port,
				   .to_port = piece->to_port,
				   .sequence = piece->sequence + piece->offset,
				   .acknowledged = piece->acknowledged,
				   .flags = PSH | ACK };
	uint32_t direction = name_direction(&headers, port, piece->flags & TAP_ACTIVE);
	uint32_t length = piece->length;
	/* What follows in the message, but not in the ring, follows the last piece. */
	uint32_t whole = piece->flags & TAP_LAST ? piece->size - piece->offset : length;
	uint64_t time = piece->time + since_1970;

	if (piece->flags & TAP_FIRST && piece->offset == 0)
		put_handshake(capture, &headers, time, piece->flags, port);
	do {
		uint32_t segment = whole < LARGEST_SEGMENT ? whole : LARGEST_SEGMENT;

		put_segment(capture, &headers, time, bytes, length, segment, direction, comment);
		headers.sequence += segment;
		whole -= segment;
		length = 0;
	} while (whole);
}
