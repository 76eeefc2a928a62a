// SPDX-License-Identifier: Apache-2.0
import { hostKey } from "./targets/keys";

/** A host over SSH, which nobody dials under mocks. */
export const far = { connection: { host: "192.0.2.1", hostKey, password: "x" } };

/** What the step `selftest` prints. */
export const selfTestAnswer = {
  ...{ serial: 17, selftest: "passed", kernel: "6.12.118", machine: "x86_64", pairs: 12, redirected: 3456 },
  ...{ spliceGuard: "lsm", facts: { fionread_tcp: "exact", so_peek_off: null, rounds: 1000 } },
};

/** What the steps of a host over SSH answer, by their names: other answers are refused. */
export function answerOf(name: string): string {
  return name.endsWith("selftest") ? JSON.stringify(selfTestAnswer) : "17";
}
