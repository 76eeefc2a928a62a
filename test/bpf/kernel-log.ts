// SPDX-License-Identifier: Apache-2.0

/** What stands before a message: the time, and with CONFIG_PRINTK_CALLER the thread or the CPU. */
const BEFORE = String.raw`^(?:\[ *\d+\.\d+\])?(?:\[ *[TC]\d+\])? ?`;

/*
 * How a message begins that a fault of our programs can cause: the kernel finds its own memory,
 * locks, counts or sockets wrong, or a thread of it does not go on. A program that writes to the
 * log writes its name first, and so do drivers. What a crowded machine says as well is none of it:
 * processes killed for memory, a full tcp_mem, SYN cookies, segmentation faults.
 */
const FAULTS = [
  "(?:watchdog: |rcu: )?BUG: ",
  "kernel BUG at ",
  // Of WARN(): up to Linux 6.18 the CPU comes first, later the place. The others are those of
  // lockdep, RCU and the unwinder.
  String.raw`WARNING: (?:CPU: \d|\S+:\d+ at |possible |inconsistent |bad |held lock |suspicious |lock held |Nested |kernel stack )`,
  "(?:Oops|int3|invalid opcode|divide error|stack segment|general protection fault)[:,] ",
  "Kernel panic",
  "Unable to handle kernel ",
  String.raw`(?:refcount_t|KASAN|KCSAN|KMSAN|UBSAN|kfence|kmemleak|list_(?:add|del) corruption|slab error|percpu ref)\b`,
  String.raw`(?:rcu: )?INFO: (?:task .* blocked for more than|rcu\S* .*(?:detected|stall)|trying to register|lockdep|possible)`,
  "NMI watchdog: ",
  // Of tcp_recvmsg() and inet_sock_destruct(): sequence numbers and states that do not add up.
  "TCP:? recvmsg (?:seq # )?bug",
  "cleanup rbuf bug",
  "(?:IPv4: |IPv6: |TCP: )?Attempt to release (?:TCP socket in state|alive inet socket)",
  "unregister_netdevice: waiting for ",
];

const fault = new RegExp(`${BEFORE}(?:${FAULTS.join("|")})`);

/** Those lines of the kernel log that tell of a fault which our programs can cause. */
export function findFaults(lines: readonly string[]): string[] {
  return lines.filter((line) => fault.test(line));
}

/** The log forgets its oldest lines; when it has forgotten the last one of before, all are new. */
export function linesSince(before: readonly string[], now: readonly string[]): string[] {
  const last = before.at(-1);
  return last === undefined ? [...now] : now.slice(now.lastIndexOf(last) + 1);
}
