# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# boot start: runs all steps again from the records, as they were declared.

# The self-test runs only if it has not passed on this kernel.
cmd_boot_start() {
	generation=$(readlink "$home/current")
	is_generation "$generation" || err "$home/current: expected the serving generation, found none; run pulumi up again"
	shape=$(kept shape) owner=$(kept owner) cgroup=$(kept cgroup)
	sockets=${shape% *} pending=${shape#* }
	everything=$(policy_of everything) ports=$(policy_of ports) cidrs=$(policy_of cidrs) enabled=$(policy_of enabled) queue_bytes=$(policy_of queue) refresh_seconds=$(refresh_declared) splice_guard=$(kept splice-guard)
	is_guard_word "$splice_guard" || splice_guard=auto
	! is_proven || off=1
	refuse_kernel
	clean_cgroup
	apply_steps
}
