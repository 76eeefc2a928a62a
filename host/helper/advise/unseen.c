// SPDX-License-Identifier: Apache-2.0
/* Says in one sentence what was not seen. */
#include "advise.h"

/* Fewer than this may be accepted while the sockets are listed, so they are not reported. */
enum { FEW = 16 };

static bool is_begun;

bool sees_all_processes(void)
{
	return !unseen.is_confined && !unseen.refused_processes;
}

static void begin(bool is_quoted)
{
	put_text(is_begun ? "; " : is_quoted ? "\"" : "");
	is_begun = true;
}

bool put_unseen(bool is_quoted)
{
	const struct {
		uint64_t count;
		const char *text;
	} counts[] = {
		{ unseen.refused_processes, "processes that may not be looked at" },
		{ unseen.refused_spaces, "network namespaces that may not be entered" },
		{ unseen.spaces_left_out, "processes in network namespaces beyond the first 1024" },
		{ unseen.left_out, "sockets or services for which there was no room" },
		{ unseen.missed >= FEW ? unseen.missed : 0,
		  "connections that were accepted and ended without a trace" },
		{ unseen.not_asked, "sockets that could not be asked for their options" },
		{ unseen.cut_services, "services of which not all clients and dangers are named" },
	};

	is_begun = false;
	if (unseen.is_confined) {
		begin(is_quoted);
		put_text("processes and network namespaces outside its own pid namespace (that of "
			 "a pod or "
			 "container), so run it on the host itself");
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		if (!counts[i].count)
			continue;
		begin(is_quoted);
		put_text(counts[i].text);
		put_text(": ");
		put_number(counts[i].count);
	}
	if (!sees_all_processes()) {
		begin(is_quoted);
		put_text("whether sockets that nobody has open are the kernel's own, because not "
			 "all "
			 "processes were looked at");
	}
	if (unseen.lacks_net_admin) {
		begin(is_quoted);
		put_text("TLS and other protocols in the kernel, for lack of CAP_NET_ADMIN");
	}
	if (unseen.is_deaf) {
		begin(is_quoted);
		put_text("not all short connections, because the kernel did not tell of all that "
			 "ended");
	}
	if (unseen.is_sampled) {
		begin(is_quoted);
		put_text("short connections of a part of the time, from which the others are "
			 "estimated; what longer ones have moved that ended in the rest of it");
	}
	put_text(is_begun && is_quoted ? "\"" : "");
	return is_begun;
}
