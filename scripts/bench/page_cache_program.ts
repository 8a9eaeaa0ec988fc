/**
 * Works on a file that is about as large as the page cache of its cgroup may be, and prints how often in a second:
 *
 *     page_cache_program.ts PROCS_FILE FILE BYTES read|write SETTLE_MS MEASURE_MS
 */

const [procs, path, bytes, kind, settleMs, measureMs] = Deno.args;
const block = new Uint8Array(65536);
const blocks = Math.floor(Number(bytes) / block.length);

Deno.writeTextFileSync(procs!, String(Deno.pid));
using file = Deno.openSync(path!, { read: true, write: true, create: true });
for (let n = 0; n < blocks; n++) file.writeSync(block);
file.syncDataSync();

function* places(): Generator<number, never> {
  for (let n = 0;; n++) yield kind === "write" ? n % blocks : Math.floor(Math.random() * blocks);
}

const place = places();
function workFor(ms: number): number {
  const start = performance.now();
  let count = 0;
  for (; performance.now() - start < ms; count++) {
    file.seekSync(place.next().value * block.length, Deno.SeekMode.Start);
    if (kind === "write") file.writeSync(block);
    else file.readSync(block);
  }
  return 1000 * count / (performance.now() - start);
}

workFor(Number(settleMs));
Deno.stdout.writeSync(new TextEncoder().encode(String(workFor(Number(measureMs)))));
