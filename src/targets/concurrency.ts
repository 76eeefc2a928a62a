// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/**
 * Machines that are asked at once: one that does not answer holds its place for some ten seconds
 * and needs no processor.
 */
const places = 32;

/**
 * Runs each work when it is its turn. Tells from time to time how far all of it is, in the words of
 * `progress`.
 */
export function limitConcurrency(
  progress: (done: number, asked: number) => string,
): <T>(work: () => Promise<T>) => Promise<T> {
  let free = places;
  let [asked, answered] = [0, 0];
  const waiting: (() => void)[] = [];
  return async (work) => {
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
        pulumi.log.info(progress(answered, asked), undefined, undefined, true).catch(() => undefined);
    }
  };
}
