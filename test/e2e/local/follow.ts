// SPDX-License-Identifier: Apache-2.0
import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/index.js";

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

/** A step by what is left of its name without `prefix`. */
export function stepWithout(prefix: RegExp) {
  return ({ type, urn }: StepEventMetadata) =>
    type.startsWith("command:") ? (urn.split("::").at(-1) ?? "").replace(prefix, "") : undefined;
}

/**
 * One run of the engine. What `called` has a name for is in the changes; `lines` grows while it
 * runs.
 */
export async function follow(
  run: (onEvent: OnEvent) => Promise<unknown>,
  called: (metadata: StepEventMetadata) => string | undefined,
  lines: string[] = [],
): Promise<Ended> {
  const changes: Changes = {};
  const onEvent: OnEvent = ({ resourcePreEvent, diagnosticEvent }) => {
    // The SDK tells everything to --debug, which nobody sees otherwise.
    if (diagnosticEvent !== undefined && `${diagnosticEvent.severity}` !== "debug") lines.push(diagnosticEvent.message);
    const { metadata } = resourcePreEvent ?? {};
    const name = metadata === undefined || metadata.op === "same" ? undefined : called(metadata);
    if (metadata === undefined || name === undefined) return;
    changes[name] = changes[name] === undefined ? metadata.op : `${changes[name]} ${metadata.op}`;
  };
  try {
    await run(onEvent);
  } catch (error) {
    throw new RunFailed(`${lines.join("")}\n${error}`, changes);
  }
  return { changes, said: lines.join("") };
}
