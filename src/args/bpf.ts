// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { oneOfThree, shape } from "./validation/schema";

/** Where the BPF objects are compiled. */
export const CompileAt = {
  /** Nowhere: the package brings them. */
  Prebuilt: "prebuilt",
  /** On each host, which then needs clang and the headers of libbpf. */
  Target: "target",
  /** On the machine that runs Pulumi, which then needs clang and the headers of libbpf. */
  Deployer: "deployer",
} as const;

export type CompileAt = (typeof CompileAt)[keyof typeof CompileAt];

/** Where the BPF objects come from. */
export interface Bpf {
  /**
   * Where the BPF objects are compiled: "prebuilt", "target" (each host) or "deployer" (the machine
   * that runs Pulumi); the last two need clang and the headers of libbpf there. Default "prebuilt".
   */
  compile?: pulumi.Input<CompileAt>;
}

/** @internal */
export const bpfSchema = shape({
  compile: oneOfThree(CompileAt),
});
