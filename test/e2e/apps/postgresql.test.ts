// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Datapath } from "../../bpf/datapath.js";
import { freePort } from "../../support/port.js";
import { expectRedirected, folderOf, isSkippedWithout, Program } from "./program.js";

const versions = existsSync("/usr/lib/postgresql") ? readdirSync("/usr/lib/postgresql") : [];
const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1) ?? "(none)";
const programs = `/usr/lib/postgresql/${newest}/bin`;
const [initdb, postgres, psql, pgbench] = ["initdb", "postgres", "psql", "pgbench"].map((name) => join(programs, name));

describe.skipIf(isSkippedWithout(`${postgres}`, `${pgbench}`))("PostgreSQL", () => {
  let template = "";
  beforeAll(() => {
    template = join(folderOf("postgres"), "data");
    const words = [
      "--reuid=postgres",
      "--regid=postgres",
      "--init-groups",
      `${initdb}`,
      "-D",
      template,
      "-A",
      "trust",
      "-N",
    ];
    execFileSync("setpriv", words, { cwd: "/", stdio: ["ignore", "ignore", "inherit"] });
  });

  async function serve() {
    const path = await Datapath.make();
    const port = await freePort();
    const own = folderOf("postgres");
    const data = join(own, "data");
    cpSync(template, data, { recursive: true });
    execFileSync("chown", ["-R", "postgres:", data]);
    chmodSync(data, 0o700);
    const settings = ["fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1", `port=${port}`].flatMap(
      (one) => ["-c", one],
    );
    // On SIGINT it ends its sessions and exits.
    const options = { user: "postgres", folder: own, signal: "SIGINT" } as const;
    await new Program(path, [`${postgres}`, "-D", data, ...settings], options).listens(port);
    const place = ["-h", "127.0.0.1", "-p", port, "-U", "postgres"];
    const start = (...words: string[]) =>
      new Program(path, [`${psql}`, ...place, "-XqAt", "-v", "ON_ERROR_STOP=1", ...words], { folder: own });
    return { path, own, place, start, sql: async (text: string) => (await start("-c", text).result()).trim() };
  }

  test("the sums of all tables agree after pgbench with four clients", async () => {
    const { path, place, sql } = await serve();
    await new Program(path, [`${pgbench}`, ...place, "-i", "-q", "-s", 2, "postgres"]).result();
    const report = await new Program(path, [`${pgbench}`, ...place, "-c", 4, "-T", 2, "postgres"]).result();
    expect(report).toContain("number of failed transactions: 0");
    await new Program(path, [
      `${pgbench}`,
      ...place,
      "-n",
      "-c",
      4,
      "-t",
      200,
      "-S",
      "-M",
      "prepared",
      "postgres",
    ]).result();
    const sums =
      await sql(`SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history),
      (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches),
      (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)`);
    expect(sums).toBe("t|t|t");
    await expectRedirected(path, 9, 500, 100_000);
  });

  test("COPY of 50 MB out and in again, and one value of 2 MB, arrive intact", async () => {
    const { path, own, start, sql } = await serve();
    await sql("CREATE TABLE a AS SELECT i, repeat(md5(i::text), 8) AS text FROM generate_series(1, 190000) AS i");
    await sql("CREATE TABLE b (LIKE a)");
    await start("-c", `\\copy a TO '${own}/a'`).result();
    await start("-c", `\\copy b FROM '${own}/a'`).result();
    await start("-c", `\\copy b TO '${own}/b'`).result();
    const copies = ["a", "b"].map((name) => readFileSync(join(own, name)));
    expect(copies[0]?.length).toBeGreaterThan(49_000_000);
    expect(copies[0]?.equals(copies[1] ?? Buffer.alloc(0))).toBe(true);
    const expected = Array.from({ length: 60_000 }, (_, i) => createHash("md5").update(`${i}`).digest("hex")).join("");
    const found = await sql("SELECT string_agg(md5(i::text), '' ORDER BY i) FROM generate_series(0, 59999) AS i");
    expect(found === expected).toBe(true);
    await expectRedirected(path, 6, 500, 2_000_000);
  });

  test("a timeout, a cancel, a notification, and a client that is stopped and continued do no harm", async () => {
    const { path, sql, start } = await serve();
    await expect(sql("SET statement_timeout = 200; SELECT pg_sleep(20)")).rejects.toThrow("statement timeout");
    const cancelled = start("-c", "SELECT pg_sleep(20)");
    await isSleeping(sql);
    expect(await sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)'")).toBe(
      "t",
    );
    await expect(cancelled.result()).rejects.toThrow("canceling statement due to user request");
    const interrupted = start("-c", "SELECT pg_sleep(20)");
    await isSleeping(sql);
    interrupted.kill("SIGINT");
    await expect(interrupted.result()).rejects.toThrow("canceling statement due to user request");
    const stopped = start("-c", "LISTEN news", "-c", "SELECT pg_sleep(2)", "-c", "SELECT 'done'");
    await new Promise((wake) => setTimeout(wake, 500));
    stopped.kill("SIGSTOP");
    expect(await sql("NOTIFY news, 'it is'")).toBe("");
    stopped.kill("SIGCONT");
    const text = await stopped.result();
    expect(text).toContain("done");
    expect(text).toContain('Asynchronous notification "news" with payload "it is" received');
    await expectRedirected(path, 6, 20, 500);
  });
});

/** Waits until the statement that will be stopped is running. */
async function isSleeping(sql: (text: string) => Promise<string>): Promise<void> {
  const text = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND wait_event = 'PgSleep'";
  for (let tries = 0; (await sql(text)) !== "1"; tries++) expect(tries).toBeLessThan(50);
}
