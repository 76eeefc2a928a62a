# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# program load: the pinned sock_ops program, then that of sk_msg.

cmd_program_load() { # $program
	case $program in
	track) step track map do_build track ;;
	redirect) step redirect track do_build redirect ;;
	esac
}
