// SPDX-License-Identifier: Apache-2.0
// Long: it runs the cases in their order and reports on each.
/* selftest [--seconds N]: runs every case over real sockets and prints one line of JSON. */
#include "selftest.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

enum { DEFAULT_SECONDS = 20 };

static const char *case_name = "";
static uint64_t limit_seconds = DEFAULT_SECONDS;

static void run_both(const struct scene *scene)
{
	struct place place;
	int code = open_listener(&place, scene->family, 0);
	bool is_ok;
	pid_t child;
	int status;

	if (code == EADDRNOTAVAIL || code == EAFNOSUPPORT) {
		skip_case(scene->family == IPV4 ? "no 127.0.0.1" : "no ::1");
		return;
	}
	if (code) {
		fail("no listener", code);
		return;
	}
	if (scene->option)
		set_option(place.listener, IPPROTO_TCP, scene->option, 5);
	child = spawn();
	if (child == 0)
		_exit(play(scene, &place, false) ? 0 : EXIT_FAILED);
	close(place.listener);
	if (child < 0) {
		fail("no server process", errno);
		return;
	}
	is_ok = play(scene, &place, true);
	if (results[case_number].skipped) {
		reap(child, 0);
		return;
	}
	/* If the client has failed, what its server reports does not matter. */
	status = reap(child, is_ok ? PATIENCE_MS + PATIENCE_MS / 4 : 100);
	if (!is_ok)
		fail("the client failed", 0);
	else if (status == -1)
		fail("the server process hung", 0);
	else if (!WIFEXITED(status))
		fail("the server process died", 0);
	else if (status > 0)
		fail("the server process failed", 0);
}

static void put_result(const char *name, const struct result *result)
{
	open_object(name);
	put_bool_member("ok", !result->is_failed);
	if (result->skipped)
		put_string_member("skipped", result->skipped);
	put_number_member("bytes", result->bytes);
	put_number_member("ms", result->ns / 1000000);
	if (result->is_failed) {
		put_string_member("error", result->error);
		if (result->code)
			put_string_member("errno", name_error(result->code));
		if (result->direction) {
			put_string_member("direction", result->direction);
			put_number_member("offset", result->offset);
			put_number_member("sent", result->sent[result->is_to_server]);
		}
		if (result->expected >= 0) {
			put_number_member("expected", (uint64_t)result->expected);
			put_number_member("found", (uint64_t)result->found);
		}
		if (result->belongs_at >= 0)
			put_number_member("belongs_at", (uint64_t)result->belongs_at);
	}
	close_object();
}

static void put_facts(void)
{
	/* The names have the order of enum fact, then of enum count. */
	const char *name = "fionread_redirected\0fionread_tcp\0msg_waitall\0msg_peek\0so_rcvlowat\0"
			   "splice\0splice_nonblock\0oob\0recv_signal\0reset_blocked\0"
			   "send_after_shutdown\0recv_stopped\0recv_shutdown\0msg_trunc\0"
			   "so_peek_off\0tcp_inq\0timestamps\0zerocopy_receive\0"
			   "reset\0close_unread\0"
			   "rounds\0epoll_edge_woken\0poll_woken\0recv_woken\0spurious_eagain\0";

	open_object("facts");
	for (int i = 0; i < FACTS; i++, name = next_name(name))
		put_string_member(name, facts->words[i]);
	for (int i = 0; i < COUNTS; i++, name = next_name(name))
		put_number_member(name, facts->counts[i]);
	close_object();
}

/* The children end with this process. */
static void give_up(int signal)
{
	(void)signal;
	drop_text();
	put_text("{\"ok\":false,\"error\":\"no end within ");
	put_number(limit_seconds);
	put_text(" s\",\"case\":\"");
	put_text(case_name);
	put_text("\"}");
	flush_text(STDOUT_FILENO);
	_exit(EXIT_FAILED);
}

static bool run_all(uint64_t deadline)
{
	bool is_ok = true;

	for (unsigned int i = 0; i <= scene_count; i++) {
		bool is_scene = i < scene_count;
		uint64_t begin = now_ns();

		case_number = i;
		case_name = is_scene ? scenes[i].name : "facts";
		if (begin > deadline)
			fail("not run: no time left", 0);
		else if (is_scene)
			run_both(&scenes[i]);
		else
			measure_facts();
		results[i].ns = now_ns() - begin;
		is_ok &= !results[i].is_failed;
	}
	return is_ok;
}

static bool start_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &lo) == 0;

	lo.ifr_flags |= IFF_UP;
	is_up = is_up && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
	close(fd);
	return is_up;
}

/*
 * Moves to a network namespace of its own, where no other user can crowd out the listeners and no
 * firewall of the host takes part; the code of the kernel is the same. Where that is not allowed (a
 * pod, whose network is its own already), the cases run where they are, and answer() rejects
 * strangers.
 */
static void leave_network(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd;

	if (home < 0)
		return;
	if (unshare(CLONE_NEWNET) == 0) {
		if (start_loopback()) {
			/*
			 * Fast open must work for servers too; a new network namespace allows it
			 * for clients only.
			 */
			fd = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY | O_CLOEXEC);
			if (fd >= 0) {
				if (write(fd, "3", 1) != 1)
					errno = 0; /* that case is skipped */
				close(fd);
			}
		} else {
			setns(home, CLONE_NEWNET);
		}
	}
	close(home);
}

int verb_selftest(char **words)
{
	uint64_t begin = now_ns();
	bool is_ok;

#ifdef PROBE_CORRUPT
	if (words[0] && same_text(words[0], "--corrupt")) {
		if (!words[1] || !words[2] || !words[3] ||
		    !plan_corruption(words[1], words[2], words[3])) {
			say("selftest: expected --corrupt flip|omit|repeat|swap|cut client|server "
			    "OFFSET");
			return EXIT_USAGE;
		}
		words += 4;
	}
#endif
	if (words[0] &&
	    (!same_text(words[0], "--seconds") || !words[1] ||
	     !read_number(words[1], 3600, &limit_seconds) || !limit_seconds || words[2])) {
		say("selftest: expected --seconds 1..3600 or nothing, found ", words[0]);
		return EXIT_USAGE;
	}
	share_results();
	facts = share_memory(sizeof(*facts));
	limit_time((unsigned int)limit_seconds, give_up);
	leave_network();
	/* The rest of the time, which a stuck case may use up, is left for the answer. */
	is_ok = run_all(begin + limit_seconds * 800000000);

	open_object(NULL);
	put_bool_member("ok", is_ok);
	open_object("cases");
	for (unsigned int i = 0; i <= scene_count; i++)
		put_result(i < scene_count ? scenes[i].name : "facts", &results[i]);
	close_object();
	put_facts();
	put_number_member("ms", (now_ns() - begin) / 1000000);
	close_object();
	flush_text(STDOUT_FILENO);
	return is_ok ? 0 : EXIT_FAILED;
}
