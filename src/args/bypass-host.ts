// SPDX-License-Identifier: Apache-2.0
import { type BypassArgs, bypassProperties } from "./bypass";
import { type Host, hostProperties, isInOnePlace } from "./host";
import { isTrafficOrObserve, type ObservedArgs, observeSchema } from "./observe";
import { shape } from "./validation/schema";

/** One host and all its settings. */
export interface BypassHostArgs extends BypassArgs, Host, ObservedArgs {}

/** @internal */
export const bypassHostSchema = shape({ ...bypassProperties, observe: observeSchema.optional(), ...hostProperties })
  .check(isTrafficOrObserve)
  .check(isInOnePlace);
