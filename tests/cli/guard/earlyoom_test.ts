import assert from "node:assert/strict";
import { fromEarlyoom, isEarlyoom } from "../../../cli/guard/earlyoom.ts";
import { OomkitError } from "../../../core/errors.ts";
import { stateless } from "../../helpers/configured.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";

const GIB = 1024 ** 3;
const MEMINFO = { total: 4 * GIB, swapTotal: 2 * GIB };

/** The value of an option in the translation. */
function translated(words: readonly string[], option: string): string | undefined {
  const result = fromEarlyoom(["--as", "earlyoom", ...words], MEMINFO);
  const at = result.indexOf(option);
  return at < 0 ? undefined : result[at + 1];
}

Deno.test("a command line is earlyoom's after --as earlyoom", () => {
  assert.ok(isEarlyoom(["--as", "earlyoom"]));
  assert.ok(isEarlyoom(["-m", "5", "--as=earlyoom"]));
  assert.ok(!isEarlyoom(["-r", "/kubepods", "--as"]));
  assert.ok(!isEarlyoom(["earlyoom"]));
});

Deno.test("without options SIGTERM is sent at 10 % and SIGKILL at 5 % of memory, with less than 10 % of swap free", () => {
  assert.equal(translated([], "--critical"), "90%");
  assert.equal(translated([], "--margin-ratio"), "0.05");
  assert.equal(translated([], "--swap"), "90%");
  assert.equal(translated([], "--grace-period"), "10s");
  assert.equal(translated([], "--on-critical"), "process");
  assert.ok(fromEarlyoom([], MEMINFO).includes("--machine"));
});

Deno.test("percentages of what is available become levels of what is used", () => {
  assert.equal(translated(["-m", "4"], "--critical"), "96%");
  assert.equal(translated(["-m", "4"], "--margin-ratio"), "0.02");
  assert.equal(translated(["-m8,1"], "--critical"), "92%");
  assert.equal(translated(["-m8,1"], "--margin-ratio"), "0.01");
  assert.equal(translated(["-m", "50"], "--warn"), "50%", "warn is not above critical");
  assert.equal(translated(["-s", "25"], "--swap"), "75%");
  assert.equal(translated(["-s", "100"], "--swap"), "ignore");
});

Deno.test("of a percentage for SIGKILL above that for SIGTERM the higher one counts for both", () => {
  assert.equal(translated(["-m", "5,10"], "--critical"), "90%");
  assert.equal(translated(["-m", "5,10"], "--margin-ratio"), "0.1");
});

Deno.test("sizes are KiB, and of a size and a percentage the lower one counts", () => {
  const gib = String(GIB / 1024);
  assert.equal(translated(["-M", gib], "--critical"), "75%");
  assert.equal(translated(["-M", gib, "-m", "10"], "--critical"), "90%");
  assert.equal(translated(["-M", gib, "-m", "10,8"], "--margin-ratio"), "0.08");
  assert.equal(
    translated(["-M", `${gib},${4 * 1024}`, "-m", "10,8"], "--margin-ratio"),
    "0.000977",
  );
  assert.equal(translated(["-S", gib], "--swap"), "50%");
  assert.equal(fromEarlyoom(["-S", gib], { total: GIB, swapTotal: 0 }).includes("90%"), true);
});

Deno.test("a script is run with the victim's pid and name, and what both have is passed on", () => {
  const actions = translated(["-N", "/usr/local/bin/report"], "--on-critical");
  assert.match(actions!, /^process,exec:.*EARLYOOM_PID=\$OOMKIT_EVENT_VICTIM_PID .*\/report$/);
  const words = ["-nd", "-r", "60", "--prefer", "^java$", "--avoid=sshd", "--dryrun", "--json"];
  const rest = fromEarlyoom(words, MEMINFO).slice(-5);
  assert.deepEqual(rest, ["--prefer", "^java$", "--avoid=sshd", "--dry-run", "--json"]);
  assert.equal(translated([], "--match"), "name");
});

Deno.test("quotes that a shell leaves in EARLYOOM_ARGS are taken away", () => {
  const words = ["-m", "'5'", "--prefer", "'(^|/)java$'", '--avoid="^(init|sshd)$"'];
  const result = fromEarlyoom(words, MEMINFO);
  assert.deepEqual(result.slice(-3), ["--prefer", "(^|/)java$", "--avoid=^(init|sshd)$"]);
  assert.equal(translated(words, "--critical"), "95%");
});

Deno.test("--policy container is the action at both levels", () => {
  for (const words of [["--policy", "container"], ["--policy=container"]]) {
    assert.equal(translated(words, "--on-critical"), "container");
    assert.equal(
      translated([...words, "-N", "/bin/true"], "--on-imminent")?.split(",")[0],
      "container",
    );
    assert.ok(!fromEarlyoom(words, MEMINFO).some((word) => word.startsWith("--policy")));
  }
});

Deno.test("options that earlyoom ignores are accepted", () => {
  assert.deepEqual(fromEarlyoom(["-k", "-i", "-pv"], MEMINFO), fromEarlyoom([], MEMINFO));
});

Deno.test("what cannot be translated is refused", () => {
  const cases: readonly (readonly string[])[] = [
    ["-m"],
    ["-m", "much"],
    ["-m", "100"],
    ["-m", "0"],
    ["-s", "101"],
    ["-s", "0"],
    ["-M", "1000000,0.1"],
    ["--prefer", "^[[:alpha:]]+$"],
    ["--avoid=^[a[.hyphen.]]+$"],
    ["-N", "report"],
    ["-N", "/bin/sh -c x"],
    ["-g"],
    ["-P", "/bin/true"],
    ["-dx"],
    ["--prefer", "'^a"],
    ["--sort-by-rss"],
    ["--ignore-root-user"],
  ];
  for (const words of cases) {
    assert.throws(() => fromEarlyoom(words, MEMINFO), OomkitError, words.join(" "));
  }
});

Deno.test("the translation is a valid configuration of a guard", async () => {
  const words = "--as earlyoom -m 10,5 -s 90 -r 3600 -n -N /bin/true --prefer java --ignore ^x$";
  const ran = await runOomkit(["guard", ...words.split(" "), "--check-config"], { env: stateless });
  // In a container the machine is not visible.
  if (ran.code === 2) return assert.match(ran.stderr, /cannot guard the machine/);
  assert.match(
    ran.stdout,
    /warn 65% noop, critical 90% process\+exec:.*true, imminent process\+exec.*swap 10%/,
    ran.stderr,
  );
  assert.match(ran.stdout, /names matched/);
});
