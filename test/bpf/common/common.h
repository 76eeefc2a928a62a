/* SPDX-License-Identifier: Apache-2.0 */
/* What the C programs of the tests have in common. */
#ifndef COMMON_H
#define COMMON_H

#include <stdbool.h>
#include <stdint.h>

uint64_t now_ns(void);
void sleep_ns(uint64_t ns);

/* Hashes a value to a number that looks random. */
uint64_t mix(uint64_t value);
/* Draws the next random number below a bound. */
uint64_t draw(uint64_t *state, uint64_t below);

/* Moves the calling process into a cgroup. Sets errno if it fails. */
bool enter_cgroup(const char *folder);

#endif
