/** Zoom and pan by wheel, drag and keys. */

/** @import { View } from "./content.js" */

/** Recordings have no finer times. */
const MIN_VIEW_MS = 1;

/** Limits a view to the whole run and the finest zoom. @type {(view: View, whole: View) => View} */
export function within({ from, to }, whole) {
  const max = whole.to - whole.from;
  const span = Math.min(max, Math.max(Math.min(MIN_VIEW_MS, max), to - from));
  const middle = (from + to) / 2;
  const begin = Math.min(Math.max(whole.from, middle - span / 2), whole.to - span);
  return { from: begin, to: begin + span };
}

/** A factor below 1 zooms in; the time `at` keeps its place. @type {(view: View, factor: number, at?: number) => View} */
export function zoomed({ from, to }, factor, at = (from + to) / 2) {
  return { from: at - (at - from) * factor, to: at + (to - at) * factor };
}

/** Moves it by this share of its width. @type {(view: View, share: number) => View} */
export function panned({ from, to }, share) {
  const by = (to - from) * share;
  return { from: from + by, to: to + by };
}

/** `over` is uPlot's overlay. @type {(over: HTMLElement, now: () => View, go: (view: View) => void) => void} */
export function followGestures(over, now, go) {
  over.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    const { left, width } = over.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      const { from, to } = now();
      const at = from + (to - from) * (event.clientX - left) / width;
      go(zoomed({ from, to }, Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 200), at));
    } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      go(panned(now(), sideways / width));
    } else return;
    event.preventDefault();
  }, { passive: false });

  over.addEventListener("mousedown", (event) => {
    if (!event.shiftKey && event.button !== 1) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const begun = now();
    const { width } = over.getBoundingClientRect();
    const start = event.clientX;
    const move = (/** @type {MouseEvent} */ moved) =>
      go(panned(begun, (start - moved.clientX) / width));
    const end = () => {
      removeEventListener("mousemove", move);
      removeEventListener("mouseup", end);
    };
    addEventListener("mousemove", move);
    addEventListener("mouseup", end);
  }, { capture: true });
}

/** The view after the key. @type {(key: string, view: View, whole: View) => View | undefined} */
export function byKey(key, view, whole) {
  if (key === "+" || key === "=") return zoomed(view, 0.5);
  if (key === "-") return zoomed(view, 2);
  if (key === "ArrowLeft") return panned(view, -0.2);
  if (key === "ArrowRight") return panned(view, 0.2);
  if (key === "0" || key === "Home") return whole;
  return undefined;
}
