/** Error messages for mistakes in the configuration file. */

import assert from "node:assert/strict";
import { check, checkEach, makeNode, write } from "../../helpers/configured.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";

Deno.test("a mistake is one line with the file, the line number and a correction", async () => {
  using tree = makeNode();
  const rule = '[[guard.rule]]\ncgroup = "/a"\n';
  const mistakes: [string, RegExp][] = [
    ["[guard]\nwarn = \n", /:2:8: invalid value/],
    ["[guard]\n\nwarm = 60\n", /:3: "warm" is not an option; did you mean warn\?/],
    ["[guard]\nwarn = 160\n", /:2: warn = 160: .*out of range/],
    ["[guard]\nwarn = true\n", /:2: warn must be a string or a number/],
    ["[guard]\nrecursive = 1\n", /:2: recursive must be true or false/],
    ['[guard]\nwarn = ["1%", "2%"]\n', /:2: warn takes one value/],
    [
      "[guard]\nrestore = true\n",
      /:2: a file cannot set restore; write: --restore/,
    ],
    ['[guard]\ntargets = "/a"\n', /:2: targets must be a list of strings; write targets = /],
    ["\n[gaurd]\nwarn = 1\n", /:2: "gaurd" is not a command; did you mean \[guard\]\?/],
    ["guard = 1\n", /:1: guard is not a table; write \[guard\]/],
    [
      '[guard.rule]\ncgroup = "/a"\n',
      /:1: rule must be a list of tables; write \[\[guard\.rule\]\]/,
    ],
    [`${rule}wran = 1\n`, /:3: a rule cannot set "wran"; did you mean warn\?/],
    [`${rule}listen = ":1"\n`, /:3: a rule cannot set "listen"; the keys of a rule are name, /],
    [`${rule}${rule}mode = "fast"\n`, /:5: mode = "fast": .*auto, notify, throttle, hold/],
    [`${rule}exempt = true\nwarn = 1\n`, /:4: warn has no effect in a rule with exempt = true/],
    ['[[guard.rule]]\nname = "x"\n', /:1: the rule selects no cgroups; add cgroup/],
    ['[[guard.rule]]\ncgroup = "kubepods"\n', /:2: "kubepods" is not a cgroup path; begin with \//],
    ['[[guard.rule]]\npod-labels = ["a"]\n', /:2: pod-labels must be a table of strings; write/],
    [`${rule}name = "x"\n${rule}name = "x"\n`, /:6: the name "x" is used twice/],
    [`${rule}avoid = "("\n`, /:3: avoid = "\(": cannot read the expression/],
    ["[watch]\nthreshold = 65536\nunti = 1\n", /:3: "unti" is not an option; did you mean until\?/],
    ["[inspect]\nfor = 1\n", /:2: "for" is not an option/],
    ["[simulate]\nmb = -1\n", /:2: mb = -1: /],
    ["[simulate]\nrate = 10\n", /:2: rate = 10: .* did you mean 10M\/s\?$/m],
    ["[watch]\npoll = 5\n", /:2: poll = 5: .* did you mean 5s or 5ms\?$/m],
    ["[watch]\nthreshold = [65]\n", /:2: threshold = 65: .* did you mean 65% or 65M\?$/m],
    ['[watch]\nuntil = "oom-kill"\n', /:2: until = "oom-kill": .* did you mean oom_kill\?$/m],
    ['[guard]\nmode = "thottle"\n', /:2: mode = "thottle": .* did you mean throttle\?$/m],
  ];
  using files = new DisposableStack();
  const ran = await checkEach(tree, mistakes.map(([text]) => files.use(write(text))));
  for (const [n, [text, expected]] of mistakes.entries()) {
    const { code, stdout, stderr } = ran[n]!;
    assert.equal(code, 2, text);
    assert.equal(stdout, "", text);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.match(stderr, expected, text);
    assert.match(stderr, /^oomkit: cannot (use|read) .*config\.toml:/, text);
  }
});

Deno.test("all mistakes of a file are reported at once, each on a line with its own number", async () => {
  using tree = makeNode();
  using file = write(`[watsh]
json = true

[guard]
warm = 60
mode = "fast"

[[guard.rules]]
cgroup = "/a"

[[guard.rules]]
cgroup = "/b"

[[guard.rule]]
cgroup = "a"
wran = 1
critical = "much"

[[guard.rule]]
name = 1
`);
  const { code, stdout, stderr } = await check(tree, file);
  assert.deepEqual([code, stdout], [2, ""]);
  const lines = stderr.trimEnd().split("\n");
  const numbers = lines.map((line) =>
    Number(/^oomkit: cannot use .*config\.toml:(\d+): /.exec(line)?.[1])
  );
  assert.deepEqual(numbers.toSorted((a, b) => a - b), [1, 5, 6, 8, 11, 15, 16, 17, 19, 20]);
  for (const line of lines.filter((line) => line.includes("rules"))) {
    assert.match(line, /"rules" is not an option; did you mean rule\?$/);
  }
});

Deno.test("mistakes in the tables of several commands are reported by --check-config", async () => {
  using tree = makeNode();
  using file = write("[watch]\nunti = 1\n[simulate]\nmb = -1\n");
  const { stderr } = await check(tree, file);
  assert.match(stderr, /^oomkit: .*:2: "unti" is not an option.*\noomkit: .*:4: mb = -1: .*\n$/);
});

Deno.test("the error of a contradictory rule names the rule", async () => {
  using tree = makeNode();
  const rule = (what: string) => `[[guard.rule]]\nname = "x"\ncgroup = "/kubepods/*"\n${what}\n`;
  for (
    const [text, expected] of [
      [
        rule("warn = 95"),
        /config\.toml:1: cannot use --warn 95% and --critical 90%: warn is above critical/,
      ],
      [rule('mode = "hold"'), /cannot use --mode hold in the rule "x": cgroup v2 cannot/],
    ] as const
  ) {
    using file = write(text);
    const { code, stderr } = await check(tree, file);
    assert.equal(code, 2, text);
    assert.match(stderr, expected);
  }
});

Deno.test("the error of a contradictory table names the file", async () => {
  using tree = makeNode();
  for (
    const [text, args, expected] of [
      ["warn = 90\ncritical = 70", [], /--warn 90% and --critical 70% \(\[guard\] in /],
      ["critical = 50", [], /\(\[guard\] in .*config\.toml\): warn is above critical/],
      [
        'min-margin = "9M"\nmax-margin = "2M"',
        [],
        /\(\[guard\] in .*config\.toml\): the minimum is above the maximum/,
      ],
      ["warn = 90", ["--warn", "80%", "--critical", "70%"], /--critical 70%: warn is above/],
    ] as const
  ) {
    using file = write(`[guard]\n${text}\n`);
    const { code, stderr } = await check(tree, file, ...args);
    assert.equal(code, 2, text);
    assert.match(stderr, expected);
  }
});

Deno.test("a file that is not regular or too large is refused without reading it", async () => {
  using large = write("#".repeat(1024 ** 2 + 1));
  const fifo = large.path.replace("config.toml", "fifo");
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const refused: [string, RegExp][] = [
    [fifo, /fifo: it is a FIFO; name a readable regular file/],
    ["/dev/zero", /\/dev\/zero: it is not a regular file/],
    ["/", /\/: it is a directory/],
    [large.path, /it has 1048577 bytes; .*at most 1 MiB/],
  ];
  for (const [path, expected] of refused) {
    const ran = await runOomkit(["inspect", "--config", path], { wrap: ["timeout", "60"] });
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(ran.stderr, /^oomkit: cannot read the configuration /);
    assert.match(ran.stderr, expected);
  }
});
