// SPDX-License-Identifier: Apache-2.0
/*
 * Installs the packed tarball outside of this checkout, beside the SDKs at both ends of the peer
 * ranges and beside the one that is developed with, compiles a program there and runs it under
 * mocks. Nothing here reaches a host; test/e2e does, with the SDK that is developed with.
 */
import * as fs from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeFolder, manifest, Outside, packTarball } from "./outside.js";

/** Renovate keeps these the newest. The SDKs need Node 22 or newer. */
const newest = {
  // npm: @pulumi/pulumi
  pulumi: "3.276.0",
  // npm: @pulumi/kubernetes
  kubernetes: "4.34.2",
  // npm: node
  node: "26.10.0",
  // npm: bun
  bun: "1.4.5",
};
const least = (name: string) => `${name}@${manifest.peerDependencies[name].replace(/^\^/, "")}`;
const developed = (name: string) => `${name}@${manifest.devDependencies[name]}`;

/** From the templates of Pulumi; neither skips our declarations (skipLibCheck). */
const templates = {
  beforeMarch2026: { target: "es2020", module: "commonjs", moduleResolution: "node", experimentalDecorators: true },
  now: { target: "es2020", module: "nodenext", moduleResolution: "nodenext", experimentalDecorators: true },
};

const body = `
const hostKey = "ssh-ed25519 " + Buffer.from("\\0\\0\\0\\x0bssh-ed25519\\0\\0\\0\\x20" + "k".repeat(32)).toString("base64");
// An address reserved for documentation.
const connection = { host: "192.0.2.1", hostKey, password: pulumi.secret("x") };

async function main() {
  const registered = new Set();
  await pulumi.runtime.setMocks({
    newResource: ({ type, name, inputs }) => {
      registered.add(type);
      return { id: name + "_id", state: inputs };
    },
    call: ({ inputs }) => inputs,
  });
  const withPool = process.argv.includes("pool");
  const edge = new SocketBypass("edge", {
    traffic: { ports: [6379, "8000-8010"] },
    hosts: { web: { connection } },
    ...(withPool ? { nodePools: { workers: { image: "registry.example/pod:1", namespace: "kube-system" } } } : {}),
  });
  await new Promise((done) => pulumi.all([edge.hosts, edge.nodePools ?? {}]).apply(done));
  await pulumi.runtime.disconnect();
  console.log([...registered].sort().join(" "));
}

main();
`;
const programs = {
  "mocks.cjs": `const pulumi = require("@pulumi/pulumi");\nconst { SocketBypass } = require("socket-bypass");\n${body}`,
  "mocks.mjs": `import * as pulumi from "@pulumi/pulumi";\nimport { SocketBypass } from "socket-bypass";\n${body}`,
  "index.ts": `import * as pulumi from "@pulumi/pulumi";
import { Advice, BypassHost, Host, ServiceAdvice, SocketBypass, SocketBypassArgs, Traffic } from "socket-bypass";
${body}
export function more(): pulumi.Output<number[]> | undefined {
  const hosts: Record<string, Host> = { web: { connection }, here: { local: true } };
  const traffic: Traffic = { cidrs: ["10.0.0.0/8"] };
  const args: SocketBypassArgs = { hosts, traffic, observe: {}, limits: { refreshSeconds: 60 } };
  const edge: SocketBypass = new SocketBypass("more", args);
  const { advice } = new BypassHost("one", { connection, observe: { seconds: 60 } }, { dependsOn: edge });
  return advice?.apply(({ services }: Advice) =>
    services.filter((one) => one.advice === ServiceAdvice.Include).map(({ port }) => port));
}
`,
};
const hostsOnly = "command:remote:Command socket-bypass:index:BypassHost socket-bypass:index:SocketBypass\n";
const withPool = [
  "command:remote:Command",
  "kubernetes:apps/v1:DaemonSet kubernetes:core/v1:ConfigMap kubernetes:core/v1:ServiceAccount",
  "socket-bypass:index:BypassHost socket-bypass:index:BypassNodePool socket-bypass:index:SocketBypass\n",
].join(" ");

