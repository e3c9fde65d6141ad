// The engine's named queues of one desk: their counts, the one at hand, kept current.
import { useThrottleFn } from "@vueuse/core";
import { computed, onBeforeUnmount, ref, shallowRef, type Ref } from "vue";
import { api, must, type Shape } from "@/client";
import { useLive } from "@/live";
import { useWork, type Page } from "./work";

type Queue = Shape<"QueueView">;
export interface Tab {
  key: string;
  title: string;
  about: string;
  count: string | null;
  late: boolean;
}

/** Of all of the person's queues those a desk names, in the desk's order; all of them where it names none. */
export function tabsOf(queues: Queue[], wanted: string[]): Tab[] {
  const chosen = wanted.length ? wanted.flatMap((key) => queues.filter((one) => one.key === key)) : queues;
  return chosen.map((one) => ({ key: one.key, title: one.label, about: one.meaning, count: one.more ? `${one.count}+` : String(one.count), late: one.key.includes("overdue") && one.count > 0 }));
}

export const queuesOf = async (): Promise<Queue[]> => (await must(api.GET("/api/v1/queues"))).items;

export function useQueue(wanted: Ref<string[]>, first: string, ticket: string | undefined) {
  const all = shallowRef<Queue[]>([]);
  const key = ref(first);
  const tabs = computed(() => tabsOf(all.value, wanted.value));

  const read = async (limit: number, cursor?: string): Promise<Page> =>
    key.value ? must(api.GET("/api/v1/tickets", { params: { query: { queue: key.value, limit, cursor } } })) : { items: [], next: null };
  const work = useWork(read);

  async function count(): Promise<void> {
    all.value = await queuesOf();
  }
  const recount = (): Promise<void> => count().catch(() => undefined); // a count that fails leaves the old one
  async function begin(): Promise<void> {
    try {
      await count();
    } catch (problem) {
      work.failure.value = problem;
      return;
    }
    if (!tabs.value.some((one) => one.key === key.value)) key.value = (tabs.value.find((one) => one.count !== "0") ?? tabs.value[0])?.key ?? "";
    await work.begin(ticket);
    ticket = undefined;
  }
  async function open(which: string): Promise<void> {
    if (which === key.value && work.rows.value.length) return;
    key.value = which;
    [work.rows.value, work.current.value] = [[], null];
    await work.begin();
  }
  const refresh = async (): Promise<void> => {
    if (key.value) await Promise.all([work.refresh(), recount()]); // before, it is only just beginning
  };
  const advance = async (): Promise<void> => void (await Promise.all([work.advance(), recount()]));
  // The first change shows at once, a storm of them every three seconds; counts are dearer, and wait longer.
  const soon = useThrottleFn(() => void work.refresh(), 3000, true, true);
  const counted = useThrottleFn(() => void recount(), 6000, true, true);
  useLive(() => {
    soon();
    counted();
  }, () => void refresh());
  const minute = setInterval(() => void recount(), 60_000); // what falls due today, or is late, changes without an act
  onBeforeUnmount(() => clearInterval(minute));
  return { work, tabs, key, begin, open, refresh, advance };
}
