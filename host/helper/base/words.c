// SPDX-License-Identifier: Apache-2.0
/* Reads files of other processes, to their end or to a bound, and the words in them. */
#include "probe.h"

#include <fcntl.h>
#include <string.h>

/* Returns -1 at the end. */
static int next_byte(struct reader *reader)
{
	if (reader->at == reader->end) {
		size_t room =
			reader->left < sizeof(reader->bytes) ? reader->left : sizeof(reader->bytes);
		ssize_t n = room ? read(reader->fd, reader->bytes, room) : 0;

		if (n <= 0)
			return -1;
		reader->at = 0;
		reader->end = (size_t)n;
		reader->left -= (size_t)n;
	}
	return (unsigned char)reader->bytes[reader->at++];
}

bool next_line(struct reader *reader, char *line, size_t room)
{
	size_t length = 0;
	int c = next_byte(reader);

	if (c < 0)
		return false;
	for (; c >= 0 && c != '\n'; c = next_byte(reader))
		if (length + 1 < room)
			line[length++] = (char)c;
	line[length] = 0;
	return true;
}

size_t read_whole(int folder, const char *name, char *bytes, size_t room)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = fd < 0 ? 0 : 1;

	while (n > 0 && length < room) {
		n = read(fd, bytes + length, room - length);
		length += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	return length;
}

bool starts_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

const char *skip(const char *text, const char *bytes)
{
	while (*text && strchr(bytes, *text))
		text++;
	return text;
}

const char *skip_to(const char *text, const char *bytes)
{
	while (*text && !strchr(bytes, *text))
		text++;
	return text;
}

uint64_t number_in(const char **text, unsigned int base)
{
	static const char digits[] = "0123456789ABCDEF";
	uint64_t value = 0;

	for (; **text; ++*text) {
		const char *digit = strchr(digits, **text);

		if (!digit || digit - digits >= (ptrdiff_t)base)
			break;
		value = value * base + (uint64_t)(digit - digits);
	}
	return value;
}

uint64_t read_status(int process, const char *name)
{
	char status[4096];
	const char *line = status;

	status[read_whole(process, "status", status, sizeof(status) - 1)] = 0;
	while (*line && !starts_with(line, name))
		line = skip(skip_to(line, "\n"), "\n");
	line = skip(*line ? line + strlen(name) : line, ":\t ");
	return number_in(&line, 10);
}
