// SPDX-License-Identifier: Apache-2.0
// Long: what is declared for one host, rule by rule.
/*
 * Lists where each rule of the steps (docs/explanation/steps.md) is tested. Mocks show what
 * is declared, never what the engine or a host makes of it.
 *
 *  1 content is an update     here (no update line of its own, no trigger changes),
 *                             test/src/bundle/bundle; test/e2e/local: really no replacement
 *  2 one chain                here (stdin, dependencies, triggers, toggling);
 *                             test/e2e/local: order of a replacement
 *  3 generations side by side test/host/script/handover
 *  4 deletes                  here (which steps have one), test/src/commands/delete;
 *                             test/host/script/stop, test/e2e/local: destroy
 *  5 owner                    here (the words), test/src/commands/identity; test/host/script/owner
 *  6 self-test                test/host/script/selftest, test/host/helper/selftest
 *  7 command lines            here (no environment, become, quoting);
 *                             test/host/script/stop, test/host/helper/lock: signals and the lock
 *  8 options reach children   here
 *  9 no args in the state     here (inputs of components, secrets stay marked);
 *                             test/e2e/local: the exported stack
 * 10 no hook but for files    here, test/src/targets/deliver
 * 11 files                    test/src/targets/deliver (the hook), test/host/script/receive,
 *                             test/host/script/preflight; test/e2e/local/files
 * 12 policy is atomic         test/host/script/policy
 * 13 boot unit                test/host/script/boot
 * 14 drift                    here (the numbers in the lines), test/src/commands/drift-report;
 *                             test/host/script/status, test/e2e/local/drift
 */
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test, vi } from "vitest";
import { quote } from "../../../src/commands/quote";
import { BypassHost, type BypassHostArgs, SocketBypass } from "../../../src/index";
import { commandsOf, type Registered, record, steps } from "../record";

class Vm extends pulumi.CustomResource {}

const traffic = { ports: ["80"] };
const make = (args: Partial<BypassHostArgs> = {}, opts?: pulumi.ComponentResourceOptions) =>
  record(() => new BypassHost("edge", { local: true, traffic, ...args }, opts));
const column = <T>(all: readonly Registered[], pick: (one: Registered) => T) => all.map(pick);

