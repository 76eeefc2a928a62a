// SPDX-License-Identifier: Apache-2.0
import type { StepName } from "./verbs";

/** The suffix of a step's resource, after the name of its host. */
export const suffixes: Record<StepName, string> = {
  object: "object",
  map: "map-sockets",
  track: "program-track",
  redirect: "program-redirect",
  verdict: "verdict",
  selftest: "selftest",
  policy: "policy",
  attach: "attachment",
};
