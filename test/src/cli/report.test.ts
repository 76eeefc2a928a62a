// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readMetrics } from "../../../src/cli/open-metrics";
import type { Recording } from "../../../src/cli/recording";
import { readLooks } from "../../../src/cli/verbs/record";
import { cli, makeFolder } from "./run";

const service = (program: string, perSecond: number) => ({
  ...{ port: 6379, program, clients: ["app"], connections: 2, onHost: 2, shortConnections: null },
  ...{ perSecond: { inbound: perSecond, outbound: perSecond }, bytesPerMessage: { inbound: 10, outbound: 10 } },
  ...{ bytesPerSecond: { inbound: 10 * perSecond, outbound: 10 * perSecond }, kind: "request" as const, dangers: [] },
  ...{ gain: { low: 1.2, high: 1.5 }, advice: "include" as const, reason: "requests" },
});
const advice = (program: string, perSecond: number) => ({
  ...{ version: 1 as const, seconds: 10, kernel: "6.1", machine: "x86_64", gainFrom: "table" as const, namespaces: 1 },
  ...{ sockets: 2, services: [service(program, perSecond)], traffic: { ports: [6379] }, unseen: null },
});

/** The server uses `cpu` seconds in ten, for 2 * perSecond messages a second. */
function recordingOf(cpu: number, perSecond: number, bypassed: number, program = "redis"): Recording {
  const messages = 20 * perSecond;
  const counter = (path: string) => `socket_bypass_port_messages_total 6379 ${path}`;
  return {
    ...{ version: 1, time: "2026-11-30T10:00:00.000Z" },
    hosts: {
      web1: {
        begin: { up: 100, cpu: { [program]: 5, app: 1 }, counters: { [counter("bypass")]: 7, [counter("tcp")]: 3 } },
        end: {
          ...{ up: 110, cpu: { [program]: 5 + cpu, app: 1.5 } },
          counters: { [counter("bypass")]: 7 + messages * bypassed, [counter("tcp")]: 3 + messages * (1 - bypassed) },
        },
        // Redirected messages have no segments.
        advise: advice(program, perSecond * (1 - bypassed)),
      },
      web2: { error: "does not | answer" },
    },
  };
}

function save(recording: unknown): string {
  const file = join(makeFolder(), "recording.json");
  fs.writeFileSync(file, JSON.stringify(recording));
  return file;
}

test("a report has the medians of both sides in Markdown and SVG, and names the hosts that are missing", async () => {
  const before = [4, 1, 2].map((cpu) => save(recordingOf(cpu, 1000, 0, "re|<d>")));
  const after = save(recordingOf(1, 1000, 0.75, "re|<d>"));
  const output = join(makeFolder(), "new");
  const files = before.flatMap((file) => ["--before", file]);
  const { code, stdout, stderr } = await cli(["report", ...files, "--after", after, "--output", output]);
  expect({ code, stdout, stderr }).toEqual({
    ...{ code: 0, stderr: "", stdout: `${join(output, "report.md")}\n${join(output, "report.svg")}\n` },
  });
  const page = fs.readFileSync(join(output, "report.md"), "utf8");
  // 2 s and 0.5 s for 20,000 messages are 100 and 25 us.
  expect(page).toContain(
    "\n| web1 | re&#124;&#60;d&#62;:6379 | 2000 | 2000 | 0.0 % | 75.0 % | 100.00 | 50.00 | 25.00 | 25.00 | -40 % |\n",
  );
  expect(page).toContain("- web2, 2026-11-30T10:00:00.000Z: does not &#124; answer\n");
  const drawn = fs.readFileSync(join(output, "report.svg"), "utf8");
  expect(drawn).toContain(">web1 re|&#60;d&#62;:6379</text>");
  expect(drawn.match(/<circle/g)).toHaveLength(4);
});

test("too few messages, or a process that ended, give no processor time", async () => {
  const [few, ended] = [save(recordingOf(1, 1, 1)), save(recordingOf(-2, 1000, 1))];
  const output = makeFolder();
  expect(await cli(["report", "--before", few, "--after", ended, "--output", output])).toMatchObject({ code: 0 });
  const page = fs.readFileSync(join(output, "report.md"), "utf8");
  expect(page).toContain("| web1 | redis:6379 | 2 | 2000 | 100.0 % | 100.0 % | ? | ? | ? | 25.00 | ? |");
});

