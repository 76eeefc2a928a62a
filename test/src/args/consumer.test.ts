// SPDX-License-Identifier: Apache-2.0
/*
 * Users compile against our declarations with a configuration of their own. These tests do not
 * cover a packed tarball, other versions of TypeScript, or Bun.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = resolve(__dirname, "../../..");
const program = `
import * as bypass from "socket-bypass";
const args: bypass.SocketBypassArgs = { traffic: { ports: ["6379"] }, hosts: { web: { local: true } }, limits: { refreshSeconds: 60 } };
export const edge: bypass.SocketBypass = new bypass.SocketBypass("edge", args);
const { advice } = new bypass.BypassHost("one", { local: true, observe: { seconds: 60 } });
export const ports = advice?.apply(({ services }: bypass.Advice) =>
  services.filter((one) => one.advice === bypass.ServiceAdvice.Include).map(({ port }) => port));
`;
/**
 * Neither sets skipLibCheck, so our declarations are compiled as well. The first has the defaults
 * of TypeScript 5.
 */
const configurations = {
  "of Pulumi's template before March 2026": {
    target: "es2020",
    module: "commonjs",
    moduleResolution: "node",
    esModuleInterop: false,
    allowSyntheticDefaultImports: false,
    ignoreDeprecations: "6.0",
  },
  "of modules that Node runs": { target: "es2022", module: "nodenext" },
};

let folder = "";
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-consumer-"));
  fs.mkdirSync(join(folder, "node_modules/@pulumi"), { recursive: true });
  fs.symlinkSync(root, join(folder, "node_modules/socket-bypass"));
  fs.symlinkSync(join(root, "node_modules/@types"), join(folder, "node_modules/@types"));
  fs.writeFileSync(join(folder, "index.ts"), program);
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

test.each(Object.entries(configurations))(
  "a program compiles with the configuration %s",
  (_, options) => {
    const compilerOptions = {
      ...options,
      strict: true,
      noEmit: true,
      types: ["node"],
      forceConsistentCasingInFileNames: true,
    };
    fs.writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["index.ts"] }));
    const { status, stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", folder, "--pretty", "false"], {
      encoding: "utf8",
    });
    expect({ status, ours: stdout.split("\n").filter((line) => line !== "") }).toEqual({ status: 0, ours: [] });
  },
  120_000,
);
