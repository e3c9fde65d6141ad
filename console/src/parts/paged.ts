// A list read in pages: busy, failure, more; only the newest question's answer counts.
import { ref, shallowRef, type Ref, type ShallowRef } from "vue";

export interface Paged<Row, Cursor> {
  rows: ShallowRef<Row[]>;
  next: ShallowRef<Cursor | null>;
  busy: Ref<boolean>;
  failure: ShallowRef<unknown>;
  /** From the first page on. */
  read: () => Promise<void>;
  /** The next page. */
  more: () => Promise<void>;
}

export function usePaged<Row, Cursor = string>(ask: (cursor?: Cursor) => Promise<{ items: Row[]; next?: Cursor | null }>): Paged<Row, Cursor> {
  const rows = shallowRef<Row[]>([]);
  const next = shallowRef<Cursor | null>(null);
  const busy = ref(false);
  const failure = shallowRef<unknown>(null);
  let asked = 0;

  async function page(cursor?: Cursor): Promise<void> {
    const mine = ++asked;
    [busy.value, failure.value] = [true, null];
    try {
      const found = await ask(cursor);
      if (mine !== asked) return;
      rows.value = cursor === undefined ? found.items : [...rows.value, ...found.items];
      next.value = found.next ?? null;
    } catch (problem) {
      if (mine === asked) failure.value = problem;
    } finally {
      if (mine === asked) busy.value = false;
    }
  }
  return { rows, next, busy, failure, read: () => page(), more: () => (next.value === null ? Promise.resolve() : page(next.value)) };
}
