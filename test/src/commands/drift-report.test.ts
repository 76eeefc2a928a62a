// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { epochIn, keptEpochs, lookAt, readFound } from "../../../src/commands/drift-report";
import { shellLine } from "../../../src/commands/quote";
import { installObject, loadProgram, runSelfTest, setPolicy } from "../../../src/commands/verbs";
import { boundedLine } from "../../../src/targets/ssh";
import { runLine, shells } from "./shells";

const stateDir = fs.mkdtempSync("/var/lib/socket-bypass-drift-");
afterAll(() => fs.rmSync(stateDir, { recursive: true }));

describe.each(shells)("the line that asks a host, under %s", (_, shell) => {
  test("prints the output of status, nothing if that fails, and without a script what an installation lacks", () => {
    const line = lookAt({ stateDir, instance: "edge-1" });
    const script = path.join(stateDir, "edge-1", "socket-bypass");
    fs.rmSync(path.dirname(script), { recursive: true, force: true });
    const none = runLine(shell, line);
    expect(none).toMatchObject({ code: 0, stderr: "" });
    expect(none.stdout).toMatch(/^(lacks bpftool\n)?machine \S+\n$/);
    fs.mkdirSync(path.dirname(script));
    fs.writeFileSync(script, 'echo "$@"');
    expect(runLine(shell, line)).toMatchObject({
      code: 0,
      stdout: `status --json --instance edge-1 --state-dir ${stateDir}\n`,
    });
    fs.writeFileSync(script, "echo no >&2; exit 1");
    expect(runLine(shell, line)).toMatchObject({ code: 0, stdout: "\n", stderr: "" });
  });
});

test("reads the epochs and the problems from the output", () => {
  const printed = JSON.stringify({ healthy: false, epochs: { object: 3, map: 0 }, problems: ["nothing is attached"] });
  expect(readFound(printed, "x86_64", {})).toEqual({
    epochs: { object: 3, map: 0 },
    problems: ["nothing is attached"],
  });
});

test.each(["", "\n", "Welcome!\n\n", "machine x86_64\n", "Welcome!\nmachine x86_64\n"])(
  "takes %j to mean a host without files, and gives each step of the stack its next epoch and the others none",
  (printed) => {
    const last = { object: { line: "sh x --epoch 4 --digest 00", answer: "7" }, map: { line: "sh x", answer: "8" } };
    expect(readFound(printed, "x86_64", last)).toEqual({ epochs: { object: 5, map: 1 }, problems: [] });
    expect(readFound(printed, "x86_64", {})).toEqual({ epochs: {}, problems: [] });
    expect(keptEpochs(last)).toEqual({ object: 4, map: 0 });
  },
);

const policy = {
  everything: false,
  ports: "80,443",
  cidrs: "fd00::/8",
  enabled: true,
  queueBytes: 4096,
  refreshSeconds: 0,
};
const on = { stateDir: "/var/lib/socket-bypass", instance: "edge-1", generation: "0123456789ab", owner: "p/s/e/h" };
const typed = { ...policy, ports: ["80", "443"], cidrs: ["fd00::/8"] };
const last = {
  object: {
    line: shellLine(
      installObject(
        { ...on, epochs: { object: 4 } },
        { digest: "00", isSource: false },
        { cgroup: "/a --generation b --owner", takeOver: false, boot: true, spliceGuard: "auto" },
      ),
    ),
    answer: "Welcome!\n1700000001\n",
  },
  selftest: {
    line: boundedLine("sudo -n", 300, runSelfTest(on, { enabled: false, timeoutSeconds: 1, spliceGuard: "auto" })),
    answer: '{"serial":1700000002,"facts":null}',
  },
  policy: { line: shellLine(setPolicy(on, typed)), answer: "1700000003 left=1 unread=4096" },
};
const whole = { whole: true, generation: on.generation };
const calm = {
  epochs: {},
  problems: [] as string[],
  policy,
  steps: {
    object: { ...whole, serial: 1700000001 },
    selftest: { ...whole, serial: 1700000002 },
    policy: { ...whole, serial: 1700000003 },
  },
};
const changed =
  "expected what this stack made last, found something else: it was changed by hand or by another stack, or a snapshot was put back";
