import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { findProgram } from "../../scripts/guest_kernel/image.ts";
import { targetsAmong, wordOffences } from "../../scripts/manifests/flags.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { shellCommands } from "../helpers/shell_words.ts";
import { makeTree } from "../helpers/trees.ts";

const deploy = fileURLToPath(new URL("../../deploy", import.meta.url));
const UNITS = ["oomkit-guard.service", "oomkit.slice"];
const service = Deno.readTextFileSync(`${deploy}/systemd/${UNITS[0]}`);
const noSystemd = findProgram("systemd-analyze") === undefined;

const valuesOf = (key: string): string[] =>
  [...service.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value!);

function analyze(args: readonly string[], env = {}): { code: number; output: string } {
  const { code, stdout, stderr } = new Deno.Command("systemd-analyze", {
    args: [...args],
    env: { SYSTEMD_COLORS: "0", LC_ALL: "C.UTF-8", ...env },
  }).outputSync();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Copies of the units, with /bin/true in place of oomkit. */
function withUnits<T>(use: (paths: string[]) => T, change = (text: string) => text): T {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    return use(UNITS.map((name) => {
      const text = Deno.readTextFileSync(`${deploy}/systemd/${name}`);
      const path = `${directory}/${name}`;
      Deno.writeTextFileSync(path, change(text.replaceAll("/usr/bin/oomkit", "/bin/true")));
      return path;
    }));
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const verify = (paths: readonly string[]) => analyze(["verify", "--man=no", ...paths]);

Deno.test("systemd-analyze verify reports nothing for the units", { ignore: noSystemd }, () => {
  assert.deepEqual(withUnits(verify), { code: 0, output: "" });
  const spoilt = withUnits(verify, (text) => text.replace("WatchdogSec", "WatchDogSecs"));
  assert.match(spoilt.output, /Unknown key/);
});

Deno.test("the exposure level is the one in the document", { ignore: noSystemd }, () => {
  const { output } = withUnits(([path]) =>
    analyze(["security", "--offline=true", "--no-pager", path!])
  );
  const level = /Overall exposure level for \S+: ([\d.]+)/.exec(output)?.[1];
  const documented = /exposure level[^\d]*\*\*([\d.]+)\*\*/.exec(
    Deno.readTextFileSync(`${deploy}/README.md`),
  )?.[1];
  assert.equal(documented, level);
});

/** System calls of a guard that started, held, killed, ran a hook, restored and ended (strace -f -c; Deno 2.7.11, x86-64). */
const OBSERVED_CALLS =
  `access arch_prctl brk chdir clock_nanosleep clone clone3 close dup2 epoll_create1
  epoll_ctl epoll_wait eventfd2 execve fcntl fdatasync fgetxattr fstat futex getcwd getdents64
  getegid geteuid getgid getpid getppid getrandom gettid getuid inotify_add_watch inotify_init1
  inotify_rm_watch ioctl kill lseek madvise mkdir mlock2 mmap mprotect munmap newfstatat openat pidfd_open
  pidfd_send_signal pipe2 pkey_alloc poll prctl pread64 prlimit64 process_mrelease read readlink
  recvfrom rename rseq rt_sigaction rt_sigprocmask sched_getaffinity sched_getparam
  sched_getscheduler sched_setaffinity sched_setscheduler set_robust_list set_tid_address setgroups setsid sigaltstack
  socketpair statx sysinfo uname unlink wait4 write`.split(/\s+/);

/** Further ones for receivers, the metrics listener and the service manager's socket. */
const NETWORK_CALLS = ["socket", "connect", "bind", "listen", "accept4", "sendto", "sendmsg"];

Deno.test("the filter allows every system call that a guard makes", {
  ignore: noSystemd,
}, () => {
  const groups = syscallGroups(analyze(["syscall-filter", "--no-pager"]).output);
  const expand = (word: string): string[] =>
    word.startsWith("@") ? groups.get(word)!.flatMap(expand) : [word];
  const allowed = new Set(expand("@default"));
  for (const value of valuesOf("SystemCallFilter")) {
    const denies = value.startsWith("~");
    for (const call of value.replace(/^~/, "").split(" ").flatMap(expand)) {
      if (denies) allowed.delete(call);
      else allowed.add(call);
    }
  }
  assert.deepEqual([...OBSERVED_CALLS, ...NETWORK_CALLS].filter((call) => !allowed.has(call)), []);
  for (const call of ["ptrace", "mount", "init_module", "reboot", "bpf", "chown", "mlockall"]) {
    assert.ok(!allowed.has(call), call);
  }
});

function syscallGroups(text: string): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("@")) groups.set(line.trim(), current = []);
    else if (/^ {4}[@a-z_]/.test(line)) current.push(line.trim());
  }
  return groups;
}

Deno.test("the hardening keeps what the guard requires", () => {
  assert.deepEqual(valuesOf("CapabilityBoundingSet"), [
    "CAP_KILL CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYSLOG",
  ]);
  assert.deepEqual(valuesOf("AmbientCapabilities"), [""]);
  for (
    const fatal of [
      "MemoryDenyWriteExecute",
      "ProtectControlGroups",
      "ProtectKernelLogs",
      "PrivateDevices",
      "RestrictRealtime",
      "ProtectProc",
      "PrivateUsers",
      "CPUQuota",
      "CPUWeight",
    ]
  ) assert.deepEqual(valuesOf(fatal), [], fatal);
});

