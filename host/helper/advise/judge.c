// SPDX-License-Identifier: Apache-2.0
/* Decides what to do with each service. */
#include "advise.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* More bytes for each message of the other direction than this are a stream. */
	LARGEST_ANSWER = 1 << 20,
	/* Hundredths: a loss that is within the noise, and a gain that is above it. */
	LEAST_FROM = 95,
	LEAST_MEAN = 105,
	/* As in bpf/socket_bypass.h: a service is judged by so many, and too short below this. */
	SHORT_CONNECTIONS = 16,
	SHORT_MESSAGES = 3,
};

static uint64_t divide(uint64_t count, uint64_t by)
{
	return by ? count / by : 0;
}

static void decide(struct service *service, enum advice advice, const char *reason)
{
	service->advice = advice;
	service->reason = reason;
}

static const struct danger *find_effect(const struct service *service, enum effect effect)
{
	for (uint32_t i = 0; i < service->danger_count; i++)
		if (service->dangers[i].kind->effect == effect)
			return &service->dangers[i];
	return NULL;
}

static enum kind find_traffic(const struct service *service, uint64_t ms)
{
	const uint64_t *messages = service->sums.messages, *bytes = service->sums.bytes;
	uint64_t fewer = messages[IN] < messages[OUT] ? messages[IN] : messages[OUT];
	uint64_t more = bytes[IN] > bytes[OUT] ? bytes[IN] : bytes[OUT];

	if ((messages[IN] + messages[OUT]) * 1000 < ms)
		return IDLE;
	return !fewer || more / fewer > LARGEST_ANSWER ? STREAM : REQUEST;
}

static void judge_gain(struct service *service)
{
	uint64_t in = divide(service->sums.bytes[IN], service->sums.messages[IN]);
	uint64_t out = divide(service->sums.bytes[OUT], service->sums.messages[OUT]);

	expect_gain(service, in > out ? in : out);
	if (service->gain_from >= LEAST_FROM &&
	    service->gain_from + service->gain_to >= 2 * LEAST_MEAN)
		decide(service, INCLUDE,
		       service->kind == REQUEST
			       ? "requests and responses between programs of this host gain"
			       : "a stream of large messages gains; one of small messages, which "
				 "TCP "
				 "may have joined, leaves the bypass by itself");
	else if (service->kind == REQUEST)
		decide(service, LEAVE,
		       "messages as large as these may be slower through the bypass if the ends "
		       "run "
		       "on two CPUs");
	else
		decide(service, LEAVE,
		       "a stream of small messages gains nothing: it leaves the bypass by itself");
}

static void judge(struct service *service, uint64_t ms)
{
	const struct danger *harm = find_effect(service, HARMS);
	const struct danger *stay = find_effect(service, STAYS);
	uint64_t connections = service->on_host + service->shorts_on_host;

	service->kind = find_traffic(service, ms);
	if (harm) {
		decide(service, DANGER, harm->kind->reason);
		service->whose = harm->program;
	} else if (!connections) {
		decide(service, LEAVE,
		       "all its clients are on other hosts, or their ends were not found");
	} else if (service->enrolled) {
		decide(service, INCLUDE,
		       "it takes the bypass already, where its messages are not seen; "
		       "'socket-bypass flows' counts them");
	} else if (stay && service->sums.staying * 2 >= connections) {
		decide(service, LEAVE, stay->kind->reason);
		service->whose = stay->program;
	} else if (service->shorts_on_host >= SHORT_CONNECTIONS &&
		   service->shorts_on_host > service->on_host &&
		   service->short_messages < service->shorts_on_host * SHORT_MESSAGES) {
		decide(service, LEAVE,
		       "its connections are too short to gain: their clients send less than three "
		       "messages");
	} else if (service->kind == IDLE) {
		decide(service, WATCH,
		       "less than one message a second was seen: look again while it is busy");
	} else {
		judge_gain(service);
	}
}

static int compare(const void *one, const void *two)
{
	const struct service *a = one, *b = two;

	return a->port != b->port ? a->port - b->port : strcmp(a->program, b->program);
}

static bool is_in_danger(uint16_t port)
{
	for (uint32_t i = 0; i < service_count; i++)
		if (services[i].port == port && services[i].advice == DANGER)
			return true;
	return false;
}

void judge_services(uint64_t ms)
{
	qsort(services, service_count, sizeof(*services), compare);
	for (uint32_t i = 0; i < service_count; i++)
		judge(&services[i], ms);
	for (uint32_t i = 0; i < service_count; i++)
		if (services[i].advice == INCLUDE && is_in_danger(services[i].port))
			decide(&services[i], LEAVE,
			       "another program that would be harmed has the same port");
}
