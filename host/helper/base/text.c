// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <string.h>

static char buffer[8192];
static size_t used;

void put_printable(const char *text, size_t length)
{
	for (size_t i = 0; i < length && used < sizeof(buffer); i++) {
		char c = text[i];

		buffer[used++] = c >= ' ' && c <= '~' ? c : ' ';
	}
}

void put_bytes(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && used < sizeof(buffer); i++)
		buffer[used++] = bytes[i];
}

void put_text(const char *text)
{
	put_printable(text, strlen(text));
}

void put_number(uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put_printable(digits + at, sizeof(digits) - at);
}

void put_tenths(uint64_t tenths)
{
	put_number(tenths / 10);
	put_text(".");
	put_number(tenths % 10);
}

void write_text(int fd)
{
	size_t done = 0;

	while (done < used) {
		ssize_t n = write(fd, buffer + done, used - done);

		if (n <= 0 && errno != EINTR)
			break;
		if (n > 0)
			done += (size_t)n;
	}
	used = 0;
}

void flush_text(int fd)
{
	if (used == sizeof(buffer))
		used--;
	buffer[used++] = '\n';
	write_text(fd);
}

void drop_text(void)
{
	used = 0;
}

void say_parts(const char *a, const char *b, const char *c, const char *d, const char *e,
	       const char *f)
{
	drop_text();
	put_text("probe: ");
	put_text(a);
	put_text(b);
	put_text(c);
	put_text(d);
	put_text(e);
	put_text(f);
	flush_text(STDERR_FILENO);
}

/* The names stand one behind the other, because a table of pointers would be as large again. */
const char *name_error(int code)
{
	static const uint8_t codes[] = {
		EPERM,	     ENOENT,	   EINTR,      EAGAIN,	      ENOMEM,	  EACCES,
		EBUSY,	     ENOTDIR,	   EINVAL,     EMFILE,	      EPIPE,	  ENOSYS,
		EOPNOTSUPP,  EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ECONNRESET, ETIMEDOUT,
		EINPROGRESS, ECONNREFUSED, EFAULT,     ENOSPC,	      EDQUOT,	  EROFS,
		ELOOP,	     EISDIR,	   EBADMSG,
	};
	const char *name = "EPERM\0ENOENT\0EINTR\0EAGAIN\0ENOMEM\0EACCES\0EBUSY\0ENOTDIR\0"
			   "EINVAL\0EMFILE\0EPIPE\0ENOSYS\0EOPNOTSUPP\0EAFNOSUPPORT\0"
			   "EADDRINUSE\0EADDRNOTAVAIL\0ECONNRESET\0ETIMEDOUT\0ETIMEDOUT\0"
			   "ECONNREFUSED\0EFAULT\0ENOSPC\0EDQUOT\0EROFS\0ELOOP\0EISDIR\0"
			   "EBADMSG\0";
	static char other[] = "errno ...";

	for (size_t i = 0; i < sizeof(codes); i++) {
		if (codes[i] == code)
			return name;
		name = next_name(name);
	}
	for (size_t at = sizeof(other) - 1; at-- > 6; code /= 10)
		other[at] = (char)('0' + code % 10);
	return other;
}

const char *next_name(const char *name)
{
	return name + strlen(name) + 1;
}

bool same_text(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool join_path(char *path, size_t room, const char *folder, const char *name)
{
	size_t length = strlen(folder), more = strlen(name) + 1;

	if (length + 1 + more > room)
		return false;
	memcpy(path, folder, length);
	path[length] = '/';
	memcpy(path + length + 1, name, more);
	return true;
}

bool read_number(const char *text, uint64_t largest, uint64_t *number)
{
	uint64_t value = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > largest)
			return false;
	}
	*number = value;
	return true;
}