const different: [what: string, answer: object, epochs: object, problems: string[]][] = [
  ["nothing", calm, {}, []],
  [
    "a step that is not whole",
    { ...calm, steps: { ...calm.steps, object: { ...calm.steps.object, whole: false } }, problems: ["p"] },
    { object: 5 },
    ["p"],
  ],
  [
    "serials",
    {
      ...calm,
      steps: { ...calm.steps, object: { ...whole, serial: 1700000000 }, selftest: { ...whole, serial: 1700000009 } },
    },
    { object: 5, selftest: 1 },
    [`object, selftest: ${changed}`],
  ],
  [
    "a generation",
    { ...calm, steps: { ...calm.steps, policy: { ...calm.steps.policy, generation: "ba9876543210" } } },
    { policy: 1 },
    [`policy: ${changed}`],
  ],
  ...[
    { everything: true },
    { ports: "80" },
    { cidrs: "" },
    { enabled: false },
    { queueBytes: 0 },
    { refreshSeconds: 60 },
  ].map((one): [string, object, object, string[]] => [
    `a policy of ${JSON.stringify(one)}`,
    { ...calm, policy: { ...policy, ...one } },
    { policy: 1 },
    [`policy: ${changed}`],
  ]),
];

test.each(different)("finds that %s differs from what the stack last knew", (_, told, epochs, problems) => {
  const kept = { object: 4, selftest: 0, policy: 0 };
  expect(readFound(JSON.stringify(told), "x86_64", last)).toEqual({ epochs: { ...kept, ...epochs }, problems });
});

test("accepts the epochs of a host with an earlier version of the script as they are", () => {
  const { steps: _, ...earlier } = { ...calm, epochs: { object: 4, policy: 7 } };
  expect(readFound(JSON.stringify(earlier), "x86_64", last)).toEqual({
    epochs: { object: 4, policy: 7 },
    problems: [],
  });
});

const nonsense: [string, string][] = [
  ["no JSON", "no JSON"],
  ["another command's answer", "Welcome!\n"],
  ...["null", "[]", "{}", '""', "7"].map((text): [string, string] => [text, text]),
  ...["null", "[]", '"x"', '{"map":null}', '{"map":"3"}', '{"map":-1}', '{"map":1.5}', '{"map":1e99}'].map(
    (epochs): [string, string] => [`epochs ${epochs}`, `{"epochs":${epochs},"problems":[]}`],
  ),
  ...["null", "{}", '"x"', "[null]", "[{}]"].map((problems): [string, string] => [
    `problems ${problems}`,
    `{"epochs":{},"problems":${problems}}`,
  ]),
  ...[
    '{"map":3}',
    '{"map":{"whole":1,"serial":1,"generation":""}}',
    '{"map":{"whole":true,"serial":-1,"generation":""}}',
  ].map((steps): [string, string] => [`steps ${steps}`, `{"epochs":{},"problems":[],"steps":${steps}}`]),
  ["a policy without its ports", '{"epochs":{},"problems":[],"policy":{"everything":true}}'],
  ["a machine with a strange name", `machine ${"x".repeat(100)}`],
  ["JSON that is nested very deeply", "[".repeat(100_000)],
];

test.each(nonsense)("treats %s as no answer", (_, printed) => {
  expect(readFound(printed, "x86_64", {})).toBeUndefined();
});

test("reads only known steps from an answer, and keeps its problems few, short and printable", () => {
  const many = ["\u001b[2Jgone\u202e\n", "x".repeat(1000), ...Array(100).fill("p")];
  const epochs = '{"map":3,"__proto__":5,"constructor":6}';
  const found = readFound(`{"epochs":${epochs},"problems":${JSON.stringify(many)}}`, "x86_64", {});
  expect(found?.epochs).toEqual({ map: 3 });
  expect(found?.problems).toEqual(["?[2Jgone??", `${"x".repeat(300)}…`, ...Array(18).fill("p"), "82 more"]);
});

test("ignores what a login shell prints before the answer", () => {
  const printed = 'Welcome {to} me\n{"epochs":{"map":3},"problems":[]}\n';
  expect(readFound(printed, "x86_64", {})).toEqual({ epochs: { map: 3 }, problems: [] });
});

test("reports why an installation would be refused", () => {
  expect(readFound("lacks bpftool\nmachine arm64\n", "x86_64", {})?.problems).toEqual([
    "bpftool: expected it on the host, found none; install it",
    "machine: expected x86_64, found a host of type aarch64; declare that",
  ]);
  expect(readFound("machine arm64\n", "aarch64", {})?.problems).toEqual([]);
});

test("reads the epoch from the line of a step, and 0 if it has none", () => {
  const on = { stateDir: "/opt/sb", instance: "edge-1", generation: "0123456789ab", owner: "p/s/e --epoch 9/h" };
  const bundle = { digest: "00", isSource: false };
  const lines = (epochs: Record<string, number>) => [
    shellLine(loadProgram({ ...on, epochs }, "track")),
    boundedLine(
      "sudo -n",
      300,
      installObject({ ...on, epochs }, bundle, {
        cgroup: "/",
        takeOver: false,
        boot: true,
        spliceGuard: "auto",
      }),
    ),
  ];
  expect(lines({}).map(epochIn)).toEqual([0, 0]);
  expect(lines({ track: 7, object: 1795578705 }).map(epochIn)).toEqual([7, 1795578705]);
});
