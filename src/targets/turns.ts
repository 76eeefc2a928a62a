// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/** Machines that are asked at once: one that does not answer holds its place for some ten seconds and needs no processor. */
const places = 32;

let free = places;
let [asked, answered] = [0, 0];
const waiting: (() => void)[] = [];

/** Runs the work when it is its turn. Tells from time to time how far all of it is. */
export async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  asked++;
  if (free > 0) free--;
  else await new Promise<void>((go) => waiting.push(go));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free++;
    answered++;
    // Only while it lasts: in the end there is nothing left to tell.
    if (answered % 10 === 0 && answered < asked)
      pulumi.log
        .info(`drift: looked at ${answered} of ${asked} hosts`, undefined, undefined, true)
        .catch(() => undefined);
  }
}
