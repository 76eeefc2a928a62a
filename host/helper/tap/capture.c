// SPDX-License-Identifier: Apache-2.0
/*
 * Writes the blocks of a pcapng file that a capture needs
 * (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html). All numbers are in the byte
 * order of the machine, as the format allows.
 */
#include "tap.h"

#include <string.h>
#include <sys/utsname.h>

enum {
	SECTION_HEADER = 0x0a0d0d0a,
	INTERFACE_DESCRIPTION = 1,
	INTERFACE_STATISTICS = 5,
	ENHANCED_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINKTYPE_RAW = 101, /* begins with the header of IPv4 or IPv6 */
	LARGEST_BLOCK = TAP_LARGEST + 1024,
};

/* The numbers of options. */
enum {
	END_OF_OPTIONS = 0,
	COMMENT = 1,
	SHB_HARDWARE = 2,
	SHB_OS = 3,
	SHB_USERAPPL = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_TSRESOL = 9,
	EPB_FLAGS = 2,
	ISB_STARTTIME = 2,
	ISB_ENDTIME = 3,
	ISB_IFRECV = 4,
	ISB_IFDROP = 5,
};

static uint8_t buffer[8 * LARGEST_BLOCK];
static size_t used, block_at;

void flush_capture(struct capture *capture)
{
	for (size_t done = 0; done < used && !capture->error;) {
		ssize_t n = write(capture->fd, buffer + done, used - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			capture->error = n ? errno : EPIPE;
	}
	used = 0;
}

static void put(const void *bytes, size_t length)
{
	memcpy(buffer + used, bytes, length);
	used += length;
	while (used % 4)
		buffer[used++] = 0;
}

static void put_word(uint32_t word)
{
	put(&word, sizeof(word));
}

static void put_time(uint64_t time)
{
	put_word((uint32_t)(time >> 32));
	put_word((uint32_t)time);
}

static void put_option(uint16_t number, const void *value, uint16_t length)
{
	uint16_t head[] = { number, length };

	put(head, sizeof(head));
	put(value, length);
}

static void put_text_option(uint16_t number, const char *text)
{
	put_option(number, text, (uint16_t)strlen(text));
}

static void put_count_option(uint16_t number, uint64_t count)
{
	put_option(number, &count, sizeof(count));
}

static void put_time_option(uint16_t number, uint64_t time)
{
	uint32_t halves[] = { (uint32_t)(time >> 32), (uint32_t)time };

	put_option(number, halves, sizeof(halves));
}

static void begin_block(struct capture *capture, uint32_t type)
{
	if (sizeof(buffer) - used < LARGEST_BLOCK)
		flush_capture(capture);
	block_at = used;
	put_word(type);
	put_word(0);
}

static void end_block(struct capture *capture)
{
	uint32_t length;

	put_word(END_OF_OPTIONS);
	length = (uint32_t)(used - block_at) + sizeof(length);
	memcpy(buffer + block_at + sizeof(uint32_t), &length, sizeof(length));
	put_word(length);
	capture->written += length;
}

bool begin_capture(struct capture *capture, const char *instance, uint16_t port, uint32_t snaplen)
{
	static const uint16_t version[] = { 1, 0 };
	static const uint8_t nanoseconds = 9;
	uint16_t link[] = { LINKTYPE_RAW, 0 };
	char text[128] = "TCP port ", digits[6];
	struct utsname system;
	size_t at = sizeof(digits) - 1;

	if (uname(&system))
		memset(&system, 0, sizeof(system));
	begin_block(capture, SECTION_HEADER);
	put_word(BYTE_ORDER_MAGIC);
	put(version, sizeof(version));
	put_time(UINT64_MAX); /* the length of the section, which is not known yet */
	put_text_option(SHB_HARDWARE, system.machine);
	put_text_option(SHB_OS, system.release);
	put_text_option(SHB_USERAPPL, "socket-bypass tap");
	put_text_option(COMMENT,
			"The headers of IP and TCP are made up by socket-bypass. Addresses, ports, "
			"sequence numbers and bytes are those of the sockets.");
	end_block(capture);

	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + port % 10);
		port /= 10;
	} while (port);
	memcpy(text + strlen(text), digits + at, sizeof(digits) - at);
	begin_block(capture, INTERFACE_DESCRIPTION);
	put(link, sizeof(link));
	put_word(snaplen);
	put_text_option(IF_NAME, instance);
	put_text_option(IF_DESCRIPTION, text);
	put_option(IF_TSRESOL, &nanoseconds, sizeof(nanoseconds));
	end_block(capture);
	flush_capture(capture);
	return !capture->error;
}

void put_packet(struct capture *capture, uint64_t time, const uint8_t *packet, uint32_t length,
		uint32_t whole, uint32_t direction, const char *comment)
{
	begin_block(capture, ENHANCED_PACKET);
	put_word(0); /* the only interface */
	put_time(time);
	put_word(length);
	put_word(whole);
	put(packet, length);
	put_option(EPB_FLAGS, &direction, sizeof(direction));
	put_text_option(COMMENT, comment);
	end_block(capture);
	capture->packets++;
}

void end_capture(struct capture *capture, uint64_t from, uint64_t to, uint64_t received,
		 uint64_t lost)
{
	begin_block(capture, INTERFACE_STATISTICS);
	put_word(0);
	put_time(to);
	put_time_option(ISB_STARTTIME, from);
	put_time_option(ISB_ENDTIME, to);
	put_count_option(ISB_IFRECV, received);
	put_count_option(ISB_IFDROP, lost);
	end_block(capture);
	flush_capture(capture);
}
