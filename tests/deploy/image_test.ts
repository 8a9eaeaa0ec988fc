import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findShell, makeRootFileSystem } from "../../scripts/build/rootfs.ts";

const deploy = fileURLToPath(new URL("../../deploy", import.meta.url));

/** A dynamically linked program, like oomkit. */
const program = "/bin/ls";

function inDirectory(use: (directory: string) => void): void {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    use(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("the root file system has the program with every library it needs, and nothing else", () => {
  inDirectory((directory) => {
    const files = makeRootFileSystem(directory, { program });
    assert.ok(files.includes("/oomkit"));
    assert.ok(files.some((path) => /\/ld-linux[^/]*$/.test(path)), "the loader");
    assert.ok(files.some((path) => /\/libc\.so/.test(path)), "libc");
    assert.deepEqual(filesIn(directory).sort(), [...files].sort());
    for (const path of files) {
      const isProgram = !path.startsWith("/etc/");
      assert.equal((Deno.statSync(join(directory, path)).mode! & 0o111) !== 0, isProgram, path);
    }
  });
});

Deno.test("the program runs with these libraries only", { ignore: Deno.uid() !== 0 }, () => {
  inDirectory((directory) => {
    makeRootFileSystem(directory, { program });
    const run = () =>
      new Deno.Command("chroot", { args: [directory, "/oomkit", "/etc"] }).outputSync();
    const { code, stdout } = run();
    assert.equal(code, 0);
    assert.match(new TextDecoder().decode(stdout), /^group\noomkit\npasswd$/m);
    const [libc] = filesIn(directory).filter((path) => /\/libc\.so/.test(path));
    Deno.removeSync(join(directory, libc!));
    assert.notEqual(run().code, 0);
  });
});

Deno.test("a shell that is not static is refused", () => {
  inDirectory((directory) => {
    assert.throws(() => makeRootFileSystem(join(directory, "a"), { program, shell: "/bin/ls" }), {
      message: /it is not static/,
    });
    const shell = findShell();
    if (shell === undefined) return;
    const files = makeRootFileSystem(join(directory, "b"), { program, shell });
    assert.ok(files.includes("/bin/sh"));
  });
});

Deno.test("a directory that is not empty is refused", () => {
  inDirectory((directory) => {
    Deno.writeTextFileSync(join(directory, "old"), "");
    assert.throws(() => makeRootFileSystem(directory, { program }), /not empty/);
  });
});

Deno.test("the Dockerfile starts from scratch, copies that directory and starts the program", () => {
  const recipe = Deno.readTextFileSync(`${deploy}/container/Dockerfile`);
  const lines = recipe.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(lines.map((line) => line.split(" ")[0]), ["FROM", "COPY", "ENV", "ENTRYPOINT"]);
  assert.equal(lines[0], "FROM scratch");
  assert.equal(lines[1], "COPY rootfs/ /");
  assert.equal(lines[3], 'ENTRYPOINT ["/oomkit"]');
});

function filesIn(directory: string, inside = "/"): string[] {
  return [...Deno.readDirSync(join(directory, inside))].flatMap(({ name, isDirectory }) => {
    const path = join(inside, name);
    return isDirectory ? filesIn(directory, path) : [path];
  });
}
