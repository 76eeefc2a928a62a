#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Long: it runs before anything is installed, so it is one file with its table of tools.
#
# Prepares this machine and checkout: tools, npm packages, build. It prints nothing if everything is
# there, and prints the rest on stderr.
#
# usage: sh tools/setup/prepare.sh PURPOSE…
#   build  compile the BPF programs, the probe and the package
#   lint   check the sources
#   demo   build, and what `npm start` runs
#   bench  build, demo, and the programs that are measured
#   kernels  what makes and runs the virtual machines of the tests
#   splice   compilers of programs that splice
#   kubernetes  build, demo, and what the clusters of the tests are made of
#   test   build, lint, demo, bench, and what the tests run
# environment:
#   SOCKET_BYPASS_INSTALL=no   install no system package; print the command instead (default:
#                              install with apt-get when root)
# exit: 1 something is missing, 2 wrong usage
set -eu

main() {
	# stdout belongs to what runs after this, which may end in JSON.
	exec >&2
	[ $# -gt 0 ] || usage
	purposes=
	for purpose; do
		case $purpose in
		build | lint | kernels | splice) purposes="$purposes $purpose" ;;
		demo) purposes="$purposes build demo" ;;
		bench) purposes="$purposes build demo bench" ;;
		kubernetes) purposes="$purposes build demo kubernetes" ;;
		test) purposes="$purposes build lint demo bench test" ;;
		*) usage ;;
		esac
	done
	# bpftool and sshd are in these folders, which a user's PATH may lack.
	PATH=$PATH:/usr/sbin:/sbin
	cd -- "$(dirname -- "$0")/../.."

	take_turn
	need_node
	need_tools
	need_packages
	need_self
	case $purposes in
	*build*) need_build ;;
	esac
}

usage() {
	sed -n '/^# usage/,/^# exit/s/^# \{0,1\}//p' "$0"
	exit 2
}

# columns: purpose, Debian package, what proves that it is there (a command or a file; alternatives
# separated by commas), reason
tools() {
	cat <<-'END'
		build clang-19        clang-19,clang,clang-18,clang-17,clang-16,clang-15,clang-14 compiles the BPF programs
		build llvm-19         llvm-strip-19,llvm-strip,llvm-strip-18,llvm-strip-17,llvm-strip-16,llvm-strip-15,llvm-strip-14 makes their objects small
		build libbpf-dev      /usr/include/bpf/bpf_helpers.h what the BPF programs include
		build linux-libc-dev  /usr/include/linux/bpf.h       what the BPF programs include
		build zopfli          zopfli                         packs what a pod is given
		build python3-venv    python:ensurepip               gets the compiler of the probe
		lint  shellcheck      shellcheck                     checks the shell scripts
		lint  shfmt           shfmt                          formats the shell scripts
		lint  clang-format-19 clang-format-19                formats the C sources
		demo  bpftool         bpftool                        loads the BPF programs
		demo  redis-server    redis-server                   the service that the demo speeds up
		demo  redis-tools     redis-benchmark                measures it
		demo  iproute2        ip                             makes the network namespaces
		kernels qemu-system-x86 qemu-system-x86_64           a machine with another kernel
		kernels qemu-system-arm qemu-system-aarch64          the same with a processor of another type
		kernels busybox       busybox                        packs what it boots from
		kernels kmod          /sbin/depmod                   finds what its modules need
		kernels mmdebstrap    mmdebstrap                     makes its disk of Debian packages
		kernels debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg proves where they come from
		kernels e2fsprogs     mke2fs                         makes its file system
		kernels xz-utils      xz                             unpacks its modules
		kernels openssh-client ssh                           runs commands on it
		splice golang-1.19-go /usr/lib/go-1.19/bin/go        an old compiler of programs that splice
		kubernetes containerd containerd                     runs the pods of a node
		kubernetes runc       runc                           starts their containers
		kubernetes containernetworking-plugins /usr/lib/cni/ptp gives them a network
		kubernetes busybox    busybox                        is in their image
		kubernetes iptables   iptables                       what the kubelet and kube-proxy call
		kubernetes nftables   nft                            what kube-proxy calls
		kubernetes openssl    openssl                        makes the keys of a cluster
		kubernetes socat      socat                          forwards to its API
		test  busybox         busybox                        the second shell that the host script must run under
		bench python3         python3                        sockets in every state that is tried
		test  python3-prometheus-client /usr/lib/python3/dist-packages/prometheus_client/openmetrics/parser.py reads what metrics prints
		bench nginx           nginx                          a proxy in front of a service
		bench wrk             wrk                            loads the proxy
		test  socat           socat                          plain connections
		bench openssh-server  sshd                           the far end of SSH
		bench openssh-client  ssh-agent                      keys, an agent and a plain loop over SSH
		test  sudo            sudo                           a user who becomes root, in the SSH tests
		test  fish            fish                           a login shell that is no POSIX shell
		test  tcsh            tcsh                           another one
		bench nftables        nft                            address translation
		test  libclang-rt-19-dev /usr/lib/llvm-19/lib/clang/*/lib/linux/libclang_rt.asan-*.a the sanitizers of the compiler
		test  strace          strace                         shows the system calls of a script
		bench postgresql      /usr/lib/postgresql/*/bin/pgbench a database that is run through the bypass
		bench haproxy         haproxy                        a proxy that can splice
		bench memcached       memcached                      a cache that is run through the bypass
		bench iperf3          iperf3                         a stream
		test  tshark          tshark                         reads what the tap writes
		test  prometheus      promtool                       runs the alerts and the dashboard's expressions
		test  passt           pasta                          forwards into rootless containers
	END
}

