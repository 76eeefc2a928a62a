// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Cluster, Machine } from "./cluster/cluster.js";
import { image } from "./cluster/fixtures.js";

export const port = 7000;
/** The text of the program, because not every node has the files of this machine. */
const program = fs.readFileSync(join(__dirname, "talk.py"), "utf8");

/** The result of a talk. */
export interface Talked {
  readonly faults: readonly string[];
  /** The rounds of the connection with the fewest. */
  readonly least: number;
  readonly rounds: number;
  readonly bytes: number;
}

interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly targetPort?: number;
}

/** A pod that only sleeps, on the given node, and a Service for it in each address family. */
export function sleeper(
  name: string,
  node: string,
  ports: readonly ServicePort[] = [{ port: 80, targetPort: port }],
): object[] {
  const labels = { app: name };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", labels },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: "Exists" }],
      containers: [{ name: "sleep", image, imagePullPolicy: "Never" }],
    },
  };
  const services = (["IPv4", "IPv6"] as const).map((family) => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `${name}-${family.toLowerCase()}`, namespace: "default" },
    spec: { ipFamilies: [family], selector: labels, ports },
  }));
  return [pod, ...services];
}

/**
 * A place where processes run: a node, or a pod on it, which means the pod's network namespace. The
 * processes belong to the node, outside the pod's own cgroup.
 */
export class Place<M extends Machine = Machine> {
  private readonly children: ChildProcess[] = [];

  private constructor(
    readonly node: M,
    readonly addresses: readonly string[],
    readonly services: readonly string[],
    /** Its network namespace, as a path on the node. */
    readonly network: string,
  ) {}

  static ofNode(node: Machine): Place {
    return new Place(node, [node.address], [], "/proc/self/ns/net");
  }

  static async ofPod<M extends Machine>(cluster: Cluster, node: M, name: string): Promise<Place<M>> {
    const { status } = JSON.parse(await cluster.kubectl("get", "pod", name, "-o", "json"));
    const id: string = status.containerStatuses[0].containerID.replace("containerd://", "");
    const tasks = await node.run("ctr", "--namespace", "k8s.io", "tasks", "list");
    const pid = tasks
      .split("\n")
      .find((line) => line.startsWith(id))
      ?.split(/\s+/)[1];
    const address = (family: string) =>
      cluster.kubectl("get", "service", `${name}-${family}`, "-o", "jsonpath={.spec.clusterIP}");
    const services = [await address("ipv4"), await address("ipv6")];
    const addresses = status.podIPs.map(({ ip }: { ip: string }) => ip);
    return new Place(node, addresses, services, `/proc/${pid}/ns/net`);
  }

  /** Serves until `end`. */
  async serve(): Promise<void> {
    await this.start("serve", `${port}`).first;
  }

  /** Opens connections that talk until `stop`. */
  async talk(host: string, at = port, count = 4): Promise<{ stop(): Promise<Talked> }> {
    const { child, first, last } = this.start("talk", host, `${at}`, `${count}`);
    await first;
    return {
      stop: async () => {
        child.stdin?.end();
        return JSON.parse(await last);
      },
    };
  }

  /** Talks for some tenths of a second. */
  async exchange(host: string, at = port): Promise<Talked> {
    const talk = await this.talk(host, at, 2);
    await new Promise((wake) => setTimeout(wake, 300));
    return await talk.stop();
  }

  private start(...words: readonly string[]) {
    const [command = "", ...args] = this.node.line(
      "nsenter",
      `--net=${this.network}`,
      "python3",
      "-c",
      program,
      ...words,
    );
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.children.push(child);
    const lines: string[] = [];
    let said = "";
    child.stderr.on("data", (chunk) => {
      said += chunk;
    });
    const reader = createInterface({ input: child.stdout });
    reader.on("line", (line) => lines.push(line));
    const failed = () => new Error(`talk.py ${words.join(" ")}: expected an answer, found ${said || "none"}`);
    const first = new Promise<void>((done, fail) => {
      reader.once("line", () => done());
      child.once("close", () => fail(failed()));
    });
    const last = new Promise<string>((done, fail) => {
      child.once("close", () => (lines.length === 2 ? done(lines[1] ?? "") : fail(failed())));
    });
    // Callers that need it wait for it; for others a rejection does not matter.
    last.catch(() => undefined);
    return { child, first, last };
  }

  end(): void {
    for (const child of this.children.splice(0)) child.kill("SIGKILL");
  }
}
