// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/**
 * One resource of Kubernetes. Our own words for it: the types of the package are no part of ours,
 * for most users do not have it.
 */
export interface KubernetesObject extends pulumi.CustomResource {
  readonly metadata: pulumi.Output<{ readonly name: string; readonly namespace: string }>;
}

interface Kind {
  new (name: string, args: object, opts: pulumi.CustomResourceOptions): KubernetesObject;
}

export interface Kubernetes {
  readonly core: { readonly v1: { readonly Namespace: Kind; readonly ServiceAccount: Kind; readonly ConfigMap: Kind } };
  readonly networking: { readonly v1: { readonly NetworkPolicy: Kind } };
  readonly apps: { readonly v1: { readonly DaemonSet: Kind } };
}

const name = "@pulumi/kubernetes";

/** Loads the optional package; raises what to install when it is not there. `load` is for tests. */
export function loadKubernetes(load: (name: string) => unknown = require): Kubernetes {
  try {
    return load(name) as Kubernetes;
  } catch (error) {
    const isMissing =
      error instanceof Error &&
      "code" in error &&
      error.code === "MODULE_NOT_FOUND" &&
      error.message.includes(`'${name}'`);
    if (!isMissing) throw error;
    throw new pulumi.RunError(
      `socket-bypass: nodePools: expected the package ${name}, found none; type: npm install ${name}@4`,
    );
  }
}
