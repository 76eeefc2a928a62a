// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type BypassArgs, bypassProperties } from "./bypass";
import { type HostArgs, hostSchema } from "./host";
import { type RolloutArgs, rolloutSchema, strangers } from "./rollout";
import { isPending, shape, wrong } from "./schema";

/** Hosts, and what is the same on all of them. */
export interface SocketBypassArgs extends BypassArgs {
  /**
   * The hosts by a name that stays: it stands in the name of every resource of the host. Letters, digits and . _ - are allowed, at most 63.
   */
  hosts: Record<string, HostArgs>;
  /**
   * Change the hosts one batch after another: the first host that fails stops those behind it. Default: all at once.
   */
  rollout?: RolloutArgs;
}

const hosts = z.unknown().check((context) => {
  const { value } = context;
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value) && !isPending(value);
  if (!isMap || Object.keys(value).length === 0) {
    context.issues.push(wrong(value, [], "a map of at least one host", "name a host, as in { web1: {} }"));
    return;
  }
  for (const [key, host] of Object.entries(value)) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(key)) {
      const expected = "a host name of 1 to 63 letters, digits and . _ -, the first a letter or digit";
      context.issues.push(wrong(key, [key], expected, "rename the host in this map"));
    }
    const issues = hostSchema.safeParse(host, { reportInput: true }).error?.issues ?? [];
    for (const issue of issues) context.issues.push({ ...issue, path: [key, ...issue.path], continue: true } as never);
  }
});

export const socketBypassSchema = shape({ ...bypassProperties, hosts, rollout: rolloutSchema.optional() }).check(
  (context) => {
    const { rollout, hosts: declared } = context.value;
    for (const [at, name] of strangers(rollout, declared)) {
      const fix = "use a name of the map hosts, or remove it";
      context.issues.push(wrong(name, ["rollout", "canary", at], "a host that is declared", fix));
    }
  },
);
