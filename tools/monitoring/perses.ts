// SPDX-License-Identifier: Apache-2.0
// Shows the dashboard in a real Perses, and takes its picture for the docs:
// `npx tsx tools/monitoring/perses.ts URL`, where URL is a Perses 0.52 on this machine that asks
// nobody to log in and has the plugins Prometheus, StatChart, TimeSeriesChart and Table. As in
// picture.ts, a real Prometheus holds what real installations have reported.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { toPerses } from "./perses-dashboard";
import { Prometheus } from "./prometheus";
import { readRecording } from "./recording";

const project = "socket-bypass-docs";
const picture = resolve(__dirname, "../../docs/how-to/monitoring/perses.png");

async function main(url: string | undefined): Promise<void> {
  if (url === undefined) throw new Error("perses.ts: expected the URL of a Perses, found none");
  const api = async (method: string, path: string, body?: object) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${url}/api/v1/${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`perses: ${method} ${path}: ${answer.status} ${await answer.text()}`);
  };
  const prometheus = await Prometheus.start(readRecording());
  const folder = mkdtempSync(join(tmpdir(), "socket-bypass-perses-"));
  try {
    await api("POST", "projects", { kind: "Project", metadata: { name: project }, spec: {} });
    const dashboard = JSON.parse(readFileSync(resolve(__dirname, "../../monitoring/dashboard.json"), "utf8"));
    await api("POST", `projects/${project}/dashboards`, toPerses(dashboard, project, prometheus.url));
    const file = join(folder, "perses.png");
    const flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--window-size=1300,2960"];
    const look = [`--user-data-dir=${folder}/profile`, "--virtual-time-budget=20000", `--screenshot=${file}`];
    const times = `start=${prometheus.from}000&end=${prometheus.to}000`;
    const page = `${url}/projects/${project}/dashboards/socket-bypass?${times}`;
    execFileSync("chromium", [...flags, ...look, page], { stdio: "ignore" });
    copyFileSync(file, picture);
  } finally {
    await prometheus.stop();
    await api("DELETE", `projects/${project}`);
    rmSync(folder, { recursive: true });
  }
}

void main(process.argv[2]);
