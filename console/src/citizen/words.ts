// What a citizen typed and has not sent: kept in this tab alone, until it is sent or the tab is closed.
import { reactive, watch } from "vue";

export interface Typed {
  grade: string;
  labels: string[];
  remark: string;
  reason: string;
}
const EMPTY: Typed = { grade: "", labels: [], remark: "", reason: "" };

function stored(name: string): Partial<Typed> {
  try {
    return JSON.parse(sessionStorage.getItem(name) ?? "{}") as Partial<Typed>;
  } catch {
    return {};
  }
}

/** The words about this demand, as they were when the page was last open here. */
export function typedOn(number: string): Typed {
  const name = `words:${number}`;
  const typed = reactive<Typed>({ ...EMPTY, ...stored(name) });
  watch(typed, (now) => {
    try {
      if (JSON.stringify(now) === JSON.stringify(EMPTY)) sessionStorage.removeItem(name);
      else sessionStorage.setItem(name, JSON.stringify(now));
    } catch { /* a browser that keeps nothing: then they stay on the page */ }
  }, { flush: "sync" });
  return typed;
}
