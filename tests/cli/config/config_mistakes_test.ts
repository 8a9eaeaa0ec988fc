/** How a mistake in the configuration file is told. */

import assert from "node:assert/strict";
import { check, makeNode, write } from "../../helpers/configured.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";

Deno.test("a mistake is one line with the file, its line, and what would be right", async () => {
  using tree = makeNode();
  const rule = '[[guard.rule]]\ncgroup = "/a"\n';
  const mistakes: [string, RegExp][] = [
    ["[guard]\nwarn = \n", /:2:8: invalid value/],
    ["[guard]\n\nwarm = 60\n", /:3: there is no option "warm"; did you mean warn\?/],
    ["[guard]\nwarn = 160\n", /:2: warn = 160: .*out of range/],
    ["[guard]\nwarn = true\n", /:2: warn takes a string or a number/],
    ["[guard]\nrecursive = 1\n", /:2: recursive is true or false/],
    ['[guard]\nwarn = ["1%", "2%"]\n', /:2: warn takes one value/],
    ["[guard]\nrestore = true\n", /:2: restore stands on the command line alone; write: --restore/],
    ['[guard]\ntargets = "/a"\n', /:2: targets is a list of texts; write targets = /],
    ["\n[gaurd]\nwarn = 1\n", /:2: there is no command "gaurd"; did you mean \[guard\]\?/],
    ["guard = 1\n", /:1: guard is no table; write \[guard\]/],
    ['[guard.rule]\ncgroup = "/a"\n', /:1: rule is no list of tables; write \[\[guard\.rule\]\]/],
    [`${rule}wran = 1\n`, /:3: a rule has no "wran"; did you mean warn\?/],
    [`${rule}listen = ":1"\n`, /:3: a rule has no "listen"; a rule has name, /],
    [`${rule}${rule}mode = "fast"\n`, /:5: mode = "fast": .*auto, notify, throttle, hold/],
    [`${rule}exempt = true\nwarn = 1\n`, /:4: warn means nothing where nothing is guarded/],
    ['[[guard.rule]]\nname = "x"\n', /:1: the rule does not say where it holds; add cgroup/],
    ['[[guard.rule]]\ncgroup = "kubepods"\n', /:2: "kubepods" is no path; begin with \//],
    ['[[guard.rule]]\npod-labels = ["a"]\n', /:2: pod-labels is a table of texts; write/],
    [`${rule}name = "x"\n${rule}name = "x"\n`, /:6: there is a rule "x" already/],
    [`${rule}avoid = "("\n`, /:3: avoid = "\(": cannot read the expression/],
    ["[watch]\nthreshold = 1\nunti = 1\n", /:3: there is no option "unti"; did you mean until\?/],
    ["[inspect]\nfor = 1\n", /:2: there is no option "for"/],
    ["[simulate]\nmb = -1\n", /:2: mb = -1: /],
  ];
  for (const [text, expected] of mistakes) {
    using file = write(text);
    const { code, stdout, stderr } = await check(tree, file);
    assert.equal(code, 2, text);
    assert.equal(stdout, "", text);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.match(stderr, expected, text);
    assert.match(stderr, /^oomkit: cannot (use|read) .*config\.toml:/, text);
  }
});

Deno.test("a rule that contradicts itself is told with its name", async () => {
  using tree = makeNode();
  const rule = (what: string) => `[[guard.rule]]\nname = "x"\ncgroup = "/kubepods/*"\n${what}\n`;
  for (
    const [text, expected] of [
      [
        rule("warn = 95"),
        /config\.toml:1: cannot use --warn 95% and --critical 90%: they are out of order/,
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

Deno.test("what contradicts itself in the table is told with the file", async () => {
  using tree = makeNode();
  const place = /\(\[guard\] in .*config\.toml\): they are out of order/;
  for (
    const [text, args, expected] of [
      ["warn = 90\ncritical = 70", [], /--warn 90% and --critical 70% \(\[guard\] in /],
      ["critical = 50", [], place],
      ['min-margin = "9M"\nmax-margin = "2M"', [], place],
      ["warn = 90", ["--warn", "80%", "--critical", "70%"], /--critical 70%: they are out of/],
    ] as const
  ) {
    using file = write(`[guard]\n${text}\n`);
    const { code, stderr } = await check(tree, file, ...args);
    assert.equal(code, 2, text);
    assert.match(stderr, expected);
  }
});

Deno.test("what is no regular file, or too large to be a configuration, is not waited for", async () => {
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
