const DIRECTORY = new URL("../../fixtures/", import.meta.url);

export const KERNELS = ["6.1-v1", "6.1-v2", "6.18-v1"] as const;

export type Kernel = (typeof KERNELS)[number];

/** The text that a kernel wrote. Throws if it was not captured. */
export function fixture(kernel: Kernel, path: string): string {
  return Deno.readTextFileSync(new URL(`${kernel}/${path}`, DIRECTORY));
}

/** The control files of a captured cgroup; `undefined` for files that the kernel did not have. */
export const cgroupFixture = (kernel: Kernel, name: string) => (file: string) => {
  try {
    return fixture(kernel, `${name}/${file}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
};
