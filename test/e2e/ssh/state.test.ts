// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { ResourceTransformation } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { SocketBypass, type SocketBypassArgs } from "../../../src/index.js";
import { Far, isSkipped, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";
import { Liar } from "./liar.js";

describe.skipIf(isSkipped)("the state of a host", () => {
  test("with a key of ed25519 has less than 31,000 bytes, although it holds connection and lines twice for each step", async () => {
    const far = await new Far({ keys: makeKeys() }).start();
    const fleet = new Fleet({
      hosts: { web: { connection: far.connection() } },
      traffic: { ports: ["6379"] },
    });
    await fleet.up();
    const { resources } = JSON.parse(fleet.stateFile()).checkpoint.latest;
    const its = resources.filter(({ urn }: { urn: string }) => /BypassHost/.test(urn));
    const bytes = JSON.stringify(its).length;
    expect(its).toHaveLength(9);
    expect({ bytes, isFew: bytes < 31_000 }).toEqual({ bytes, isFew: true });
    await fleet.destroy();
  }, 120_000);
});

describe.skipIf(isSkipped)("the digest of a host's address", () => {
  test("is secret in the state, and one that an earlier version left in plain text stays, so that nothing is replaced", async () => {
    const liar = await new Liar(await new Far({ keys: makeKeys() }).start()).start();
    const connection = liar.connection();
    const first = createHash("sha256").update(`${connection.host}:${connection.port}`).digest("hex").slice(0, 12);
    let place: Promise<string[]> | undefined;
    /**
     * Registers the steps as earlier versions of the package did: with the place, in plain text, in
     * each step.
     */
    const asBefore: ResourceTransformation = ({ props, opts }) => {
      if (!("triggers" in props)) return undefined;
      place ??= Promise.resolve(props.triggers);
      const triggers = Promise.all([place, props.triggers]).then(([[, instance], its]) => [
        ...[first, instance],
        its.at(-1),
      ]);
      return { props: { ...props, triggers }, opts };
    };
    const args: SocketBypassArgs = {
      ...{
        hosts: { web: { connection } },
        traffic: { everything: true },
        spliceGuard: "off",
        selfTest: { enabled: false },
      },
    };
    const start = (transformations: ResourceTransformation[]) => {
      const fleet = new Fleet(args, async () => {
        new SocketBypass("edge", fleet.args, { transformations });
        return {};
      });
      return fleet;
    };
    const triggersIn = (fleet: Fleet) =>
      JSON.parse(fleet.stateFile()).checkpoint.latest.resources.flatMap(
        ({ inputs, outputs }: Record<string, { triggers?: unknown }>) =>
          [inputs?.triggers, outputs?.triggers].filter((one) => one !== undefined),
      );
    const isPlain = (triggers: unknown) => Array.isArray(triggers) && /^[0-9a-f]{12}$/.test(triggers[0]);

    const fresh = start([]);
    await fresh.up();
    expect(triggersIn(fresh)).toHaveLength(16);
    expect(triggersIn(fresh).filter(isPlain)).toEqual([]);
    expect(fresh.stateFile()).not.toContain(first);
    expect((await fresh.preview()).changes).toEqual({});
    await fresh.destroy();

    const transformations = [asBefore];
    const old = start(transformations);
    await old.up();
    expect(triggersIn(old).filter(isPlain)).toHaveLength(16);
    transformations.pop();
    expect((await old.preview()).changes).toEqual({});
    old.args = { ...args, traffic: { ports: ["1"] } };
    expect((await old.up()).changes).toEqual({ "web-policy": "update" });
    await old.destroy();
  }, 240_000);
});
