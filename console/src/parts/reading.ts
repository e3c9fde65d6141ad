// One ticket read whole, with its history; it is read again when asked, never beneath somebody's hands.
import { computed, onBeforeUnmount, ref, shallowRef, watch, type Ref } from "vue";
import { api, must, type Shape } from "@/client";
import { useLive } from "@/live";

/** The ticket with this number. `changed`: there is a newer version than the one shown. */
export function useTicket(number: Ref<string | null>) {
  const ticket = shallowRef<Shape<"TicketView"> | null>(null);
  const history = shallowRef<Shape<"Timeline"> | null>(null);
  const [failure, busy] = [ref<unknown>(null), ref(false)];
  const newest = ref({ number: "", version: 0 });
  const changed = computed(() => !busy.value && ticket.value !== null && newest.value.number === ticket.value.number && newest.value.version > ticket.value.version);
  let asked = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let moved = 0;

  async function load(): Promise<void> {
    const which = number.value;
    const mine = ++asked;
    if (!which) return void ([ticket.value, history.value, failure.value] = [null, null, null]);
    [busy.value, failure.value] = [true, null];
    const path = { params: { path: { number: which } } };
    try {
      const [whole, told] = await Promise.all([must(api.GET("/api/v1/tickets/{number}", path)), must(api.GET("/api/v1/tickets/{number}/timeline", path))]);
      if (mine === asked) [ticket.value, history.value] = [whole, told];
    } catch (problem) {
      if (mine === asked) failure.value = problem;
    } finally {
      if (mine === asked) busy.value = false;
    }
  }
  /** Note that somewhere a version was seen. */
  function heard(which: string, version: number): void {
    if (which === number.value && (newest.value.number !== which || version > newest.value.version)) newest.value = { number: which, version };
  }
  async function look(): Promise<void> {
    const which = number.value;
    if (!which || busy.value) return;
    const whole = await must(api.GET("/api/v1/tickets/{number}", { params: { path: { number: which } } })).catch(() => null);
    if (whole) heard(which, whole.version);
  }

  watch(number, (which) => {
    asked += 1;
    clearTimeout(timer);
    if (ticket.value?.number !== which) [ticket.value, history.value, failure.value] = [null, null, null];
    if (!which) return;
    const quick = Date.now() - moved < 200; // somebody runs through a list: read where they stop
    moved = Date.now();
    if (quick) timer = setTimeout(() => void load(), 160);
    else void load();
  }, { immediate: true });
  useLive((change) => heard(change.number, change.version), () => void look());
  onBeforeUnmount(() => clearTimeout(timer));
  return { ticket, history, failure, busy, changed, load, heard };
}
