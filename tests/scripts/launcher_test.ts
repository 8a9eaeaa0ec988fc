import assert from "node:assert/strict";
import { join, resolve } from "node:path";

const pinned = "2.7.11";

/** The programs that a launcher itself needs; a machine without these is none. */
const basics = ["readlink", "head", "grep", "sed", "tail", "uname"];

/** A copy of the launcher beside a program that tells about itself, under a path with a blank. */
const program = `
const [want] = Deno.args;
if (want === "wait") {
  Deno.addSignalListener("SIGTERM", () => Deno.exit(7));
  setInterval(() => {}, 1000);
}
console.log(JSON.stringify({ pid: Deno.pid, args: Deno.args, exe: Deno.execPath(), cwd: Deno.cwd(), calledAs: Deno.env.get("OOMKIT_CALLED_AS") }));
if (want?.startsWith("exit")) Deno.exit(Number(want.slice(4)));
`;

interface Tree extends Disposable {
  readonly directory: string;
  readonly launcher: string;
}

function tree(): Tree {
  const directory = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "oomkit launcher " }));
  Deno.mkdirSync(join(directory, "scripts"));
  Deno.mkdirSync(join(directory, "cli"));
  Deno.mkdirSync(join(directory, "bin"));
  for (const name of ["oomkit", "deno.sh"]) {
    Deno.copyFileSync(`scripts/${name}`, join(directory, "scripts", name));
  }
  Deno.writeTextFileSync(join(directory, "deno.json"), "{}");
  Deno.writeTextFileSync(join(directory, "cli/main.ts"), program);
  for (const name of basics) {
    const found = ["/usr/bin", "/bin"].map((bin) => join(bin, name)).find(isFile);
    if (found !== undefined) Deno.symlinkSync(found, join(directory, "bin", name));
  }
  return {
    directory,
    launcher: join(directory, "scripts/oomkit"),
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function addProgram(directory: string, name: string, text: string): void {
  Deno.writeTextFileSync(join(directory, "bin", name), text, { mode: 0o755 });
}

/** With nothing in PATH but the basics, and whatever the test puts there. */
function start({ directory, launcher }: Tree, args: string[], options: Deno.CommandOptions = {}) {
  const env = { PATH: join(directory, "bin"), HOME: directory, DENO_DIR: join(directory, "cache") };
  return new Deno.Command(options.cwd === undefined ? launcher : resolve(launcher), {
    args,
    clearEnv: true,
    ...options,
    env: { ...env, ...options.env },
    stdout: "piped",
    stderr: "piped",
  });
}

function outcome(command: Deno.Command) {
  const { code, stdout, stderr } = command.outputSync();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

Deno.test("without Deno and npx a launcher prints one line and exits with 2", () => {
  using here = tree();
  const { code, out, err } = outcome(start(here, ["inspect"]));
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.match(err, /^oomkit: cannot start: neither deno \(at least [\d.]+\) nor npx [^\n]*\n$/);
});

Deno.test("arguments, exit status and working directory pass through, from anywhere and through a symlink", () => {
  using here = tree();
  Deno.symlinkSync(Deno.execPath(), join(here.directory, "bin/deno"));
  Deno.symlinkSync(here.launcher, join(here.directory, "link"));
  for (const launcher of [here.launcher, join(here.directory, "link")]) {
    const { code, out, err } = outcome(
      start({ ...here, launcher }, ["exit9", "a b", "--x", "", "*"], { cwd: "/" }),
    );
    assert.equal(code, 9, err);
    assert.equal(err, "");
    const { args, cwd } = JSON.parse(out);
    assert.deepEqual(args, ["exit9", "a b", "--x", "", "*"]);
    assert.equal(cwd, "/");
  }
});

Deno.test("the launcher passes on the name with which it was called", () => {
  using here = tree();
  Deno.symlinkSync(Deno.execPath(), join(here.directory, "bin/deno"));
  const { out } = outcome(start(here, []));
  assert.equal(JSON.parse(out).calledAs, here.launcher);
});

Deno.test("the program replaces the launcher, and so receives its signals", async () => {
  using here = tree();
  Deno.symlinkSync(Deno.execPath(), join(here.directory, "bin/deno"));
  await using child = start(here, ["wait"]).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(JSON.parse(new TextDecoder().decode(value)).pid, child.pid);
  child.kill("SIGTERM");
  assert.equal((await child.status).code, 7);
  await reader.cancel();
  await child.stderr.cancel();
});

Deno.test("when deno in PATH is a script, the real executable is started", () => {
  using here = tree();
  addProgram(here.directory, "deno", `#!/bin/sh\n"${Deno.execPath()}" "$@"\n`);
  const { code, out, err } = outcome(start(here, []));
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).exe, Deno.execPath());
});

