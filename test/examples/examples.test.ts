// SPDX-License-Identifier: Apache-2.0
/*
 * Each example is copied, as a user would copy it, beside the packed tarball of this package and
 * the packages of the registry that it asks for. There its types are checked, and the real engine
 * previews it. Nothing is installed on a host, and no cloud or cluster is reached:
 * test/e2e does that on hosts and in clusters of our own, with the same arguments. The providers of
 * the clouds are stand-ins, so whether a cloud accepts these machines is not proved.
 */
import { generateKeyPairSync } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { manifest } from "../package/outside.js";
import { Example, nameIn, type Planned } from "../support/example.js";
import { examples, Installed, manifestOf } from "./installed.js";

const names = fs
  .readdirSync(examples)
  .filter((name) => fs.existsSync(join(examples, name, "package.json")))
  .sort();
const languages = ["python", "yaml"];

// Engine, SDKs and providers start anew for each preview, on a machine that does other things too.
vi.setConfig({ testTimeout: 300_000 });

let installed: Installed;
beforeAll(async () => {
  installed = await Installed.install(names);
}, 600_000);
afterAll(() => installed?.remove());

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr";
const image = "registry.example.com/socket-bypass:1";

const commandsIn = (steps: readonly Planned[]) =>
  steps.filter(({ newState }) => newState.type.startsWith("command:") && newState.type.endsWith(":Command"));
const namesOf = (steps: readonly Planned[]) => steps.map(({ urn }) => nameIn(urn));
const stepsOf = (host: string) =>
  ["object", "map-sockets", "program-track", "program-redirect", "verdict", "selftest", "policy", "attachment"].map(
    (step) => `${host}-${step}`,
  );
const find = (steps: readonly Planned[], name: string) => {
  const found = steps.find(({ urn }) => nameIn(urn) === name);
  if (found === undefined) throw new Error(`expected ${name}, found ${namesOf(steps)}`);
  return found;
};

describe("the folders of examples/", () => {
  test("each has what a copy needs, and asks for this version of the package", () => {
    for (const name of names) {
      const files = fs.readdirSync(join(examples, name));
      const project = name === "large-fleet" ? [] : ["Pulumi.yaml"];
      expect({ name, files }).toEqual({
        name,
        files: expect.arrayContaining(["README.md", "index.ts", "package.json", "tsconfig.json", ...project]),
      });
      const wanted = manifestOf(name).dependencies["socket-bypass"];
      expect({ name, wanted }).toEqual({ name, wanted: `^${manifest.version}` });
    }
    const folders = fs.readdirSync(examples).filter((name) => name !== "node_modules" && name !== "README.md");
    expect(folders.sort()).toEqual([...names, ...languages.filter((name) => folders.includes(name))].sort());
  });

  test("the types of all are right, with the declarations of the packages that they install", () => {
    const optionsOf = (name: string) =>
      JSON.parse(fs.readFileSync(join(examples, name, "tsconfig.json"), "utf8")).compilerOptions;
    const [first = ""] = names;
    for (const name of names) expect({ name, options: optionsOf(name) }).toEqual({ name, options: optionsOf(first) });
    // One run of the compiler reads those declarations once.
    const all = { compilerOptions: optionsOf(first), include: names.map((name) => `${name}/**/*.ts`) };
    fs.writeFileSync(installed.path("tsconfig.json"), JSON.stringify(all));
    expect(installed.run("tsc", ["--project", "."])).toBe("");
  });
});

