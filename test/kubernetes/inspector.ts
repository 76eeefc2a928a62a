// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Node } from "./cluster/cluster.js";

const source = `
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
#define AF_INET6 10
struct { __uint(type, BPF_MAP_TYPE_SOCKHASH); __uint(max_entries, 4096); __type(key, __u64); __type(value, __u64); } inspected SEC(".maps");
SEC("sockops") int watch(struct bpf_sock_ops *ctx)
{
  bool is_established = ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
  bool is_loopback = ctx->family == AF_INET6 && !ctx->remote_ip6[0] && !ctx->remote_ip6[1] && !ctx->remote_ip6[2] && ctx->remote_ip6[3] == bpf_htonl(1);
  __u64 key = bpf_get_socket_cookie(ctx);
  if (is_established && is_loopback)
    bpf_sock_hash_update(ctx, &inspected, &key, BPF_NOEXIST);
  return 1;
}
SEC("sk_skb/stream_verdict") int inspect(struct __sk_buff *skb)
{
  __u8 byte;
  if (!bpf_skb_load_bytes(skb, 0, &byte, 1)) {
    byte ^= 1;
    bpf_skb_store_bytes(skb, 0, &byte, 1, 0);
  }
  return SK_PASS;
}
`;

/**
 * Puts another agent on a node, as there are some that look into streams by a sockmap, with a fault: of what comes to ::1 it changes a bit. All sockets
 * of the node's cgroup are its own, also those of pods. Gives what takes it away.
 */
export async function startFaultyInspector(node: Node): Promise<() => Promise<void>> {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-inspector-"));
  const object = join(folder, "inspector.o");
  try {
    const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
    const words = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include, "-xc", "-", "-c", "-o", object];
    execFileSync("clang-19", words, { input: source });
    await node.run("mkdir", pins);
    await node.run("bpftool", "prog", "loadall", object, `${pins}/progs`, "pinmaps", `${pins}/maps`);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  const theirs = ["pinned", `${pins}/maps/inspected`];
  await node.run("bpftool", "prog", "attach", "pinned", `${pins}/progs/inspect`, "stream_verdict", ...theirs);
  const watch = [cgroup, "sock_ops", "pinned", `${pins}/progs/watch`];
  await node.run("bpftool", "cgroup", "attach", ...watch, "multi");
  return async () => {
    await node.run("bpftool", "cgroup", "detach", ...watch);
    await node.run("rm", "-r", pins);
  };
}

const pins = "/sys/fs/bpf/inspector";
const cgroup = "/sys/fs/cgroup/unified";
