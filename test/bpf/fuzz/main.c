// SPDX-License-Identifier: Apache-2.0
// Long: usage, and what is printed about a difference.
/*
 * differential [--seed N] [--seconds N] ...: plays random sequences of socket calls, each on a
 * plain connection and on an enrolled one. A difference is either a limit that judge.c knows by
 * name (docs/reference/behaviour.md lists them all), or a fault.
 *
 *	--seed N        number of the first sequence; each next one is 1 more; default: the clock
 *	--seconds N     stops after N seconds
 *	--count N       stops after N sequences
 *	--drain PATH    the pinned map `knobs`, by which a sequence may drain and resume
 *	--only 0,3-7    plays only these steps of the sequence
 *	--strict        knows no limits: every difference is a fault
 *	--control       makes both connections plain
 *	--fast          reports a fault without shortening its sequence
 *	--verbose       prints each step of each sequence
 *
 * Prints a line of JSON at the end. Before that, at a fault, it prints the shortened sequence and
 * how to run it again. It runs inside the bypassed cgroup, with another one in OTHER_CGROUP.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHRINK_SECONDS = 40 };

struct shared *shared;
double slowness = 1;
int drain_fd = -1;

/* Byte n of a stream is a function of the stream's key and n. */
void fill(uint8_t *bytes, uint64_t key, uint64_t offset, size_t count)
{
	uint64_t word = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t at = offset + i;

		if (i == 0 || at % 8 == 0)
			word = mix(key + at / 8);
		bytes[i] = (uint8_t)(word >> (at % 8 * 8));
	}
}

void die(const char *format, ...)
{
	va_list words;
	char text[512];

	va_start(words, format);
	vsnprintf(text, sizeof(text), format, words);
	va_end(words);
	fprintf(stderr, "differential: process %d: %s\n", getpid(), text);
	kill(getppid(), SIGTERM);
	_exit(2);
}

static int open_map(const char *path)
{
	union bpf_attr attributes = { .pathname = (uint64_t)(uintptr_t)path };
	int fd = (int)syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof(attributes));

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static bool choose(bool *chosen, const char *list)
{
	memset(chosen, 0, MAX_STEPS);
	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = first;

		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		if (end == list || first < 0 || last >= MAX_STEPS || (*end && *end != ','))
			return false;
		for (; first <= last; first++)
			chosen[first] = true;
		list = *end ? end + 1 : end;
	}
	return true;
}

static void print_chosen(const bool *chosen, int count)
{
	bool is_first = true;

	for (int i = 0; i < count; i++) {
		int first = i;

		if (!chosen[i])
			continue;
		while (i + 1 < count && chosen[i + 1])
			i++;
		fprintf(stderr, first < i ? "%s%d-%d" : "%s%d", is_first ? "" : ",", first, i);
		is_first = false;
	}
}

/* Faults are the same if they are of the same kind, which is the text before the colon. */
static bool is_same_fault(const char *one, const char *other)
{
	return one && other && strcspn(one, ":") == strcspn(other, ":") &&
	       !strncmp(one, other, strcspn(one, ":"));
}

static bool fails_without(const struct plan *plan, bool *chosen, int from, int count,
			  const char *fault)
{
	bool fewer[MAX_STEPS];
	bool is_any = false;

	memcpy(fewer, chosen, sizeof(fewer));
	for (int i = from; i < from + count && i < plan->count; i++) {
		is_any |= fewer[i];
		fewer[i] = false;
	}
	if (!is_any)
		return false;
	for (int tries = 0; tries < 2; tries++) {
		if (is_same_fault(run_sequence(plan, fewer), fault)) {
			memcpy(chosen, fewer, sizeof(fewer));
			return true;
		}
	}
	return false;
}

/* Leaves out smaller and smaller parts, as long as the same fault remains. */
static void shrink(const struct plan *plan, bool *chosen, const char *fault)
{
	uint64_t until = now_ns() + SHRINK_SECONDS * 1000000000ULL;
	bool is_shorter = true;

	for (int count = plan->count / 2; count > 0;) {
		is_shorter = false;
		for (int from = plan->count - count; from > -count; from -= count)
			if (now_ns() < until)
				is_shorter |= fails_without(plan, chosen, from < 0 ? 0 : from,
							    count, fault);
		if (count == 1 && !is_shorter)
			break;
		count = count > 1 ? count / 2 : 1;
		if (now_ns() > until)
			break;
	}
}

