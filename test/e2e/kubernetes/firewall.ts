// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Node } from "./cluster/cluster.js";

const source = `
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
SEC("cgroup/connect6") int filter(struct bpf_sock_addr *ctx)
{
  return ctx->user_ip6[0] || ctx->user_ip6[1] || ctx->user_ip6[2] || ctx->user_ip6[3] != bpf_htonl(1);
}
`;

/**
 * Attaches a firewall to a node that forbids every connection to ::1, also from pods, so that the
 * self-test fails there each time. Returns a function that removes it. (A fault in the path of
 * packets would affect only bytes that go over TCP, which may be none.)
 */
export async function startFirewall(node: Node): Promise<() => Promise<void>> {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-firewall-"));
  const object = join(folder, "firewall.o");
  try {
    const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
    const words = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include, "-xc", "-", "-c", "-o", object];
    execFileSync("clang-19", words, { input: source });
    await node.run("bpftool", "prog", "load", object, pin);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  const filter = ["/sys/fs/cgroup/unified", "connect6", "pinned", pin];
  await node.run("bpftool", "cgroup", "attach", ...filter, "multi");
  return async () => {
    await node.run("bpftool", "cgroup", "detach", ...filter);
    await node.run("rm", pin);
  };
}

const pin = "/sys/fs/bpf/firewall";