describe("a BypassHost", async () => {
  const all = await make();
  const [component] = all;
  const commands = commandsOf(all);
  const instance = "edge-c3a267df";

  test("is a component with eight commands, in the order of the chain", () => {
    expect(all).toHaveLength(9);
    expect(column(commands, ({ name }) => name)).toEqual(steps.map((step) => `edge-${step}`));
  });

  test("gives the SDK no arguments to keep in the state", () => {
    expect(component).toMatchObject({ type: "socket-bypass:index:BypassHost", name: "edge", inputs: {}, parent: "" });
  });

  test("is the parent of each step", () => {
    expect(new Set(column(commands, ({ parent }) => parent))).toEqual(new Set([component?.urn]));
  });

  test("starts each step after the previous one, and the attachment after self-test and policy", () => {
    expect(column(commands, ({ dependencies }) => dependencies)).toEqual([
      [],
      ["edge-object"],
      ["edge-map-sockets"],
      ["edge-program-track"],
      ["edge-program-redirect"],
      ["edge-verdict"],
      ["edge-selftest"],
      ["edge-selftest", "edge-policy"],
    ]);
  });

  test("runs each step again when the previous answer changes, but none for a new policy", () => {
    expect(column(commands.slice(1), ({ inputs }) => inputs.stdin)).toEqual([
      "edge-object said",
      "edge-map-sockets said",
      "edge-program-track said",
      "edge-program-redirect said",
      "edge-verdict said",
      // Of the result, only the serial number.
      "17",
      "17",
    ]);
  });

  test("replaces steps only for another place, the old one first, with triggers that a preview knows", async () => {
    const folder = "/var/lib/socket-bypass";
    // Only the first step names the place in full; what depends on it is replaced with it
    // (test/e2e/local).
    const place = [["local", instance, folder], ...Array(7).fill([folder])];
    expect(column(commands, ({ inputs }) => inputs.triggers)).toEqual(place);
    expect(column(commands, ({ deleteBeforeReplace }) => deleteBeforeReplace)).toEqual(Array(8).fill(true));
    const planned = await record(() => new BypassHost("edge", { local: true, traffic }), true);
    expect(column(commandsOf(planned), ({ inputs }) => inputs.triggers)).toEqual(place);
  });

  test("hides only the stdin of the first step from previews, and ignores no change", () => {
    expect(column(commands, ({ hideDiffs }) => hideDiffs)).toEqual([["stdin"], ...Array(7).fill([])]);
    expect(column(commands, ({ ignoreChanges }) => ignoreChanges)).toEqual(Array(8).fill([]));
  });

  test("has one line to create and none to update, so that the provider runs the same line again", () => {
    for (const { inputs } of commands) {
      expect(inputs.create).toMatch(/^sh [^\n]+ --owner shop\/prod\/edge( --digest [0-9a-f]{64})?$/);
      expect(inputs).not.toHaveProperty("update");
    }
  });

  test("has a delete line for exactly those steps that leave something on the host", () => {
    const undone = commands.filter(({ inputs }) => "delete" in inputs);
    expect(column(undone, ({ name }) => name)).toEqual([
      "edge-object",
      "edge-map-sockets",
      "edge-program-track",
      "edge-program-redirect",
      "edge-verdict",
      "edge-attachment",
    ]);
    const run = 'exec sh "$s"';
    expect(column(undone, ({ inputs }) => /exec sh [^;]*/.exec(String(inputs.delete))?.[0])).toEqual(
      [
        "object remove",
        "map remove",
        "program unload track",
        "program unload redirect",
        "verdict detach",
        "detach",
      ].map((verb) => `${run} ${verb} --instance ${instance} --owner shop/prod/edge`),
    );
  });

  test("sets no environment, no other input and no hook", () => {
    for (const { inputs, hooks, name } of commands) {
      const { addPreviousOutputInEnv, logging, ...rest } = inputs;
      expect([name, addPreviousOutputInEnv, logging, hooks]).toEqual([name, false, "stderr", undefined]);
      expect(
        Object.keys(rest)
          .filter((key) => key !== "delete")
          .sort(),
      ).toEqual(["create", "stdin", "triggers"]);
    }
  });
});

test("become precedes every line, and the delete line is one quoted word after it", async () => {
  const [plain, become] = [commandsOf(await make()), commandsOf(await make({ become: "sudo -n" }))];
  for (const [at, { inputs }] of become.entries()) {
    expect(inputs.create).toBe(`sudo -n ${plain[at]?.inputs.create}`);
    if ("delete" in inputs) {
      expect(inputs.delete).toBe(`sudo -n sh -c ${quote(String(plain[at]?.inputs.delete))}`);
    }
  }
});

const makers: [string, (opts: pulumi.ComponentResourceOptions) => void][] = [
  ["BypassHost", (opts) => new BypassHost("edge", { local: true, traffic }, opts)],
  ["SocketBypass", (opts) => new SocketBypass("edge", { hosts: { a: { local: true } }, traffic }, opts)],
];

test.each(makers)("every option given to a %s reaches every child", async (_, makeWith) => {
  const customTimeouts = { create: "7m", update: "8m", delete: "9m" };
  const all = await record(() => {
    const vm = new Vm("test:index:Vm", "vm", {});
    const network = new Vm("test:index:Vm", "network", {});
    const provider = new command.Provider("mine");
    makeWith({
      ...{ customTimeouts, dependsOn: [network], deletedWith: vm, protect: true, retainOnDelete: true },
      providers: { command: provider },
    });
  });
  const commands = commandsOf(all);
  const vm = all.find(({ name }) => name === "vm")?.urn;
  expect(commands).toHaveLength(8);
  for (const { dependencies, timeouts, deletedWith, protect, retainOnDelete, provider } of commands) {
    expect(dependencies).toContain("network");
    expect({ timeouts, deletedWith, protect, retainOnDelete, provider }).toEqual({
      ...{ timeouts: customTimeouts, deletedWith: vm, protect: true, retainOnDelete: true, provider: "mine" },
    });
  }
});

