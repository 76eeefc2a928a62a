// SPDX-License-Identifier: Apache-2.0
/* Prints the advice as JSON. */
#include "advise.h"

#include <sys/utsname.h>

const char *const kind_words[] = { "request", "stream", "idle" };
const char *const advice_words[] = { "include", "leave", "danger", "watch" };

/* For names, which may contain a quotation mark. */
static void put_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			put_text("\\");
		put_bytes(text, 1);
	}
}

static void put_quoted(const char *text)
{
	put_text("\"");
	put_escaped(text);
	put_text("\"");
}

static void put_rate(const char *name, const uint64_t *counts, uint64_t ms)
{
	open_object(name);
	put_tenths_member("inbound", counts[IN] * 10000 / ms);
	put_tenths_member("outbound", counts[OUT] * 10000 / ms);
	close_object();
}

uint64_t find_size(const struct service *service, enum direction direction)
{
	uint64_t messages = service->sums.messages[direction];

	return messages ? service->sums.bytes[direction] * 10 / messages : 0;
}

void put_hundredths(uint64_t hundredths)
{
	put_number(hundredths / 100);
	put_text(hundredths % 100 < 10 ? ".0" : ".");
	put_number(hundredths % 100);
}

void put_reason(const struct service *service, void (*put)(const char *text))
{
	if (service->whose) {
		put(service->whose);
		put_text(": ");
	}
	put_text(service->reason);
}

bool is_listed(uint32_t service)
{
	if (services[service].advice != INCLUDE)
		return false;
	/* They are in the order of their ports. */
	while (service-- > 0 && services[service].port == services[service + 1].port)
		if (services[service].advice == INCLUDE)
			return false;
	return true;
}

static void put_dangers(const struct service *service)
{
	open_array("dangers");
	for (uint32_t i = 0; i < service->danger_count; i++) {
		open_object(NULL);
		put_string_member("kind", service->dangers[i].kind->name);
		put_name("program");
		put_quoted(service->dangers[i].program);
		put_string_member("reason", service->dangers[i].kind->reason);
		close_object();
	}
	close_array();
}

static void put_service(const struct service *service, uint64_t ms)
{
	open_object(NULL);
	put_number_member("port", service->port);
	put_name("program");
	put_quoted(service->program);
	open_array("clients");
	for (uint32_t i = 0; i < service->client_count; i++) {
		put_name(NULL);
		put_quoted(service->clients[i]);
	}
	close_array();
	put_number_member("connections", service->connections);
	put_number_member("onHost", service->on_host);
	put_name("shortConnections");
	if (unseen.is_deaf)
		put_text("null");
	else
		put_number(service->shorts);
	put_rate("perSecond", service->sums.messages, ms);
	open_object("bytesPerMessage");
	put_tenths_member("inbound", find_size(service, IN));
	put_tenths_member("outbound", find_size(service, OUT));
	close_object();
	put_rate("bytesPerSecond", service->sums.bytes, ms);
	put_string_member("kind", kind_words[service->kind]);
	put_dangers(service);
	if (service->gain_to) {
		open_object("gain");
		put_name("low");
		put_hundredths(service->gain_from);
		put_name("high");
		put_hundredths(service->gain_to);
		close_object();
	} else {
		put_string_member("gain", NULL);
	}
	put_string_member("advice", advice_words[service->advice]);
	put_name("reason");
	put_text("\"");
	put_reason(service, put_escaped);
	put_text("\"");
	close_object();
	flush_text(STDOUT_FILENO);
}

static void put_kernel(void)
{
	struct utsname names;

	/* It has been possible since the first kernel. */
	uname(&names);
	put_string_member("kernel", names.release);
	put_string_member("machine", names.machine);
}

void print_json(const struct run *run)
{
	uint32_t listed = 0;

	open_object(NULL);
	put_number_member("version", 1);
	put_tenths_member("seconds", run->ms / 100);
	put_kernel();
	put_string_member("gainFrom", run->is_bench ? "bench" : "table");
	put_number_member("namespaces", space_count);
	put_number_member("sockets", run->sockets);
	open_array("services");
	for (uint32_t i = 0; i < service_count; i++)
		put_service(&services[i], run->ms);
	close_array();
	open_object("traffic");
	open_array("ports");
	for (uint32_t i = 0; i < service_count; i++) {
		if (!is_listed(i))
			continue;
		put_name(NULL);
		put_number(services[i].port);
		/* A line has no room for all of a thousand. */
		if (++listed % 100 == 0)
			flush_text(STDOUT_FILENO);
	}
	close_array();
	close_object();
	put_name("unseen");
	if (!put_unseen(true))
		put_text("null");
	close_object();
	flush_text(STDOUT_FILENO);
}
