// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { valueIfKnown } from "../args/validation/outputs";
import { withShortInspection } from "../args/validation/problem";
import type { Right } from "../args/validation/right";
import { SelfTestOutcome, type SelfTestResult } from "../commands/self-test";
import { readSelfTest } from "../commands/self-test-answer";
import { isMocked } from "../targets/mocked";

/**
 * A step that the engine leaves out prints nothing, and neither do the mocks of a unit test, which
 * is told of a self-test that is off.
 */
export function selfTestOf(answer: pulumi.Output<string | undefined>): pulumi.Output<SelfTestResult | undefined> {
  return answer.apply((printed) => (printed && readSelfTest(`${printed}`)) || (isMocked() ? notRun : undefined));
}

const notRun: SelfTestResult = {
  outcome: SelfTestOutcome.Off,
  kernel: "",
  machine: "",
  pairs: 0,
  redirectedMessages: 0,
  spliceGuard: "none",
};

/** Fails if a host answered, and not with the result of a self-test. */
export async function isSelfTest(step: pulumi.Resource, answer: pulumi.Output<string | undefined>): Right {
  if (isMocked()) return undefined;
  const printed = await valueIfKnown(answer);
  if (!printed || readSelfTest(printed) !== undefined) return undefined;
  const text =
    "expected the host to answer with the result of its self-test, found another answer; look at what answers there, then type: pulumi up --replace URN-OF-THIS-STEP";
  return { error: withShortInspection(new pulumi.ResourceError(text, step, true)) };
}
