import assert from "node:assert/strict";
import { OomkitError } from "../../../../core/errors.ts";
import { serviceAccountOf } from "../../../../core/receivers/kubernetes/service_account.ts";

const mount = "/nowhere/serviceaccount";
const around = (env: Record<string, string> = {}) => ({ env: (name: string) => env[name], mount });

Deno.test("in a pod the address is the environment's, and the token the mount's", () => {
  const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };
  assert.deepEqual(serviceAccountOf({}, around(env)), {
    url: "https://10.96.0.1",
    tokenFile: `${mount}/token`,
  });
});

Deno.test("an IPv6 address gets its brackets", () => {
  const env = { KUBERNETES_SERVICE_HOST: "fd00:10:96::1", KUBERNETES_SERVICE_PORT: "6443" };
  assert.equal(serviceAccountOf({}, around(env)).url, "https://[fd00:10:96::1]:6443");
});

Deno.test("what is named goes before what is found", () => {
  const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1" };
  const named = { url: "https://api.test:6443/prefix/", tokenFile: "/t", caFile: "/c" };
  assert.deepEqual(serviceAccountOf(named, around(env)), {
    ...named,
    url: "https://api.test:6443/prefix",
  });
});

Deno.test("kubectl proxy on this machine needs neither a token nor a certificate", () => {
  for (const url of ["http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"]) {
    assert.deepEqual(serviceAccountOf({ url }, around()), { url });
  }
});

Deno.test("an address that is none, or would leak the token, is refused with what would be right", () => {
  const refused: [Record<string, string>, RegExp][] = [
    [{}, /KUBERNETES_SERVICE_HOST is not set; run in a pod, or give its URL/],
    [{ url: "10.0.0.1:6443" }, /it is no URL|is not http/],
    [{ url: "ftp://10.0.0.1" }, /ftp: is not http/],
    [{ url: "http://10.0.0.1:8080" }, /is not encrypted; use https/],
    [{ url: "https://me:secret@10.0.0.1" }, /it has a password in it/],
    [{ url: "https://10.0.0.1/?a=b" }, /it goes on after the path/],
  ];
  for (const [options, message] of refused) {
    assert.throws(() => serviceAccountOf(options, around()), (error) => {
      assert.ok(error instanceof OomkitError);
      assert.match(error.message, message);
      return true;
    });
  }
});
