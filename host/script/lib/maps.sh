# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Reads maps with the probe, because bpftool prints maps only with CAP_SYS_ADMIN, which pods lack.

# The probe is the script's own: that of a generation which an earlier version installed cannot read
# maps.
ask_map() { # count|keys|numbers|bytes MAP-PIN [KEY] -> $out
	[ -n "$reader" ] || reader=$(find_probe && say "$probe") || exit
	out=$("$reader" map "$@" 2>&1)
}

read_map() { ask_map "$@" || err "reading map $2 failed: ${out##*: }"; }

count_keys() { ask_map count "$1" && say "$out"; } # MAP-PIN