Deno.test("a deno that is too old is skipped, versions compared as numbers", () => {
  using here = tree();
  for (const version of ["1.99.99", "2.6.99", "2.7.2", "2.7", "nonsense"]) {
    addProgram(here.directory, "deno", `#!/bin/sh\necho "deno ${version}"\n`);
    assert.equal(outcome(start(here, [])).code, 2, version);
  }
  for (const version of [pinned, "2.7.12", "2.10.0", "3.0.0", "2.8.0-rc.1"]) {
    const body =
      `[ "$1" = -V ] && { echo "deno ${version}"; exit; }\nexec "${Deno.execPath()}" "$@"`;
    addProgram(here.directory, "deno", `#!/bin/sh\n${body}\n`);
    assert.equal(outcome(start(here, ["exit4"])).code, 4, version);
  }
});

Deno.test("npx is asked once for the path, and its failure is one line", () => {
  using here = tree();
  addProgram(
    here.directory,
    "npx",
    `#!/bin/sh\necho "npm warn noise" >&2\necho "deno=${Deno.execPath()}"\n`,
  );
  const { code, err } = outcome(start(here, ["exit3"]));
  assert.equal(err, "");
  assert.equal(code, 3);
  addProgram(
    here.directory,
    "npx",
    "#!/bin/sh\necho noise\necho 'npm error 404 not found' >&2\nexit 1\n",
  );
  const failed = outcome(start(here, ["exit3"]));
  assert.equal(failed.code, 2);
  assert.match(
    failed.err,
    /^oomkit: cannot fetch Deno [\d.]+ through npx: npm error 404 not found; [^\n]*\n$/,
  );
});

Deno.test("the program starts without a home directory", () => {
  using here = tree();
  Deno.symlinkSync(Deno.execPath(), join(here.directory, "bin/deno"));
  for (const HOME of ["", "/nonexistent", "/proc"]) {
    const { code, err } = outcome(start(here, ["exit5"], { env: { HOME } }));
    assert.equal(code, 5, err);
    assert.equal(err, "");
  }
});

/** Without its parent's mounts being touched, takes /proc away from what follows. */
const withoutProc = ["unshare", "--mount", "sh", "-c", 'umount -l /proc && exec "$0" "$@"'];
const mayTakeProcAway = Deno.build.os === "linux" &&
  new Deno.Command("sh", {
    args: ["-c", `${withoutProc.slice(0, 4).join(" ")} 'umount -l /proc'`],
    stdout: "null",
    stderr: "null",
  }).outputSync().success;

Deno.test({
  name: "without /proc, which Deno needs, a launcher prints one line",
  ignore: !mayTakeProcAway,
  fn: () => {
    using here = tree();
    const [unshare, ...rest] = withoutProc;
    const { code, err } = outcome(
      new Deno.Command(unshare!, {
        args: [...rest, here.launcher, "inspect"],
        stdout: "piped",
        stderr: "piped",
      }),
    );
    assert.equal(code, 2);
    assert.equal(
      err,
      "oomkit: cannot start: /proc is not mounted, and Deno needs it; mount it: mount -t proc proc /proc\n",
    );
  },
});
