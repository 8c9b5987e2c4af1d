// The shop of ../python and ../yaml.
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

export const image = new pulumi.Config().require("image");
const namespace = new k8s.core.v1.Namespace("shop", { metadata: { name: "shop" } });

function deploy(name: string, securityContext: k8s.types.input.core.v1.SecurityContext): void {
  const metadata = { name, namespace: "shop" };
  const account = new k8s.core.v1.ServiceAccount(
    name,
    { metadata, automountServiceAccountToken: false },
    { dependsOn: [namespace] },
  );
  new k8s.apps.v1.Deployment(
    name,
    {
      metadata,
      spec: {
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: {
            serviceAccountName: name,
            containers: [
              {
                name,
                image,
                imagePullPolicy: "IfNotPresent",
                command: ["python3", "-c", "import time; time.sleep(1e6)"],
                securityContext,
              },
            ],
          },
        },
      },
    },
    { dependsOn: [namespace, account] },
  );
}

deploy("careful", {
  runAsNonRoot: true,
  runAsUser: 65532,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
});
deploy("careless", { privileged: true });
