// SPDX-License-Identifier: Apache-2.0
import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/index.js";

/** The operations on each step that did not stay the same. */
export type Changes = Record<string, string>;
export type OnEvent = (event: EngineEvent) => void;

export interface Ended {
  readonly changes: Changes;
  readonly said: string;
}

/** The messages and the changes of a run that failed. */
export class RunFailed extends Error {
  constructor(
    readonly said: string,
    readonly changes: Changes,
  ) {
    super(said);
  }
}

/** Names a step by its resource name without `prefix`. */
export function stepWithout(prefix: RegExp) {
  return ({ type, urn }: StepEventMetadata) =>
    type.startsWith("command:") ? (urn.split("::").at(-1) ?? "").replace(prefix, "") : undefined;
}

/**
 * Follows one run of the engine. The changes include what `called` has a name for; `lines` collects
 * the messages while it runs.
 */
export async function follow(
  run: (onEvent: OnEvent) => Promise<unknown>,
  called: (metadata: StepEventMetadata) => string | undefined,
  lines: string[] = [],
): Promise<Ended> {
  const changes: Changes = {};
  const onEvent: OnEvent = ({ resourcePreEvent, diagnosticEvent }) => {
    // Leaves out the SDK's debug messages, which show everything, but only with --debug.
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
