// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/**
 * How many machines are asked at once. One that does not answer takes up its slot for some ten
 * seconds but needs no processor.
 */
const places = 32;

/**
 * Limits how many pieces of work run at once. From time to time it logs how far all of them are, in
 * the words of `progress`.
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
      // Nothing is logged for the last one, because then there is nothing left to wait for.
      if (answered % 10 === 0 && answered < asked)
        pulumi.log.info(progress(answered, asked), undefined, undefined, true).catch(() => undefined);
    }
  };
}
