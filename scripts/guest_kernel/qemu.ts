/** The emulated machine of each architecture, as QEMU's command line. */

import { join } from "node:path";
import type { Architecture } from "./image.ts";

interface Emulator {
  readonly program: string;
  /** Of Debian. */
  readonly package: string;
  readonly machine: readonly string[];
  readonly kernelSettings: string;
  /** The four serial ports, /dev/ttyS0 to /dev/ttyS3, of character devices. */
  readonly ports: (devices: readonly string[]) => string[];
}

/**
 * Kernel settings that change how much the emulator has to do, and nothing that a test looks at.
 * norandmaps: QEMU 7.2 finds translated code by its virtual address as well, and would translate a program again at each start.
 * tsc=reliable: the clock is otherwise the HPET, a device, which every reading of the time would leave the translated code for.
 * mitigations=off: a retpoline is an indirect jump that the emulator cannot chain.
 * clearcpuid=112 (X86_FEATURE_REP_GOOD): the kernel clears and copies pages by unrolled moves.
 */
const emulators: Readonly<Record<Architecture, Emulator>> = {
  amd64: {
    program: "qemu-system-x86_64",
    package: "qemu-system-x86",
    // Five-level page tables would be walked in software here, for addresses that do not exist. Without ERMS the C library
    // copies words: the emulator runs `rep movsb` byte by byte.
    machine: ["-cpu", "max,la57=off,erms=off"],
    // no_timer_check: on a busy host the kernel would miss the interrupts that it waits for, and panic ("IO-APIC + timer doesn't work!").
    kernelSettings: "no_timer_check norandmaps tsc=reliable mitigations=off clearcpuid=112",
    ports: (devices) => devices.flatMap((device) => ["-serial", `chardev:${device}`]),
  },
  arm64: {
    program: "qemu-system-aarch64",
    package: "qemu-system-arm",
    // The architecture's algorithm of pointer authentication takes most of the emulator's time.
    machine: ["-machine", "virt", "-cpu", "max,pauth-impdef=on"],
    kernelSettings: "norandmaps mitigations=off",
    // The machine's own port is an ttyAMA0, and there is only one.
    ports: (devices) => [
      "-device",
      ["pci-serial-4x", ...devices.map((device, at) => `chardev${at + 1}=${device}`)].join(),
    ],
  },
};

export const emulatorOf = (architecture: Architecture): Emulator => emulators[architecture];

const KERNEL_SETTINGS = "console=ttyS0 loglevel=1 psi=1 panic=-1 oops=panic";

interface Machine {
  readonly architecture: Architecture;
  /** For its sockets and its disk. */
  readonly directory: string;
  readonly kernel: string;
  /** MiB. */
  readonly memory: number;
  readonly hasDisk: boolean;
  /** Parameters of the kernel besides its own. */
  readonly boot: string;
  readonly tscKhz: number | undefined;
}

/**
 * The clock of the guest runs by its TSC, which is the host's. On a busy host the kernel measured it against the timer as 355 to
 * 550 MHz instead of 2596, and every second of the guest passed in a seventh to a fifth of one.
 */
const clockSetting = (khz: number | undefined) => khz === undefined ? "" : ` tsc_early_khz=${khz}`;

export function qemuArguments({ architecture, directory, kernel, ...rest }: Machine): string[] {
  const { machine, kernelSettings, ports } = emulators[architecture];
  const at = (name: string) => escaped(join(directory, name));
  const sockets = ["stdout", "stderr", "result"];
  return [
    // KVM is left out on purpose: nested, it hangs; and the figures are meant to be the same everywhere.
    ...["-accel", "tcg,thread=multi", ...machine],
    ...["-smp", "2", "-m", String(rest.memory)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-kernel", kernel, "-initrd", join(directory, "initramfs")],
    ...["-append", `${KERNEL_SETTINGS} ${kernelSettings}${clockSetting(rest.tscKhz)} ${rest.boot}`],
    ...["-chardev", `file,id=console,path=${at("console")}`],
    ...sockets.flatMap((name) => ["-chardev", `socket,id=${name},path=${at(name)}`]),
    ...ports(["console", ...sockets]),
    ...(rest.hasDisk ? ["-drive", `file=${at("disk")},format=raw,if=virtio,cache=unsafe`] : []),
  ];
}

/** A comma ends a value for qemu, two stand for one. */
const escaped = (path: string): string => path.replaceAll(",", ",,");
