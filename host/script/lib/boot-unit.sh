# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# The text of the boot unit. A pod has no systemd, so the script for pods leaves this part out.

# The path of the script holds no blank and no percent sign. ExecStartPre makes the check of
# is_safe() on the script before root runs it; systemd reads "$$" as "$" and "%%" as "%".
# ProtectKernelTunables would make bpffs read-only, and PrivateNetwork would show the
# net.mptcp.enabled of another network namespace. RestrictNamespaces allows net because the
# self-test makes a network namespace of its own. systemd before 244 does not start a oneshot unit
# that has Restart=, and may not have mounted bpffs: one that the script mounted inside the sandbox
# would vanish with the sandbox.
boot_unit() {
	cat <<-END
		[Unit]
		Description=TCP on this host skips the stack ($instance)
		After=local-fs.target sys-fs-bpf.mount
		Before=network.target
		ConditionPathExists=$home/current

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStartPre=/bin/sh -c 'p=\$\$0; while set -f -- \$\$(ls -ldn "\$\${p:-/}"); do case \$\$3\$\$1 in 0[d-]????-??-*) ;; *) echo "\$\${p:-/}: expected root to own it and nobody else to write to it, found \$\$*" >&2; exit 1 ;; esac; [ -n "\$\$p" ] || exit 0; p=\$\${p%%/*}; done' $home/socket-bypass
		ExecStart=/bin/sh $home/socket-bypass boot start --instance $instance --state-dir $state_dir
	END
	if [ "$systemd_version" -ge 244 ]; then
		cat <<-END
			Restart=on-failure
			RestartSec=10
			RestartPreventExitStatus=3
			LockPersonality=yes
			MemoryDenyWriteExecute=yes
			PrivateDevices=yes
			PrivateTmp=yes
			ProtectClock=yes
			ProtectHome=yes
			ProtectHostname=yes
			ProtectKernelModules=yes
			ProtectSystem=strict
			ReadWritePaths=$state_dir
			RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
			RestrictNamespaces=net
			RestrictRealtime=yes
			RestrictSUIDSGID=yes
			SystemCallArchitectures=native
			SystemCallErrorNumber=EPERM
			SystemCallFilter=@system-service bpf membarrier
			SystemCallFilter=~@keyring @setuid
		END
	fi
	cat <<-END
		TimeoutStartSec=300
		CapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SYSLOG CAP_SYS_RESOURCE
		NoNewPrivileges=yes
		UMask=0077

		[Install]
		WantedBy=multi-user.target
	END
}
