// Live updates for what is on screen: tickets that changed, who else has one open. Without a stream the lists are read every 20 seconds.
import { onBeforeUnmount, onMounted, reactive, ref, watch, type Ref } from "vue";
import { api, connection, must } from "@/client";
import { useSession } from "@/session";
import { LiveSource, type LiveMessage, type Onlooker } from "./source";

export type { LiveMessage, Onlooker } from "./source";
export type Change = Extract<LiveMessage, { kind: "ticket" }>;

const POLL_MS = 20_000;
/** `up`: the stream is there; `people`: who has which ticket open. */
export const live = reactive({ up: false, people: new Map<string, Onlooker[]>() });

const takers = new Set<(message: LiveMessage) => void>();
let begun = "";
let say: ((said: { who: string } | { bye: true }) => void) | null = null;

function take(message: LiveMessage): void {
  if (message.kind === "up" || message.kind === "down") live.up = message.kind === "up";
  if (message.kind === "up") connection.up = true;
  if (message.kind === "presence") live.people.set(message.number, message.people);
  for (const each of [...takers]) each(message);
}

function connect(): (said: { who: string } | { bye: true }) => void {
  if (typeof SharedWorker !== "undefined") {
    try {
      const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: "hotline-live" });
      worker.port.onmessage = ({ data }: MessageEvent<LiveMessage>) => take(data);
      worker.onerror = () => (live.up = false);
      worker.port.start();
      return (said) => worker.port.postMessage(said);
    } catch {
      /* refused: the stream runs in the page */
    }
  }
  const source = new LiveSource("/api/v1/live", take);
  return (said) => ("bye" in said ? source.stop() : source.start(true));
}

/** Begin for whoever is signed in; again after somebody else signed in. */
function begin(): void {
  const session = useSession();
  const who = session.session?.login ?? session.me?.name ?? "";
  if (!session.may("live") || begun === who || typeof EventSource === "undefined") return;
  begun = who;
  live.people.clear();
  say ??= connect();
  say({ who });
}
window.addEventListener("pagehide", () => {
  say?.({ bye: true });
  begun = "";
});
window.addEventListener("pageshow", (event) => event.persisted && takers.size && begin());

/** Hear every message while the component is on screen. */
export function onLive(hear: (message: LiveMessage) => void): void {
  onMounted(() => {
    takers.add(hear);
    begin();
  });
  onBeforeUnmount(() => takers.delete(hear));
}

/**
 * Keep what is on screen current: `changed` for a ticket that changed, `anew` when everything may have — after a gap of the
 * stream, every 20 seconds without one, and when the tab is looked at again after that long.
 */
export function useLive(changed: (change: Change) => void, anew: () => void): void {
  let read = Date.now();
  const again = (): void => {
    read = Date.now();
    anew();
  };
  onLive((message) => {
    if (message.kind === "ticket") changed(message);
    if (message.kind === "up" && message.gap) again();
  });
  const look = (): void => {
    if (!document.hidden && !live.up && Date.now() - read >= POLL_MS - 500) again();
  };
  let timer: ReturnType<typeof setInterval> | undefined;
  onMounted(() => {
    timer = setInterval(look, POLL_MS);
    document.addEventListener("visibilitychange", look);
  });
  onBeforeUnmount(() => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  });
}

type Doing = "viewing" | "editing" | "left";
/** Say that this person has the ticket open, as long as they do; and who else has. */
export function usePresence(number: Ref<string | null>, editing: Ref<boolean>): Ref<Onlooker[]> {
  const others = ref<Onlooker[]>([]);
  let me: number | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = 20;

  const show = (people: Onlooker[]): void => {
    others.value = people.filter((one) => one.person === null || one.person !== me);
  };
  async function tell(which: string, doing: Doing): Promise<void> {
    if (!useSession().may("say_presence")) return;
    try {
      const answer = (await must(api.POST("/api/v1/tickets/{number}/presence" as "/api/v1/tickets/{number}/accept", {
        params: { path: { number: which } }, body: { doing } as never, keepalive: doing === "left",
      }))) as unknown as { people: Onlooker[]; me: number | null; again: number };
      if (doing === "left" || which !== number.value) return;
      [me, again] = [answer.me, answer.again];
      show(answer.people);
    } catch {
      /* a courtesy: nothing hangs on it */
    }
  }
  function repeat(): void {
    clearTimeout(timer);
    if (number.value && !document.hidden) void tell(number.value, editing.value ? "editing" : "viewing");
    timer = setTimeout(repeat, again * 1000);
  }
  const leave = (): void => {
    if (number.value) void tell(number.value, "left");
  };
  watch(number, (now, before) => {
    others.value = [];
    if (before) void tell(before, "left");
    clearTimeout(timer);
    if (now) timer = setTimeout(repeat, 400); // whoever runs through a list is not everywhere
  }, { immediate: true });
  watch(editing, () => number.value && repeat());
  onLive((message) => {
    if (message.kind === "presence" && message.number === number.value) show(message.people);
  });
  onMounted(() => window.addEventListener("pagehide", leave));
  onBeforeUnmount(() => {
    clearTimeout(timer);
    window.removeEventListener("pagehide", leave);
    leave();
  });
  return others;
}

watch(() => connection.ended, (ended) => {
  if (!ended && begun) {
    begun = "";
    begin(); // signed in again: the stream is anew too
  }
});
