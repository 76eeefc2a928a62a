// SPDX-License-Identifier: Apache-2.0

/** Precedes a message: the time, and with CONFIG_PRINTK_CALLER the thread or the CPU. */
const BEFORE = String.raw`^(?:\[ *\d+\.\d+\])?(?:\[ *[TC]\d+\])? ?`;

/*
 * The beginnings of messages that a fault of our programs can cause: the kernel finds its own
 * memory, locks, counts or sockets corrupt, or one of its threads hangs. Programs and drivers that
 * write to the log put their names first. What a busy machine logs anyway is not in the list:
 * out-of-memory kills, a full tcp_mem, SYN cookies, segmentation faults.
 */
const FAULTS = [
  "(?:watchdog: |rcu: )?BUG: ",
  "kernel BUG at ",
  // The first two are of WARN(): up to Linux 6.18 the CPU comes first, later the place. The others
  // are of lockdep, RCU and the unwinder.
  String.raw`WARNING: (?:CPU: \d|\S+:\d+ at |possible |inconsistent |bad |held lock |suspicious |lock held |Nested |kernel stack )`,
  "(?:Oops|int3|invalid opcode|divide error|stack segment|general protection fault)[:,] ",
  "Kernel panic",
  "Unable to handle kernel ",
  String.raw`(?:refcount_t|KASAN|KCSAN|KMSAN|UBSAN|kfence|kmemleak|list_(?:add|del) corruption|slab error|percpu ref)\b`,
  String.raw`(?:rcu: )?INFO: (?:task .* blocked for more than|rcu\S* .*(?:detected|stall)|trying to register|lockdep|possible)`,
  "NMI watchdog: ",
  // tcp_recvmsg() and inet_sock_destruct() report inconsistent sequence numbers and states.
  "TCP:? recvmsg (?:seq # )?bug",
  "cleanup rbuf bug",
  "(?:IPv4: |IPv6: |TCP: )?Attempt to release (?:TCP socket in state|alive inet socket)",
  "unregister_netdevice: waiting for ",
];

const fault = new RegExp(`${BEFORE}(?:${FAULTS.join("|")})`);

/** Gives the lines of the kernel log that show a fault which our programs can cause. */
export function findFaults(lines: readonly string[]): string[] {
  return lines.filter((line) => fault.test(line));
}

/**
 * Gives the new lines. The log drops its oldest lines; if the last old one is gone, all are new.
 */
export function linesSince(before: readonly string[], now: readonly string[]): string[] {
  const last = before.at(-1);
  return last === undefined ? [...now] : now.slice(now.lastIndexOf(last) + 1);
}