need_tools() {
	missing=$(missing_tools)
	[ -n "$missing" ] || return 0
	if [ "${SOCKET_BYPASS_INSTALL:-}" = no ]; then
		refuse "SOCKET_BYPASS_INSTALL=no"
	elif ! has apt-get; then
		refuse "no apt-get; the names below are Debian's"
	elif [ "$(id -u)" -ne 0 ]; then
		refuse "a user who is not root"
	fi
	install_tools
	missing=$(missing_tools)
	[ -z "$missing" ] || refuse "them still missing after apt-get install"
}

# Prints the packages of the missing tools on stdout, and each with its reason on stderr.
missing_tools() {
	tools | while read -r purpose package proof why; do
		case " $purposes " in
		*" $purpose "*) ;;
		*) continue ;;
		esac
		is_there "$proof" && continue
		say "$package is missing: $why"
		printf '%s\n' "$package"
	done | sort -u | paste -s -d ' ' -
}

is_there() {
	case $1 in
	/*)
		# The path may be a pattern, because some folders are named after a version.
		for file in $1; do
			[ -e "$file" ] && return
		done
		;;
	python:*) has python3 && python3 -c "import ${1#python:}" 2>/dev/null && return ;;
	*,*) is_there "${1%%,*}" || is_there "${1#*,}" && return ;;
	*) has "$1" && return ;;
	esac
	return 1
}

refuse() {
	sudo=
	[ "$(id -u)" -eq 0 ] || sudo='sudo '
	err "expected the tools above, found $1; type: ${sudo}apt-get update && ${sudo}apt-get install --yes --no-install-recommends $missing"
}

install_tools() {
	say "installing with apt-get: $missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get --quiet --quiet update || say "apt-get update failed; going on with the package lists of before"
	packages=
	for package in $missing; do
		packages="$packages $(available "$package")"
	done
	trap allow_services EXIT
	trap 'exit 130' HUP INT TERM
	# shellcheck disable=SC2086 # a list of names
	apt_get_quietly --quiet --quiet --yes --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install $packages ||
		refuse "apt-get install failing"
	allow_services
	trap - EXIT HUP INT TERM
	disable_services
}

# Older distributions have the compiler only under the name without a number.
available() {
	case $1 in
	clang-19 | llvm-19) apt-cache show "$1" >/dev/null 2>&1 || set -- "${1%-19}" ;;
	esac
	printf '%s\n' "$1"
}

policy=/usr/sbin/policy-rc.d
saved=$policy.before-socket-bypass
mark='socket-bypass tools/setup/prepare.sh'

# Packages start their services on install unless this file forbids it. The file that we write
# forbids it as long as this apt-get runs. After that it does what the previous file says, even if
# nobody is left to restore that one.
apt_get_quietly() {
	if [ -e "$policy" ] && ! grep -qs "$mark" "$policy"; then
		mv "$policy" "$saved"
	fi
	cat >"$policy.new" <<-END
		#!/bin/sh
		# By $mark, for one run of apt-get.
		kill -0 APT_GET 2>/dev/null && exit 101
		[ ! -x $saved ] || exec $saved "\$@"
	END
	chmod 755 "$policy.new"
	# shellcheck disable=SC2016 # this inner shell becomes apt-get and keeps its process id
	sh -c 'sed -i "s/APT_GET/$$/" "$0.new" && mv "$0.new" "$0" && exec apt-get "$@"' "$policy" "$@"
}

allow_services() {
	grep -qs "$mark" "$policy" && rm -f "$policy"
	[ ! -e "$saved" ] || mv "$saved" "$policy"
}

# Otherwise services that we installed only for their programs would start at the next boot.
disable_services() {
	has systemctl || return 0
	for unit in redis-server:redis-server nginx:nginx openssh-server:ssh postgresql:postgresql haproxy:haproxy memcached:memcached containerd:containerd prometheus:prometheus; do
		case " $missing " in
		*" ${unit%:*} "*) ;;
		*) continue ;;
		esac
		for file in "/lib/systemd/system/${unit#*:}.service" "/lib/systemd/system/${unit#*:}.socket"; do
			[ -e "$file" ] || continue
			systemctl disable --quiet "${file##*/}" 2>/dev/null || say "${file##*/} could not be disabled"
		done
		say "${unit#*:} stays off: only its program is needed"
	done
}

