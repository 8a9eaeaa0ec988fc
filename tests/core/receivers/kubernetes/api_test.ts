import assert from "node:assert/strict";
import { OomkitError } from "../../../../core/errors.ts";
import { KubernetesApi } from "../../../../core/receivers/kubernetes/api.ts";
import { certificates } from "../../../helpers/certificates.ts";
import { type KubernetesServer, startKubernetes } from "../../../helpers/kubernetes_api.ts";
import type { Misbehaviour } from "../../../helpers/kubernetes_misbehaviour.ts";

function openTo(server: KubernetesServer, options: { timeout?: number; caFile?: string } = {}) {
  const lines: string[] = [];
  const api = new KubernetesApi({
    url: server.url,
    tokenFile: server.tokenFile,
    caFile: server.caFile,
    warn: (line) => void lines.push(line),
    ...options,
  });
  return { api, lines, [Symbol.dispose]: () => api.close() };
}

const list = {
  verb: "list",
  resource: "pods",
  query: { fieldSelector: "spec.nodeName=n" },
} as const;

/** As the kubelet replaces a token: renames a new file over the old one. */
async function replace(path: string, text: string) {
  await Deno.writeTextFile(`${path}.new`, text);
  await Deno.rename(`${path}.new`, path);
}

async function why(opened: ReturnType<typeof openTo>): Promise<string> {
  const answer = await opened.api.send(list);
  assert.notEqual(answer.is, "ok");
  return `${answer.is}: ${"why" in answer ? answer.why : ""}`;
}

Deno.test("in a pod the address and files are found, and the token is sent", async () => {
  await using server = await startKubernetes();
  const { hostname, port } = new URL(server.url);
  const env: Record<string, string> = {
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
  };
  const api = new KubernetesApi({
    warn: assert.fail,
    environment: { env: (name) => env[name], mount: server.mount },
  });
  assert.equal((await api.send(list)).is, "ok");
  assert.equal(server.seen[0]!.authorization, "Bearer first-token");
  api.close();
});

Deno.test("a replaced token is used from the next request on", async () => {
  await using server = await startKubernetes();
  using opened = openTo(server);
  assert.equal((await opened.api.send(list)).is, "ok");
  server.token = "second-token";
  await replace(server.tokenFile, "second-token");
  assert.equal((await opened.api.send(list)).is, "ok");
  assert.deepEqual(server.seen.map(({ status }) => status), [200, 200]);
});

Deno.test("a rejected token is read again, even when its file looks unchanged", async () => {
  await using server = await startKubernetes();
  const fixed = new Date(1_700_000_000_000);
  await Deno.writeTextFile(server.tokenFile, "token-1");
  await Deno.utime(server.tokenFile, fixed, fixed);
  server.token = "token-1";
  using opened = openTo(server);
  assert.equal((await opened.api.send(list)).is, "ok");
  // Same file, same length, same time.
  await Deno.writeTextFile(server.tokenFile, "token-2");
  await Deno.utime(server.tokenFile, fixed, fixed);
  server.token = "token-2";
  assert.equal((await opened.api.send(list)).is, "ok");
  assert.deepEqual(server.seen.map(({ status }) => status), [200, 401, 200]);
});

