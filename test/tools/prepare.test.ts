// SPDX-License-Identifier: Apache-2.0
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root, run, temporaryFolder } from "./ensure.js";

// These tests do not prove that apt-get really installs, or that no service starts. That needs a
// machine without the tools.
const cannotBecome = process.getuid?.() !== 0; // only root can become another user

describe.each([["dash"], ["busybox", "sh"]])("prepare.sh under %s %s", (shell, ...applet) => {
  const prepare = (args: string[], env: Record<string, string> = {}, folder = root) =>
    run(shell, [...applet, "tools/setup/prepare.sh", ...args], env, folder);

  test("prints nothing the second time", async () => {
    expect((await prepare(["test"])).code).toBe(0);
    expect(await prepare(["test"])).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("installs nothing if that is forbidden, and prints the command to type", async () => {
    const PATH = pathWithout("shellcheck", "shfmt");
    const { code, stdout, stderr } = await prepare(["lint"], { PATH, SOCKET_BYPASS_INSTALL: "no" });
    const sudo = process.getuid?.() === 0 ? "" : "sudo ";
    expect(stderr.trimEnd().split("\n").sort()).toEqual([
      `prepare: expected the tools above, found SOCKET_BYPASS_INSTALL=no; type: ${sudo}apt-get update && ${sudo}apt-get install --yes --no-install-recommends shellcheck shfmt`,
      "prepare: shellcheck is missing: checks the shell scripts",
      "prepare: shfmt is missing: formats the shell scripts",
    ]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test.skipIf(cannotBecome && !process.env.CI)("tells a user who is not root the command with sudo", async () => {
    const folder = checkout();
    const PATH = pathWithout("shellcheck");
    const args = ["--reuid=65534", "--clear-groups", shell, ...applet, "tools/setup/prepare.sh", "lint"];
    const { code, stderr } = await run("setpriv", args, { PATH }, folder);
    expect(stderr).toContain("found a user who is not root; type: sudo apt-get update && sudo apt-get install ");
    expect(code).toBe(1);
  });

  test("prints its usage for an unknown purpose", async () => {
    const { code, stdout, stderr } = await prepare(["dance"]);
    expect(stderr.split("\n")[0]).toBe("usage: sh tools/setup/prepare.sh PURPOSE…");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  test("installs the npm packages once for each package-lock.json, without their install scripts", async () => {
    const folder = checkout();
    const modules = join(folder, "node_modules");
    expect((await prepare(["lint"], {}, folder)).stderr).toContain("prepare: installing the npm packages");
    expect(readdirSync(modules)).toContain("part");
    expect(readdirSync(join(folder, "part"))).toEqual(["package.json"]);
    expect(await prepare(["lint"], {}, folder)).toEqual({ code: 0, stdout: "", stderr: "" });

    const lock = join(folder, "package-lock.json");
    writeFileSync(lock, readFileSync(lock, "utf8").replace(/\n$/, "\n\n"));
    expect((await prepare(["lint"], {}, folder)).stderr).toContain("prepare: installing the npm packages");
  });

  test("builds again only after a source changed", async () => {
    const folder = checkout();
    const builds = () => readFileSync(join(folder, "builds"), "utf8");
    await prepare(["build"], {}, folder);
    await prepare(["build"], {}, folder);
    expect(builds()).toBe("built\n");
    const soon = Date.now() / 1000 + 5;
    utimesSync(join(folder, "bpf"), soon, soon);
    await prepare(["build"], {}, folder);
    expect(builds()).toBe("built\nbuilt\n");
  });

  test("tries the build again after one that failed", async () => {
    const folder = checkout("exit 3");
    expect((await prepare(["build"], {}, folder)).code).not.toBe(0);
    expect((await prepare(["build"], {}, folder)).stderr).toContain("prepare: building\n");
  });
});

/**
 * Makes a small checkout with one package, whose install script would leave a file, and a build
 * that can be counted.
 */
function checkout(lastly = "true") {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  cpSync(join(root, "tools/setup"), join(folder, "tools/setup"), { recursive: true });
  for (const name of ["bpf", "host", "src", "part"]) mkdirSync(join(folder, name));
  const build = `echo built >>builds && mkdir -p bin dist/host && touch bin/index.js dist/host/socket-bypass && ${lastly}`;
  const files = {
    "tsconfig.json": {},
    "package.json": { name: "small", version: "1.0.0", dependencies: { part: "file:part" }, scripts: { build } },
    "part/package.json": { name: "part", version: "1.0.0", scripts: { postinstall: "touch ran" } },
    "package-lock.json": {
      name: "small",
      version: "1.0.0",
      lockfileVersion: 3,
      packages: {
        "": { name: "small", version: "1.0.0", dependencies: { part: "file:part" } },
        "node_modules/part": { resolved: "part", link: true },
        part: { version: "1.0.0", hasInstallScript: true },
      },
    },
  };
  for (const [name, value] of Object.entries(files)) writeFileSync(join(folder, name), `${JSON.stringify(value)}\n`);
  return folder;
}

/** A PATH with everything on the current one except these. */
function pathWithout(...names: string[]) {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  for (const from of (process.env.PATH ?? "").split(":")) {
    for (const name of list(from)) {
      if (!names.includes(name)) link(join(from, name), join(folder, name));
    }
  }
  return folder;
}

function list(folder: string) {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Folders of a PATH need not exist.
  }
}

function link(to: string, path: string) {
  try {
    symlinkSync(to, path);
  } catch {
    // An earlier folder of the PATH has it.
  }
}
