// SPDX-License-Identifier: Apache-2.0
/*
 * The helper: a verb for each task that a shell cannot do. On a host it is called the probe: its
 * file is probe-x86_64 or probe-aarch64, and its own errors begin with "probe: ". It keeps this
 * name because a script looks for that file in the folders of generations of other versions too
 * (find_probe in host/script/lib/paths.sh), and they look for it in ours.
 */
#include "probe.h"

static const struct {
	const char *name;
	int (*run)(char **words);
} verbs[] = {
	{ "lock", verb_lock },
	{ "grace", verb_grace },
	{ "cgroup", verb_cgroup },
	{ "selftest", verb_selftest },
	{ "bench", verb_bench },
	{ "iterate", verb_iterate },
	{ "list", verb_list },
	{ "claim", verb_claim },
	{ "write", verb_write },
	{ "hooks", verb_hooks },
	{ "owners", verb_owners },
	{ "attach", verb_attach },
	{ "splice", verb_splice },
	{ "unread", verb_unread },
	{ "map", verb_map },
	{ "tap", verb_tap },
	{ "tapped", verb_tapped },
#ifdef FOR_PODS
	{ "check", verb_check },
	{ "serve", verb_serve },
	{ "unsupported", verb_unsupported },
#else /* a pod sees only its own processes */
	{ "listeners", verb_listeners },
	{ "established", verb_established },
	{ "advise", verb_advise },
#endif
};

enum { VERBS = sizeof(verbs) / sizeof(*verbs) };

int main(int count, char **words)
{
	if (count > 1)
		for (size_t i = 0; i < VERBS; i++)
			if (same_text(words[1], verbs[i].name))
				return verbs[i].run(words + 2);
	put_text("probe: expected ");
	for (size_t i = 0; i < VERBS; i++) {
		put_text(i == 0 ? "" : i == VERBS - 1 ? " or " : ", ");
		put_text(verbs[i].name);
	}
	put_text(", found ");
	put_text(count > 1 ? words[1] : "nothing");
	flush_text(STDERR_FILENO);
	return EXIT_USAGE;
}
