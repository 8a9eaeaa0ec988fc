/** Receivers that cannot be opened: one line and exit 2. */

import assert from "node:assert/strict";
import { makeDirectory } from "../../helpers/directory.ts";
import { runEach } from "../../helpers/run_each.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

const BAD_PEM = "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n";

for (const command of ["watch", "guard"]) {
  Deno.test(`${command} reports a receiver that it cannot open in one line`, async () => {
    using tree = makeTree(2, { "/a": { "memory.max": 209715200 } });
    using directory = makeDirectory();
    const empty = directory.write("empty", "\n");
    const pem = directory.write("ca.pem", BAD_PEM);
    const token = directory.write("token", "t");
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await new Deno.Command("mkfifo", { args: [`${directory.path}/fifo`] }).output();
    const hook = ["--webhook-url", "https://localhost/"];
    const cluster = ["--kubernetes", "--kubernetes-api", "https://localhost:1"];
    const refused: [string[], RegExp][] = [
      [
        ["--log-file", `${directory.path}/none/x`],
        /cannot open the log file .*none\/x: No such file/,
      ],
      [["--log-file", `${directory.path}/fifo`], /cannot open the log file .*fifo: it is a FIFO/],
      [["--log-file", directory.path], /cannot open the log file .*: Is a directory/],
      [
        ["--webhook-url", "localhost"],
        /cannot use --webhook-url localhost: it is not a URL; use one/,
      ],
      [
        ["--webhook-url", "unix:x"],
        /cannot use --webhook-url unix:x: the path of the socket is not absolute; use/,
      ],
      [
        [...hook, "--webhook-secret-file", `${directory.path}/no`],
        /cannot read the secret in .*No such/,
      ],
      [[...hook, "--webhook-secret-file", empty], /cannot sign with the secret in .*: it is empty/],
      [
        [...hook, "--webhook-ca", `${directory.path}/no`],
        /cannot read the certificates in .*No such/,
      ],
      [[...hook, "--webhook-ca", pem], /cannot use the certificates for the webhook/],
      [
        [...hook, "--webhook-header", "nothing"],
        /cannot use --webhook-header nothing: it is not a header; write 'Name: value'/,
      ],
      [[...hook, "--webhook-timeout", "0s"], /cannot use --webhook-timeout 0s: it is too short/],
      [[...hook, "--webhook-format", "xml"], /cloudevents, oom-guard/],
      [
        [...hook, "--webhook-secret-file", `${directory.path}/fifo`],
        /cannot read the secret in .*fifo: it is a FIFO; name a readable regular file/,
      ],
      [
        [...hook, "--webhook-ca", "/dev/zero"],
        /cannot read the certificates in \/dev\/zero: it is not a regular file/,
      ],
      [
        ["--webhook-secret-file", empty],
        /cannot use --webhook-secret-file without --webhook-url; add --webhook-url$/m,
      ],
      [["--webhook-header", "a: b"], /cannot use --webhook-header without --webhook-url/],
      [["--webhook-ca", pem], /cannot use --webhook-ca without --webhook-url/],
      [["--webhook-timeout", "1s"], /cannot use --webhook-timeout without --webhook-url/],
      [
        ["--webhook-format", "oom-guard"],
        /cannot use --webhook-format without --webhook-url or --kubernetes-events/,
      ],
      [["--exec-timeout", "1s"], /cannot use --exec-timeout without --exec/],
      [
        ["--kubernetes-api", "https://localhost:1"],
        /cannot use --kubernetes-api without --kubernetes or --kubernetes-events/,
      ],
      [["--kubernetes-token-file", token], /cannot use --kubernetes-token-file without/],
      [["--kubernetes-ca", pem], /cannot use --kubernetes-ca without/],
      [["--event-types", "oom,kills"], /"kills" is not one of /],
      [
        ["--exec", "true", "--exec-timeout", "0ms"],
        /cannot use --exec-timeout 0ms: it is too short/,
      ],
      [["--listen", "here:there"], /here:there/],
      [["--listen", `:${taken.addr.port}`], /cannot listen on 127\.0\.0\.1:\d+: .*in use/],
      [["--listen", "192.0.2.1:9101"], /cannot listen on 192\.0\.2\.1:9101/],
      [["--kubernetes"], /its name is not known; give --node-name, or set NODE_NAME/],
      [["--kubernetes", "--node-name", "n"], /this is no pod|KUBERNETES_SERVICE_HOST/],
      [
        [...cluster, "--node-name", "n"],
        /cannot use the token in .*: it does not exist; give a file/,
      ],
      [[...cluster, "--kubernetes-token-file", token, "--node-name", "a b"], /"a b"/],
      [
        [...cluster, "--kubernetes-token-file", token, "--node-name", "n", "--kubernetes-ca", pem],
        /ca\.pem/,
      ],
    ];
    const words = [command, "--root", tree.dir, "--for", "1ms"];
    const ran = await runEach(refused.map(([flags]) => [...words, ...flags, "/a"]), {
      env: { OOMKIT_STATE_DIR: "/dev/null/nowhere", NODE_NAME: "", KUBERNETES_SERVICE_HOST: "" },
      wrap: ["timeout", "60"],
    });
    for (const [n, [flags, expected]] of refused.entries()) {
      const { code, stdout, stderr } = ran[n]!;
      assert.equal(code, 2, `${flags}: ${stderr}`);
      assert.equal(stdout, "", flags.join(" "));
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
      assert.match(stderr, expected);
    }
  });
}

Deno.test("an environment variable without its required option is ignored", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 209715200 } });
  const { code, stderr } = await runOomkit(["watch", "--root", tree.dir, "--for", "1ms", "/a"], {
    env: { OOMKIT_WEBHOOK_TIMEOUT: "1s", OOMKIT_KUBERNETES_CA: "/nonexistent" },
  });
  assert.equal(code, 0, stderr);
});

Deno.test("a full disk under the log is reported once, and the command continues", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 209715200 } });
  const words = ["watch", "--root", tree.dir, "--for", "1ms", "--log-file", "/dev/full", "/a"];
  const { code, stdout, stderr } = await runOomkit([...words, "--json"]);
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout.trim().split("\n").at(-1)!).type, "summary");
  assert.match(stderr, /cannot write to \/dev\/full: No space left on device/);
  assert.match(stderr, /could not write to \/dev\/full: \d+ reports? (was|were) dropped/);
});

Deno.test("a program of --exec or of a hook that is not there is reported at the start, and the run goes on", async () => {
  using tree = makeTree(2, { "/a": { "memory.current": 1, "memory.max": 100 } });
  for (
    const [command, ...option] of [
      ["watch", "--exec", "./not-there.sh --now"],
      ["guard", "--on-warn", "exec:./not-there.sh --now"],
    ] as const
  ) {
    const args = [command, "--root", tree.dir, "/a", "--for", "10ms", "--dry-run", ...option];
    const { code, stderr } = await runOomkit(
      args.filter((arg) => command === "guard" || arg !== "--dry-run"),
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^(--)?exec: there is no program \.\/not-there\.sh that can be run$/m);
  }
});
