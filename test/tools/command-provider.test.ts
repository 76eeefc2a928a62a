// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { local, remote } from "@pulumi/command";
import { fullyQualifiedStackName, LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { begin, type Engine, ensure, parseEngine, root, run, temporaryFolder } from "./ensure.js";

// Tests the stand-in for the official provider, also on a machine that has the official one.
let engine: Engine;

beforeAll(async () => {
  engine = parseEngine(await ensure({ SOCKET_BYPASS_ENGINE: "build" }));
});

describe("a project run by the CLI", () => {
  const program = (folder: string) => `
    const { Config } = require("@pulumi/pulumi");
    const { local } = require("@pulumi/command");
    const file = new local.Command("file", {
      create: "cat > file && echo created",
      update: "cat > file && echo updated",
      delete: "rm file",
      stdin: new Config().get("text") ?? "one",
      dir: ${JSON.stringify(folder)},
      logging: "stderr",
      addPreviousOutputInEnv: false,
    });
    exports.stdout = file.stdout;
    exports.run = local.runOutput({ command: "echo ran", logging: "none", addPreviousOutputInEnv: false }).stdout;
  `;

  test("creates, keeps, updates, refreshes and deletes a local command", async () => {
    const { pulumi, folder } = project(program);
    const file = join(folder, "file");

    expect(await pulumi("preview", "--json")).toMatchObject({ changeSummary: { create: 2 } });
    expect(existsSync(file)).toBe(false);

    await pulumi("up", "--skip-preview", "--yes");
    expect(readFileSync(file, "utf8")).toBe("one");
    expect(await pulumi("stack", "output", "--json")).toEqual({ run: "ran", stdout: "created" });
    await pulumi("preview", "--expect-no-changes");
    await pulumi("up", "--expect-no-changes", "--skip-preview", "--yes");
    await pulumi("refresh", "--expect-no-changes", "--skip-preview", "--yes");

    await pulumi("config", "set", "text", "two");
    await pulumi("up", "--skip-preview", "--yes");
    expect(readFileSync(file, "utf8")).toBe("two");
    expect(await pulumi("stack", "output", "--json")).toEqual({ run: "ran", stdout: "updated" });
    await pulumi("preview", "--expect-no-changes");

    await pulumi("destroy", "--skip-preview", "--yes");
    expect(existsSync(file)).toBe(false);
  });
});

describe("an inline program run by the Automation API", () => {
  test("creates and deletes a local command", async () => {
    const folder = temporaryFolder();
    const stack = await inline(folder, {}, async () => {
      const create = "touch file; echo made";
      const file = new local.Command("file", { create, delete: "rm file", dir: folder, logging: "none" });
      return { stdout: file.stdout };
    });
    const { outputs } = await stack.up();
    expect(outputs).toEqual({ stdout: { value: "made", secret: false } });
    expect((await stack.preview()).changeSummary).toEqual({ same: 2 });
    await stack.destroy();
    expect(existsSync(join(folder, "file"))).toBe(false);
  });

  test("cannot create a remote command, because the stand-in cannot check host keys", async () => {
    const stack = await inline(temporaryFolder(), {}, async () => {
      new remote.Command("far", { connection: { host: "127.0.0.1", hostKey: "ssh-ed25519 AAAA" }, create: "true" });
      return {};
    });
    await expect(stack.preview()).rejects.toThrow(
      "far: expected the official command provider, found its stand-in, which cannot check host keys; " +
        "install it with `pulumi plugin install resource command 1.2.1` on a machine with internet",
    );
  });

  test("runs a remote command with a host key if a test allows it, and otherwise does not even delete one", async () => {
    const folder = temporaryFolder();
    const connection = await startSshd(folder);
    const program = async () => {
      const far = new remote.Command("far", {
        connection,
        create: `cat > ${folder}/far; echo far`,
        delete: `rm ${folder}/far`,
        stdin: "text",
        logging: "stderr",
        addPreviousOutputInEnv: false,
      });
      return { stdout: far.stdout };
    };
    const stack = await inline(folder, { SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes" }, program);
    expect((await stack.up()).outputs).toEqual({ stdout: { value: "far", secret: false } });
    expect(readFileSync(join(folder, "far"), "utf8")).toBe("text");
    expect((await stack.preview()).changeSummary).toEqual({ same: 2 });

    await expect((await inline(folder, {}, program)).destroy()).rejects.toThrow("cannot check host keys");
    expect(existsSync(join(folder, "far"))).toBe(true);
    await stack.destroy();
    expect(existsSync(join(folder, "far"))).toBe(false);
  });
});

/**
 * Makes a project folder with its own state. `pulumi` returns the output of a command, parsed if it
 * has `--json`.
 */
function project(program: (folder: string) => string) {
  const folder = temporaryFolder();
  const env = { ...engine.env, ...backend(folder), PULUMI_STACK: "dev" };
  writeFileSync(join(folder, "Pulumi.yaml"), "name: tiny\nruntime: nodejs\n");
  const dependencies = { "@pulumi/command": "1.2.1", "@pulumi/pulumi": "*" };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ main: "index.js", dependencies }));
  writeFileSync(join(folder, "index.js"), program(folder));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  spawnSync(engine.pulumi, ["stack", "init", "dev"], { cwd: folder, env: { ...process.env, ...env } });
  const pulumi = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(engine.pulumi, [...args, "--non-interactive"], env, folder);
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
    return args.includes("--json") ? JSON.parse(stdout) : stdout;
  };
  return { folder, pulumi };
}

