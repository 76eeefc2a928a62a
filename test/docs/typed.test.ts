// SPDX-License-Identifier: Apache-2.0
/**
 * What a newcomer types as the pages have it. Not proven here: that the registries have what an
 * install line asks for; test/package installs the versions beside this package.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocksOf, listPages, root } from "./pages";

const pages = listPages();
const read = (path: string) => fs.readFileSync(join(root, path), "utf8");
interface Manifest {
  readonly version: string;
  readonly devDependencies: Readonly<Record<string, string>>;
}
const { version, devDependencies }: Manifest = JSON.parse(read("package.json"));
const shellOf = (page: (typeof pages)[number]) => blocksOf(page).filter(({ language }) => language === "sh");

/** Lines of shell that install packages of npm. */
const installs = pages.flatMap(shellOf).flatMap(({ at, text }) =>
  text
    .split("\n")
    .filter((line) => /\bnpm install\b/.test(line))
    .map((line) => ({ at, line })),
);

test("a line that makes a project's node_modules says which SDK Node.js 20 needs", () => {
  const whole = installs.filter(({ line }) => /npm install( *#| *$| socket-bypass(?!@)| @pulumi\/pulumi)/.test(line));
  expect(whole.length).toBeGreaterThan(12);
  const older = `@pulumi/pulumi@${devDependencies["@pulumi/pulumi"]}`;
  expect(whole.filter(({ line }) => !line.includes(older)).map(({ at, line }) => `${at}: ${line}`)).toEqual([]);
});

test("a line that installs vitest says which one Node.js 20 needs", () => {
  const [major] = /\d+/.exec(devDependencies.vitest ?? "") ?? [];
  const lines = installs.filter(({ line }) => /\bvitest\b/.test(line));
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.filter(({ line }) => !line.includes(`vitest@${major}`)).map(({ at }) => at)).toEqual([]);
});

test("the pages ask for the Go that the engine is built with", () => {
  const [, numbers = ""] = /^export const OLDEST_GO = \[(.*)\];$/m.exec(read("tools/pulumi/entries.mjs")) ?? [];
  const oldest = numbers.replaceAll(", ", ".");
  const wanted = [
    "README.md",
    "docs/tutorials/try-it.md",
    "docs/contributing/testing.md",
    "docs/contributing/engine.md",
  ];
  const named = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\bGo\s+(\d[\d.]*\d) or newer/g)].map(([, its]) => ({ path, its })),
  );
  expect(named.filter(({ its }) => its !== oldest)).toEqual([]);
  expect(wanted.filter((path) => !named.some((one) => one.path === path))).toEqual([]);
});

test("each variable in a command is set by a command of the same page", () => {
  const ofEveryShell = ["HOME", "PATH", "USER"];
  const used = pages.flatMap((page) => {
    const commands = shellOf(page);
    const all = commands.map(({ text }) => text).join("\n");
    const set = new Set([...all.matchAll(/\b([A-Z][A-Z_]*)=|\bread -r ([A-Z_]+)/g)].flatMap((match) => match.slice(1)));
    return commands.flatMap(({ at, text }) =>
      [...text.replace(/'[^']*'/g, "").matchAll(/\$\{?([A-Z][A-Z_]*)(?!:-|[A-Z_])/g)].map(([, name = ""]) => ({
        place: `${at}: ${name}`,
        isKnown: set.has(name) || ofEveryShell.includes(name),
      })),
    );
  });
  expect(used.length).toBeGreaterThan(5);
  expect(used.filter(({ isKnown }) => !isKnown).map(({ place }) => place)).toEqual([]);
});

test("whatever names a version of this package names the version of package.json", () => {
  const listed = execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8" }).split("\n");
  // A test may make up other versions.
  const texts = listed.filter((path) => /\.(md|ya?ml|json|ts|py|txt|sh)$/.test(path) && !path.startsWith("test/"));
  const named = texts.flatMap((path) =>
    [...read(path).matchAll(/\bsocket-bypass(?:@v?|==|": "\^)(\d+\.\d[\w.-]*\w)/g)].map(([, its]) => ({ path, its })),
  );
  const folders = [...new Set(named.map(({ path }) => path.split("/")[0]))].sort();
  expect(folders).toEqual(["docs", "examples"]);
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter(({ its }) => its !== version)).toEqual([]);
  const made = ["schema.json", "package-lock.json"].map((path) => JSON.parse(read(path)).version);
  expect(made).toEqual([version, version]);
});

test("the image of the pods has one name, that under which the workflow publishes it", () => {
  const workflow = read(".github/workflows/image.yml");
  const [, image = ""] = /^ +IMAGE: (\S+)$/m.exec(workflow) ?? [];
  expect(image).toMatch(/^ghcr\.io\//);
  const named = [
    "SECURITY.md",
    "docs/tutorials/first-pool.md",
    "docs/reference/requirements.md",
    "src/args/node-pool.ts",
  ];
  expect(named.filter((path) => !read(path).includes(image))).toEqual([]);
  const others = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\bghcr\.io\/[\w./-]*\w/g)]
      .filter(([name]) => name !== image)
      .map(([name]) => `${path}: ${name}`),
  );
  expect(others).toEqual([]);
  expect(read("SECURITY.md")).toContain("/.github/workflows/image.yml@refs/heads/main");
});

test("the page of versions claims what the tests run", () => {
  const page = read("docs/reference/versioning.md");
  const consumers = read("test/package/consumers.test.ts");
  const newest = (name: string) => {
    const [, its = ""] = new RegExp(`// npm: ${name}\\n\\s+\\w+: "([\\d.]+)"`).exec(consumers) ?? [];
    expect(its, name).not.toBe("");
    return its;
  };
  const minor = (its: string) => its.split(".").slice(0, 2).join(".");
  const { peerDependencies, devDependencies: developed } = JSON.parse(read("package.json"));
  const least = (name: string) => minor(peerDependencies[name].slice(1));
  const lines = [...(/const lines = \[(.*), newest\.node\]/.exec(consumers)?.[1] ?? "").matchAll(/\d+/g)].join(", ");
  const sdks = ["@pulumi/pulumi", "@pulumi/kubernetes"] as const;
  const claims = [
    `**Node.js** ${lines} or ${newest("node").split(".")[0]}, or 20 with \`@pulumi/pulumi\` ${developed[sdks[0]]} or older`,
    `**\`${sdks[0]}\`** ${least(sdks[0])} and newer 3;`,
    `**\`${sdks[1]}\`**, for node pools, ${least(sdks[1])} and newer 4,`,
    `**TypeScript**, if you use it, ${minor(/typescript@([\d.]+)/.exec(consumers)?.[1] ?? "")} to ${minor(developed.typescript.slice(1))};`,
    `**Bun**, instead of Node.js: ${minor(newest("bun"))} was tried`,
    `\`@pulumi/pulumi\` ${developed[sdks[0]]} and \`@pulumi/kubernetes\` ${developed[sdks[1]]}.`,
  ];
  expect(claims.filter((claim) => !page.includes(claim))).toEqual([]);
});
