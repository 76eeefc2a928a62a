// SPDX-License-Identifier: Apache-2.0
import * as os from "node:os";

/** How much runs at once: the default of the engine. */
export const parallel = 4 * os.cpus().length;

export interface Asked {
  /** Where the stack may write. */
  readonly folder: string;
  readonly addresses: readonly string[];
  readonly hostKey: string;
  readonly privateKey: string;
  readonly hasCheckpoints: boolean;
}

/** In seconds, MiB and bytes. */
export interface Measured {
  readonly up: number;
  readonly preview: number;
  readonly destroy: number;
  readonly peakMiB: number;
  readonly peaks: Readonly<Record<string, number>>;
  readonly stateBytes: number;
}

/** Medians of the rounds, in seconds, MiB and bytes. */
export interface StackResult {
  readonly up: number;
  /** The median of the rounds' ratios of up to loop. */
  readonly ratio: number;
  readonly preview: number;
  readonly destroy: number;
  readonly dials: number;
  readonly peakMiB: number;
  /** The peaks of the last round, by the name of the process. */
  readonly peaks: Readonly<Record<string, number>>;
  readonly stateBytes: number;
}

export interface FleetResult extends StackResult {
  readonly hosts: number;
  readonly rounds: number;
  readonly loop: number;
  readonly loopDials: number;
  readonly withoutCheckpoints: StackResult;
}