need_node() {
	if ! has node || ! has npm; then
		err "expected Node.js 20 or newer with npm on PATH, found none; install it (https://nodejs.org)"
	fi
	version=$(node --version)
	major=${version#v}
	[ "${major%%.*}" -ge 20 ] || err "expected Node.js 20 or newer, found $version; install a newer one (https://nodejs.org)"
}

need_packages() {
	stamp=node_modules/.socket-bypass-lock
	digest=$(cksum <package-lock.json)
	[ "$(cat "$stamp" 2>/dev/null)" != "$digest" ] || return 0
	# The packages were installed by hand after the lock file was last changed.
	if [ ! -e "$stamp" ] && [ -n "$(find node_modules/.package-lock.json -newer package-lock.json 2>/dev/null)" ]; then
		printf '%s\n' "$digest" >"$stamp"
		return 0
	fi
	say "installing the npm packages of package-lock.json"
	# The scripts of the Pulumi SDKs would try to download plugins.
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	printf '%s\n' "$digest" >"$stamp"
}

# The examples import the package by its name, as their copies do.
need_self() {
	[ -e examples/node_modules/socket-bypass ] && return 0
	mkdir -p examples/node_modules
	ln -sfn ../.. examples/node_modules/socket-bypass
}

need_build() {
	stamp=dist/.built
	if [ -e "$stamp" ] && [ -e bin/index.js ] && [ -e dist/host/socket-bypass ] &&
		[ -z "$(find bpf host src package.json package-lock.json tsconfig.json -newer "$stamp")" ]; then
		return 0
	fi
	say "building"
	mkdir -p dist
	# The stamp is older than the build, so files that change during the build count as newer.
	: >"$stamp.new"
	npm run --silent build
	mv "$stamp.new" "$stamp"
}

# npm ci removes node_modules first, so two runs at once would break each other.
take_turn() {
	has flock || return 0
	# If the checkout belongs to somebody else, nothing else will be written there either.
	{ mkdir -p .cache && : >>.cache/prepare.lock; } 2>/dev/null || return 0
	exec 9>.cache/prepare.lock
	flock -n 9 && return 0
	say "waiting for another run of this script"
	flock 9
}

has() {
	command -v "$1" >/dev/null 2>&1
}

say() {
	printf 'prepare: %s\n' "$*" >&2
}

err() {
	say "$*"
	exit 1
}

main "$@"
