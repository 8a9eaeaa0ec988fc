import assert from "node:assert/strict";
import { OomkitError } from "../../../core/errors.ts";
import { checkDisposable, type MachineIdentity } from "../../../core/simulate/machine.ts";

const guest: MachineIdentity = { hostname: "guest", isVirtual: true, isWhole: true };

function refusal(named: string | undefined, machine: Partial<MachineIdentity>): string {
  try {
    checkDisposable(named, { ...guest, ...machine });
  } catch (error) {
    if (error instanceof OomkitError) return error.message;
    throw error;
  }
  return "";
}

Deno.test("a machine is filled only where it is virtual, whole and named", () => {
  assert.equal(refusal("guest", {}), "");
  assert.match(refusal(undefined, {}), /give its hostname: --disposable NAME$/);
  assert.match(refusal("guest", { isVirtual: false }), /it is not a virtual machine/);
  assert.match(refusal("guest", { isWhole: false }), /run oomkit outside of containers$/);
  assert.match(refusal("other", {}), /names "other", and this machine is "guest"/);
  assert.match(refusal("", {}), /names ""/);
  assert.match(refusal("guest", { hostname: undefined }), /is "without a name"/);
});
