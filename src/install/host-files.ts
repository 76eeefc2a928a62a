// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { promiseOf } from "../args/validation/outputs";
import { allRight, attempt } from "../args/validation/right";
import { bundleFor, type Extra, generationOf, type ObjectOrigin } from "../bundle/bundle";
import type { Files } from "../commands/staged";
import { isMocked } from "../targets/mocked";
import type { Delivery, Target } from "../targets/target";
import type { Normalized } from "./normalize";

/** The files of a host, which a step has sent just before it runs. */
export interface HostFiles {
  /** The bytes are left out, which the SDK would copy one by one for each host. */
  readonly bundle: pulumi.Output<{ readonly digest: string; readonly isSource: boolean }>;
  /** The generation that they make. */
  readonly generation: pulumi.Output<string>;
  readonly delivery: Delivery;
}

/** A step with the options of the delivery gets these files. */
export function filesOf(
  name: string,
  target: Target,
  instance: string,
  args: Normalized,
  opts: pulumi.CustomResourceOptions,
): HostFiles {
  const extras = args.adopt.apply(extrasOf);
  const needs = pulumi.all([args.stateDir, args.compile, extras, target.machine]);
  // Compiling them may fail.
  const { made: bundle, right } = attempt(
    pulumi.all([args.compile, extras, target.machine]),
    ([compile, names, machine]) => {
      const { digest } = bundleFor(effectiveOrigin(compile), machine, names);
      return { digest, isSource: compile === "target" };
    },
  );
  const delivery = target.deliver(name, () => filesFor(needs, instance), opts);
  return {
    bundle,
    generation: pulumi
      .all([args.compile, extras, target.machine, args.size, bundle])
      .apply(([compile, names, machine, size]) =>
        generationOf(bundleFor(effectiveOrigin(compile), machine, names), compile, size),
      ),
    delivery: { ...delivery, right: allRight([right, delivery.right]) },
  };
}

/** Where the objects come from in this run: a unit test compiles nothing. */
export function effectiveOrigin(origin: ObjectOrigin): ObjectOrigin {
  return origin === "deployer" && isMocked() ? "target" : origin;
}

/** Reads the files only when they are about to be sent, because everything is known by then. */
async function filesFor(
  needs: pulumi.Output<[string, ObjectOrigin, Extra[], string]>,
  instance: string,
): Promise<Files> {
  const [stateDir, compile, names, machine] = await promiseOf(needs);
  const { packed, digest } = bundleFor(compile, machine, names);
  return { stateDir, instance, packed, digest };
}

/** The optional objects that this host asks for. */
export function extrasOf(adopt: boolean): Extra[] {
  return adopt ? ["adopt"] : [];
}
