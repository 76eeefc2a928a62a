// SPDX-License-Identifier: Apache-2.0

/** The host script has the same default; a line names the directory only when it differs. */
export const defaultStateDir = "/var/lib/socket-bypass";

/** The names of the steps in the host script. */
export const stepNames = ["object", "map", "track", "redirect", "verdict", "selftest", "policy", "attach"] as const;
export type StepName = (typeof stepNames)[number];

/** One generation of one installation, which every converge line names. */
export interface Installation {
  readonly stateDir: string;
  readonly instance: string;
  readonly generation: string;
  readonly owner: string;
  /**
   * The number that each step is told to keep, by the step's name; see drift.ts. A line leaves out
   * a 0.
   */
  readonly epochs?: Readonly<Record<string, number>>;
}

/** What may be bypassed, in the form that the host script takes. */
export interface Policy {
  readonly everything: boolean;
  readonly ports: readonly string[];
  readonly cidrs: readonly string[];
  readonly enabled: boolean;
  readonly queueBytes: number | undefined;
  readonly refreshSeconds: number | undefined;
}

// The words of a step stand first, because a preview cuts long lines and the rest is the same in
// all of them.

/**
 * `object install`, run by the text that `sh -s` reads: the script lies among the files that were
 * sent, in the folder named by their digest.
 */
export function installObject(
  on: Installation,
  bundle: { readonly digest: string; readonly isSource: boolean },
  want: {
    readonly cgroup: string;
    readonly takeOver: boolean;
    readonly boot: boolean;
    readonly spliceGuard: string;
  },
): string[] {
  return [
    ...["sh", "-s", "--", "object", "install", "--cgroup", want.cgroup],
    ...when(bundle.isSource, "--compile"),
    ...when(want.takeOver, "--take-over"),
    ...when(!want.boot, "--boot", "false"),
    ...spliceGuardFlag(want.spliceGuard),
    ...which(on, "object"),
    ...["--digest", bundle.digest],
  ];
}

/**
 * `advise`, run by the text that `sh -s` reads, like `object install`. It looks twice and loads
 * nothing.
 */
export function adviseOn(
  { stateDir, instance }: Pick<Installation, "stateDir" | "instance">,
  digest: string,
  seconds: number,
): string[] {
  return [
    ...["sh", "-s", "--", "advise", "--json", "--seconds", `${seconds}`, "--instance", instance],
    ...when(stateDir !== defaultStateDir, "--state-dir", stateDir),
    ...["--digest", digest],
  ];
}

/** `map create`: the pinned sockhash and the map of pending pairs. */
export function createMap(
  on: Installation,
  size: { readonly sockets: number; readonly pendingPairs: number },
): string[] {
  return run(on, "map", "map", "create", "--sockets", `${size.sockets}`, "--pending", `${size.pendingPairs}`);
}

/** `program load`: one program, pinned. */
export function loadProgram(on: Installation, program: "track" | "redirect"): string[] {
  return run(on, program, "program", "load", program);
}

/** `verdict attach`: the sk_msg program on the sockhash. */
export function attachVerdict(on: Installation): string[] {
  return run(on, "verdict", "verdict", "attach");
}

/** `selftest` proves the bypass on this kernel; it answers with one line of JSON. */
export function runSelfTest(
  on: Installation,
  want: { readonly enabled: boolean; readonly timeoutSeconds: number; readonly spliceGuard: string },
): string[] {
  return run(
    on,
    "selftest",
    "selftest",
    ...(want.enabled ? ["--timeout", `${want.timeoutSeconds}`] : ["--off"]),
    ...spliceGuardFlag(want.spliceGuard),
  );
}

/** `policy set` changes what may be bypassed; the change is live at once. */
export function setPolicy(on: Installation, policy: Policy): string[] {
  return run(on, "policy", "policy", "set", ...policyFlags(policy));
}

function policyFlags(policy: Policy): string[] {
  return [
    ...when(policy.everything, "--everything"),
    ...when(policy.ports.length > 0, "--ports", policy.ports.join(",")),
    ...when(policy.cidrs.length > 0, "--cidrs", policy.cidrs.join(",")),
    ...["--enabled", `${policy.enabled}`],
    ...(policy.queueBytes === undefined ? [] : ["--queue-bytes", `${policy.queueBytes}`]),
    ...(policy.refreshSeconds === undefined ? [] : ["--refresh-seconds", `${policy.refreshSeconds}`]),
  ];
}

/** `attach` hands the production cgroup to this generation. */
export function attachCgroup(
  on: Installation,
  want: {
    readonly cgroup: string;
    readonly takeOver: boolean;
    readonly adopt: boolean;
    readonly spliceGuard: string;
    readonly boot: boolean;
  },
): string[] {
  return run(
    on,
    "attach",
    ...["attach", "--cgroup", want.cgroup],
    ...when(want.takeOver, "--take-over"),
    ...when(want.adopt, "--adopt"),
    ...spliceGuardFlag(want.spliceGuard),
    ...when(!want.boot, "--boot", "false"),
  );
}

/**
 * The flags of `apply`, which runs all steps at once. A pod runs it and adds its identity and the
 * places of its files.
 */
export function applyFlags(want: {
  readonly cgroup: string;
  readonly size: { readonly sockets: number; readonly pendingPairs: number };
  readonly selfTest: { readonly enabled: boolean; readonly timeoutSeconds: number };
  readonly policy: Policy;
  readonly takeOver: boolean;
  readonly adopt: boolean;
  readonly spliceGuard: string;
}): string[] {
  return [
    ...["--cgroup", want.cgroup],
    ...policyFlags(want.policy),
    ...["--sockets", `${want.size.sockets}`, "--pending", `${want.size.pendingPairs}`],
    ...(want.selfTest.enabled ? ["--timeout", `${want.selfTest.timeoutSeconds}`] : ["--off"]),
    ...when(want.takeOver, "--take-over"),
    ...when(want.adopt, "--adopt"),
    ...spliceGuardFlag(want.spliceGuard),
  ];
}

function run(on: Installation, step: StepName, ...words: readonly string[]): string[] {
  return ["sh", `${on.stateDir}/${on.instance}/${on.generation}/socket-bypass`, ...words, ...which(on, step)];
}

function which(on: Installation, step: StepName): string[] {
  const epoch = on.epochs?.[step] ?? 0;
  return [
    ...["--instance", on.instance, "--generation", on.generation],
    ...when(on.stateDir !== defaultStateDir, "--state-dir", on.stateDir),
    ...["--owner", on.owner],
    ...when(epoch > 0, "--epoch", `${epoch}`),
  ];
}

function spliceGuardFlag(word: string): string[] {
  return when(word !== "auto", "--splice-guard", word);
}

function when(holds: boolean, ...words: string[]): string[] {
  return holds ? words : [];
}
