import assert from "node:assert/strict";
import { OomkitError } from "../../../../core/errors.ts";
import { serviceAccountOf } from "../../../../core/receivers/kubernetes/credentials.ts";

const mount = "/nowhere/serviceaccount";
const environment = (env: Record<string, string> = {}) => ({
  env: (name: string) => env[name],
  mount,
});

Deno.test("in a pod the address comes from the environment and the token from the mount", () => {
  const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };
  assert.deepEqual(serviceAccountOf({}, environment(env)), {
    url: "https://10.96.0.1",
    tokenFile: `${mount}/token`,
  });
});

Deno.test("an IPv6 address gets its brackets", () => {
  const env = { KUBERNETES_SERVICE_HOST: "fd00:10:96::1", KUBERNETES_SERVICE_PORT: "6443" };
  assert.equal(serviceAccountOf({}, environment(env)).url, "https://[fd00:10:96::1]:6443");
});

Deno.test("given values take precedence", () => {
  const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1" };
  const named = { url: "https://api.test:6443/prefix/", tokenFile: "/t", caFile: "/c" };
  assert.deepEqual(serviceAccountOf(named, environment(env)), {
    ...named,
    url: "https://api.test:6443/prefix",
  });
});

Deno.test("kubectl proxy on this machine needs neither a token nor a certificate", () => {
  for (const url of ["http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"]) {
    assert.deepEqual(serviceAccountOf({ url }, environment()), { url });
  }
});

Deno.test("an invalid address, or one that would leak the token, is refused with a hint", () => {
  const refused: [Record<string, string>, RegExp][] = [
    [{}, /KUBERNETES_SERVICE_HOST is not set; run in a pod, or give its URL/],
    [{ url: "10.0.0.1:6443" }, /it is not a URL|is not http/],
    [{ url: "ftp://10.0.0.1" }, /ftp: is not http/],
    [{ url: "http://10.0.0.1:8080" }, /would not be encrypted; use https/],
    [{ url: "https://me:secret@10.0.0.1" }, /it contains a password/],
    [{ url: "https://10.0.0.1/?a=b" }, /it has a query or a fragment/],
  ];
  for (const [options, message] of refused) {
    assert.throws(() => serviceAccountOf(options, environment()), (error) => {
      assert.ok(error instanceof OomkitError);
      assert.match(error.message, message);
      return true;
    });
  }
});
