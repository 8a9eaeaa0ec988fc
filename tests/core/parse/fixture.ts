const FOLDER = new URL("../../fixtures/", import.meta.url);

export const KERNELS = ["6.1-v1", "6.1-v2", "6.18-v1"] as const;

export type Kernel = (typeof KERNELS)[number];

export function fixture(kernel: Kernel, path: string): string {
  return Deno.readTextFileSync(new URL(`${kernel}/${path}`, FOLDER));
}
