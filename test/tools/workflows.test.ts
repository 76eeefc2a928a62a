// SPDX-License-Identifier: Apache-2.0
/*
 * The workflows and what runs their steps here. `npm run lint:workflows` checks their syntax, and
 * nothing but GitHub proves their actions.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { fill, obstacleTo, stepsOf } from "../../tools/workflows/steps.js";
import { kernels } from "../kernels/image.js";
import { root, run, temporaryFolder } from "./ensure.js";

const folder = join(root, ".github/workflows");
const texts = Object.fromEntries(
  fs.readdirSync(folder).map((file) => [file.replace(".yml", ""), fs.readFileSync(join(folder, file), "utf8")]),
);
const steps = Object.entries(texts).flatMap(([name, text]) => stepsOf(name, text));

test("every action and image is pinned by its digest, and says its version", () => {
  for (const text of Object.values(texts)) {
    const used = text.split("\n").filter((line) => /^\s*(- )?uses: /.test(line));
    expect(used.length).toBeGreaterThan(0);
    for (const line of used) expect(line).toMatch(/uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    for (const [, image] of text.matchAll(/^ +image: (\w+:.*)$/gm)) expect(image).toMatch(/@sha256:[0-9a-f]{64}$/);
  }
});

test("the versions of Node.js and Go are whole, and Renovate changes them within their line", () => {
  const named = Object.values(texts).flatMap((text) => [...text.matchAll(/^ +(?:node|go)-version: (.*)$/gm)]);
  expect(named.length).toBeGreaterThan(3);
  for (const [, version] of named) expect(version).toMatch(/^"\d+\.\d+\.\d+"$/);
  const { packageRules } = JSON.parse(fs.readFileSync(join(root, "renovate.json"), "utf8"));
  expect(packageRules).toContainEqual(
    expect.objectContaining({ matchDepTypes: ["uses-with"], matchUpdateTypes: ["major"], enabled: false }),
  );
});

test("an action has one version in all of them, and the containers are the base of the image for pods", () => {
  const versions = new Map<string, Set<string>>();
  for (const { uses } of steps) {
    const [name = "", digest = ""] = uses?.split("@") ?? [];
    versions.set(name, (versions.get(name) ?? new Set()).add(digest));
  }
  expect([...versions].filter(([, digests]) => digests.size > 1)).toEqual([]);
  const base = /^FROM (.*)$/m.exec(fs.readFileSync(join(root, "image/Dockerfile"), "utf8"))?.[1];
  const containers = Object.values(texts).flatMap((text) => [...text.matchAll(/^ +image: (debian.*)$/gm)]);
  expect(new Set(containers.map(([, image]) => image))).toEqual(new Set([base]));
});

test("a workflow begins with the right to read, and nothing else", () => {
  for (const text of Object.values(texts)) expect(parse(text).permissions).toEqual({ contents: "read" });
});

test("a job that runs what a pull request proposes has no more than that right", () => {
  const proposed = Object.entries(texts).flatMap(([name, text]) => {
    const { on, jobs } = parse(text);
    if (!("pull_request" in on)) return [];
    return Object.entries<{ if?: string; permissions?: object }>(jobs)
      .filter(([, job]) => job.if !== "github.event_name != 'pull_request'")
      .map(([job, { permissions }]) => [`${name}/${job}`, permissions]);
  });
  expect(Object.keys(Object.fromEntries(proposed))).toContain("image/build");
  expect(proposed.filter(([, permissions]) => permissions !== undefined)).toEqual([]);
});

test("no text of GitHub gets into a shell line, except by the environment", () => {
  expect(steps.filter((step) => step.run?.includes("${{"))).toEqual([]);
});

test("the matrix has the kernels that the tests know", () => {
  const { jobs } = parse(`${texts.kernels}`);
  expect(jobs.test.strategy.matrix.kernel).toEqual(kernels.map(({ name }) => name));
});

test("CI runs what .ci/run runs, and steps that need a service are few and known", () => {
  expect(steps.filter(({ job }) => job === "ci/test").at(-1)?.run).toBe("bash .ci/run");
  const linted = steps.filter((step) => step.run !== undefined && obstacleTo(step) !== undefined);
  expect(linted.map(({ job, name }) => `${job}: ${name}`).sort()).toEqual([
    "image/publish: Sign the image and its list of packages",
    "image/publish: Verify what a user would verify",
    "release/publish: Publish to npm, with provenance",
    "release/publish: Push the tag, which Pulumi reads",
    "release/publish: Write the release",
  ]);
});

test("expressions are filled in, or named", () => {
  expect(fill(`a \${{ matrix.x }} \${{ env.Y }}`, { "matrix.x": "1" })).toEqual({ text: "a 1 ", unknown: ["env.Y"] });
});

const example = `
on: push
jobs:
  one:
    strategy: { matrix: { word: [a, b] } }
    runs-on: x
    steps:
      - uses: actions/checkout@0
      - { name: writes, id: first, run: 'echo "said=$WORD" >>"$GITHUB_OUTPUT"', env: { WORD: "\${{ matrix.word }}" } }
      - { name: reads, run: 'test "$SAID" = "$EXPECTED" && git config --global user.name x', env: { SAID: "\${{ steps.first.outputs.said }}", EXPECTED: "\${{ matrix.word }}" } }
      - { name: is for GitHub, run: "exit 7", env: { TOKEN: "\${{ secrets.TOKEN }}" } }
      - { name: pushes, run: docker push x }
  two:
    runs-on: x
    container: y
    steps:
      - { name: fails, run: "exit 3" }
      - { name: comes never, run: "true" }
`;

test("the runner runs the steps of a job in order until one fails, and says what it left out", async () => {
  const own = temporaryFolder();
  fs.writeFileSync(join(own, "example.yml"), example);
  const words = ["--import", "tsx", "tools/workflows/run.ts", "--run", "--folder", own];
  const { code, stdout } = await run("node", words);
  const one = (word: string) => [
    `example/one (${word}): actions/checkout: only linted: an action of GitHub`,
    `example/one (${word}): writes: ran`,
    `example/one (${word}): reads: ran`,
    `example/one (${word}): is for GitHub: only linted: needs secrets.TOKEN`,
    `example/one (${word}): pushes: only linted: docker needs a service`,
  ];
  expect({ code, lines: stdout.trim().split("\n") }).toEqual({
    code: 1,
    lines: [...one("a"), ...one("b"), "example/two: fails: failed with 3"],
  });
});

test("the image is named after its base, the day and the commit", async () => {
  const { code, stdout } = await run("node", ["--import", "tsx", "tools/workflows/run.ts", "--run", "image/publish"]);
  expect(code).toBe(0);
  expect(stdout).toContain("image/publish: Name the image after its base, the day and the commit: ran\n");
});
