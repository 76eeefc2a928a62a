// SPDX-License-Identifier: Apache-2.0
import { type BypassArgs, bypassProperties } from "./bypass";
import { connectionIsWhole, type HostArgs, hostProperties } from "./host";
import { shape } from "./validation/schema";

/** One host with all that is said about it. */
export interface BypassHostArgs extends BypassArgs, HostArgs {}

/** @internal */
export const bypassHostSchema = shape({ ...bypassProperties, ...hostProperties }).check(connectionIsWhole);
