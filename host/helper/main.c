// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

static const struct {
	const char *name;
	int (*run)(char **words);
} verbs[] = {
	{ "lock", verb_lock },		 { "grace", verb_grace },   { "cgroup", verb_cgroup },
	{ "selftest", verb_selftest },	 { "bench", verb_bench },   { "iterate", verb_iterate },
	{ "list", verb_list },		 { "claim", verb_claim },   { "write", verb_write },
	{ "hooks", verb_hooks },	 { "owners", verb_owners }, { "attach", verb_attach },
	{ "splice", verb_splice },	 { "unread", verb_unread },
#ifndef FOR_PODS /* a pod sees only its own processes, and its helper has no room */
	{ "listeners", verb_listeners },
#endif
};

int main(int count, char **words)
{
	if (count > 1)
		for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
			if (same_text(words[1], verbs[i].name))
				return verbs[i].run(words + 2);
	say("expected lock, grace, cgroup, selftest, bench, iterate, list, claim, write, hooks, "
	    "owners, attach, splice, unread or listeners, found ",
	    count > 1 ? words[1] : "nothing");
	return EXIT_USAGE;
}
