// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect, test } from "vitest";
import { localTarget, sendLocally } from "../../../src/targets/local";
import { record } from "../record";

const step = {
  right: Promise.resolve(undefined),
  converge: ["sh", "a b", "it's"],
  stdin: "in",
  triggers: ["t"],
  hides: ["stdin"],
  seconds: 9,
};
const run = async (become: string, more: object = {}, opts: pulumi.CustomResourceOptions = {}) => {
  const [command] = await record(() => localTarget(pulumi.output(become)).run("x", { ...step, ...more }, opts));
  return command;
};

test("the type of machine is what uname says, unless another one is declared", async () => {
  let told: string[] = [];
  await record(async () => {
    const targets = [localTarget(pulumi.output("")), localTarget(pulumi.output(""), pulumi.output("aarch64"))];
    told = await new Promise((done) => pulumi.all(targets.map(({ machine }) => machine)).apply(done));
  });
  expect(told).toEqual([os.machine(), "aarch64"]);
});

test("a step is one command of the command provider, with each word quoted", async () => {
  const line = "sh 'a b' 'it'\\''s'";
  expect(await run("")).toMatchObject({
    type: "command:local:Command",
    name: "x",
    inputs: {
      create: line,
      stdin: "in",
      triggers: ["t"],
      logging: "stderr",
      addPreviousOutputInEnv: false,
    },
    deleteBeforeReplace: true,
    hideDiffs: ["stdin"],
  });
  expect(Object.keys((await run(""))?.inputs ?? {})).not.toContain("update");
});

test("a step has a delete line only if there is something to undo", async () => {
  expect(Object.keys((await run(""))?.inputs ?? {})).not.toContain("delete");
  expect((await run("", { undo: "if a; then b; fi" }))?.inputs.delete).toBe("if a; then b; fi");
  expect((await run("sudo -n", { undo: "if a; then b; fi" }))?.inputs.delete).toBe("sudo -n sh -c 'if a; then b; fi'");
});

test("the installed SDK is 1.x, although the tag `latest` of npm names another line", () => {
  const about = path.join(path.dirname(require.resolve("@pulumi/command")), "package.json");
  expect(JSON.parse(fs.readFileSync(about, "utf8")).version).toMatch(/^1\.[2-9]/);
});

test("deleteBeforeReplace cannot be turned off", async () => {
  expect((await run("", {}, { deleteBeforeReplace: false }))?.deleteBeforeReplace).toBe(true);
});

test("the error says why files did not reach this machine", async () => {
  const files = { stateDir: "/var/lib/x", instance: "web", digest: "d".repeat(64), packed: Buffer.alloc(1) };
  const said = (become: string) =>
    sendLocally(become, files).then(
      (sent) => expect.fail(`expected a failure, found ${sent} bytes sent`),
      (error: Error) => error.message,
    );
  expect(await said("no-such-become -n")).toBe("this machine cannot run no-such-become: ENOENT");
  expect(await said("false")).toBe("this machine ends the command with 1");
  expect(await said("true")).toContain("this machine ran another command than the one it was sent");
});
