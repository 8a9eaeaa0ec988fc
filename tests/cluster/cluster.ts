/** A real Kubernetes API server with etcd, and kubectl and Helm for it. No kubelet and no controllers run: objects are only stored. */

import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { clusterPrograms } from "../../scripts/cluster/build.ts";
import { kubernetesProgram } from "../../scripts/build/kubernetes_programs.ts";
import { outputOf, type Ran, succeed } from "../../scripts/command.ts";
import { manifests } from "../../scripts/manifests.ts";

const ADMIN = "admin-token";
const START_MS = 120_000;
const AUDIT_LOG = "audit.log";
const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    { level: "Metadata", verbs: ["create", "patch"], resources: [{ resources: ["events"] }] },
    { level: "None" },
  ],
};

export interface Cluster extends AsyncDisposable {
  readonly url: string;
  readonly directory: string;
  /** The certificates that it has made. */
  readonly caFile: string;
  /** As an administrator. @param input the text of `--filename -`. */
  kubectl(args: readonly string[], input?: string): Promise<Ran>;
  helm(args: readonly string[]): Promise<Ran>;
  /** The API server ends, runs `during`, and starts again at the same address; etcd keeps what it knows. */
  outage(during: () => Promise<void>): Promise<void>;
  /** All writes of Events so far. */
  eventWrites(): Write[];
}

/** A request that creates or changes an Event, by the server's audit log. */
export interface Write {
  readonly verb: "create" | "patch";
  /** Of the Event. */
  readonly name: string;
}

export async function startCluster(): Promise<Cluster> {
  const { apiServer, etcd } = await clusterPrograms();
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-cluster-" });
  const [client, peer, port] = freePorts(3) as [number, number, number];
  const url = `https://127.0.0.1:${port}`;
  const store = start(directory, etcd, etcdArguments(directory, client, peer));
  const serverArguments = await apiServerArguments(directory, client, port);
  let server = start(directory, apiServer, serverArguments);
  const end = async () => {
    await ended(server);
    await ended(store);
    Deno.removeSync(directory, { recursive: true });
  };
  try {
    await ready(url, directory);
    return {
      ...await clients(url, directory),
      url,
      async outage(during) {
        // SIGTERM would wait a minute for watches.
        await ended(server, "SIGKILL");
        await during();
        server = start(directory, apiServer, serverArguments);
        await ready(url, directory);
      },
      eventWrites: () => writesIn(Deno.readTextFileSync(join(directory, AUDIT_LOG))),
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** What it prints goes to a file. */
function start(directory: string, program: string, args: readonly string[]): Deno.ChildProcess {
  const env = { LOG: join(directory, `${basename(program)}.log`) };
  const words = ["-c", 'exec "$0" "$@" >"$LOG" 2>&1', program, ...args];
  return new Deno.Command("sh", { args: words, env, stdin: "null" }).spawn();
}

async function ended(child: Deno.ChildProcess, signal: Deno.Signal = "SIGTERM"): Promise<void> {
  child.kill(signal);
  await child.status;
}

function etcdArguments(directory: string, client: number, peer: number): string[] {
  const store = `http://127.0.0.1:${client}`;
  return [
    ...["--data-dir", join(directory, "etcd"), "--name", "one"],
    ...["--listen-client-urls", store, "--advertise-client-urls", store],
    ...["--listen-peer-urls", `http://127.0.0.1:${peer}`],
    ...["--initial-advertise-peer-urls", `http://127.0.0.1:${peer}`],
    ...["--initial-cluster", `one=http://127.0.0.1:${peer}`, "--unsafe-no-fsync"],
  ];
}

async function apiServerArguments(
  directory: string,
  client: number,
  port: number,
): Promise<string[]> {
  const key = join(directory, "accounts.key");
  await succeed("openssl", ["genrsa", "-out", key, "2048"]);
  const policy = join(directory, "audit.yaml");
  Deno.writeTextFileSync(policy, JSON.stringify(AUDIT_POLICY));
  const tokens = join(directory, "tokens.csv");
  Deno.writeTextFileSync(tokens, `${ADMIN},admin,1,"system:masters"\n`);
  return [
    `--etcd-servers=http://127.0.0.1:${client}`,
    ...[`--audit-policy-file=${policy}`, `--audit-log-path=${join(directory, AUDIT_LOG)}`],
    `--cert-dir=${join(directory, "certificates")}`,
    ...["--bind-address=127.0.0.1", `--secure-port=${port}`, "--authorization-mode=RBAC"],
    ...[`--token-auth-file=${tokens}`, "--service-cluster-ip-range=10.0.0.0/24"],
    ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
    // No controller makes the accounts of new namespaces.
    "--disable-admission-plugins=ServiceAccount",
    ...["--service-account-issuer=https://oomkit.test", "--allow-privileged"],
  ];
}

async function ready(url: string, directory: string): Promise<void> {
  const { kubectl } = await clients(url, directory);
  for (const deadline = performance.now() + START_MS;;) {
    const { code } = await kubectl(["get", "--raw", "/readyz"]);
    // The namespace comes last.
    if (code === 0 && (await kubectl(["get", "namespace", "kube-system"])).code === 0) return;
    if (performance.now() < deadline) continue;
    const log = Deno.readTextFileSync(join(directory, "kube-apiserver.log"));
    throw new Error(`kube-apiserver is not ready: ${log.slice(-3000)}`);
  }
}

async function clients(url: string, directory: string) {
  const [kubectl, helm] = await Promise.all([
    kubernetesProgram("kubectl"),
    kubernetesProgram("helm"),
  ]);
  const caFile = join(directory, "certificates/apiserver.crt");
  const config = join(directory, "kubeconfig");
  const named = (what: string, value: unknown) => [{ name: "test", [what]: value }];
  Deno.writeTextFileSync(
    config,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      clusters: named("cluster", { server: url, "certificate-authority": caFile }),
      users: named("user", { token: ADMIN }),
      contexts: named("context", { cluster: "test", user: "test" }),
    }),
  );
  const env = { KUBECONFIG: config, HOME: directory };
  const input = join(directory, "input.yaml");
  return {
    directory,
    caFile,
    kubectl(args: readonly string[], text?: string) {
      if (text === undefined) return outputOf(kubectl, args, { env });
      Deno.writeTextFileSync(input, text);
      return outputOf(kubectl, [...args, "--filename", input], { env });
    },
    helm: (args: readonly string[]) => outputOf(helm, args, { env }),
  };
}

function freePorts(count: number): number[] {
  const listeners = Array.from(
    { length: count },
    () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
  );
  return listeners.map((listener) => {
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    return port;
  });
}

/** The file of a kustomization beside the manifests. */
const HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";

/** What kustomize builds of `text` in a directory beside the manifests. */
export async function built({ kubectl, directory }: Cluster, text: string): Promise<string> {
  const own = Deno.makeTempDirSync({ dir: directory });
  Deno.symlinkSync(manifests, join(own, "kubernetes"));
  Deno.writeTextFileSync(join(own, "kustomization.yaml"), HEAD + text);
  return await succeeded(kubectl(["kustomize", own]));
}

/** The server writes on its own, too; a guard's requests have its name. */
const writesIn = (log: string): Write[] =>
  log.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
    .filter(({ userAgent }) => userAgent.startsWith("oomkit"))
    .map(({ verb, objectRef: { name } }) => ({ verb, name }));

/** @returns what it printed. */
export async function succeeded(ran: Promise<Ran>): Promise<string> {
  const { code, stdout, stderr } = await ran;
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}
