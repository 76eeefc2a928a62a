// SPDX-License-Identifier: Apache-2.0
/*
 * The release of this checkout, made in a copy of it. Nothing is published, and nothing is compiled
 * again; every other test uses what the same command has built.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findEngine } from "../../tools/pulumi/stack.js";
import { faultsOf, sectionOf } from "../../tools/release/changelog.js";
import { run } from "../tools/ensure.js";
import { makeFolder, manifest, Outside } from "./outside.js";

const root = resolve(__dirname, "../..");
const tag = `v${manifest.version}`;

describe("a release of this checkout", () => {
  let [folder, copy, clone] = ["", "", ""];
  const git = (cwd: string, ...words: string[]) => execFileSync("git", words, { cwd, encoding: "utf8" }).trim();
  const release = () =>
    run("node", ["--import", "tsx", "tools/release/main.ts", "--out", join(folder, "out")], {}, copy);
  let head = "";

  beforeAll(() => {
    folder = makeFolder();
    [copy, clone] = [join(folder, "copy"), join(folder, "clone")];
    const listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0");
    for (const path of [...new Set(listed)]) {
      if (path === "" || !fs.existsSync(join(root, path))) continue;
      fs.mkdirSync(dirname(join(copy, path)), { recursive: true });
      fs.cpSync(join(root, path), join(copy, path), { preserveTimestamps: true });
    }
    // A release is refused while changes wait there, and between two releases they do.
    const changelog = fs.readFileSync(join(copy, "CHANGELOG.md"), "utf8");
    const waiting = sectionOf(changelog, "Unreleased");
    fs.writeFileSync(join(copy, "CHANGELOG.md"), changelog.replace(`[Unreleased]\n${waiting}`, "[Unreleased]\n\n"));
    // The build of this checkout, marked as newer than the sources: building again takes minutes.
    for (const path of ["bin", "dist"])
      fs.cpSync(join(root, path), join(copy, path), { recursive: true, preserveTimestamps: true });
    fs.writeFileSync(join(copy, "dist/.built"), "");
    fs.symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    git(copy, "init", "--quiet", "--initial-branch", "main");
    fs.writeFileSync(join(copy, ".git/info/exclude"), "/node_modules\n");
    git(copy, "config", "user.name", "release");
    git(copy, "config", "user.email", "release@example.com");
    git(copy, "add", "--all");
    git(copy, "commit", "--quiet", "--message", "all");
    head = git(copy, "rev-parse", "HEAD");
  });
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  test("is refused while there are changes", async () => {
    fs.writeFileSync(join(copy, "new"), "");
    expect(await release()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("without changes, found:\n?? new"),
    });
    fs.rmSync(join(copy, "new"));
  });

  test("is a tag with the files of the tarball, and moves no branch", async () => {
    const { code, stdout, stderr } = await release();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`git push origin ${tag} && npm publish`);
    expect(fs.readFileSync(join(folder, "out/notes.md"), "utf8")).toMatch(/^(###|The|-) /);
    expect([git(copy, "rev-parse", "HEAD"), git(copy, "status", "--porcelain")]).toEqual([head, ""]);
    // A token that may not change workflows may push it, because it removes none.
    expect(git(copy, "log", "--format=%B", tag)).toBe(
      `socket-bypass ${manifest.version}\n\nWhat npm has of ${head}, for git.`,
    );
    git(folder, "-c", "advice.detachedHead=false", "clone", "--quiet", "--branch", tag, copy, clone);
    const packed = execFileSync("tar", ["-tzf", join(folder, "out", `socket-bypass-${manifest.version}.tgz`)], {
      encoding: "utf8",
    });
    const files = packed
      .trim()
      .split("\n")
      .map((path) => path.replace("package/", ""));
    expect(git(clone, "ls-files").split("\n").sort()).toEqual(files.sort());
    expect(files).toEqual(
      expect.arrayContaining(["bin/index.js", "dist/host/socket-bypass", "PulumiPlugin.yaml", "schema.json"]),
    );
  });

  test("has peers for npm, and for Pulumi the versions of them that the tests use", () => {
    const { scripts, devDependencies, ...forNpm } = manifest;
    const tarball = join(folder, "out", `socket-bypass-${manifest.version}.tgz`);
    const packed = execFileSync("tar", ["-xzOf", tarball, "package/package.json"], { encoding: "utf8" });
    expect(JSON.parse(packed)).toEqual(forNpm);
    const { peerDependencies, peerDependenciesMeta, dependencies, ...rest } = forNpm;
    expect(Object.keys(peerDependencies)).toEqual(["@pulumi/kubernetes", "@pulumi/pulumi"]);
    const { "@pulumi/kubernetes": kubernetes, "@pulumi/pulumi": pulumi } = devDependencies;
    expect([kubernetes, pulumi]).toEqual(Array(2).fill(expect.stringMatching(/^\d+\.\d+\.\d+$/)));
    expect(JSON.parse(fs.readFileSync(join(clone, "package.json"), "utf8"))).toEqual({
      ...rest,
      dependencies: { ...dependencies, "@pulumi/kubernetes": kubernetes, "@pulumi/pulumi": pulumi },
    });
  });

  test("answers get-schema from a fresh clone of the tag, with no build", { timeout: 600_000 }, async () => {
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"];
    // Pulumi does the same for a package that it has cloned.
    const { code, stderr } = await run("npm", ["install", "--prefix", clone, "--omit=dev", ...quiet], {}, clone);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const name of ["@pulumi/kubernetes", "@pulumi/pulumi"]) {
      const { version } = JSON.parse(fs.readFileSync(join(clone, "node_modules", name, "package.json"), "utf8"));
      expect({ name, version }).toEqual({ name, version: manifest.devDependencies[name] });
    }
    const { pulumi, env } = findEngine();
    const said = await run(pulumi, ["package", "get-schema", clone], { ...env }, folder);
    expect(said.code, said.stderr).toBe(0);
    const { name, version, resources } = JSON.parse(said.stdout);
    expect({ name, version, resources: Object.keys(resources).sort() }).toEqual({
      ...{ name: "socket-bypass", version: manifest.version },
      resources: ["BypassHost", "BypassNodePool", "SocketBypass"].map((one) => `socket-bypass:index:${one}`),
    });
  });

  test("is refused a second time", async () => {
    expect(await release()).toEqual({
      code: 1,
      stdout: "",
      stderr: `release: ${tag}: expected a new version, found that tag\n`,
    });
  });

  test("gives the same commit again", async () => {
    const before = git(copy, "rev-parse", `${tag}^{commit}`);
    git(copy, "tag", "--delete", tag);
    expect((await release()).code).toBe(0);
    expect(git(copy, "rev-parse", `${tag}^{commit}`)).toBe(before);
  });

  test("installs from its tarball", async () => {
    const tarball = join(folder, "out", `socket-bypass-${manifest.version}.tgz`);
    const outside = await Outside.install([tarball, `@pulumi/pulumi@${manifest.devDependencies["@pulumi/pulumi"]}`]);
    try {
      // The path finds what tools load that do not know the `exports` of package.json.
      for (const name of ["socket-bypass", "./node_modules/socket-bypass"]) {
        const words = ["-p", `Object.keys(require('${name}')).includes('SocketBypass')`];
        expect(await outside.run(process.execPath, words)).toEqual({ code: 0, stdout: "true\n", stderr: "" });
      }
    } finally {
      outside.remove();
    }
  });
});

describe("CHANGELOG.md", () => {
  const good =
    "# C\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n- A.\n\n[Unreleased]: https://a\n[1.2.3]: https://b\n";

  test("agrees with package.json, or says that the next version is not yet written", () => {
    const faults = faultsOf(fs.readFileSync(join(root, "CHANGELOG.md"), "utf8"), manifest.version);
    // Between two releases, changes wait there.
    expect(faults.filter((fault) => !fault.startsWith("## [Unreleased]: expected nothing there"))).toEqual([]);
  });

  test.each([
    [good, []],
    [good.replace("1.2.3] -", "1.2.2] -"), ["expected ## [1.2.3] after ## [Unreleased], found ## [1.2.2]"]],
    [good.replace(" - 2026-12-01", ""), ["## [1.2.3]: expected a date such as 2026-12-01, found none"]],
    [good.replace("- A.", ""), ["## [1.2.3]: expected a list of changes, found none"]],
    [
      good.replace("[Unreleased]\n", "[Unreleased]\n\n- B.\n"),
      ["## [Unreleased]: expected nothing there; move it to ## [1.2.3]"],
    ],
    [good.replace("[1.2.3]: https://b\n", ""), ["## [1.2.3]: expected its link at the end, found none"]],
  ])("%j has the faults %j", (text, faults) => {
    const said = faultsOf(text, "1.2.3");
    expect(faults.length === 0 ? said : said.slice(0, 1)).toEqual(faults);
  });

  test("gives the text of one version", () => {
    expect(sectionOf(good, "1.2.3").trim()).toBe("- A.");
  });
});
