// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

int open_pin(const char *path)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uint64_t)(uintptr_t)path;
	return bpf(BPF_OBJ_GET, &attr);
}

static int info_of(int fd, void *info, uint32_t size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	memset(info, 0, size);
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info = (uint64_t)(uintptr_t)info;
	attr.info.info_len = size;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

int map_info(int fd, struct bpf_map_info *info)
{
	return info_of(fd, info, sizeof(*info));
}

int program_id(int fd)
{
	struct bpf_prog_info info;

	return info_of(fd, &info, sizeof(info)) ? -1 : (int)info.id;
}

/* The kernel writes its answer, a value or a key, to the same field. */
static int ask(int command, int fd, const void *key, void *answer)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)(uintptr_t)key;
	attr.value = (uint64_t)(uintptr_t)answer;
	return bpf(command, &attr);
}

int look_up(int map, const void *key, void *value)
{
	return ask(BPF_MAP_LOOKUP_ELEM, map, key, value);
}

int next_key(int map, const void *key, void *next)
{
	return ask(BPF_MAP_GET_NEXT_KEY, map, key, next);
}

unsigned int count_processors(void)
{
	int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
	unsigned int number = 0, count = 0;
	char text[256];
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] < '0' || text[i] > '9') {
				number = 0;
				continue;
			}
			number = number * 10 + (unsigned int)(text[i] - '0');
			if (number >= count)
				count = number + 1;
		}
	if (fd >= 0)
		close(fd);
	return count;
}

int list_attached(int cgroup, struct attached *attached)
{
	union bpf_attr attr;
	int result;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (uint32_t)cgroup;
	attr.query.attach_type = BPF_CGROUP_SOCK_OPS;
	attr.query.prog_ids = (uint64_t)(uintptr_t)attached->ids;
	attr.query.prog_cnt = MOST_PROGRAMS;
	result = bpf(BPF_PROG_QUERY, &attr);
	attached->count = result ? 0 : attr.query.prog_cnt;
	attached->flags = attr.query.attach_flags;
	return result;
}
