// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/**
 * A Kubernetes resource, declared by us because most users do not have the Kubernetes package, so
 * its types must not be part of ours. The provider knows all of its metadata, but the mocks of a
 * unit test seldom do.
 */
export interface KubernetesObject extends pulumi.CustomResource {
  readonly metadata: pulumi.Output<{ readonly name?: string; readonly namespace?: string } | undefined>;
}

interface Kind {
  new (name: string, args: object, opts: pulumi.CustomResourceOptions): KubernetesObject;
}

export interface Kubernetes {
  readonly core: { readonly v1: { readonly Namespace: Kind; readonly ServiceAccount: Kind; readonly ConfigMap: Kind } };
  readonly networking: { readonly v1: { readonly NetworkPolicy: Kind } };
  readonly apps: { readonly v1: { readonly DaemonSet: Kind } };
  readonly apiextensions: { readonly CustomResource: Kind };
}

const name = "@pulumi/kubernetes";

/**
 * Loads the optional package; if it is missing, the error says what to install. `load` is for
 * tests.
 */
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
