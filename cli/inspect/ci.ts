/** `inspect --check` for CI: `--annotate` and `--junit`. */

import { OomkitError } from "../../core/errors.ts";
import type { Checked } from "../../core/events/inspect.ts";
import { type Annotation, annotationLines, type CiService } from "../output/annotate.ts";
import { junitXml } from "../output/junit.ts";
import { printStderrRaw } from "../output/output.ts";
import { openResultFile } from "../output/result_file.ts";

export interface CiFlags {
  readonly annotate?: CiService | undefined;
  readonly junit?: string | undefined;
}

export interface CheckOutput extends Disposable {
  tell(checked: Checked): void;
  /** The check itself could not be done; other errors than those that have one line are left alone. */
  fail(error: unknown): void;
}

/** @throws OomkitError when the file cannot be written. */
export function openCheckOutput({ annotate, junit }: CiFlags): CheckOutput {
  const startedAt = Date.now();
  const start = performance.now();
  const file = junit === undefined ? undefined : openResultFile(junit, "JUnit XML");
  let told = false;
  const tell = (checked: Checked) => {
    told = true;
    if (annotate !== undefined) {
      annotationLines(annotate, annotationsOf(checked), Date.now()).forEach(printStderrRaw);
    }
    const seconds = (performance.now() - start) / 1000;
    file?.write(junitXml(checked, { startedAt, seconds, hostname: Deno.hostname() }));
  };
  return {
    tell,
    fail(error) {
      if (told || !(error instanceof OomkitError)) return;
      const { message } = error;
      const findings = [{ check: "target", verdict: "unknown", message }] as const;
      tell({ verdict: "unknown", summary: message, findings });
    },
    [Symbol.dispose]: () => file?.[Symbol.dispose](),
  };
}

/** Either makes the step fail: so either is an error. */
function annotationsOf({ findings }: Checked): Annotation[] {
  return findings.filter(({ verdict }) => verdict !== "ok").map((finding) => ({
    level: "error",
    title: finding.verdict === "not_ok"
      ? `oomkit: ${finding.check}`
      : `oomkit cannot tell: ${finding.check}`,
    message: finding.cgroup === undefined
      ? finding.message
      : `${finding.cgroup}: ${finding.message}`,
  }));
}
