/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs beside this folder have in common. */
#ifndef COMMON_H
#define COMMON_H

#include <stdbool.h>
#include <stdint.h>

uint64_t now_ns(void);
void sleep_ns(uint64_t ns);

/* A number that looks random, and is the same for the same value. */
uint64_t mix(uint64_t value);
/* The next one below a bound. */
uint64_t draw(uint64_t *state, uint64_t below);

/* The calling process; errno says why not. */
bool enter_cgroup(const char *folder);

#endif
