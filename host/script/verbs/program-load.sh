# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# program load: loads and pins the sock_ops program or the sk_msg program.

cmd_program_load() { # reads $program
	case $program in
	track) step track map do_build track ;;
	redirect) step redirect track do_build redirect ;;
	esac
}
