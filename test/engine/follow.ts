// SPDX-License-Identifier: Apache-2.0
import type { EngineEvent } from "@pulumi/pulumi/automation/index.js";

/** What became of each step that did not stay the same. */
export type Changes = Record<string, string>;
export type OnEvent = (event: EngineEvent) => void;

export interface Ended {
  readonly changes: Changes;
  readonly said: string;
}

/** What a run said and did before it failed. */
export class RunFailed extends Error {
  constructor(
    readonly said: string,
    readonly changes: Changes,
  ) {
    super(said);
  }
}

/** One run of the engine. The steps are called by what is left of their names without `prefix`; `lines` grows while it runs. */
export async function follow(
  run: (onEvent: OnEvent) => Promise<unknown>,
  prefix: RegExp,
  lines: string[] = [],
): Promise<Ended> {
  const changes: Changes = {};
  const onEvent: OnEvent = ({ resourcePreEvent, diagnosticEvent }) => {
    // The SDK tells everything to --debug, which nobody sees otherwise.
    if (diagnosticEvent !== undefined && `${diagnosticEvent.severity}` !== "debug") lines.push(diagnosticEvent.message);
    const { metadata } = resourcePreEvent ?? {};
    if (metadata === undefined || metadata.op === "same" || !metadata.type.startsWith("command:")) return;
    const name = (metadata.urn.split("::").at(-1) ?? "").replace(prefix, "");
    changes[name] = changes[name] === undefined ? metadata.op : `${changes[name]} ${metadata.op}`;
  };
  try {
    await run(onEvent);
  } catch (error) {
    throw new RunFailed(`${lines.join("")}\n${error}`, changes);
  }
  return { changes, said: lines.join("") };
}
