// SPDX-License-Identifier: Apache-2.0
/*
 * hooks FOLDER: lists the sock_ops programs of every cgroup in FOLDER and below, one line each: id,
 * flags, path. bpftool gives up if a cgroup disappears during its walk, so two processes that
 * create and remove cgroups would stop it for good; it also needs CAP_SYS_ADMIN.
 */
#include "probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>

enum {
	/* Each level holds a descriptor. Only root could attach a program further down. */
	DEEPEST = 900,
};

static char path[4096];

static bool refuse(void)
{
	say("hooks: ", path, ": ", name_error(errno));
	return false;
}

/* EACCES: the owner has closed the cgroup to a root without CAP_DAC_READ_SEARCH, as in a pod. */
static bool is_skipped(void)
{
	return errno == ENOENT || errno == ENODEV || errno == EACCES;
}

static bool put_hooks(int cgroup)
{
	struct attached attached;
	const char *flags;

	if (list_attached(cgroup, &attached))
		return is_skipped() || refuse();
	flags = attached.flags & BPF_F_ALLOW_MULTI	? " multi "
		: attached.flags & BPF_F_ALLOW_OVERRIDE ? " override "
							: " none ";
	for (uint32_t i = 0; i < attached.count; i++) {
		put_number(attached.ids[i]);
		put_text(flags);
		/* The kernel allows no line feed in the name of a cgroup. */
		put_bytes(path, strlen(path));
		flush_text(STDOUT_FILENO);
	}
	return true;
}

/* Closes `cgroup`, whose path has `length` bytes. */
static bool walk(int cgroup, size_t length, unsigned int depth)
{
	struct listing listing = { .fd = cgroup };
	const struct entry *entry;
	bool is_done = put_hooks(cgroup);

	while (is_done && (entry = next_entry(&listing))) {
		size_t more = strlen(entry->name);
		int below;

		/*
		 * Nobody can name a cgroup with a longer path, to attach to it or to detach from
		 * it.
		 */
		if (entry->type != FOLDER || depth == DEEPEST || length + more + 2 > sizeof(path))
			continue;
		path[length] = '/';
		memcpy(path + length + 1, entry->name, more + 1);
		below = open_folder(cgroup, entry->name);
		is_done = below < 0 ? is_skipped() || refuse()
				    : walk(below, length + 1 + more, depth + 1);
		path[length] = 0;
	}
	close(cgroup);
	if (is_done && listing.error) {
		errno = listing.error;
		is_done = refuse();
	}
	return is_done;
}

int verb_hooks(char **words)
{
	size_t length;
	int root;

	if (!words[0] || words[1] || (length = strlen(words[0])) >= sizeof(path)) {
		say("hooks: expected FOLDER");
		return EXIT_USAGE;
	}
	memcpy(path, words[0], length + 1);
	root = open_folder(AT_FDCWD, path);
	if (root < 0) {
		refuse();
		return EXIT_FAILED;
	}
	limit_verb("hooks");
	return walk(root, length, 0) ? 0 : EXIT_FAILED;
}
