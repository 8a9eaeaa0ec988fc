import assert from "node:assert/strict";
import { runOomkit } from "../../helpers/run_oomkit.ts";

/** In a pipe, on a fake tree that is full within 0.2 s. */
async function simulate(options: string, env: Record<string, string> = {}) {
  const parent = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const args = `simulate --fake ${parent}/tree --rate 100M/s --expect oom_kill ${options}`;
    return await runOomkit(args.trim().split(" "), {
      env: { LC_ALL: "C.UTF-8", TERM: "xterm", ...env },
    });
  } finally {
    Deno.removeSync(parent, { recursive: true });
  }
}

const PLOT = /^20\.0 MiB ┤━+✕/m;

Deno.test("in a pipe --plot prints the plot after the verdict, without colours", async () => {
  const { code, stdout, stderr } = await simulate("--plot");
  assert.equal(code, 0, stderr);
  assert.match(stdout.slice(stdout.indexOf("\nverdict ")), PLOT);
  assert.match(stdout, /^ +90% ┤╌*[▁-█]/m);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(stdout, /\x1b/);
  assert.doesNotMatch((await simulate("")).stdout, /┤/);
});

Deno.test("a variable asks for the plot as well, and --no-plot overrides it", async () => {
  assert.match((await simulate("", { OOMKIT_PLOT: "1" })).stdout, PLOT);
  assert.doesNotMatch((await simulate("--no-plot", { OOMKIT_PLOT: "1" })).stdout, /┤/);
});

Deno.test("with --ascii, or in a locale without UTF-8, the plot is plain ASCII", async () => {
  for (const ran of [await simulate("--plot --ascii"), await simulate("--plot", { LC_ALL: "C" })]) {
    assert.match(ran.stdout, /^20\.0 MiB \|=+X/m);
    const plot = ran.stdout.slice(ran.stdout.indexOf("20.0 MiB |"));
    // deno-lint-ignore no-control-regex
    assert.match(plot, /^[\x00-\x7f]*$/);
  }
});

Deno.test("a live view or plot that is not possible is reported in one line, and the output is as without it", async () => {
  const live = await simulate("--live");
  assert.equal(live.code, 0);
  assert.match(live.stderr, /^oomkit: no live view: stdout is not a terminal[^\n]*\n$/);
  assert.match(live.stdout, /^verdict /m);
  const json = await simulate("--plot --json");
  assert.equal(json.code, 0);
  assert.equal(json.stderr, "oomkit: no plot: the output is JSON\n");
  assert.equal(JSON.parse(json.stdout.trimEnd().split("\n").at(-1)!).type, "verdict");
});
