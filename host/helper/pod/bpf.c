// SPDX-License-Identifier: Apache-2.0
#include "pod.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int call(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

int open_pin(const char *path)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.pathname = (uintptr_t)path;
	return call(BPF_OBJ_GET, &attributes);
}

static int info_of(int fd, void *info, uint32_t size)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	memset(info, 0, size);
	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info = (uintptr_t)info;
	attributes.info.info_len = size;
	return call(BPF_OBJ_GET_INFO_BY_FD, &attributes);
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
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_fd = (uint32_t)fd;
	attributes.key = (uintptr_t)key;
	attributes.value = (uintptr_t)answer;
	return call(command, &attributes);
}

int look_up(int fd, const void *key, void *value)
{
	return ask(BPF_MAP_LOOKUP_ELEM, fd, key, value);
}

int next_key(int fd, const void *key, void *next)
{
	return ask(BPF_MAP_GET_NEXT_KEY, fd, key, next);
}

int list_attached(const char *cgroup, struct attached *attached)
{
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	union bpf_attr attributes;
	int result;

	if (fd < 0)
		return -1;
	memset(&attributes, 0, sizeof(attributes));
	attributes.query.target_fd = (uint32_t)fd;
	attributes.query.attach_type = BPF_CGROUP_SOCK_OPS;
	attributes.query.prog_ids = (uintptr_t)attached->ids;
	attributes.query.prog_cnt = MOST_PROGRAMS;
	result = call(BPF_PROG_QUERY, &attributes);
	close(fd);
	attached->count = result ? 0 : attributes.query.prog_cnt;
	attached->flags = attributes.query.attach_flags;
	return result;
}
