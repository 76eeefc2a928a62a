// SPDX-License-Identifier: Apache-2.0
/* What `npm publish` would send. test/package/consumers.test.ts installs and uses it. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join, posix, resolve } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commentsOf, isSource, linesOf } from "../../tools/lint/files.js";
import { makeFolder, manifest, packTarball } from "./outside.js";

const root = resolve(__dirname, "../..");
const read = (path: string) => fs.readFileSync(join(root, path), "utf8");
const tracked = execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8" }).trim().split("\n");

let folder = "";
let tarball = "";
let files: string[] = [];
beforeAll(async () => {
  folder = makeFolder();
  tarball = await packTarball(folder);
  execFileSync("tar", ["-xzf", tarball, "-C", folder]);
  const all = fs.readdirSync(join(folder, "package"), { recursive: true, withFileTypes: true });
  files = all
    .filter((one) => one.isFile())
    .map((one) => posix.relative(join(folder, "package"), join(one.parentPath, one.name)));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const isThere = (path: string) => files.includes(path) || files.some((file) => file.startsWith(`${path}/`));

describe("the tarball", () => {
  test("has nothing that publint or attw objects to", async () => {
    const data = new Uint8Array(fs.readFileSync(tarball));
    expect((await publint({ pack: { tarball: data.buffer }, strict: true })).messages).toEqual([]);
    const analysis = await checkPackage(createPackageFromTarballData(data));
    expect(analysis.types && analysis.problems).toEqual([]);
  });

  test("has what is read, what is named and what tells the licences, and is small", () => {
    expect([...new Set(files.map((file) => file.split("/")[0]))].sort()).toEqual([
      ...[
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "LICENSES",
        "NOTICE",
        "PulumiPlugin.yaml",
        "README.md",
        "SECURITY.md",
        "bin",
        "bpf",
      ],
      ...["dist", "docs", "examples", "host", "image", "monitoring", "package.json", "schema.json"],
    ]);
    expect(
      // That example is about unit tests.
      files.filter(
        (file) =>
          !file.startsWith("examples/testing/") &&
          /\.(map|tgz|log)$|\.test\.|(^|\/)(node_modules|test|\.[^/]+)(\/|$)/.test(file),
      ),
    ).toEqual([]);
    // A file that belongs elsewhere would more likely be met here than seen in a review.
    expect(fs.statSync(tarball).size).toBeLessThan(1_800_000);
  });

  test("has every file that one of its pages links, and other links are whole addresses", () => {
    const links = files.filter((path) => path.endsWith(".md")).flatMap(linksOf);
    const ours = links.filter(([, link]) => !/^(?:[a-z]+:|#)/.test(link));
    const pages = new Set(ours.map(([path]) => path));
    expect([...pages].filter((path) => /^(README|CONTRIBUTING|SECURITY)\.md$/.test(path))).toHaveLength(3);
    expect(ours.length).toBeGreaterThan(200);
    const targetOf = (path: string, link: string) =>
      posix.normalize(posix.join(posix.dirname(path), link.replace(/#.*/, ""))).replace(/\/$/, "");
    expect(ours.filter(([path, link]) => !isThere(targetOf(path, link)))).toEqual([]);
  });

  test("links files of the repository that it leaves out by addresses that lead there", () => {
    const links = files.filter((path) => path.endsWith(".md")).flatMap(linksOf);
    const left = links.flatMap(([path, link]) => {
      const [, name = ""] = /socket-bypass\/socket-bypass\/(?:blob|raw|tree)\/main\/([^#]*)/.exec(link) ?? [];
      return name === "" ? [] : [[path, name] as const];
    });
    expect(left.map(([, name]) => name)).toContain("docs/how-to/monitoring/perses.png");
    expect(left.filter(([, name]) => !tracked.some((path) => path === name || path.startsWith(`${name}/`)))).toEqual(
      [],
    );
  });

  test("has every path of the package that a message names", () => {
    const sources = tracked.filter((path) => /^(src|host\/(?!build\/))/.test(path) && isSource(path));
    const named = sources.flatMap((path) => namedIn(path).map((name) => [name, path] as const));
    expect(named.map(([name]) => name)).toContain("dist/host/socket-bypass");
    expect(named.filter(([name]) => !isThere(name))).toEqual([]);
  });

  test("declares types without zod, which would need a setting in the configuration of a user", () => {
    const reached = new Set(["bin/index.d.ts"]);
    const foreign = new Set<string>();
    for (const path of reached) {
      const text = fs.readFileSync(join(folder, "package", path), "utf8");
      for (const [, name = ""] of text.matchAll(/(?:from|import\() ?"([^"]+)"/g)) {
        if (name.startsWith(".")) reached.add(`${posix.join(posix.dirname(path), name)}.d.ts`);
        else foreign.add(name);
      }
    }
    expect(reached.size).toBeGreaterThan(10);
    expect([...foreign]).toEqual(["@pulumi/pulumi"]);
  });
});