test("options that are not given are left to the engine", async () => {
  for (const { protect, retainOnDelete, deletedWith, provider } of commandsOf(await make())) {
    expect([protect, retainOnDelete, deletedWith, provider]).toEqual([false, false, "", ""]);
  }
});

describe("with detectDrift", () => {
  const epochs = { object: 0, map: 4, track: 0, redirect: 0, verdict: 0, selftest: 0, policy: 0, attach: 5 };
  const drifting = (printed: string, more: Partial<BypassHostArgs> = {}, state: object = {}) => {
    const looks: string[] = [];
    const look = (command: string) => {
      looks.push(command);
      return printed;
    };
    const all = record(
      () => new BypassHost("edge", { local: true, traffic, detectDrift: true, ...more }),
      true,
      look,
      undefined,
      state,
    );
    return all.then((registered) => ({ looks, lines: column(commandsOf(registered), ({ inputs }) => inputs.create) }));
  };

  test("the epoch that the host reports for a step goes into its line, but not a 0", async () => {
    const { lines } = await drifting(JSON.stringify({ epochs, problems: [] }));
    const found = lines.map((line) => /--epoch (\d+)/.exec(`${line}`)?.[1]);
    expect(found).toEqual([undefined, "4", undefined, undefined, undefined, undefined, undefined, "5"]);
  });

  test("a host without files gets the next epochs, or in a stack without steps the same lines as without detectDrift", async () => {
    const step = (name: string, create: string) => [
      `urn:pulumi:prod::shop::x$command:local:Command::edge-${name}`,
      { outputs: { create, triggers: ["/var/lib/socket-bypass"] } },
    ];
    const its = "--instance edge-c3a267df --owner x";
    const outputs = Object.fromEntries([
      step("object", `sh -s ${its} --epoch 7 --digest 00`),
      step("map-sockets", `sh x ${its}`),
    ]);
    const found = (await drifting("", {}, outputs)).lines.map((line) => /--epoch (\d+)/.exec(`${line}`)?.[1]);
    expect(found).toEqual(["8", "1", ...Array(6).fill(undefined)]);
    const fresh = await drifting("");
    expect(fresh.lines).toEqual(column(commandsOf(await make()), ({ inputs }) => inputs.create));
  });

  test("a host that answers nonsense causes a warning, keeps its epochs, and does not stop the preview of others", async () => {
    const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
    const args = { local: true, traffic, detectDrift: true };
    const look = (command: string) =>
      command.includes("/opt/far") ? '{"epochs":null,"problems":null}' : JSON.stringify({ epochs, problems: [] });
    const all = commandsOf(
      await record(
        () => {
          for (const name of ["far", "near"]) new BypassHost(`edge-${name}`, { ...args, stateDir: `/opt/${name}` });
        },
        true,
        look,
      ),
    );
    const said = warn.mock.calls.map(([text]) => text);
    const resources = warn.mock.calls.map(([, resource]) => (resource as unknown as { __name: string }).__name);
    warn.mockRestore();
    expect(all).toHaveLength(16);
    const numbers = (name: string) =>
      column(
        all.filter((one) => one.name.startsWith(name)),
        ({ inputs }) => Number(/--epoch (\d+)/.exec(`${inputs.create}`)?.[1] ?? 0),
      );
    expect(numbers("edge-far")).toEqual(Array(8).fill(0));
    expect(numbers("edge-near")).toEqual([0, 4, 0, 0, 0, 0, 0, 5]);
    expect(said).toEqual([expect.stringContaining("because the host answers what the script that is installed there")]);
    expect(resources).toEqual(["edge-far"]);
  });

  test("each host is asked once, as root, about its state directory", async () => {
    const { looks } = await drifting("", { become: "sudo -n", stateDir: "/opt/sb" });
    expect(looks).toEqual([
      expect.stringMatching(
        /^sudo -n sh -c 'if \[ -f \/opt\/sb\/edge-\S+\/socket-bypass \] && \(p=\/opt\/sb\/edge-\S+\/socket-bypass; .*\) 2>\/dev\/null; then sh .* status --json .*; fi'$/,
      ),
    ]);
  });

  test("no host is asked if it is false", async () => {
    const { looks } = await drifting("", { detectDrift: false });
    expect(looks).toEqual([]);
  });
});