static void tell_fault(const struct plan *plan, const bool *chosen, const char *fault)
{
	fprintf(stderr, "%s\nfault: %s\nagain: --seed %llu --only ", get_log(), fault,
		(unsigned long long)plan->seed);
	print_chosen(chosen, plan->count);
	fprintf(stderr, "\n");
	fflush(stderr);
}

static void explain(const struct plan *plan, bool *chosen, const char *found, bool is_whole)
{
	char fault[1024];

	snprintf(fault, sizeof(fault), "%s", found);
	tell_fault(plan, chosen, fault);
	if (!is_whole)
		return;
	shrink(plan, chosen, fault);
	for (int tries = 0; tries < 5; tries++) {
		found = run_sequence(plan, chosen);
		if (is_same_fault(found, fault)) {
			fprintf(stderr, "made shorter:\n");
			tell_fault(plan, chosen, found);
			return;
		}
	}
	fprintf(stderr, "made shorter, it fails only now and then: --only ");
	print_chosen(chosen, plan->count);
	fprintf(stderr, "\n");
}

static void report(uint64_t seed, uint64_t sequences)
{
	printf("{\"seed\":%llu,\"sequences\":%llu,\"steps\":%llu", (unsigned long long)seed,
	       (unsigned long long)sequences, (unsigned long long)steps_done);
	for (int i = 0; i < allowance_count; i++)
		if (allowed[i])
			printf(",\"%s\":%llu", allowances[i], (unsigned long long)allowed[i]);
	printf("}\n");
	fflush(stdout);
}

/* Parses the number after an option; NULL means that there is none. */
static uint64_t get_number(const char *word)
{
	char *end;
	uint64_t number = word ? strtoull(word, &end, 10) : 0;

	if (!word || end == word || *end)
		die("expected a number, found %s", word ? word : "none");
	return number;
}

int main(int count, char **words)
{
	static struct plan plan;
	bool chosen[MAX_STEPS], is_whole = true, is_control = false;
	uint64_t seed = now_ns() / 1000, seconds = 0, most = 0, sequences = 0, until;
	const char *slow = getenv("SLOWNESS"), *fault = NULL;

	memset(chosen, true, sizeof(chosen));
	for (int i = 1; i < count; i++) {
		const char *word = words[i], *next = words[i + 1];

		if (!strcmp(word, "--strict"))
			is_strict = true;
		else if (!strcmp(word, "--control"))
			is_control = true;
		else if (!strcmp(word, "--fast"))
			is_whole = false;
		else if (!strcmp(word, "--verbose"))
			is_verbose = true;
		else if (!strcmp(word, "--seed"))
			seed = get_number(words[++i]);
		else if (!strcmp(word, "--seconds"))
			seconds = get_number(words[++i]);
		else if (!strcmp(word, "--count"))
			most = get_number(words[++i]);
		else if (!strcmp(word, "--drain") && next)
			drain_fd = open_map(words[++i]);
		else if (!strcmp(word, "--only") && next && choose(chosen, next))
			i++, is_whole = false;
		else
			die("expected an option that main.c lists, found %s", word);
	}
	if (slow)
		slowness = atof(slow);
	if (!seconds && !most)
		most = 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	start_worlds(is_control);
	until = now_ns() + seconds * 1000000000;
	fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	while (!fault && (!most || sequences < most) && (!seconds || now_ns() < until)) {
		make_plan(&plan, seed + sequences++);
		fault = run_sequence(&plan, chosen);
		if (is_verbose && !fault)
			fprintf(stderr, "sequence %llu\n%s", (unsigned long long)plan.seed,
				get_log());
	}
	if (fault)
		explain(&plan, chosen, fault, is_whole);
	report(seed, sequences);
	return fault ? 1 : 0;
}