Deno.test("an expired token is reported as such, and is not sent again", async () => {
  await using server = await startKubernetes();
  server.token = "another";
  using opened = openTo(server);
  assert.match(await why(opened), /^unauthorized: 401, the token is not accepted \(expired/);
  assert.equal(server.seen.length, 1);
});

Deno.test("an unreadable token file is reported once, and the last token stays in use", async () => {
  await using server = await startKubernetes();
  using opened = openTo(server);
  await Deno.remove(server.tokenFile);
  assert.equal((await opened.api.send(list)).is, "ok");
  assert.equal((await opened.api.send(list)).is, "ok");
  assert.deepEqual(opened.lines, [
    `the token in ${server.tokenFile} cannot be used: it does not exist`,
  ]);
  server.token = "second-token";
  assert.match(
    await why(opened),
    /^unauthorized: .*the token in .* cannot be used: it does not exist/,
  );
  await replace(server.tokenFile, "second-token");
  assert.equal((await opened.api.send(list)).is, "ok");
});

Deno.test("a server of another authority gets no request", async () => {
  await using server = await startKubernetes({ tls: await certificates("another CA") });
  const { ca } = await certificates();
  await Deno.writeTextFile(server.caFile, ca);
  using opened = openTo(server);
  assert.equal(
    await why(opened),
    `unreachable: its certificate is not signed by the CA in ${server.caFile}`,
  );
  assert.deepEqual(server.seen, []);
});

Deno.test("a replaced CA is trusted from the next request on", async () => {
  const tls = await certificates("the next CA");
  await using server = await startKubernetes({ tls });
  await Deno.writeTextFile(server.caFile, (await certificates()).ca);
  using opened = openTo(server);
  assert.match(await why(opened), /not signed by/);
  await replace(server.caFile, tls.ca);
  assert.equal((await opened.api.send(list)).is, "ok");
});

Deno.test("a CA file that was replaced by garbage is reported, and the last CA stays trusted", async () => {
  await using server = await startKubernetes();
  using opened = openTo(server);
  await replace(server.caFile, "garbage");
  assert.equal((await opened.api.send(list)).is, "ok");
  assert.deepEqual(opened.lines, [
    `the CA in ${server.caFile} cannot be used: it has no certificate`,
  ]);
});

Deno.test("a certificate for another name is refused", async () => {
  await using server = await startKubernetes({ hostname: "127.0.0.2" });
  using opened = openTo(server);
  assert.match(await why(opened), /^unreachable: its certificate is not valid: .*[Nn]ame/);
});

Deno.test("a server is reached over IPv6", async () => {
  await using server = await startKubernetes({ hostname: "::1" });
  using opened = openTo(server);
  assert.equal((await opened.api.send(list)).is, "ok");
});

Deno.test("a missing RBAC rule is named by verb and resource", async () => {
  await using server = await startKubernetes();
  server.forbidden.add("list pods").add("create events");
  using opened = openTo(server);
  assert.match(
    await why(opened),
    /^forbidden: 403, the service account may not list pods in all namespaces; an RBAC rule is missing: apiGroups \[""\], resources \["pods"\], verbs \["list"\]: .*system:serviceaccount:kube-system:oomkit/,
  );
  const answer = await opened.api.send({
    verb: "create",
    resource: "events",
    namespace: "default",
    body: {},
  });
  assert.match(
    "why" in answer ? answer.why : "",
    /may not create events in namespace default; .*resources \["events"\], verbs \["create"\]/,
  );
});

Deno.test("an answer that is not from an API server is reported in one line, in time", async () => {
  const cases: [Misbehaviour, RegExp][] = [
    ["429", /^busy: 429, too many requests/],
    ["500", /^busy: it answered 500: etcdserver: request timed out/],
    ["hang", /^unreachable: nothing arrived within 0.3 s/],
    ["garbage", /^garbage: its answer is not a Kubernetes object: <html> \[31mWelcome/],
    ["endless", /^garbage: its answer has more than 262144 bytes/],
    ["redirect", /^garbage: it redirects to https:\/\/elsewhere.test\/, which is not followed/],
    ["half", /^unreachable: ./],
  ];
  for (const [wrong, message] of cases) {
    await using server = await startKubernetes();
    server.misbehave = () => wrong;
    using opened = openTo(server, { timeout: wrong === "hang" ? 300 : 10_000 });
    const line = await why(opened);
    assert.match(line, message);
    assert.ok(!/\p{Cc}/u.test(line), JSON.stringify(line));
    assert.deepEqual(server.seen.map(({ path }) => path), ["/api/v1/pods"], wrong);
  }
});

Deno.test("Retry-After is respected", async () => {
  await using server = await startKubernetes();
  server.misbehave = () => "429";
  using opened = openTo(server);
  const answer = await opened.api.send(list);
  assert.equal("after" in answer && answer.after, 1000);
});

Deno.test("a refused connection is reported", async () => {
  const server = await startKubernetes();
  const kept = await Deno.makeTempDir({ prefix: "oomkit-kubernetes-" });
  await Deno.copyFile(server.tokenFile, `${kept}/token`);
  await Deno.copyFile(server.caFile, `${kept}/ca.crt`);
  const { url } = server;
  await server[Symbol.asyncDispose]();
  const api = new KubernetesApi({
    url,
    tokenFile: `${kept}/token`,
    caFile: `${kept}/ca.crt`,
    warn: assert.fail,
  });
  const answer = await api.send(list);
  assert.deepEqual(answer, { is: "unreachable", why: "tcp connect error: Connection refused" });
  api.close();
  await Deno.remove(kept, { recursive: true });
});

Deno.test("a request ends with the program", async () => {
  await using server = await startKubernetes();
  server.misbehave = () => "hang";
  using opened = openTo(server);
  const ending = new AbortController();
  const answer = opened.api.send(list, ending.signal);
  await server.next(() => true);
  ending.abort(new Error("oomkit is stopping"));
  assert.deepEqual(await answer, { is: "unreachable", why: "oomkit is stopping" });
});

Deno.test("unusable files are refused at start, with a hint", async () => {
  await using server = await startKubernetes();
  const { url, mount, tokenFile, caFile } = server;
  await Deno.writeTextFile(`${mount}/empty`, "\n");
  await Deno.writeTextFile(`${mount}/words`, "two words");
  await Deno.writeTextFile(
    `${mount}/bad.crt`,
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  );
  const refused: [object, RegExp][] = [
    [
      { tokenFile: `${mount}/none` },
      /^cannot use the token in .*none: it does not exist; give a file/,
    ],
    [{ tokenFile: mount }, /it is not a file/],
    [{ tokenFile: "/dev/zero" }, /it is not a file/],
    [{ tokenFile: `${mount}/empty` }, /it is empty/],
    [{ tokenFile: `${mount}/words` }, /it is not a token, but several words/],
    [{ caFile: `${mount}/none` }, /^cannot use the CA in .*none: it does not exist; give the cert/],
    [{ caFile: tokenFile }, /it has no certificate/],
    [{ caFile: `${mount}/bad.crt` }, /BadEncoding/],
  ];
  for (const [options, message] of refused) {
    assert.throws(
      () => new KubernetesApi({ url, tokenFile, caFile, warn: assert.fail, ...options }),
      (error) => {
        assert.ok(error instanceof OomkitError);
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

Deno.test("an idle watch ends with the program, also after garbage collections", async () => {
  await using server = await startKubernetes();
  using opened = openTo(server);
  const ending = new AbortController();
  const query = { ...list.query, watch: "1", resourceVersion: "1000" };
  const stream = await opened.api.open({ ...list, query }, ending.signal, 60_000);
  assert.ok(stream.is === "ok");
  server.bookmark();
  assert.match((await stream.text.next()).value, /BOOKMARK/);
  // Some hundred MiB, so that V8 must collect.
  for (let at = 0; at < 60; at++) {
    new Array(500_000).fill(at);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const next = assert.rejects(stream.text.next(), /oomkit is stopping/);
  ending.abort(new Error("oomkit is stopping"));
  await next;
});
