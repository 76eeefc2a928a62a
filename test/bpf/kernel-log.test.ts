// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { findFaults, linesSince } from "./kernel-log.js";

// Not proven here: that the list is complete, and what kernels after 7.0 write.
test.each([
  "[  512.123456] BUG: kernel NULL pointer dereference, address: 0000000000000018",
  "[  512.123456] BUG: KASAN: slab-use-after-free in sk_psock_backlog+0x3c/0x5d0",
  "[  512.123456] BUG: unable to handle page fault for address: ffffa0b0c0d0e0f0",
  "[  512.123456] BUG: sleeping function called from invalid context at net/core/sock.c:3537",
  "[  512.123456] BUG: Bad page state in process python3  pfn:12345",
  "[  512.123456] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [python3:4242]",
  "[  512.123456] kernel BUG at net/core/skmsg.c:410!",
  "[  512.123456] WARNING: CPU: 0 PID: 4242 at net/ipv4/tcp.c:2667 tcp_recvmsg_locked+0x5c2/0x9f0",
  "[  512.123456] WARNING: net/core/stream.c:217 at sk_stream_kill_queues+0x6d/0x90, CPU#1: python3/4242",
  "[  512.123456][ T4242] WARNING: possible circular locking dependency detected",
  "[  512.123456][    C1] WARNING: suspicious RCU usage",
  "[  512.123456] Oops: 0000 [#1] PREEMPT SMP NOPTI",
  "[  512.123456] Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
  "[  512.123456] general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
  "[  512.123456] Unable to handle kernel paging request at virtual address ffff8000deadbeef",
  "[  512.123456] Kernel panic - not syncing: Fatal exception in interrupt",
  "[  512.123456] refcount_t: underflow; use-after-free.",
  "[  512.123456] list_del corruption. prev->next should be ffff88810a, but was ffff88810b",
  "[  512.123456] UBSAN: array-index-out-of-bounds in net/core/sock_map.c:880:12",
  "[  512.123456] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
  "[  512.123456] INFO: task python3:4242 blocked for more than 120 seconds.",
  "[  512.123456] rcu: INFO: rcu_preempt self-detected stall on CPU",
  "[  512.123456] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
  "[  512.123456] TCP recvmsg seq # bug: copied 1A2B, seq 3C4D, rcvnxt 5E6F, fl 0",
  "[  512.123456] cleanup rbuf bug: copied 1A2B seq 3C4D rcvnxt 5E6F",
  "[  512.123456] IPv4: Attempt to release TCP socket in state 1 00000000deadbeef",
  "[  512.123456] unregister_netdevice: waiting for veth0 to become free. Usage count = 3",
])("a line that shows a fault of the kernel is found: %s", (line) => {
  expect(findFaults(["[  512.100000] before", line, "[  512.200000] after"])).toEqual([line]);
});

test.each([
  "[  512.123456] Lockdown: cat: debugfs access is restricted; see man kernel_lockdown.7",
  "[  512.123456] systemd[1]: WARNING: the unit is masked",
  "[  512.123456] python3[4242]: BUG: not one of the kernel",
  "[  512.123456] traps: python3[4242] general protection fault ip:5581a2b3c4d5 sp:7ffd0a1b2c3d error:0 in python3.11[5581a2b00000+2d8000]",
  "[  512.123456] python3[4242]: segfault at 8 ip 00005581a2b3c4d5 sp 00007ffd0a1b2c3d error 4 in python3.11[5581a2b00000+2d8000]",
  "[  512.123456] Out of memory: Killed process 4242 (compile) total-vm:1048576kB, anon-rss:524288kB, file-rss:0kB",
  "[  512.123456] Memory cgroup out of memory: Killed process 4242 (python3) total-vm:65536kB",
  "[  512.123456] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,task=python3,pid=4242,uid=0",
  "[  512.123456] TCP: request_sock_TCP: Possible SYN flooding on port 127.0.0.1:8080. Sending cookies.",
  "[  512.123456] TCP: out of memory -- consider tuning tcp_mem",
  "[  512.123456] TCP: too many orphaned sockets",
  "[  512.123456] hrtimer: interrupt took 5012345 ns",
  "[  512.123456] perf: interrupt took too long (2503 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
  "[  512.123456] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable",
  "[  512.123456] IPv6: ADDRCONF(NETDEV_CHANGE): veth0: link becomes ready",
  "[  512.123456] EXT4-fs (vda): warning: mounting unchecked fs, running e2fsck is recommended",
  "[  512.123456] debugfs: Directory 'leak' with parent 'test' already present!",
  "[  512.123456] process_api (1): drop_caches: 10",
])("a line that others cause is no fault: %s", (line) => {
  expect(findFaults([line])).toEqual([]);
});

test("only new lines count, and all lines do if the log has dropped the last old one", () => {
  expect(linesSince(["[1] a", "[2] b"], ["[1] a", "[2] b", "[3] c"])).toEqual(["[3] c"]);
  expect(linesSince(["[1] a", "[2] b"], ["[1] a", "[2] b"])).toEqual([]);
  expect(linesSince(["[1] a", "[2] b"], ["[3] c", "[4] d"])).toEqual(["[3] c", "[4] d"]);
  expect(linesSince([], ["[3] c"])).toEqual(["[3] c"]);
});
