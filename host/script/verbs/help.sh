# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# help: prints the tables of verbs and flags.

cmd_help() {
	cat <<-'END'
		socket-bypass: TCP between two sockets of this host skips the TCP/IP stack.

		usage: sh socket-bypass VERB [FLAG]...

	END
	verb_table | awk -F '|' '{ print "  " ($3 == "" ? "  " $2 : sprintf("%-31s%s", ($1 == "create" && $2 != "apply" ? "  " : "") $2, $3)) }'
	say
	flag_table | awk -F '|' '{ print "  " ($5 $3 == "" ? "--" $1 " " $4 : sprintf("%-31s%s", "--" $1 ($4 == "" ? "" : " " $4), $5 ($3 == "" ? "" : ($5 == "" ? "" : ", ") "default " $3))) }'
	cat <<-'END'

		Verbs are idempotent. Results go to stdout, diagnostics to stderr. A step answers with its serial, which grows when it changed anything.
		Exit 1 refused or failed, 2 wrong usage, 3 not supported by this kernel. Waits at most 120 s for another run on this host;
		detach and remove then end within --drain-seconds and about 10 s more for each generation.
	END
}