async function inline(folder: string, env: Record<string, string>, program: () => Promise<Record<string, unknown>>) {
  const envVars = { ...engine.env, ...backend(folder), ...env };
  // PulumiCommand.get asks for the version in our own environment, which would write a log into the
  // user's home.
  vi.stubEnv("PULUMI_HOME", engine.home);
  onTestFinished(() => void vi.unstubAllEnvs());
  return LocalWorkspace.createOrSelectStack(
    {
      projectName: "tiny",
      stackName: fullyQualifiedStackName("organization", "tiny", "dev"),
      program,
    },
    { workDir: folder, envVars, pulumiCommand: await PulumiCommand.get({ root: join(engine.pulumi, "../..") }) },
  );
}

function backend(folder: string) {
  mkdirSync(join(folder, "state"), { recursive: true });
  return { PULUMI_BACKEND_URL: `file://${join(folder, "state")}`, PULUMI_CONFIG_PASSPHRASE: "test" };
}

/** Starts an sshd on loopback for this test and returns the connection to it. */
async function startSshd(folder: string) {
  const port = await freePort();
  const keys = ["host", "user"].map((name) => join(folder, name));
  for (const key of keys) spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  const [hostKey = "", userKey = ""] = keys;
  const options = [
    `ListenAddress=127.0.0.1:${port}`,
    `HostKey=${hostKey}`,
    `AuthorizedKeysFile=${userKey}.pub`,
    "PidFile=none",
    "StrictModes=no",
    "PermitRootLogin=yes",
  ];
  // sshd confines its unprivileged part to this folder, which its service would make, but that is
  // off here.
  const made = mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const args = ["-D", "-e", "-f", "/dev/null", ...options.flatMap((option) => ["-o", option])];
  const { child, result, ended } = await begin("/usr/sbin/sshd", args, {});
  onTestFinished(async () => {
    child.kill();
    await ended;
    if (made !== undefined) rmdirSync(made);
  });
  await expect.poll(() => result.stderr, { timeout: 10_000 }).toContain("Server listening");
  return {
    host: "127.0.0.1",
    port,
    user: "root",
    privateKey: readFileSync(userKey, "utf8"),
    hostKey: readFileSync(`${hostKey}.pub`, "utf8"),
  };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new Error("expected a TCP address");
  return address.port;
}