/** What a page links, also by a name that it defines elsewhere, with the page. */
function linksOf(path: string): (readonly [path: string, link: string])[] {
  const text = read(path)
    .replace(/^```.*?^```/gms, "")
    .replace(/`[^`\n]*`/g, "");
  const found = [/\]\(([^)\s]+)\)/g, /^\[[^\]]+\]: (\S+)$/gm, /(?:src|srcset|href)="([^"]+)"/g];
  return found.flatMap((one) => [...text.matchAll(one)].map(([, link = ""]) => [path, link] as const));
}

/** Paths in the code of a source, without its comments. */
function namedIn(path: string): string[] {
  const comments = new Map([...commentsOf(path, read(path))].map(({ at, text }) => [at, text]));
  return linesOf(read(path)).flatMap((line, index) => {
    const code = line.slice(0, line.length - (comments.get(index + 1)?.length ?? 0));
    const names = code.matchAll(/(?<![\w./$}-])(?:docs|examples|monitoring|dist\/host|bpf|host)\/[\w./-]*\w/g);
    return [...names].map(([name]) => name);
  });
}

describe("package.json", () => {
  const repository = "https://github.com/socket-bypass/socket-bypass";

  test("and every other file name one repository", () => {
    expect(manifest.repository.url).toBe(`git+${repository}.git`);
    expect([manifest.homepage, manifest.bugs.url]).toEqual([`${repository}#readme`, `${repository}/issues`]);
    const named = tracked
      .filter((path) => /\.(md|ya?ml|json|ts|mjs|sh)$/.test(path) && fs.existsSync(join(root, path)))
      .flatMap((path) => [...read(path).matchAll(/github\.com\/[\w-]*\/?socket-bypass[\w-]*/g)].map(([name]) => name));
    expect([...new Set(named)]).toEqual([repository.slice("https://".length)]);
  });

  test("names the licences that the files name", () => {
    const named = new Set<string>();
    for (const file of files) {
      if (!isSource(file)) continue;
      const tag = /SPDX-License-Identifier: ([\w.-]+)/.exec(fs.readFileSync(join(folder, "package", file), "utf8"));
      // An older name of the same licence.
      if (tag) named.add(`${tag[1]}`.replace(/^GPL-2\.0$/, "GPL-2.0-only"));
    }
    expect([...named].sort().join(" AND ")).toBe(manifest.license);
  });
});

test("the notices are those of the compiler, whose libraries are linked in", async () => {
  const line = `set -e; here=${root}/host/build; . "$here/zig.sh"; install_zig; zig_package`;
  const compiler = execFileSync("sh", ["-c", line], { encoding: "utf8" }).trim();
  expect(read("LICENSES/musl.txt")).toBe(fs.readFileSync(join(compiler, "lib/libc/musl/COPYRIGHT"), "utf8"));
  expect(read("LICENSES/zig.txt")).toBe(fs.readFileSync(join(compiler, "LICENSE"), "utf8"));
});
