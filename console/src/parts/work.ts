// A queue somebody works through: its rows, the ticket at hand, and which comes next. What changes elsewhere never takes the ticket away.
import { computed, ref, shallowRef } from "vue";
import type { Shape } from "@/client";

export type Line = Shape<"TicketLine">;
export interface Page {
  items: Line[];
  next: string | null;
}

/** The rows after the first pages were read again: those in their new order, then what had been read behind them. */
export function merged(before: Line[], fresh: Line[], complete: boolean): Line[] {
  if (complete || fresh.length >= before.length) return fresh;
  const there = new Set(fresh.map((row) => row.number));
  return [...fresh, ...before.slice(fresh.length).filter((row) => !there.has(row.number))];
}

/** Which to take up after `number` was dealt with: itself while it is still there, else what stood behind it, else before it. */
export function nextAfter(before: Line[], after: Line[], number: string): string | null {
  const there = new Set(after.map((row) => row.number));
  if (there.has(number)) return number;
  const at = before.findIndex((row) => row.number === number);
  if (at < 0) return after[0]?.number ?? null;
  const behind = before.slice(at + 1).find((row) => there.has(row.number));
  return (behind ?? [...before.slice(0, at)].reverse().find((row) => there.has(row.number)))?.number ?? after[0]?.number ?? null;
}

const [FIRST, AGAIN] = [100, 200];

export function useWork(read: (limit: number, cursor?: string) => Promise<Page>) {
  const rows = shallowRef<Line[]>([]);
  const next = ref<string | null>(null);
  const current = ref<string | null>(null);
  const [busy, failure, known] = [ref(false), ref<unknown>(null), ref(false)];
  let asked = 0;
  let place = 0;
  /** The rows as they were when the ticket at hand last stood among them. */
  let standing: Line[] = [];

  const index = computed(() => {
    const found = rows.value.findIndex((row) => row.number === current.value);
    if (found >= 0) [place, standing] = [found, rows.value];
    return found;
  });
  /** The ticket at hand is not in this queue any more: somebody else saw to it. */
  const gone = computed(() => current.value !== null && known.value && index.value < 0);

  /** The reading somebody asked for and waits for; what is read quietly waits for it, and never overtakes it. */
  let waited: Promise<boolean> | null = null;
  function attempt(doing: (mine: () => boolean) => Promise<void>): Promise<boolean> {
    const reading = run(doing, true).finally(() => waited === reading && (waited = null));
    return (waited = reading);
  }
  async function run(doing: (mine: () => boolean) => Promise<void>, loud: boolean): Promise<boolean> {
    const ticketOf = ++asked;
    if (loud) [busy.value, failure.value] = [true, null];
    try {
      await doing(() => ticketOf === asked);
      if (ticketOf === asked) failure.value = null;
    } catch (problem) {
      if (ticketOf === asked && (loud || !rows.value.length)) failure.value = problem;
    } finally {
      if (ticketOf === asked) busy.value = false;
    }
    return ticketOf === asked;
  }
  /** The queue from its top, with its first ticket at hand. */
  const begin = (keep?: string): Promise<boolean> =>
    attempt(async (mine) => {
      const page = await read(FIRST);
      if (!mine()) return;
      [rows.value, next.value, known.value] = [page.items, page.next, true];
      current.value = page.items.some((row) => row.number === keep) ? keep! : (page.items[0]?.number ?? null);
    });
  const more = (): Promise<boolean> =>
    attempt(async (mine) => {
      if (!next.value) return;
      const page = await read(FIRST, next.value);
      if (!mine()) return;
      const there = new Set(rows.value.map((row) => row.number));
      rows.value = [...rows.value, ...page.items.filter((row) => !there.has(row.number))];
      next.value = page.next;
    });
  /** Read again what is on screen, quietly; the ticket at hand stays at hand. False where a later reading overtook it. */
  async function refresh(): Promise<boolean> {
    while (waited) await waited;
    return run(async (mine) => {
      const size = rows.value.length <= FIRST ? FIRST : AGAIN;
      const page = await read(size);
      if (!mine()) return;
      void index.value; // remember where it stood
      const whole = page.next === null || rows.value.length <= size;
      rows.value = merged(rows.value, page.items, whole);
      if (whole) next.value = page.next;
      known.value = true;
      current.value ??= rows.value[0]?.number ?? null;
    }, false);
  }
  /** After an act on the ticket at hand: read again, and go on to the next where this one has left the queue. */
  async function advance(): Promise<void> {
    const number = current.value;
    void index.value;
    const before = standing;
    for (let times = 0; times < 3 && !(await refresh()); times += 1); // a reading told of by the stream may overtake this one
    if (number && current.value === number) current.value = nextAfter(before, rows.value, number);
  }
  function move(by: number): void {
    if (!rows.value.length) return;
    const from = index.value < 0 ? place - (by > 0 ? 1 : 0) : index.value;
    current.value = rows.value[Math.max(0, Math.min(rows.value.length - 1, from + by))]?.number ?? null;
  }
  return { rows, next, current, index, gone, busy, failure, begin, more, refresh, advance, move };
}
