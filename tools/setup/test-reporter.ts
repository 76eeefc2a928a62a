// SPDX-License-Identifier: Apache-2.0
// A reporter of vitest that writes the result of each test file as JSON to the file that
// SOCKET_BYPASS_TEST_REPORT names.
import * as fs from "node:fs";
import { relative } from "node:path";
import type { SerializedError } from "vitest";
import type { Reporter, TestModule } from "vitest/node";

export interface FileReport {
  /** Relative to the folder that vitest runs in. */
  readonly path: string;
  readonly isOk: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Titles of the tests that failed; messages of errors outside any test. */
  readonly failures: readonly string[];
}

export interface Report {
  readonly files: readonly FileReport[];
  /** Messages of errors that belong to no file. */
  readonly errors: readonly string[];
}

export default class TestReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const files = modules.map((module) => reportOf(module, unhandled));
    // Vitest does not say whose worker died, but the file of that worker has not ended.
    const isExplained = modules.some((module) => !isEnded(module));
    const strays = unhandled.filter((error) => !modules.some((module) => isOf(error, module)));
    const report: Report = { files, errors: isExplained ? [] : strays.map(messageOf) };
    fs.writeFileSync(process.env.SOCKET_BYPASS_TEST_REPORT ?? "/dev/null", JSON.stringify(report));
  }
}

function reportOf(module: TestModule, unhandled: readonly SerializedError[]): FileReport {
  const tests = [...module.children.allTests()];
  const count = (state: string) => tests.filter((test) => test.result().state === state).length;
  const failures = [
    ...tests.filter((test) => test.result().state === "failed").map((test) => test.fullName),
    ...[...module.children.allSuites()].flatMap((suite) => suite.errors().map(messageOf)),
    ...module.errors().map(messageOf),
    ...unhandled.filter((error) => isOf(error, module)).map(messageOf),
  ];
  if (!isEnded(module)) failures.push("did not end");
  return {
    path: relative(process.cwd(), module.moduleId),
    isOk: module.ok() && failures.length === 0,
    passed: count("passed"),
    failed: count("failed"),
    skipped: count("skipped"),
    failures,
  };
}

/** A worker that died leaves its file and the tests in it pending. */
function isEnded(module: TestModule): boolean {
  return ["passed", "failed", "skipped"].includes(module.state());
}

/** Vitest notes, if it knows, in which file an uncaught error arose. */
function isOf(error: SerializedError, module: TestModule): boolean {
  return error.VITEST_TEST_PATH === module.moduleId;
}

function messageOf(error: SerializedError): string {
  return `${error.message}`.split("\n")[0] ?? "";
}
