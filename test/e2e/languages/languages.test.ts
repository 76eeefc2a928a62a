// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findPolyglot } from "../../../tools/pulumi/stack.js";
import { blocksOf } from "../../docs/pages.js";
import { follow } from "../local/follow.js";
import { attachments, each, isSkipped } from "../local/machine.js";
import { GitServer } from "./git-server.js";
import { type Language, Program } from "./program.js";
import { makeRepository, unpackRelease } from "./released.js";

const root = join(__dirname, "../../..");

// This does not prove what `pulumi package add` writes into a program in Python or Go, for which
// the language hosts of the tests are too old (docs/contributing/engine.md), nor that GitHub serves
// a repository as git's own http-backend does.
describe.skipIf(isSkipped)("the released package, installed where nothing is built", () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-languages-"));
  let released = "";

  beforeAll(() => {
    released = unpackRelease(folder);
  }, 900_000);
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  test("answers with its schema, without a compiler and without its sources", () => {
    for (const absent of ["src", "node_modules/typescript"])
      expect(fs.existsSync(join(released, absent)), absent).toBe(false);
    const { pulumi, env } = findPolyglot();
    const words = ["package", "get-schema", released];
    const options = { cwd: folder, env: { ...process.env, ...env }, stdio: "pipe", encoding: "utf8" } as const;
    const said = execFileSync(pulumi, words, options);
    const answer = JSON.parse(said.slice(said.indexOf("{")));
    const written = JSON.parse(fs.readFileSync(join(root, "schema.json"), "utf8"));
    expect(answer).toMatchObject({ name: "socket-bypass", version: written.version });
    for (const part of ["resources", "types"] as const)
      expect(Object.keys(answer[part]).sort()).toEqual(Object.keys(written[part]).sort());
    const host = "socket-bypass:index:Host";
    expect(answer.types[host].properties.connection).toEqual(written.types[host].properties.connection);
  });

  const all: Language[] = ["yaml", "python", "go"];
  test.each(all)(
    "a program in %s installs, changes one port and removes a local host",
    async (language) => {
      const program = new Program(language, released);
      await program.install();
      await program.setPorts(6379);
      expect((await program.up()).changes).toEqual(each("create"));
      const status = program.status("here");
      expect(status).toMatchObject({ healthy: true, owner: program.owner("here"), cgroup: program.cgroup });
      expect(status.policy).toMatchObject({ ports: "6379" });
      expect(attachments(program.cgroupFolder())).toEqual(["track_sockets"]);
      const outputs = await (await program.open()).outputs();
      const kernel = execFileSync("uname", ["-r"], { encoding: "utf8" }).trim();
      expect([outputs.generation?.value, outputs.kernel?.value]).toEqual([status.serving, kernel]);

      // The items of a setting of a program in YAML have one type, so a port stays a number there.
      const other = language === "yaml" ? 6380 : "8000-8010";
      await program.setPorts(other);
      expect((await program.up()).changes).toEqual({ policy: "update" });
      expect(program.status("here").policy).toMatchObject({ ports: `${other}` });

      expect((await program.destroy()).changes).toEqual(each("delete"));
      expect(program.traces()).toEqual([]);
    },
    1_200_000,
  );

  test("a program in YAML installs a release that Pulumi fetches by git, from the tag of the version", async () => {
    const server = new GitServer(folder);
    const { path, version } = makeRepository(folder);
    const source = `${await server.open()}/${path}`;
    try {
      const program = new Program("yaml", `${source}@${version}`);
      program.more = { PULUMI_HOME: copyHome(folder), SSL_CERT_FILE: server.authority };
      await program.install();
      expect(program.projectFile()).toContain(source);
      await program.setPorts(6379);
      expect((await program.up()).changes).toEqual(each("create"));
      expect(program.status("here")).toMatchObject({ healthy: true, owner: program.owner("here") });
      expect((await program.destroy()).changes).toEqual(each("delete"));
      expect(program.traces()).toEqual([]);
      expect(server.requests).toEqual(expect.arrayContaining([`POST /${path}.git/git-upload-pack`]));
    } finally {
      await server.close();
    }
  }, 900_000);

  // It would install on the whole machine, so it is only planned.
  test.each([
    ["yaml", "Pulumi.yaml"],
    ["python", "__main__.py"],
    ["go", "main.go"],
  ] as const)(
    "the program in %s of docs/_index.md plans a local host",
    async (language, file) => {
      const source = /github\.com\/socket-bypass\/socket-bypass@\S+/;
      const text = fs.readFileSync(join(root, "docs/_index.md"), "utf8");
      const [shown] = blocksOf({ path: "docs/_index.md", text }).filter((block) => block.language === language);
      const program = new Program(language, released);
      // The stacks of the tests are those of one project, and the release is a folder.
      const named = `${shown?.text}\n`.replace(/^name: edge$/m, `name: ${program.project}`);
      expect(source.test(named)).toBe(language === "yaml");
      program.write(file, named.replace(source, released));
      if (language === "yaml") await program.installPackages();
      else await program.install();
      expect((await program.preview()).changes).toEqual(each("create"));
    },
    1_200_000,
  );

  // The pods of a pool are proved in test/e2e/kubernetes.
  test("a program in YAML plans a node pool, though nobody has installed the package of the provider", async () => {
    const program = new Program("yaml", released, "yaml-pool");
    await program.install();
    const stack = await program.open();
    const kinds = ({ type }: { readonly type: string }) => /^kubernetes:.*:(\w+)$/.exec(type)?.[1];
    const { changes } = await follow((onEvent) => stack.preview({ onEvent }), kinds);
    expect(changes).toMatchObject({ Namespace: "create", DaemonSet: "create" });
  }, 600_000);

  test("two components in YAML with one instance are refused, though the plugin makes each by itself", async () => {
    const program = new Program("yaml", released, "yaml-twins");
    await program.install();
    expect(await program.failure(program.preview())).toContain(
      'instance: expected an instance that no other host or pool of this program has, found "one"',
    );
  }, 600_000);

  test("a wrong argument from another language is one error that names the property", async () => {
    const program = new Program("yaml", released);
    await program.install();
    await program.setPorts(0);
    expect(await program.failure(program.preview())).toMatch(
      /SocketBypass resource 'edge' has a problem: 1 problem in the arguments of SocketBypass "edge":\n +traffic\.ports\[0\]: expected /,
    );
  }, 600_000);
});

/**
 * Makes a home with the plugins of the engine's own, so that what Pulumi fetches vanishes with the
 * folder.
 */
function copyHome(folder: string): string {
  const plugins = join(findPolyglot().env.PULUMI_HOME ?? "", "plugins");
  fs.cpSync(plugins, join(folder, "home/plugins"), { recursive: true });
  return join(folder, "home");
}
