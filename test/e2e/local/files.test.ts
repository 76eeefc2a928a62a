// SPDX-License-Identifier: Apache-2.0
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ResourceHook, type ResourceTransformation } from "@pulumi/pulumi";
import * as state from "@pulumi/pulumi/runtime/state.js";
import { describe, expect, test } from "vitest";
import { bundleFor } from "../../../src/bundle/bundle.js";
import { attachments, each, isSkipped, Machine } from "./machine.js";
import { Project } from "./project.js";

/**
 * Registers the step as earlier versions of the package did: without a hook, and with the files as
 * text after a script.
 */
const asBefore: ResourceTransformation = ({ name, props, opts }) => {
  if (!name.endsWith("-object")) return undefined;
  const { hooks: _, ...others } = opts;
  const lines =
    bundleFor("prebuilt", "x86_64")
      .packed.toString("base64")
      .match(/.{1,1000}/g) ?? [];
  const stdin = `main() {
	folder=$(mktemp -d /run/socket-bypass-XXXXXX) || exit
	base64 -d | tar -xzof - -C "$folder"
	sh "$folder/socket-bypass" "$@" --from "$folder"
	code=$?
	rm -rf "$folder"
	exit $code
}
main "$@" <<'END'
${lines.join("\n")}
END
`;
  return { props: { ...props, stdin }, opts: others };
};

const objectOf = async (machine: Machine) =>
  (await machine.exported()).find(({ urn }) => urn.endsWith("::edge-web-object"));

describe.skipIf(isSkipped)("the files of a host", () => {
  test("leave the state of a stack that an earlier version made: the next up updates their step and replaces nothing", async () => {
    const machine = new Machine();
    machine.opts = { transformations: [asBefore] };
    await machine.up();
    expect(`${(await objectOf(machine))?.inputs?.stdin}`.length).toBeGreaterThan(100_000);
    machine.opts = {};
    // A preview does not know what a step will answer.
    expect((await machine.preview()).changes).toEqual(each("update"));
    expect((await machine.up()).changes).toEqual({ object: "update" });
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    expect(`${(await objectOf(machine))?.inputs?.stdin}`.length).toBeLessThan(512);
    expect((await machine.up()).changes).toEqual({});
    expect((await machine.destroy()).changes).toEqual(each("delete"));
    expect(machine.traces()).toEqual([]);
  });

  test("that disappear before the step make it fail with their path, and the next up sends them again", async () => {
    const machine = new Machine();
    const staged = join(machine.stateDir, `_staged-${machine.instance()}`);
    const taken: boolean[] = [];
    const thief: ResourceTransformation = ({ name, props, opts }) => {
      if (!name.endsWith("-object")) return undefined;
      const hook = new ResourceHook("thief", () => {
        taken.push(existsSync(staged));
        rmSync(staged, { recursive: true });
      });
      return { props, opts: { ...opts, hooks: { beforeCreate: [...(opts.hooks?.beforeCreate ?? []), hook] } } };
    };
    machine.opts = { transformations: [thief] };
    const said = await machine.failure(machine.up());
    expect(taken).toEqual([true]);
    expect(said).toContain(`socket-bypass: ${staged}/`);
    expect(said).toContain("expected the files that were sent for this step, found none");
    machine.opts = {};
    expect((await machine.up()).changes).toEqual(each("create"));
    await machine.destroy();
  });

  test("reach it also if another language makes the component, by a hook in the plugin's process that no destroy needs", () => {
    const machine = new Machine();
    const project = new Project();
    const edge = {
      ...{
        hosts: { web: { local: true, stateDir: machine.stateDir } },
        cgroup: machine.cgroup,
        traffic: { everything: true },
      },
      ...{ spliceGuard: "off", selfTest: { enabled: false } },
    };
    try {
      const up = project.run("plugin", { edge }, "up", "--yes", "--skip-preview");
      expect({ ok: up.ok, said: up.ok ? "" : up.said }).toEqual({ ok: true, said: "" });
      expect(attachments(machine.cgroupFolder())).toEqual(["track_sockets"]);
      const kept = project.kept();
      expect(kept).toContain("edge-web-attachment");
      const read = [...kept.matchAll(/"stdin": ?"((?:[^"\\]|\\.)*)"/g)].map(([, text = ""]) => text.length);
      expect(read.length).toBeGreaterThanOrEqual(16);
      expect(Math.max(...read)).toBeLessThan(1024);
    } finally {
      rmSync(join(project.folder, "mistakes.mjs"));
      project.write("mistakes.mjs", 'throw new Error("expected nobody to run the program")');
      const { status, said } = project.engine(
        "destroy",
        "--yes",
        "--skip-preview",
        "--stack",
        "one",
        "--non-interactive",
      );
      expect({ status, said: status === 0 ? "" : said }).toEqual({ status: 0, said: "" });
      project.remove();
    }
    expect(machine.traces()).toEqual([]);
  }, 240_000);

  test("have a hook for each host, even if another language gives two hosts one name below parents of different types", () => {
    const machine = new Machine();
    const project = new Project();
    const both = { cgroup: machine.cgroup, traffic: { everything: true }, spliceGuard: "off" };
    const host = { local: true, stateDir: machine.stateDir };
    try {
      const preview = project.run(
        "plugin",
        { edge: { hosts: { web: host }, ...both }, "edge-web": { ...host, ...both } },
        "preview",
      );
      expect({ ok: preview.ok, said: preview.ok ? "" : preview.said }).toEqual({ ok: true, said: "" });
      expect(preview.said.match(/edge-web-object/g)).toHaveLength(2);
    } finally {
      project.remove();
    }
  }, 240_000);

  test("cannot be sent with an engine that has no hooks, and the error names the version that has", async () => {
    const machine = new Machine();
    machine.beforeProgram = () => {
      // The SDK records here what the engine supports; there is no public name for it.
      const { getStore } = state as unknown as { getStore(): { supportsResourceHooks: boolean } };
      getStore().supportsResourceHooks = false;
    };
    const said = await machine.failure(machine.preview());
    expect(said).toContain("expected an engine that has resource hooks");
    expect(said).toContain("a Pulumi CLI of 3.182 or newer");
    expect(said).not.toContain("    at ");
    expect(machine.traces()).toEqual([]);
  });
});