describe("no argument changes a trigger, so that nothing is replaced", async () => {
  const before = commandsOf(await make());
  const changes: [string, Partial<BypassHostArgs>, string[]][] = [
    ["traffic.ports", { traffic: { ports: ["81"] } }, ["policy"]],
    ["traffic.cidrs", { traffic: { ...traffic, cidrs: ["10.0.0.0/8"] } }, ["policy"]],
    ["traffic.everything", { traffic: { everything: true } }, ["policy"]],
    ["enabled", { enabled: false }, ["policy"]],
    ["limits.refreshSeconds", { limits: { refreshSeconds: 60 } }, ["policy"]],
    ["limits.queueBytes", { limits: { queueBytes: 65536 } }, ["policy"]],
    ["selfTest.enabled", { selfTest: { enabled: false } }, ["selftest"]],
    ["selfTest.timeoutSeconds", { selfTest: { timeoutSeconds: 9 } }, ["selftest"]],
    ["cgroup", { cgroup: "/a" }, ["object", "attachment"]],
    ["takeOver", { takeOver: true }, ["object", "attachment"]],
    ["boot", { boot: false }, ["object", "attachment"]],
    ["adopt", { adopt: true }, [...steps]],
    ["spliceGuard", { spliceGuard: "require" }, ["object", "selftest", "attachment"]],
    ["limits.sockets", { limits: { sockets: 64 } }, [...steps]],
    ["limits.pendingPairs", { limits: { pendingPairs: 64 } }, [...steps]],
    ["bpf.compile", { bpf: { compile: "target" } }, [...steps]],
    ["become", { become: "sudo -n" }, [...steps]],
  ];

  test.each(changes)("%s updates just the steps that use it", async (_, args, changed) => {
    const after = commandsOf(await make(args));
    const triggers = (all: Registered[]) => column(all, ({ inputs }) => inputs.triggers);
    expect(triggers(after)).toEqual(triggers(before));
    expect(
      after.filter(({ inputs }, at) => inputs.create !== before[at]?.inputs.create).map(({ name }) => name),
    ).toEqual(changed.map((step) => `edge-${step}`));
    // Delete lines must outlive upgrades, so only become may change them.
    if (!("become" in args)) {
      expect(column(after, ({ inputs }) => inputs.delete)).toEqual(column(before, ({ inputs }) => inputs.delete));
    }
  });

  test.each([
    ["machineId", { machineId: "vm-2" }],
    ["stateDir", { stateDir: "/opt/sb" }],
  ])("except %s, which names another place and so replaces the first step and with it every other", async (_, args) => {
    const after = commandsOf(await make(args));
    expect(after).toHaveLength(8);
    expect(after[0]?.inputs.triggers).not.toEqual(before[0]?.inputs.triggers);
  });

  test.each([
    ["of an earlier version", ["local", "edge-c3a267df", "/var/lib/socket-bypass"]],
    ["of a still earlier one", ["local", "edge-c3a267df", "/var/lib/socket-bypass", "edge-x0a1b2c3d"]],
  ])("nor does an upgrade of a stack %s, which keeps its triggers", async (_, triggers) => {
    const create = "sh x --instance edge-c3a267df --owner x";
    const state = Object.fromEntries(
      before.map(({ name }) => [
        `urn:pulumi:prod::shop::x$command:local:Command::${name}`,
        { outputs: { create, triggers } },
      ]),
    );
    const after = commandsOf(
      await record(() => new BypassHost("edge", { local: true, traffic }), false, undefined, undefined, state),
    );
    const first = triggers.slice(0, 3);
    expect(column(after, ({ inputs }) => inputs.triggers)).toEqual([first, ...Array(7).fill(triggers)]);
  });
});

test("with invalid arguments the component is registered, but none of its steps", async () => {
  const all = await record(() => {
    expect(() => new BypassHost("edge", { local: true, traffic: {} })).toThrow(
      '1 problem in the arguments of BypassHost "edge":',
    );
  });
  expect(column(all, ({ name }) => name)).toEqual(["edge"]);
});
