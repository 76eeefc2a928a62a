// SPDX-License-Identifier: Apache-2.0
/* What the running case of the self-test reports. Its two processes share the results. */
#include "selftest.h"

enum { MAX_CASES = 24 };

struct result *results;
unsigned int case_number;

void share_results(void)
{
	results = share_memory(MAX_CASES * sizeof(*results));
}

void add_bytes(size_t count)
{
	__atomic_fetch_add(&results[case_number].bytes, count, __ATOMIC_RELAXED);
}

void note_sent(const struct end *end)
{
	results[case_number].sent[end->is_client] = end->out.offset;
}

void skip_case(const char *reason)
{
	results[case_number].skipped = reason;
}

/* Null if the case has failed before. */
static struct result *claim_failure(const char *error, int code)
{
	struct result *result = &results[case_number];

	if (__atomic_exchange_n(&result->is_failed, 1, __ATOMIC_SEQ_CST))
		return NULL;
	result->error = error;
	result->code = code;
	result->expected = -1;
	result->belongs_at = -1;
	return result;
}

bool fail(const char *error, int code)
{
	claim_failure(error, code);
	return false;
}

static struct result *fail_at(bool to_server, uint64_t offset, const char *error, int code)
{
	struct result *result = claim_failure(error, code);

	if (result) {
		result->direction = to_server ? "client to server" : "server to client";
		result->is_to_server = to_server;
		result->offset = offset;
	}
	return result;
}

bool fail_in(const struct end *end, const char *error, int code)
{
	fail_at(!end->is_client, end->in.offset, error, code);
	return false;
}

bool fail_silence(const struct end *end, const char *error)
{
	if (results[case_number].sent[!end->is_client] <= end->in.offset)
		sleep_ms(200);
	return fail_in(end, error, 0);
}

bool fail_out(const struct end *end, const char *error, int code)
{
	fail_at(end->is_client, end->out.offset, error, code);
	return false;
}

bool check_content(struct end *end, const uint8_t *bytes, size_t count)
{
	size_t right = count_right(&end->in, bytes, count);
	struct result *result;

	add_bytes(right);
	end->in.offset += right;
	if (right == count)
		return true;
	result = fail_at(!end->is_client, end->in.offset, "wrong byte", 0);
	if (result) {
		result->expected = byte_at(&end->in, end->in.offset);
		result->found = bytes[right];
		result->belongs_at = find_bytes(&end->in, bytes + right, count - right);
	}
	return false;
}