let folder = "";
let tarball = "";
const installed: Outside[] = [];
beforeAll(async () => {
  folder = makeFolder();
  tarball = await packTarball(folder);
});
afterAll(() => {
  for (const outside of installed) outside.remove();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function install(...packages: string[]): Promise<Outside> {
  const outside = await Outside.install([tarball, ...packages]);
  installed.push(outside);
  for (const [name, text] of Object.entries(programs)) outside.write(name, text);
  return outside;
}

describe("beside the SDK that is developed with, and without that of Kubernetes", () => {
  const bun = `@oven/bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}`;
  let outside: Outside;
  beforeAll(async () => {
    const others = [developed("typescript"), developed("@types/node"), `${bun}@${newest.bun}`];
    outside = await install(developed("@pulumi/pulumi"), ...others);
  });

  test.each([
    ["before March 2026", { ...templates.beforeMarch2026, ignoreDeprecations: "6.0" }],
    ["of today", templates.now],
  ])("a program compiles with Pulumi's template %s", async (_, options) => {
    expect(await outside.compile(options)).toBe("compiled");
  });

  test.each(["mocks.cjs", "mocks.mjs"])("%s runs in Node", async (name) => {
    expect(await outside.run(process.execPath, [name])).toEqual({ code: 0, stdout: hostsOnly, stderr: "" });
  });

  test.each(["mocks.cjs", "mocks.mjs", "index.ts"])("%s runs in Bun", async (name) => {
    expect(await outside.run(outside.find(`${bun}/bin/bun`), [name])).toEqual({
      code: 0,
      stdout: hostsOnly,
      stderr: "",
    });
  });

  test("a pool says what to install", async () => {
    const { code, stderr } = await outside.run(process.execPath, ["mocks.cjs", "pool"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("npm install @pulumi/kubernetes@4");
  });

  test("its command runs", async () => {
    expect(await outside.run(outside.find(".bin/socket-bypass"), ["--version"])).toEqual({
      ...{ code: 0, stdout: `${manifest.version}\n`, stderr: "" },
    });
  });
});

/** A machine that has never had these packages takes them from the registry. */
const withDownloads = 600_000;

test("beside the oldest SDKs and the oldest TypeScript of the template before March 2026", {
  timeout: withDownloads,
}, async () => {
  const sdks = [least("@pulumi/pulumi"), least("@pulumi/kubernetes")];
  const outside = await install(...sdks, "typescript@5.0.4", "@types/node@18");
  expect(await outside.compile(templates.beforeMarch2026)).toBe("compiled");
  expect(await outside.run(process.execPath, ["mocks.cjs", "pool"])).toEqual({
    ...{ code: 0, stdout: withPool, stderr: "" },
  });
});

describe("beside the newest SDKs", () => {
  const lines = ["22", "24", newest.node] as const;
  let outside: Outside;
  beforeAll(async () => {
    const sdks = [`@pulumi/pulumi@${newest.pulumi}`, `@pulumi/kubernetes@${newest.kubernetes}`];
    const nodes = lines.map((line) => `node-${line}@npm:node-linux-${process.arch}@${line}`);
    outside = await install(...sdks, developed("typescript"), developed("@types/node"), ...nodes);
  }, withDownloads);

  test("a program compiles, with a TypeScript that the SDK takes", async () => {
    expect(await outside.compile(templates.now)).toBe("compiled");
    // docs/reference/versioning.md says the same.
    const { peerDependencies } = JSON.parse(fs.readFileSync(outside.find("@pulumi/pulumi/package.json"), "utf8"));
    expect(peerDependencies.typescript).toMatch(/ < 7$/);
  });

  test.each(lines)("a program runs in Node %s", async (line) => {
    const node = outside.find(`node-${line}/bin/node`);
    expect((await outside.run(node, ["--version"])).stdout).toMatch(new RegExp(`^v${line}\\b`));
    expect(await outside.run(node, ["mocks.mjs", "pool"])).toEqual({ code: 0, stdout: withPool, stderr: "" });
  });
});
