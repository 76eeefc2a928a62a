// SPDX-License-Identifier: Apache-2.0
/* Recognizes programs that the bypass may harm, by their names and files. */
#include "probe.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>

enum { MOST_SECTIONS = 512 };

/* Every program that Go builds has this section, even when it is stripped. */
bool is_go(int process)
{
	static const char section[] = ".go.buildinfo";
	int fd = openat(process, "exe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char name[sizeof(section)];
	Elf64_Ehdr header;
	Elf64_Shdr names, one;
	bool is_found = false;

	if (fd < 0)
		return false;
	if (pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
	    memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
	    header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_shentsize == sizeof(one) &&
	    pread(fd, &names, sizeof(names),
		  (off_t)(header.e_shoff + header.e_shstrndx * sizeof(one))) == sizeof(names))
		for (unsigned int i = 0; i < header.e_shnum && i < MOST_SECTIONS && !is_found; i++)
			is_found =
				pread(fd, &one, sizeof(one),
				      (off_t)(header.e_shoff + i * sizeof(one))) == sizeof(one) &&
				pread(fd, name, sizeof(name),
				      (off_t)(names.sh_offset + one.sh_name)) == sizeof(name) &&
				memcmp(name, section, sizeof(section)) == 0;
	close(fd);
	return is_found;
}

size_t read_program(int process, char *program, size_t room)
{
	static char path[4096];
	ssize_t n = readlinkat(process, "exe", path, sizeof(path) - 1);
	const char *base = path;
	size_t length;

	path[n > 0 ? n : 0] = 0;
	for (const char *at = path; *at; at++)
		if (*at == '/')
			base = at + 1;
	/* A program that was replaced by a newer version has " (deleted)" behind its name. */
	length = (size_t)(skip_to(base, " ") - base);
	if (length >= room)
		length = room - 1;
	memcpy(program, base, length);
	program[length] = 0;
	return length;
}

static bool is_unit_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr(":_.@\\-", c));
}

void put_unit(int process)
{
	static char cgroups[8192];
	static const char end[] = ".service";
	const size_t last = sizeof(end) - 1;
	size_t length = read_whole(process, "cgroup", cgroups, sizeof(cgroups) - 1);

	cgroups[length] = 0;
	for (const char *part = cgroups; *part; part = skip_to(part, "/\n")) {
		const char *stop, *c;

		part++;
		stop = skip_to(part, "/\n");
		if (part[-1] != '/' || (size_t)(stop - part) <= last ||
		    memcmp(stop - last, end, last) != 0)
			continue;
		for (c = part; c < stop && is_unit_byte(*c); c++)
			;
		/* A unit of a user is edited by that user, under another name. */
		if (c < stop || starts_with(part, "user@") || stop - part > 255)
			break;
		put_bytes(part, (size_t)(stop - part));
		return;
	}
	put_text("-");
}

static bool is_among(const char *name, const char *names)
{
	for (; *names; names = next_name(names))
		if (same_text(name, names))
			return true;
	return false;
}

static bool is_named(const char *name, const char *program, const char *names)
{
	return is_among(name, names) || is_among(program, names);
}

const char *find_kind(int proc, int process, const char *name, const char *program)
{
	/* They splice, and at an error of splice they read as others do. */
	static const char splicing[] = "docker-proxy\0systemd-socket-proxyd\0realm\0"
				       "sing-box\0xray\0v2ray\0";
	/* No errno of splice helps these: 3proxy gives up, the others have no other way to read. */
	static const char stubborn[] = "3proxy\0pasta\0pasta.avx2\0passt\0passt.avx2\0";
	/* They ask FIONREAD how much is left. */
	static const char asking[] = "nginx\0openresty\0angie\0";

	if (is_named(name, program, "haproxy\0"))
		return look_at_haproxy(proc, process);
	if (is_named(name, program, asking))
		return "asks";
	if (is_named(name, program, stubborn))
		return "stubborn";
	if (is_named(name, program, splicing))
		return "known";
	return is_go(process) ? "go" : "-";
}