test.each([
  ["yaml", "Pulumi.yaml"],
  ["python", "__main__.py"],
])("%s: its program is the one that test/e2e/languages runs", (name, file) => {
  const programIn = (folder: string) =>
    fs.readFileSync(join(folder, name, file), "utf8").replace(/^(#|description:).*\n/gm, "");
  expect(programIn(examples)).toBe(programIn(join(examples, "../test/e2e/languages")));
});

describe("the engine plans", () => {
  test("local: the steps of this machine", () => {
    const example = new Example(installed.path("local"));
    example.set("ports", '[6379,"8000-8999"]');
    const steps = commandsIn(example.plan());
    expect(namesOf(steps).sort()).toEqual(stepsOf("edge-here").sort());
    expect(find(steps, "edge-here-policy").newState.inputs?.create).toContain(" --ports 6379,8000-8999 ");
  });

  test("observe: a look without ports, and the steps of a host behind it with them", () => {
    const example = new Example(installed.path("observe"));
    example.set("seconds", "60");
    const look = commandsIn(example.plan());
    expect(namesOf(look)).toEqual(["edge-here-observe"]);
    expect(look[0]?.newState.inputs?.create).toMatch(/^sh -s -- advise --json --seconds 60 /);
    example.set("ports", "[6379]");
    const both = commandsIn(example.plan());
    expect(namesOf(both).sort()).toEqual(["edge-here-observe", ...stepsOf("edge-here")].sort());
    const waits = find(both, "edge-here-object").newState.dependencies?.map(nameIn);
    expect(waits).toEqual(["edge-here-observe"]);
  });

  test("ssh-fleet: the machines of its configuration, the canary first, and contacts none of them", () => {
    const example = new Example(installed.path("ssh-fleet"));
    // Addresses reserved for documentation.
    const machines = { web2: { address: "192.0.2.2", hostKey }, web1: { address: "192.0.2.1", hostKey } };
    example.set("machines", JSON.stringify(machines));
    example.set("user", "ops");
    const { privateKey } = generateKeyPairSync("ed25519");
    example.setSecret("privateKey", `${privateKey.export({ type: "pkcs8", format: "pem" })}`);
    const steps = commandsIn(example.plan());
    expect(namesOf(steps).sort()).toEqual([...stepsOf("edge-web1"), ...stepsOf("edge-web2")].sort());
    for (const { newState } of steps) expect(newState.inputs?.create).toMatch(/^sudo -n timeout /);
    const waits = (name: string) => find(steps, name).newState.dependencies?.map(nameIn);
    expect(waits("edge-web1-object") ?? []).toEqual([]);
    expect(waits("edge-web2-object")).toEqual(["edge-web1-attachment"]);
  });

  test("node-pool: the objects of the pool of its configuration", () => {
    const example = new Example(installed.path("node-pool"));
    example.set("image", image);
    example.set("nodeSelector", '{"pool":"web"}');
    example.set("ports", '[6379,"8000-8999"]');
    const objects = example.plan().filter(({ newState }) => newState.type.startsWith("kubernetes:"));
    expect(objects.map(({ op, newState }) => [op, newState.type.split(":").at(-1)]).sort()).toEqual([
      ["create", "ConfigMap"],
      ["create", "DaemonSet"],
      ["create", "Namespace"],
      ["create", "NetworkPolicy"],
      ["create", "ServiceAccount"],
    ]);
    const container = { image, args: expect.arrayContaining(["--ports", "6379,8000-8999", "--enabled", "true"]) };
    expect(find(objects, "edge-workers-loader").newState.inputs).toMatchObject({
      spec: { template: { spec: { nodeSelector: { pool: "web" }, containers: [container] } } },
    });
  });
});

describe("a VM and the bypass on it, in one stack", () => {
  test.each([
    ["aws-vm", "aws", "aws:ec2/instance:Instance"],
    ["google-cloud-vm", "gcp", "gcp:compute/instance:Instance"],
    ["azure-vm", "azure", "azure:compute/linuxVirtualMachine:LinuxVirtualMachine"],
  ])("%s: waits for the VM, and needs no clean-up when it goes", (name, provider, type) => {
    const example = new Example(installed.path(name), [provider, "tls"]);
    example.set("sshFrom", "198.51.100.0/24");
    const steps = example.plan();
    const commands = commandsIn(steps);
    expect(namesOf(commands).sort()).toEqual(["ready", ...stepsOf("web")].sort());
    const vm = steps.find(({ newState }) => newState.type === type)?.urn;
    expect(vm).toBeDefined();
    for (const { urn, newState } of commands)
      expect({ urn, deletedWith: newState.deletedWith }).toEqual({ urn, deletedWith: vm });
    expect(find(commands, "web-object").newState.dependencies?.map(nameIn)).toContain("ready");
  });

  test.each([
    ["aws-vm", "userData", "admin"],
    ["google-cloud-vm", "metadata", "ubuntu"],
    ["azure-vm", "customData", "ops"],
  ])("%s: is given the host key that its connection expects, and the login's public half", (name, property, user) => {
    fs.copyFileSync(join(__dirname, "mocked.ts"), installed.path("mocked.ts"));
    const words = [installed.path("mocked.ts"), installed.path(name, "index.ts")];
    const all: Registered[] = JSON.parse(installed.run("tsx", [...words, '{"project:sshFrom":"198.51.100.0/24"}']));
    const stateOf = (wanted: (one: Registered) => boolean) => {
      const found = all.find(wanted);
      if (found === undefined) throw new Error(`expected it among ${all.map((one) => one.name)}`);
      return found.state;
    };
    const key = (its: string) => stateOf((one) => one.type.startsWith("tls:") && one.name === its);
    const [host, login] = [key("host"), key("login")];
    const vm = stateOf((one) => one.name === "web" && property in one.inputs);
    const cloudConfig = JSON.parse(textOf(vm[property]).replace("#cloud-config\n", ""));
    expect(cloudConfig.ssh_keys).toEqual({
      ed25519_private: host.privateKeyOpenssh,
      ed25519_public: host.publicKeyOpenssh,
    });
    const told = JSON.stringify([vm, cloudConfig]);
    const quoted = (text: unknown) => JSON.stringify(text).slice(1, -1);
    expect(told).toContain(quoted(login.publicKeyOpenssh));
    expect(told).not.toContain(quoted(login.privateKeyOpenssh));
    const step = stateOf((one) => one.name === "web-object");
    expect(step.connection).toMatchObject({ host: "192.0.2.10", user, privateKey: login.privateKeyOpenssh });
    expect(`${(step.connection as { hostKey: string }).hostKey}\n`).toBe(host.publicKeyOpenssh);
    // Another VM has another id, and everything is installed anew.
    expect((step.triggers as string[])[0]).toBe("id of web");
  });
});

interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly state: Readonly<Record<string, unknown>>;
}

/** What a VM is told, in plain text. */
function textOf(data: unknown): string {
  if (typeof data === "object" && data !== null && "user-data" in data) return `${data["user-data"]}`;
  return `${data}`.startsWith("#") ? `${data}` : Buffer.from(`${data}`, "base64").toString();
}

describe("a pool of nodes and the bypass on them, in one stack", () => {
  test.each([
    ["eks", "aws", { cluster: "shop", nodeRoleArn: "arn:aws:iam::123456789012:role/nodes", subnetIds: '["subnet-1"]' }],
    ["gke", "gcp", { cluster: "shop", location: "europe-west1" }],
    ["aks", "azure", { clusterId: "/subscriptions/s/resourceGroups/g/providers/c/managedClusters/shop" }],
  ] as [string, string, Record<string, string>][])(
    "%s: the pods go where the new nodes are, and leave before them",
    (name, provider, settings) => {
      const example = new Example(installed.path(name), [provider]);
      for (const [key, value] of Object.entries({ ...settings, image })) example.set(key, value);
      const steps = example.plan();
      const nodes = find(steps, "bypass");
      const labels = { "example.com/bypass": "yes" };
      expect(JSON.stringify(nodes.newState.inputs)).toContain(JSON.stringify(labels));
      const pods = find(steps, "edge-loader");
      expect(pods.newState.inputs).toMatchObject({ spec: { template: { spec: { nodeSelector: labels } } } });
      expect(pods.newState.dependencies).toContain(nodes.urn);
    },
  );
});

describe("the unit tests of examples/testing", () => {
  test.each([
    ["vitest", ["run", "--dir", "vitest"], /Tests +.*4 passed/],
    ["mocha", ["--require", "tsx", "mocha/*.test.ts"], /4 passing/],
  ])("pass with %s", (runner, words, summary) => {
    expect(installed.run(runner, words, installed.path("testing"))).toMatch(summary);
  });
});
