#!/usr/bin/env node
// Starts the executable of the package for this machine, with the same arguments, input, output and exit status.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const process = require("node:process");

const platform = `linux-${process.arch}`;

function fail(message) {
  process.stderr.write(`oomkit: ${message}\n`);
  process.exit(2);
}

function executable() {
  try {
    return require.resolve(`@oomkit/${platform}/oomkit`);
  } catch {
    return fail(
      `cannot find the package @oomkit/${platform}: oomkit is for Linux with glibc, on x86-64 and arm64; ` +
        "install without --omit=optional",
    );
  }
}

// Before the start, since a signal can follow it at once. A terminal sends these two to both processes.
for (const signal of ["SIGINT", "SIGQUIT"]) {
  process.on(signal, () => process.stdin.isTTY || child.kill(signal));
}
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));

const child = spawn(executable(), process.argv.slice(2), { stdio: "inherit", argv0: "oomkit" });

child.on("error", ({ message }) => fail(`cannot start the executable: ${message}`));

child.on("exit", (code, signal) => {
  process.exit(signal === null ? code : 128 + constants.signals[signal]);
});
