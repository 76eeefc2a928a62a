// SPDX-License-Identifier: Apache-2.0

/** An error whose message is all that its reader needs. Exit 2 is for wrong usage, as on a host. */
export class Problem extends Error {
  constructor(
    message: string,
    readonly code: 1 | 2 = 1,
  ) {
    super(message);
  }
}

export function misused(message: string): Problem {
  return new Problem(`${message}; see npx socket-bypass help`, 2);
}
