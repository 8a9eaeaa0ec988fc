import assert from "node:assert/strict";
import { stateDirectory } from "../../../core/control/state_directory.ts";

Deno.test("the directory is that of OOMKIT_STATE_DIR, else root's, else the user's own; an empty variable counts as unset", () => {
  const names = ["OOMKIT_STATE_DIR", "XDG_RUNTIME_DIR"];
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  try {
    Deno.env.set("XDG_RUNTIME_DIR", "/run/user/7");
    Deno.env.delete("OOMKIT_STATE_DIR");
    assert.equal(stateDirectory(), Deno.uid() === 0 ? "/run/oomkit" : "/run/user/7/oomkit");
    Deno.env.set("OOMKIT_STATE_DIR", "/elsewhere");
    assert.equal(stateDirectory(), "/elsewhere");
    for (const name of names) Deno.env.set(name, "");
    assert.equal(stateDirectory(), "/run/oomkit");
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});
