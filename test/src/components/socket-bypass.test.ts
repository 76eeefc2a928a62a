// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BypassHost, type Host, SocketBypass, type SocketBypassArgs } from "../../../src/index";
import { runLine } from "../commands/shells";
import { answerOf, far } from "../far";
import { commandsOf, type Registered, record, steps } from "../record";

const traffic = { everything: true };
/** Hosts are reached by SSH unless they say that they are local. */
const make = (given: Record<string, Host>, more: Partial<SocketBypassArgs> = {}) => {
  const hosts = Object.fromEntries(
    Object.entries(given).map(([name, one]) => [name, one.local ? one : { ...far, ...one }]),
  );
  return record(() => new SocketBypass("edge", { hosts, traffic, ...more }), false, undefined, answerOf);
};
const byUrn = (all: readonly Registered[]) => new Map(all.map((one) => [one.urn, one]));
const byName = (all: readonly Registered[]) => new Map(all.map((one) => [one.name, one]));

const key = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,8}$/),
  // Names that could collide with the names of steps and with each other.
  fc.constantFrom("a", "a-object", "a-b", "A", "a.b", "a_b", "object", "constructor", "toString", "1", "01"),
);
const host = fc.record(
  {
    machineId: fc.stringMatching(/^[ -~]{1,20}$/),
    become: fc.constantFrom("sudo -n", "doas"),
    stateDir: fc.constantFrom("/opt/sb", "/var/lib/socket-bypass"),
  },
  { requiredKeys: [] },
);
const hostMap = fc.dictionary(key, host, { minKeys: 1, maxKeys: 3, noNullPrototype: true });

test("a SocketBypass is the parent of one BypassHost for each host, and the SDK gets no arguments to keep", async () => {
  const all = byName(await make({ web1: {}, web2: {} }));
  const top = all.get("edge");
  expect(top).toMatchObject({ type: "socket-bypass:index:SocketBypass", inputs: {}, parent: "" });
  for (const name of ["edge-web1", "edge-web2"]) {
    const child = all.get(name);
    expect(child).toMatchObject({ type: "socket-bypass:index:BypassHost", inputs: {}, parent: top?.urn });
    for (const step of steps) expect(all.get(`${name}-${step}`)?.parent).toBe(child?.urn);
  }
  expect(all.size).toBe(1 + 2 * 9);
});

test("for any map of hosts, resources are named after the host's key and depend on no other host", async () => {
  await fc.assert(
    fc.asyncProperty(hostMap, async (hosts) => {
      const all = await make(hosts);
      const commands = commandsOf(all);
      expect(commands).toHaveLength(8 * Object.keys(hosts).length);
      expect(new Set(all.map(({ urn }) => urn)).size).toBe(all.length);
      for (const name of Object.keys(hosts)) {
        const names: string[] = steps.map((step) => `edge-${name}-${step}`);
        const own = commands.filter(({ parent }) => parent.endsWith(`BypassHost::edge-${name}`));
        expect(own.map((one) => one.name).sort()).toEqual([...names].sort());
        for (const { dependencies } of own) expect(names).toEqual(expect.arrayContaining([...dependencies]));
      }
    }),
    { numRuns: 15 },
  );
}, 120_000);

test("adding, removing or moving a host in the map changes nothing of the others", async () => {
  await fc.assert(
    fc.asyncProperty(hostMap, key, host, async (hosts, added, its) => {
      const { [added]: _, ...others } = hosts;
      fc.pre(Object.keys(others).length > 0);
      // A host "a-object" and the step "object" of a host "a" share a name, not a URN.
      const before = byUrn(await make(others));
      const after = byUrn(await make(Object.fromEntries([[added, its], ...Object.entries(others).reverse()])));
      expect(after.size).toBe(before.size + 9);
      for (const [urn, one] of before) expect(after.get(urn)).toEqual(one);
    }),
    { numRuns: 8 },
  );
}, 120_000);

test("no two hosts share an instance or an owner", async () => {
  const hosts = { "a-b": {}, "a.b": {}, a_b: {}, A_B: {}, a: {} };
  const lines = commandsOf(await make(hosts)).map(({ inputs }) => `${inputs.create}`);
  for (const flag of ["--instance", "--owner"]) {
    expect(new Set(lines.map((line) => line.split(`${flag} `)[1]?.split(" ")[0])).size).toBe(5);
  }
});

test("an owner consists of project, stack, component and host key", async () => {
  const lines = commandsOf(await make({ web1: {} })).map(({ inputs }) => `${inputs.create}`);
  expect(lines).toHaveLength(8);
  for (const line of lines) expect(line).toContain(" --owner shop/prod/edge/web1");
});

test("a given instance is in every line of its host and does not change the owner", async () => {
  const instance = "edge-web1-0a1b2c3d";
  const all = await make({ web1: { local: true, instance }, web2: {} });
  const lines = commandsOf(all).flatMap(({ inputs }) => [inputs.create, inputs.delete].filter(Boolean).map(String));
  const its = lines.filter((line) => line.includes(instance));
  expect(its).toHaveLength(lines.length / 2);
  for (const line of its) expect(line).toContain("shop/prod/edge/web1");
  const [first] = commandsOf(all).filter(({ name }) => name === "edge-web1-object");
  expect(first?.inputs.triggers).toEqual(["local", instance, "/var/lib/socket-bypass"]);
});

