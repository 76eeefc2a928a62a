/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the pod's program share. The program answers health checks, serves metrics, and
 * stands in for bpftool where that needs CAP_SYS_ADMIN.
 */
#ifndef POD_H
#define POD_H

#define _GNU_SOURCE
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* bpf.c: like system calls, these return -1 and set errno. */
int open_pin(const char *path);
int map_info(int fd, struct bpf_map_info *info);
int program_id(int fd);
int look_up(int fd, const void *key, void *value);
int next_key(int fd, const void *key, void *next);

enum { MOST_PROGRAMS = 64 };

struct attached {
	unsigned int count;
	/* The flags of the cgroup, such as BPF_F_ALLOW_MULTI. */
	unsigned int flags;
	uint32_t ids[MOST_PROGRAMS];
};

/* The sock_ops programs of a cgroup. */
int list_attached(const char *cgroup, struct attached *attached);

/* bpftool.c: `words` are the arguments of bpftool. */
int stand_in(int count, char **words);

/* health.c */
struct place {
	const char *pins;
	const char *generation;
	const char *owner;
	const char *cgroup;
};

/*
 * True if the node is as this pod made it, or another pod has taken over; `why` says so in words.
 */
bool is_served(const struct place *place, char *why, size_t room);

/* report.c */
struct service {
	uint16_t port;
	/* This kernel is not supported. */
	bool unsupported;
	/* The shell script that has the other verbs. */
	const char *script;
};

int serve(const struct service *service);
uint64_t now_ms(void);

/* http.c */
enum { LARGEST_REPORT = 64 * 1024 };

/* What the front and its keeper share. */
struct front {
	int listener;
	/* The front asks for a report, and the keeper tells that there is one, by one byte each. */
	int asks[2];
	int told[2];
	struct {
		/* 0 if the report failed. */
		uint32_t size;
		char text[LARGEST_REPORT];
	} *shared;
};

int open_listener(uint16_t port);
_Noreturn void front_serve(const struct front *front, pid_t keeper);

#endif
