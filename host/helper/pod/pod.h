/* SPDX-License-Identifier: Apache-2.0 */
/* What serves a pod: the keeper (serve.c), which is process 1, and the front (http.c). */
#ifndef POD_H
#define POD_H

#include "probe.h"

/* http.c */
enum {
	/* Room for two generations with as many ranges of ports as bpf/socket_bypass.h counts. */
	LARGEST_REPORT = 256 * 1024,
};

/* What the front and its keeper share. */
struct front {
	int listener;
	/* The front asks for a report, and the keeper tells that there is one, by one byte each. */
	int asks[2];
	int told[2];
	struct {
		/* 0 if the report failed. */
		uint32_t size;
		char text[LARGEST_REPORT];
	} *shared;
};

/* Listens on all addresses. Returns -1 and sets errno on failure. */
int listen_everywhere(uint16_t port);
_Noreturn void front_serve(const struct front *front, pid_t keeper);

#endif
