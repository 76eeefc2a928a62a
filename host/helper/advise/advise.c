// SPDX-License-Identifier: Apache-2.0
/*
 * advise SECONDS [json] [misses|exact] [gains KIND SIZE FROM TO...]: looks twice at all TCP sockets
 * of all network namespaces in which a process lives, and tells which services would gain from the
 * bypass and which would be harmed. It loads nothing and enrols nothing. `misses` says that
 * FIONREAD of this kernel misses what is redirected, and `exact` that it misses nothing; `gains`
 * are ratios of this host's own bench. On stdin it reads the inodes of the sockets that take the
 * bypass already.
 */
#include "advise.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
	MOST_SECONDS = 3600,
	/* For both looks and what is made of them. */
	PATIENCE = 60,
	/* The kernel gives this number to the pid namespace in which it has started. */
	FIRST_PID_NAMESPACE = 0xeffffffc,
};

static void note_confinement(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
	struct stat stat;

	unseen.is_confined = fstatat(AT_FDCWD, "/proc/self/ns/pid", &stat, 0) ||
			     stat.st_ino != FIRST_PID_NAMESPACE;
	unseen.lacks_net_admin =
		syscall(SYS_capget, &header, sets) || !(sets[0].effective & 1U << CAP_NET_ADMIN);
}

static int run(uint64_t seconds, struct run *run)
{
	struct tcp_ends first = { 0 }, last = { 0 }, ended = { 0 };
	uint64_t begin = now_ns(), heard;

	note_confinement();
	if (!visit_spaces(0, &first) || !find_processes(&first, false))
		return EXIT_FAILED;
	heard = hear_ended(begin, begin + seconds * 1000000000, &ended);
	if (!visit_spaces(1, &last))
		return EXIT_FAILED;
	run->ms = (now_ns() - begin) / 1000000;
	run->sockets = last.count;
	mark_enrolled(&last);
	if (!find_processes(&last, true))
		return EXIT_FAILED;
	/* Those that ended in the last look. */
	hear_ended(begin, 0, &ended);
	merge(&first, &ended, &last);
	unseen.left_out += last.left_out;
	find_servers(&last);
	find_pairs(&last);
	find_relays(&last);
	find_services(&last);
	estimate_shorts(run->ms, heard);
	judge_services(run->ms);
	if (run->is_json)
		print_json(run);
	else
		show_table(run);
	return 0;
}

/* The child dies with this process. */
static void give_up(int signal)
{
	(void)signal;
	say("advise: expected to look at all sockets within a minute more than it waits, found no "
	    "end");
	_exit(EXIT_FAILED);
}

static int refuse(void)
{
	say("advise: expected SECONDS [json] [misses|exact] [gains KIND SIZE FROM TO...]");
	return EXIT_USAGE;
}

static bool take_word(char ***words, const char *word)
{
	bool is_there = **words && same_text(**words, word);

	*words += is_there;
	return is_there;
}

/*
 * The work is done in a child, because files of a container may lie on a file system that does not
 * answer, and only SIGKILL ends such a wait.
 */
int verb_advise(char **words)
{
	struct run options = { .is_json = false };
	uint64_t seconds;
	pid_t child;
	int status = 0;

	if (!read_number(*words, MOST_SECONDS, &seconds) || !seconds)
		return refuse();
	words++;
	options.is_json = take_word(&words, "json");
	misses_redirected = take_word(&words, "misses");
	is_fionread_exact = !misses_redirected && take_word(&words, "exact");
	options.is_bench = take_word(&words, "gains");
	if (options.is_bench ? !read_gains(words) : *words != NULL)
		return refuse();
	if (!read_enrolled()) {
		say("advise: expected inodes of enrolled sockets on stdin, found something else");
		return EXIT_USAGE;
	}
	child = spawn();
	if (child == 0)
		_exit(run(seconds, &options));
	limit_time((unsigned int)seconds + PATIENCE, give_up);
	while (child > 0 && wait4(child, &status, 0, NULL) < 0 && errno == EINTR)
		;
	if (child > 0 && WIFEXITED(status))
		return WEXITSTATUS(status);
	say("advise: expected its child to end by itself, found it killed");
	return EXIT_FAILED;
}
