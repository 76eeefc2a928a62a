// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { defaultStateDir } from "../commands/verbs";
import type { Arguments } from "./arguments";
import { misused } from "./problem";

/** A pod of a node pool, as `kubectl` names it. */
export interface Pod {
  /** The context of the user's kubeconfig; absent for the current one. */
  readonly context: string | undefined;
  readonly namespace: string;
  readonly name: string;
}

/** A host to ask. */
export interface Host {
  /** What tables call it. */
  readonly name: string;
  /** The words of the user's `ssh` that name it; absent for this machine and for a node. */
  readonly ssh?: readonly string[];
  /** The pod that serves it, if it is a node of a pool. */
  readonly pod?: Pod;
  /** Why it cannot be asked. */
  readonly fault?: string;
  /** The command in front of every command; empty for none. */
  readonly become: string;
  readonly stateDir: string;
  /** Absent for all instances of the host. */
  readonly instance?: string;
}

// None of these words may begin with a dash, which a program would take for an option.
const word = /^[A-Za-z0-9_[][\x21-\x7e]{0,254}$/;

/** Where an installation is on its host. The rules are those of the component's arguments. */
export const place = {
  become: z
    .string()
    .regex(/^[A-Za-z0-9_./][A-Za-z0-9_./+:-]*( [A-Za-z0-9_./+:=-]+)*$/, 'a command and its options, as in "sudo -n"')
    .optional(),
  stateDir: z
    .string()
    .max(200)
    .regex(/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)+$/, `an absolute directory, as in ${defaultStateDir}`)
    .optional(),
  instance: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "at most 63 lower-case letters, digits and dashes")
    .optional(),
};
const typed = z.object({ ssh: z.string().regex(word, "a destination, as in ops@web1"), ...place });

/** A host as a command line names it. */
export function hostAt(ssh: string, { become, stateDir, instance }: Arguments): Host {
  const { error } = typed.safeParse({ ssh, become, stateDir, instance });
  const issue = error?.issues[0];
  if (issue !== undefined) {
    const flag = `${String(issue.path[0])}` as keyof typeof typed.shape;
    const found = { ssh, become, stateDir, instance }[flag];
    throw misused(`--${flagOf(flag)}: expected ${issue.message}, found ${JSON.stringify(found?.slice(0, 80))}`);
  }
  return {
    name: ssh,
    ssh: [ssh],
    become: become ?? "",
    stateDir: stateDir ?? defaultStateDir,
    ...(instance !== undefined && { instance }),
  };
}

export function flagOf(property: string): string {
  return property === "stateDir" ? "state-dir" : property;
}
