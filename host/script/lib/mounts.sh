# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Finds a mount, for the host script and for host/pod/pod.sh.

mount_of() { # TYPE FIRST-CHOICE [FIELD]; prints where it is mounted, or another field of that line
	awk -v type="$1" -v first="$2" -v field="${3:-2}" '
		$3 == type && (found == "" || $2 == first) { found = $field }
		END { print found }' /proc/mounts
}
