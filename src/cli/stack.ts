// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { printable } from "../commands/printable";
import { defaultStateDir } from "../commands/verbs";
import { type Host, place } from "./host";
import type { Pool } from "./pods";
import { Problem } from "./problem";
import { runProgram } from "./run";

// A program of the stack may take names from elsewhere. ssh expands a percent sign, and puts what
// stands in -J into a command line of a shell: a comma there begins another bastion.
const address = z.string().regex(/^[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,254}$/);
const user = z.string().regex(/^[A-Za-z0-9_.][A-Za-z0-9_.@\\+-]{0,254}$/);
const proxyUser = z.string().regex(/^[A-Za-z0-9_.][A-Za-z0-9_.+-]{0,254}$/);
const end = { host: address, port: z.number().int().min(1).max(65535) };
const label = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);
/** The output `logins` of a component: a HostLogin by the key of its host or node pool. */
const logins = z.record(
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$/),
  z.object({
    ssh: z.object({ ...end, user, proxy: z.object({ ...end, user: proxyUser }).optional() }).optional(),
    ...place,
    instance: place.instance.unwrap(),
    nodePool: z.object({ namespace: label, daemonSet: label }).optional(),
  }),
);

/** What a stack has. */
export interface Logins {
  readonly hosts: readonly Host[];
  readonly pools: readonly Pool[];
}

/**
 * Reads the hosts and node pools of a stack from one of its outputs, through the user's own
 * `pulumi`. Addresses are secret in a stack. Only this output is decrypted for us: an export of the
 * stack would also bring keys and passwords into our memory.
 */
export async function readLogins(stack: string, output: string, cwd?: string): Promise<Logins> {
  const words = ["stack", "output", output, "--json", "--show-secrets", "--non-interactive", "--stack", stack];
  const answer = await runProgram("pulumi", cwd === undefined ? words : [...words, "--cwd", cwd], {
    ...{ seconds: 120, largest: 8 * 1024 * 1024 },
    env: { PULUMI_SKIP_UPDATE_CHECK: "true" },
    missing: "pulumi: expected the program of Pulumi on PATH, found none; install it, or name hosts with --ssh",
  });
  const said = printable(answer.stderr.trim().split("\n").at(-1) ?? "");
  if (answer.code !== 0 && /does not have output property/.test(said)) throw new Problem(without(stack, output));
  if (answer.code !== 0) throw new Problem(`--stack ${stack}: pulumi: ${said || `ended with ${answer.code}`}`);
  const { data, error } = logins.safeParse(asJson(answer.stdout));
  if (error !== undefined) {
    // What was found may hold an address, and is not shown.
    const at = error.issues[0]?.path.join(".") || "its value";
    throw new Problem(`--stack-output ${output}: expected the logins of a SocketBypass, found something else at ${at}`);
  }
  const hosts: Host[] = [];
  const pools: Pool[] = [];
  for (const [name, { ssh, become = "", stateDir = defaultStateDir, instance, nodePool }] of Object.entries(data)) {
    const words = ssh && [...(ssh.proxy ? ["-J", at(ssh.proxy)] : []), "-p", `${ssh.port}`, "-l", ssh.user, ssh.host];
    if (nodePool !== undefined) pools.push({ name, instance, ...nodePool });
    else hosts.push({ name, become, stateDir, instance, ...(words && { ssh: words }) });
  }
  if (hosts.length + pools.length === 0)
    throw new Problem(`--stack-output ${output}: expected at least one host or node pool, found none`);
  return { hosts, pools };
}

function at({ user, host, port }: { user: string; host: string; port: number }): string {
  return `${user}@${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function without(stack: string, output: string): string {
  return `--stack ${stack}: expected the output ${output}, found none; add \`export const ${output} = bypass.logins;\` to the program, where bypass is its SocketBypass, and run pulumi up`;
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