/** Two recordings of services on ports, of which the policy has one range with 20,000 messages. */
async function reportOf(label: string, services: readonly object[]): Promise<string[]> {
  const counter = (path: string) => `socket_bypass_port_messages_total ${label} ${path}`;
  const its = {
    begin: { up: 100, cpu: { redis: 5, constructor: 5 }, counters: {} },
    end: {
      ...{ up: 110, cpu: { redis: 7, constructor: 7 } },
      counters: { [counter("bypass")]: 15_000, [counter("tcp")]: 5_000, "socket_bypass_port_messages_total 1 tcp": 9 },
    },
    advise: { ...advice("redis", 1), services },
  };
  const file = save({ version: 1, time: "2026-11-30T10:00:00.000Z", hosts: { web1: its } });
  const output = makeFolder();
  expect(await cli(["report", "--before", file, "--after", file, "--output", output])).toMatchObject({ code: 0 });
  const page = fs.readFileSync(join(output, "report.md"), "utf8");
  return page.split("\n").filter((line) => line.startsWith("| web1"));
}

test.each(["6000-6999", "any", "6379"])("the counters of %s are those of the only service in them", async (label) => {
  // What leaves the host is not in them.
  const remote = { ...service("sshd", 1), port: 6400, clients: [], onHost: 0, shortConnections: 0 };
  const [row] = await reportOf(label, [{ ...service("redis", 1), clients: [] }, remote]);
  expect(row).toBe("| web1 | redis:6379 | 2000 | 2000 | 75.0 % | 75.0 % | 100.00 | 100.00 | ? | ? | 0 % |");
});

test.each(["6000-6999", "any"])(
  "the counters of %s give services that share them nothing but a share",
  async (label) => {
    const rows = await reportOf(label, [service("redis", 100), { ...service("other", 100), port: 6400 }]);
    expect(rows).toEqual([
      "| web1 | redis:6379 | ? | ? | 75.0 % | 75.0 % | ? | ? | ? | ? | ? |",
      "| web1 | other:6400 | ? | ? | 75.0 % | 75.0 % | ? | ? | ? | ? | ? |",
    ]);
  },
);

test("connections that are not enrolled count as TCP, by the segments that advise saw", async () => {
  // 15,000 messages by bypass, and 45,000 segments.
  const [row] = await reportOf("6379", [{ ...service("redis", 2250), clients: [] }]);
  expect(row).toContain("| web1 | redis:6379 | 6000 | 6000 | 25.0 % | 25.0 % | 33.33 |");
});

test("a drained host, whose counters stand still, has bypassed nothing", async () => {
  const drained = recordingOf(1, 1000, 0);
  const { web1 } = drained.hosts;
  if (web1 === undefined || "error" in web1) throw new Error("expected a recording of web1");
  const file = save({ ...drained, hosts: { web1: { ...web1, end: { ...web1.end, counters: web1.begin.counters } } } });
  const output = makeFolder();
  expect(await cli(["report", "--before", file, "--after", file, "--output", output])).toMatchObject({ code: 0 });
  const page = fs.readFileSync(join(output, "report.md"), "utf8");
  expect(page).toContain("| web1 | redis:6379 | 2000 | 2000 | 0.0 % | 0.0 % | 50.00 |");
});

test("a port outside of the policy's ranges has the rate that advise saw", async () => {
  const rows = await reportOf("8000-8999", [{ ...service("constructor", 900), clients: ["toString"] }]);
  expect(rows).toEqual(["| web1 | constructor:6379 | 1800 | 1800 | ? | ? | 111.11 | 111.11 | ? | ? | 0 % |"]);
});

test.each([
  ["a recording", {}, "expected a file that record wrote, found something else at version"],
  [
    "a service in both",
    { ...recordingOf(1, 1, 1), hosts: {} },
    "report: expected a service that is in --before and in --after",
  ],
])("a report expects %s", async (_, recording, message) => {
  const { code, stderr } = await cli(["report", "--before", save(recording), "--after", save(recordingOf(1, 1, 1))]);
  expect(code).toBe(1);
  expect(stderr).toContain(message);
  expect(stderr.trim().split("\n")).toHaveLength(1);
});