Deno.test("after any end of the guard its changes are restored from the journal", () => {
  assert.deepEqual(valuesOf("ExecStopPost"), ["/usr/bin/oomkit guard --restore"]);
  assert.deepEqual(valuesOf("RuntimeDirectory"), ["oomkit"]);
  assert.deepEqual(valuesOf("RuntimeDirectoryPreserve"), ["yes"]);
  assert.deepEqual(valuesOf("RuntimeDirectoryMode"), ["0700"]);
  assert.deepEqual(valuesOf("Type"), ["notify"]);
});

Deno.test("the program has every option in the unit", () => {
  for (const line of [...valuesOf("ExecStart"), ...valuesOf("ExecStopPost")]) {
    const [program, command, ...words] = line.split(" ");
    assert.equal(program, "/usr/bin/oomkit");
    assert.deepEqual(wordOffences(command!, words), []);
  }
});

Deno.test("the service is not restarted after a configuration error, but after a bug or a later failure", () => {
  assert.deepEqual(valuesOf("Restart"), ["on-failure"]);
  assert.deepEqual(valuesOf("RestartPreventExitStatus"), ["2"]);
});

const CONFIG = "/etc/oomkit/config.toml";

Deno.test("the targets are in the configuration, and no target in the unit overrides them", () => {
  const [, ...args] = valuesOf("ExecStart")[0]!.split(" ");
  assert.deepEqual(args, ["guard", "--config", CONFIG]);
  assert.deepEqual(targetsAmong(args[0]!, args.slice(1)), []);
  assert.deepEqual(targetsAmong("guard", ["--config", CONFIG, "/a", "-r", "/b"]), ["/a", "/b"]);
});

/** Where the document installs each file. */
function installed(): Map<string, string> {
  const text = Deno.readTextFileSync(`${deploy}/README.md`);
  const block = /^## systemd\n[^#]*?^```sh\n([\s\S]*?)^```$/m.exec(text)![1]!;
  const places = new Map<string, string>();
  for (const { words: [program, ...words] } of shellCommands(block)) {
    if (program !== "install") continue;
    const paths = words.filter((word, at) => !word.startsWith("-") && words[at - 1] !== "-m");
    const to = paths.pop()!;
    for (const path of paths) {
      places.set(path, to.endsWith("/") ? `${to}${path.split("/").at(-1)}` : to);
    }
  }
  return places;
}

Deno.test("the document installs every file that the units name", () => {
  const places = installed();
  for (const path of places.keys()) {
    // Built by `deno task compile`.
    if (path !== "dist/oomkit") assert.ok(Deno.statSync(`${deploy}/../${path}`).isFile, path);
  }
  assert.equal(places.get("dist/oomkit"), valuesOf("ExecStart")[0]!.split(" ")[0]);
  assert.equal(places.get("deploy/systemd/config.toml"), CONFIG);
  for (const name of UNITS) {
    assert.equal(places.get(`deploy/systemd/${name}`), `/etc/systemd/system/${name}`);
  }
  assert.deepEqual(valuesOf("Documentation"), ["man:oomkit(1)"]);
  assert.equal(places.get("docs/man/oomkit.1"), "/usr/share/man/man1/oomkit.1");
});

Deno.test("with the man page installed systemd finds the documentation", {
  ignore: noSystemd || findProgram("man") === undefined,
}, () => {
  const pages = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const verifyAll = () =>
    withUnits((paths) => analyze(["verify", "--man=yes", ...paths], { MANPATH: pages }));
  try {
    assert.match(verifyAll().output, /man page|oomkit\(1\)/);
    Deno.mkdirSync(`${pages}/man1`);
    Deno.copyFileSync(`${deploy}/../docs/man/oomkit.1`, `${pages}/man1/oomkit.1`);
    assert.deepEqual(verifyAll(), { code: 0, output: "" });
  } finally {
    Deno.removeSync(pages, { recursive: true });
  }
});

const limited = { "memory.max": 64 * 1024 ** 2, "memory.current": 1024 ** 2 };

Deno.test("the configuration guards the cgroups in slices, kills nothing, and its example rule is valid", async () => {
  using tree = makeTree(2, {
    "/system.slice": limited,
    "/system.slice/ci-1.service": limited,
    "/kubepods.slice": {},
    "/kubepods.slice/pod1": limited,
    "/other": {},
    "/other/a": limited,
  });
  const config = `${deploy}/systemd/config.toml`;
  const check = async (path: string) => {
    const args = ["guard", "--config", path, "--root", tree.dir, "--dry-run", "--json"];
    const { code, stdout, stderr } = await runOomkit([...args, "--check-config"]);
    assert.equal(code, 0, stderr);
    return { ...JSON.parse(stdout), stderr };
  };
  const shipped = await check(config);
  assert.deepEqual(shipped.rules.map(({ actions }: { actions: unknown }) => actions), [
    { warn: [], critical: [], imminent: [] },
  ]);
  assert.deepEqual(shipped.cgroups.map(({ cgroup }: { cgroup: string }) => cgroup).sort(), [
    "/kubepods.slice/pod1",
    "/system.slice/ci-1.service",
  ]);
  const path = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".toml" });
  try {
    const text = Deno.readTextFileSync(config);
    Deno.writeTextFileSync(path, text.replace(/^# (?=\[\[|[a-z-]+ = )/gm, ""));
    const { rules, stderr } = await check(path);
    assert.equal(rules.length, 2);
    assert.equal(stderr, "");
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("without any slice the guard starts and waits for one", async () => {
  using tree = makeTree(2, { "/other": limited });
  const config = `${deploy}/systemd/config.toml`;
  const args = ["guard", "--config", config, "--root", tree.dir, "--for", "1ms"];
  const { code, stderr } = await runOomkit(args);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^guarding 0 cgroups/m);
});
