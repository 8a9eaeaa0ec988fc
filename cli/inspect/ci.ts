/** `inspect --check` for CI: `--annotate` and `--junit`. */

import { OomkitError } from "../../core/errors.ts";
import type { Checked } from "../../core/events/inspect.ts";
import type { CiService } from "../options/subcommand.ts";
import { type Annotation, annotationLines } from "../output/annotate.ts";
import { junitXml } from "../output/junit.ts";
import { printStderrRaw } from "../output/output.ts";
import { openResultFile } from "../output/files.ts";

export interface CiFlags {
  readonly annotate?: CiService | undefined;
  readonly junit?: string | undefined;
}

export interface CheckOutput extends Disposable {
  write(checked: Checked): void;
  /** Writes an `OomkitError` that prevented the check as its only finding; ignores other errors. */
  fail(error: unknown): void;
}

/** Throws `OomkitError` if the JUnit file cannot be created. */
export function openCheckOutput({ annotate, junit }: CiFlags): CheckOutput {
  const startedAt = Date.now();
  const start = performance.now();
  const file = junit === undefined ? undefined : openResultFile(junit, "JUnit XML");
  let isWritten = false;
  const write = (checked: Checked) => {
    isWritten = true;
    if (annotate !== undefined) {
      annotationLines(annotate, annotationsOf(checked), Date.now()).forEach(printStderrRaw);
    }
    const seconds = (performance.now() - start) / 1000;
    file?.write(junitXml(checked, { startedAt, seconds, hostname: Deno.hostname() }));
  };
  return {
    write,
    fail(error) {
      if (isWritten || !(error instanceof OomkitError)) return;
      const { message } = error;
      const findings = [{ check: "target", verdict: "unknown", message }] as const;
      write({ verdict: "unknown", summary: message, findings });
    },
    [Symbol.dispose]: () => file?.[Symbol.dispose](),
  };
}

/** A finding that is not ok or unknown makes the step fail, so both are errors. */
function annotationsOf({ findings }: Checked): Annotation[] {
  return findings.filter(({ verdict }) => verdict !== "ok").map((finding) => ({
    level: "error",
    title: finding.verdict === "not_ok"
      ? `oomkit: ${finding.check}`
      : `oomkit: ${finding.check} is unknown`,
    message: finding.cgroup === undefined
      ? finding.message
      : `${finding.cgroup}: ${finding.message}`,
  }));
}