test("a recording adds up the processes of a name and the counters of all generations", () => {
  const metrics = (messages: number) =>
    [
      "# TYPE socket_bypass_pairs counter",
      `socket_bypass_pairs_total{instance="a",generation="1"} ${messages}`,
      `socket_bypass_pairs_total{instance="a",generation="2"} 1`,
      "# TYPE socket_bypass_port_messages counter",
      `socket_bypass_port_messages_total{instance="a",generation="2",ports="6379",path="bypass"} 5`,
      "# EOF",
      "",
    ].join("\n");
  const stat = (pid: number, name: string, user: number, system: number) =>
    `${pid} (${name}) S 1 1 1 0 -1 4194560 1 0 0 0 ${user} ${system} 0 0 20 0 1 0 5 1 1 18446744073709551615`;
  const clocks = (user: number) =>
    [
      "# clocks m4rk",
      "100",
      "1234.50 99.9",
      stat(7, "redis", user, 50),
      stat(8, "redis", 100, 0),
      stat(9, "a) S 1 (b", 1, 1),
      stat(10, "constructor", 1, 1),
      stat(11, "\n# advise\n", 1, 1),
    ].join("\n");
  const said = `${metrics(3)}${clocks(100)}\n# advise m4rk\n${JSON.stringify(advice("redis", 1))}\n${clocks(200)}\n# metrics m4rk\n${metrics(4)}`;
  const { begin, end } = readLooks(said, "m4rk");
  expect(begin).toEqual({
    ...{ up: 1234.5, cpu: { redis: 2.5, "a) S 1 (b": 0.02, constructor: 0.02, "?# advise?": 0.02 } },
    counters: { socket_bypass_pairs_total: 4, "socket_bypass_port_messages_total 6379 bypass": 5 },
  });
  expect(end.cpu.redis).toBe(3.5);
  expect(() => readLooks("hello", "m4rk")).toThrow("answers with something else than its counters and clocks");
  // Such a counter would make a file that report refuses.
  expect(() => readLooks(said.replace(/pairs_total(\S+) 3/, "pairs_total$1 -9"), "m4rk")).toThrow(
    "answers with something else at begin.counters.socket_bypass_pairs_total",
  );
});

test("a host that repeats the marks of a recording, or labels without end, is told in one look", () => {
  const clocks = "\n# clocks m4rk\n".repeat(500_000);
  const advise = "\n# advise m4rk\n".repeat(500_000);
  const wrong = "answers with something else than its counters and clocks";
  expect(() => readLooks(`${clocks}${advise}${clocks}`, "m4rk")).toThrow(wrong);
  expect(() => readLooks(advise, "m4rk")).toThrow(wrong);
  const sample = (body: string) => `# TYPE socket_bypass_pairs counter\nsocket_bypass_pairs_total{${body}} 1\n# EOF\n`;
  expect(() => readMetrics(sample("a".repeat(4_000_000)))).toThrow("a line of metrics of more than 8192 bytes");
  for (const body of ["a".repeat(8000), 'a="'.repeat(2600), 'a="b",'.repeat(1300).slice(0, -2), "\\".repeat(8000)])
    expect(() => readMetrics(sample(body))).toThrow("answers with no OpenMetrics text");
  expect(() => readMetrics("\n".repeat(16_000_000) + sample(""))).toThrow("more than 100000 lines of metrics");
});

test("labels are read as OpenMetrics has them", () => {
  const text = (line: string) => `# TYPE socket_bypass_pairs counter\n${line}\n# EOF\n`;
  const read = (line: string) => readMetrics(text(line)).get("socket_bypass_pairs")?.samples[0];
  const name = "socket_bypass_pairs_total";
  expect(read(`${name}{a="b\\"},",c="d"} 1e3`)).toEqual({ name, labels: { a: 'b\\"},', c: "d" }, value: 1000 });
  expect(read(`${name} 7`)).toEqual({ name, labels: {}, value: 7 });
  for (const line of [`${name}{a="b" 1`, `${name}{a="b"c="d"} 1`, `${name}{a="b"} x`, `${name}{a="\u0007"} 1`, "x 1"])
    expect(() => read(line)).toThrow("answers with no OpenMetrics text");
});
