// The call at this agent, asked for every two seconds and at once when the stream says so; shared by whatever shows it.
import { defineStore } from "pinia";
import { computed, ref, shallowReactive, shallowRef } from "vue";
import { api, must, Refused, type Shape } from "@/client";
import { useSession } from "@/session";
import { useContacts } from "./contacts";
import type { Contact } from "./demand";

const [EVERY_MS, CALM_MS] = [2000, 30_000];
/** Whoever has not touched the desk for so long is not asked for any more: the session may end as if nobody were there. */
const AWAY_MS = 20 * 60_000;

export const useCalls = defineStore("calls", () => {
  const told = shallowRef<Shape<"CurrentCall"> | null>(null);
  /** What was told last of each call, by its key: a parked caller's history stays beside them. */
  const known = shallowReactive(new Map<number, Shape<"CurrentCall">>());
  const paused = ref(false);
  /** The contact a call has just opened and nobody has looked at yet. */
  const news = ref<Contact | null>(null);
  const live = computed(() => (told.value?.call && ["ringing", "connected"].includes(told.value.call.state) ? told.value.call : null));
  let timer: ReturnType<typeof setTimeout> | undefined;
  let watchers = 0;
  let touched = Date.now();
  let asking = false;

  async function ask(): Promise<void> {
    clearTimeout(timer);
    if (!watchers || !useSession().may("current_call")) return;
    let pause = EVERY_MS;
    paused.value = Date.now() - touched > AWAY_MS;
    if (!asking && !paused.value) {
      asking = true;
      try {
        const now = await must(api.GET("/api/v1/calls/current"));
        if (JSON.stringify(now) !== JSON.stringify(told.value)) told.value = now;
        if (now.call) known.set(now.call.id, now);
        const opened = useContacts().ring(now);
        if (opened) news.value = opened;
      } catch (problem) {
        if (problem instanceof Refused) pause = CALM_MS;
      } finally {
        asking = false;
      }
    }
    clearTimeout(timer);
    timer = setTimeout(() => void ask(), pause);
  }
  function touch(): void {
    touched = Date.now();
    if (paused.value) void ask();
  }
  function watchOn(): void {
    if (watchers++) return;
    for (const name of ["keydown", "pointerdown"]) window.addEventListener(name, touch, { passive: true });
    void ask();
  }
  function watchOff(): void {
    if (--watchers) return;
    clearTimeout(timer);
    [told.value, news.value] = [null, null];
    known.clear();
    for (const name of ["keydown", "pointerdown"]) window.removeEventListener(name, touch);
  }
  return { told, known, live, news, paused, ask, watchOn, watchOff };
});
