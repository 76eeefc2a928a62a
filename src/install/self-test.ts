// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { valueIfKnown } from "../args/validation/outputs";
import { withShortInspection } from "../args/validation/problem";
import type { Right } from "../args/validation/right";
import type { SelfTestResult } from "../commands/self-test";
import { readSelfTest } from "../commands/self-test-answer";
import { isMocked } from "../targets/mocked";

/** The mocks of a unit test print nothing, and neither does a step that the engine leaves out. */
export function selfTestOf(answer: pulumi.Output<string | undefined>): pulumi.Output<SelfTestResult | undefined> {
  return answer.apply((printed) => (printed ? readSelfTest(printed) : undefined));
}

/** Fails if a host answered, and not with the result of a self-test. */
export async function isSelfTest(step: pulumi.Resource, answer: pulumi.Output<string | undefined>): Right {
  if (isMocked()) return undefined;
  const printed = await valueIfKnown(answer);
  if (!printed || readSelfTest(printed) !== undefined) return undefined;
  const text =
    "expected the host to answer with the result of its self-test, found another answer; look at what answers there, then type: pulumi up --replace URN-OF-THIS-STEP";
  return { error: withShortInspection(new pulumi.ResourceError(text, step, true)) };
}
