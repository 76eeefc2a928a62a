// SPDX-License-Identifier: Apache-2.0
/**
 * The parts of programs that the pages show. Not proven here: that they do what the page says; the
 * tests of the examples and the end-to-end tests prove that of most.
 */
import { join } from "node:path";
import * as ts from "typescript";
import { expect, test } from "vitest";
import { type Block, blocksOf, listPages, root } from "./pages";

/** Types of Pulumi whose properties a page may show; prelude.ts declares them. */
const ofPulumi = ["Mocks"];

/**
 * A block is a whole program if it imports something. It is properties if it begins with one: of
 * the arguments of SocketBypass, or of what stands behind the fence, as in ```ts NodePool.
 * Otherwise it is statements.
 */
function programOf({ text, info }: Block): string {
  if (/^import /m.test(text)) return text;
  if (!/^(?:\s*\/\/.*\n)*\s*(?:["\w]+\s*:|\.\.\.)/.test(text)) return `${text}\nexport {};\n`;
  const type = info === "" ? "SocketBypassArgs" : info;
  const imports = ofPulumi.includes(type) ? "" : `import type { ${type} } from "socket-bypass";\n`;
  return `${imports}export const some: Partial<${type}> = {\n${text}\n};\n`;
}

/** Compiles programs that exist in memory only; a message for each fault. */
function compile(programs: ReadonlyMap<string, string>): string[] {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  Object.assign(options, {
    ...{ noEmit: true, declaration: false, rootDir: root, skipLibCheck: true, noUnusedLocals: false },
    paths: { "socket-bypass": [join(root, "src/index.ts")] },
  });
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => programs.has(path) || fileExists(path);
  host.readFile = (path) => programs.get(path) ?? readFile(path);
  host.getSourceFile = (path, ...more) => {
    const text = programs.get(path);
    return text === undefined ? getSourceFile(path, ...more) : ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  };
  const roots = [...programs.keys(), join(__dirname, "prelude.ts")];
  return ts.getPreEmitDiagnostics(ts.createProgram(roots, options, host)).map(({ file, messageText }) => {
    return `${file?.fileName ?? "?"}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
}

const fileOf = ({ at }: Block) => join(root, "test/docs", `${at.replace(/[^A-Za-z0-9]+/g, "-")}.ts`);

test("TypeScript compiles", () => {
  const blocks = listPages()
    .flatMap(blocksOf)
    .filter(({ language }) => language === "ts");
  expect(blocks.length).toBeGreaterThan(10);
  const [program] = blocks.filter(({ at }) => at.startsWith("README.md:"));
  const wrong: Block = { at: "wrong", language: "ts", info: "", text: "traffic: { port: 1 }," };
  const files = new Map([...blocks, wrong].map((block) => [fileOf(block), programOf(block)]));
  // What tests of a program import: the program of the README.
  files.set(join(root, "test/docs/index.ts"), program?.text ?? "");
  const faults = compile(files);
  const named = faults.map((fault) => {
    const block = [...blocks, wrong].find((one) => fault.startsWith(`${fileOf(one)}:`));
    return block === undefined ? fault : `${block.at}${fault.slice(fileOf(block).length)}`;
  });
  expect(named.filter((fault) => !fault.startsWith("wrong: "))).toEqual([]);
  expect(named).toContainEqual(expect.stringMatching(/^wrong: .*'port' does not exist/));
}, 120_000);