// The first two would also get equal URNs, which the engine refuses in a preview and mocks do not.
test("components whose joined names are equal share neither instance nor owner", async () => {
  const all = await record(() => {
    new SocketBypass("edge", { hosts: { "web-1": { local: true } }, traffic });
    new SocketBypass("edge-web", { hosts: { "1": { local: true } }, traffic });
    new BypassHost("edge-web-1", { local: true, traffic });
  });
  const lines = commandsOf(all).map(({ inputs }) => `${inputs.create}`);
  expect(lines).toHaveLength(3 * 8);
  for (const flag of ["--instance", "--owner"]) {
    expect(new Set(lines.map((line) => line.split(`${flag} `)[1]?.split(" ")[0])).size).toBe(3);
  }
});

test("hostile text in arguments reaches no shell unquoted", async () => {
  const hostile = "/$(touch$IFS/pwned);`id`'\"&|<>*?!~#\\";
  const machineId = "'; touch pwned; echo '$(id)`id`\"";
  const commands = commandsOf(await make({ a: { local: true, machineId } }, { cgroup: hostile }));
  const words = commands.map(({ inputs }) => {
    // Shows how the shell reads the line: `set --` keeps the words and runs none of them.
    const { code, stdout, stderr } = runLine(["dash"], `set -- ${inputs.create}\nprintf '%s\\n' "$@"`);
    expect([code, stderr]).toEqual([0, ""]);
    return stdout.trimEnd().split("\n");
  });
  for (const line of words) expect(line[0]).toBe("sh");
  expect(words.filter((line) => line[line.indexOf("--cgroup") + 1] === hostile)).toHaveLength(2);
  for (const { inputs } of commands) {
    expect(`${inputs.create}${inputs.delete}`).not.toContain("touch pwned");
  }
  const [place] = commands.map(({ inputs }) => inputs.triggers as string[]);
  expect(place?.[0]).toBe(machineId);
});

test("hostile names stay within the one word of the owner", async () => {
  const all = await record(() => new SocketBypass("it's $(x) a/b", { hosts: { a: { local: true } }, traffic }));
  for (const { inputs } of commandsOf(all)) {
    const { stdout } = runLine(["dash"], `set -- ${inputs.create}\nprintf '%s\\n' "$@"`);
    const words = stdout.trimEnd().split("\n");
    expect(words[words.indexOf("--owner") + 1]).toBe("shop/prod/it's%20%24(x)%20a%2Fb/a");
  }
});

test("a secret is marked in the one line that contains it", async () => {
  const inputs = new Map<string, Record<string, unknown>>();
  await record(async () => {
    const monitor = pulumi.runtime.getMonitor() as unknown as {
      registerResource(request: { getName(): string; getObject(): { toJavaScript(): object } }, done: unknown): void;
    };
    const next = monitor.registerResource.bind(monitor);
    monitor.registerResource = (request, done) => {
      inputs.set(request.getName(), request.getObject().toJavaScript() as Record<string, unknown>);
      next(request, done);
    };
    new SocketBypass("edge", { hosts: { a: { local: true } }, traffic: { ports: [pulumi.secret("7777")] } });
  });
  expect(inputs.get("edge-a-policy")?.create).toMatchObject({ "4dabf18193072939515e22adb298388d": expect.anything() });
  for (const [name, one] of inputs) {
    if (name !== "edge-a-policy") expect(JSON.stringify(one)).not.toContain("7777");
  }
});

test("the outputs report each host's generation and what its self-test found", async () => {
  let hosts: unknown;
  let generation: unknown;
  const program = async () => {
    const made = new SocketBypass("edge", { hosts: { a: { local: true }, b: far }, traffic });
    [hosts, generation] = await new Promise<unknown[]>((done) => {
      pulumi.all([made.hosts, made.generation]).apply(done);
    });
  };
  await record(program, false, undefined, answerOf);
  expect(generation).toMatch(/^[0-9a-f]{12}$/);
  const selfTest = {
    ...{ outcome: "passed", kernel: "6.12.118", machine: "x86_64", pairs: 12, redirectedMessages: 3456 },
    ...{ spliceGuard: "lsm", facts: { fionreadTcp: "exact", rounds: 1000 } },
  };
  expect(hosts).toEqual({
    a: { generation, selfTest },
    b: { generation, selfTest },
  });
});

test("a preview knows every line of a host whose arguments are known", async () => {
  const planned = await record(() => new SocketBypass("edge", { hosts: { a: { local: true } }, traffic }), true);
  const commands = commandsOf(planned);
  expect(commands).toHaveLength(8);
  for (const { inputs, name } of commands) expect([name, typeof inputs.create]).toEqual([name, "string"]);
});

test("if any host has invalid arguments, no host is registered and all problems are reported", async () => {
  const all = await record(() => {
    const wrong = { hosts: { a: far, b: { ...far, stateDir: "x" }, c: { ...far, machineId: "" } }, traffic };
    expect(() => new SocketBypass("edge", wrong)).toThrow('2 problems in the arguments of SocketBypass "edge":');
  });
  expect(all.map(({ name }) => name)).toEqual(["edge"]);
});
