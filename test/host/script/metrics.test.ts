// SPDX-License-Identifier: Apache-2.0
// Long: each thing that a report of metrics can meet.
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { Host, isSkipped, makeUnreadable, readLink, shells, temporaryFolder } from "../../support/host.js";

interface Scrape {
  readonly types: Record<string, [type: string, unit: string, isDocumented: boolean]>;
  readonly samples: [name: string, labels: Record<string, string>, value: number][];
}

const gauges = [
  ...["up", "healthy", "lost_pin", "serving", "draining", "enrolled_sockets", "max_sockets", "tapped", "splice_guard"],
  ...["enrolled_connections", "established_connections"],
];
/** Counters by program; no program in these tests splices. */
const ofPrograms = ["splicing_sockets", "refused_splices"];
/** Counters by range of ports and by reason. */
const families = ["port_messages", "port_bytes", "not_redirected"];

// The parsers are from Prometheus' own Python client. Not proven here: that node-exporter itself
// reads the file.
describe.skipIf(isSkipped).each(shells)("metrics under %s", (shell) => {
  test("are valid OpenMetrics, with the counters of status and what serves", async () => {
    const host = new Host(shell);
    await host.apply("--sockets", "1024");
    await converse(host);
    const found = scrape("openmetrics", await metrics(host));
    const { generations, ...status } = await host.status();
    const [generation] = generations;
    const labels = { instance: host.instance, generation: host.generation };
    const counters = Object.entries(generation?.counters ?? {});
    expect(counters).toHaveLength(22);

    expect(found.types).toEqual({
      socket_bypass: ["info", "", true],
      ...Object.fromEntries(gauges.map((name) => [`socket_bypass_${name}`, ["gauge", "", true]])),
      ...Object.fromEntries(ofPrograms.map((name) => [`socket_bypass_${name}`, ["counter", "", true]])),
      ...Object.fromEntries(
        [...counters.map(([name]) => name), ...families].map((name) => [
          `socket_bypass_${name}`,
          ["counter", name.endsWith("bytes") ? "bytes" : "", true],
        ]),
      ),
    });
    expect(value(found, "pairs_total")).toBe(1);
    expect(value(found, "redirected_messages_total")).toBe(200);
    expect(value(found, "redirected_bytes_total")).toBe(20_000);
    expect(found.samples).toEqual([
      [
        "socket_bypass_info",
        {
          ...labels,
          track: generation?.programs.track?.tag,
          redirect: generation?.programs.redirect?.tag,
          kernel: execFileSync("uname", ["-r"], { encoding: "utf8" }).trim(),
          machine: execFileSync("uname", ["-m"], { encoding: "utf8" }).trim(),
        },
        1,
      ],
      ["socket_bypass_up", { instance: host.instance }, 1],
      ["socket_bypass_healthy", { instance: host.instance }, Number(status.healthy)],
      ["socket_bypass_serving", labels, 1],
      ["socket_bypass_draining", labels, 0],
      ["socket_bypass_enrolled_sockets", labels, generation?.sockets],
      ["socket_bypass_max_sockets", labels, 1024],
      ["socket_bypass_tapped", labels, 0],
      [
        "socket_bypass_splice_guard",
        { method: status.spliceGuard.method },
        Number(status.spliceGuard.method !== "none"),
      ],
      ["socket_bypass_port_messages_total", { ...labels, ports: "any", path: "bypass" }, 200],
      ["socket_bypass_port_messages_total", { ...labels, ports: "any", path: "tcp" }, 0],
      ["socket_bypass_port_bytes_total", { ...labels, ports: "any", path: "bypass" }, 20_000],
      ["socket_bypass_port_bytes_total", { ...labels, ports: "any", path: "tcp" }, 0],
      ["socket_bypass_enrolled_connections", { ...labels, ports: "any" }, 0],
      ["socket_bypass_established_connections", { instance: host.instance, ports: "any" }, 0],
      ...Object.keys(generation?.notRedirected ?? {}).map((reason) => [
        "socket_bypass_not_redirected_total",
        { ...labels, reason },
        0,
      ]),
      ...counters.map(([name, count]) => [`socket_bypass_${name}_total`, labels, count]),
    ]);
  });

  test("show a drain and a fault of each generation and instance", async () => {
    const [host, other] = [new Host(shell), new Host(shell)];
    await host.apply();
    await host.apply("--instance", other.instance, "--cgroup", other.cgroup);
    await host
      .verb("map create", "--generation", host.nextGeneration)
      .then(() => host.verb("object install", "--generation", host.nextGeneration));
    await host.verb("verdict attach", "--generation", host.nextGeneration);
    await host.raw("drain", "--instance", other.instance, "--state-dir", host.stateDir);
    const found = scrape("openmetrics", (await host.raw("metrics", "--state-dir", host.stateDir)).stdout);
    const of = (name: string, instance: string, generation?: string) =>
      found.samples.find(
        ([sample, labels]) =>
          sample === `socket_bypass_${name}` && labels.instance === instance && labels.generation === generation,
      )?.[2];
    expect(of("healthy", host.instance)).toBe(0);
    expect(of("serving", host.instance, host.generation)).toBe(1);
    expect(of("serving", host.instance, host.nextGeneration)).toBe(0);
    expect(of("draining", host.instance, host.generation)).toBe(0);
    // A drain by hand differs from what is declared.
    expect(of("healthy", other.instance)).toBe(0);
    expect(of("draining", other.instance, host.generation)).toBe(1);
    await host.raw("remove", "--instance", other.instance, "--state-dir", host.stateDir);
  });

  test("name each pin that is gone", async () => {
    const host = new Host(shell);
    await host.apply();
    for (const pin of ["maps/taps", "maps/claims", "claims"]) fs.rmSync(join(host.pins, host.generation, pin));
    const found = scrape("openmetrics", await metrics(host));
    const labels = { instance: host.instance, generation: host.generation };
    expect(found.samples.filter(([name]) => name === "socket_bypass_lost_pin")).toEqual(
      ["claims", "maps/claims", "maps/taps"].map((pin) => ["socket_bypass_lost_pin", { ...labels, pin }, 1]),
    );
    expect([value(found, "up"), value(found, "healthy"), value(found, "pairs_total")]).toEqual([1, 0, 0]);
  });

  test.each(["counters", "knobs", "policies"])(
    "say that the state cannot be read while maps/%s is not pinned",
    async (map) => {
      const host = new Host(shell);
      await host.apply();
      fs.rmSync(join(host.pins, host.generation, "maps", map));
      const found = scrape("openmetrics", await metrics(host));
      const names = found.samples.map(([name]) => name).filter((name) => /_(up|healthy|pairs_total)$/.test(name));
      expect(names).toEqual(["socket_bypass_up", "socket_bypass_healthy"]);
      expect([value(found, "up"), value(found, "healthy")]).toEqual([0, 0]);
    },
  );

  test("of the whole host say which instance cannot be read, and have all of the others", async () => {
    const [host, other] = [new Host(shell), new Host(shell)];
    await host.apply();
    await host.apply("--instance", other.instance, "--cgroup", other.cgroup);
    makeUnreadable(join(other.pins, host.generation, "maps/counters"));
    const folder = temporaryFolder();
    const answers = [
      await host.raw("metrics", "--state-dir", host.stateDir),
      await host.raw("metrics", "--state-dir", host.stateDir, "--textfile", folder),
    ];
    for (const { code, stderr } of answers)
      expect({ code, stderr }).toEqual({
        ...{ code: 0, stderr: expect.stringContaining(`${other.instance}/${host.generation}/maps/counters failed: `) },
      });
    const texts = [answers[0]?.stdout ?? "", fs.readFileSync(join(folder, "socket-bypass.prom"), "utf8")];
    for (const [i, text] of texts.entries()) {
      const { samples } = scrape(i === 0 ? "openmetrics" : "text", text);
      const of = ({ instance }: Host) =>
        Object.fromEntries(
          samples
            .filter(([name, labels]) => labels.instance === instance && /_(up|healthy|pairs_total)$/.test(name))
            .map(([name, _, value]) => [name.replace("socket_bypass_", ""), value]),
        );
      expect(of(host)).toEqual({ up: 1, healthy: 1, pairs_total: 0 });
      expect(of(other)).toEqual({ up: 0, healthy: 0 });
    }
    await host.raw("remove", "--instance", other.instance, "--state-dir", host.stateDir);
  });

  test("are written whole by --textfile, in the text format, readable for others, and the same when repeated", async () => {
    const host = new Host(shell);
    await host.apply();
    const [folder, elsewhere] = [temporaryFolder(), join(temporaryFolder(), "elsewhere")];
    const file = join(folder, "socket-bypass.prom");
    fs.writeFileSync(elsewhere, "as it was");
    fs.symlinkSync(elsewhere, file);
    for (let times = 0; times < 2; times++) {
      const answer = await host.raw("metrics", "--textfile", folder, ...host.common.slice(0, 4));
      expect(answer).toMatchObject({ code: 0, stdout: `${file}\n`, stderr: "" });
    }
    expect(readLink(file)).toBe("");
    expect(fs.readFileSync(elsewhere, "utf8")).toBe("as it was");
    expect(fs.readdirSync(folder)).toEqual(["socket-bypass.prom"]);
    expect(fs.statSync(file).mode & 0o777).toBe(0o644);
    const text = fs.readFileSync(file, "utf8");
    expect(text).toMatch(/^# TYPE socket_bypass_pairs_total counter$/m);
    const found = scrape("text", text);
    // This parser cuts the suffix off a counter's family.
    expect(found.types).toMatchObject({
      socket_bypass_info: ["gauge", "", true],
      socket_bypass_pairs: ["counter", "", true],
    });
    const same = scrape("openmetrics", await metrics(host));
    expect(found.samples).toEqual(same.samples);
  });

  // When a shell wrote, changed and renamed the file by its name, one run in four lost this race.
  // In test/host/helper, write.test.ts forces the same order of events.
  test("are written by --textfile into another user's folder without touching a file of root's, however fast names change there", async () => {
    const host = new Host(shell);
    await host.apply();
    const [folder, victim] = [temporaryFolder(), join(temporaryFolder(), "victim")];
    fs.writeFileSync(victim, "as it was", { mode: 0o600 });
    fs.chmodSync(join(victim, ".."), 0o755);
    fs.chownSync(folder, 65534, 65534);
    const racer = spawn("python3", [join(__dirname, "racer.py"), folder, victim], {
      ...{ uid: 65534, gid: 65534, stdio: ["ignore", "pipe", "inherit"] },
    });
    const swapped = new Promise<number>((done) => racer.stdout?.on("data", (text) => done(Number(`${text}`))));
    for (let runs = 0; runs < 20; runs++) await host.raw("metrics", "--textfile", folder, ...host.common.slice(0, 4));
    racer.kill("SIGTERM");
    expect(await swapped).toBeGreaterThan(0);
    expect(fs.readFileSync(victim, "utf8")).toBe("as it was");
    expect(fs.statSync(victim)).toMatchObject({ uid: 0, mode: 0o100600 });
  });

  test("fail for an unknown folder or instance, and then nothing is written", async () => {
    const host = new Host(shell);
    await host.apply();
    const folder = temporaryFolder();
    const gone = await host.raw("metrics", "--textfile", join(folder, "gone"), ...host.common.slice(0, 4));
    expect(gone).toMatchObject({ code: 1, stdout: "" });
    expect(gone.stderr).toContain(`--textfile ${folder}/gone: expected a folder, found none`);
    const nobody = await host.raw(
      "metrics",
      "--textfile",
      folder,
      "--instance",
      "nobody",
      "--state-dir",
      host.stateDir,
    );
    expect(nobody).toMatchObject({ code: 1, stdout: "" });
    makeUnreadable(join(host.pins, host.generation, "maps/counters"));
    const broken = await host.raw("metrics", "--textfile", folder, ...host.common.slice(0, 4));
    expect(broken).toMatchObject({ code: 1, stdout: "" });
    expect(fs.readdirSync(folder)).toEqual([]);
  });
});

const value = ({ samples }: Scrape, name: string) =>
  samples.find(([sample]) => sample === `socket_bypass_${name}`)?.[2];

async function metrics(host: Host): Promise<string> {
  const { code, stdout, stderr } = await host.raw("metrics", ...host.common.slice(0, 4));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

// The distribution packages this module for its own Python.
function scrape(format: "openmetrics" | "text", text: string): Scrape {
  return JSON.parse(
    execFileSync("/usr/bin/python3", [join(__dirname, "metrics.py"), format], { input: text, encoding: "utf8" }),
  );
}

/**
 * Plays one connection with 100 messages of 100 bytes each way, and waits until all are counted.
 */
async function converse(host: Host): Promise<void> {
  const child = host.start("python3", "-c", traffic);
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  for await (const line of lines) {
    expect(line).toBe("done");
    break;
  }
  for (let tries = 0; tries < 100 && (await host.status()).generations[0]?.sockets !== 0; tries++)
    await new Promise((wake) => setTimeout(wake, 100));
}

const traffic = `
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
for _ in range(100):
    for a, b in (client, server), (server, client):
        a.sendall(b"x" * 100)
        assert b.recv(200) == b"x" * 100
client.close()
server.recv(1)
server.close()
print("done", flush=True)
`;
