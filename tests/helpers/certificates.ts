/** Certificates for tests, made by `openssl` (Debian: openssl). */

export interface Certificates {
  /** Of the authority, in PEM. */
  readonly ca: string;
  /** For 127.0.0.1, ::1 and localhost, signed by it. */
  readonly cert: string;
  readonly key: string;
}

const cache = new Map<string, Promise<Certificates>>();

/** @param name of the authority. The same name gets the same certificates. */
export function certificates(name = "oomkit test CA"): Promise<Certificates> {
  const before = cache.get(name) ?? make(name);
  cache.set(name, before);
  return before;
}

async function make(name: string): Promise<Certificates> {
  const directory = await Deno.makeTempDir({ prefix: "oomkit-certificates-" });
  const openssl = async (...args: string[]) => {
    const { success, stderr } = await new Deno.Command("openssl", { args, cwd: directory })
      .output();
    if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  try {
    await openssl(
      ...["req", "-x509", ...newKey, "-days", "2", "-subj", `/CN=${name}`],
      ...["-keyout", "ca.key", "-out", "ca.crt"],
      ...["-addext", "keyUsage=critical,keyCertSign"],
    );
    await openssl(
      ...["req", ...newKey, "-subj", "/CN=kube-apiserver", "-keyout", "key", "-out", "csr"],
    );
    await Deno.writeTextFile(
      `${directory}/extensions`,
      "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n" +
        "extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n",
    );
    await openssl(
      ...["x509", "-req", "-in", "csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
      ...["-days", "2", "-extfile", "extensions", "-out", "cert"],
    );
    const read = (file: string) => Deno.readTextFile(`${directory}/${file}`);
    return { ca: await read("ca.crt"), cert: await read("cert"), key: await read("key") };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
