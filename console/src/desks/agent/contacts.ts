// The contacts an agent has in hand: the one being typed, those parked beside it. They outlive the page.
import { defineStore } from "pinia";
import { computed, ref, watch } from "vue";
import { clockOffset, freshKey, type Shape } from "@/client";
import { dropDraft, keepDraft, recallDrafts } from "@/parts/drafts";
import { type Call, type Contact, isBlank, nothing } from "./demand";

const PREFIX = "contact-";
const stamp = (): string => new Date(Date.now() + clockOffset.value).toISOString();

export function fresh(call: Call | null = null): Contact {
  return { id: freshKey().slice(0, 16), begun: stamp(), call, typed: nothing(), deciding: "", orders: {}, attempt: null, saved: null };
}

/** What a call that is told of means for the desk. `ignored`: calls that were put away or have their ticket. */
export function placeOfCall(list: Contact[], current: string, call: Call, ignored: boolean): "known" | "nowhere" | "here" | "beside" {
  if (list.some((one) => one.call?.id === call.id)) return "known";
  if (ignored || call.state === "missed") return "nowhere";
  const open = list.find((one) => one.id === current);
  return open && !open.saved && !open.call && isBlank(open) ? "here" : "beside";
}

export const useContacts = defineStore("contacts", () => {
  const list = ref<Contact[]>([fresh()]);
  const at = ref(list.value[0]!.id);
  const current = computed(() => list.value.find((one) => one.id === at.value) ?? list.value[0]!);
  const dropped = ref<Contact | null>(null);
  const away = new Set<number>();
  const written = new Map<string, string>();
  let recalled: Promise<void> | null = null;
  let owner = "";

  function keep(): void {
    for (const one of list.value) {
      const text = JSON.stringify(one);
      if (written.get(one.id) === text || (isBlank(one) && !one.saved && !written.has(one.id))) continue;
      written.set(one.id, text);
      keepDraft(PREFIX + one.id, JSON.parse(text) as Record<string, unknown>);
    }
  }
  /** What was in hand when the page went, once a page and person. */
  function recall(login: string): Promise<void> {
    if (owner && owner !== login) {
      [list.value, dropped.value, recalled] = [[fresh()], null, null];
      at.value = list.value[0]!.id;
      written.clear();
    }
    owner = login;
    return (recalled ??= recallDrafts(PREFIX).then((drafts) => {
      const kept = drafts.map((draft) => ({ ...fresh(), ...draft.content }) as Contact).filter((one) => !list.value.some((here) => here.id === one.id) && (!isBlank(one) || one.saved));
      for (const one of kept) written.set(one.id, JSON.stringify(one));
      const mine = list.value.filter((one) => !isBlank(one) || one.call || one.saved);
      list.value = [...kept.sort((a, b) => a.begun.localeCompare(b.begun)), ...mine];
      if (!list.value.length) list.value = [fresh()];
      if (!list.value.some((one) => one.id === at.value)) at.value = (list.value.find((one) => !one.saved) ?? list.value[0]!).id;
    }));
  }
  watch(list, keep, { deep: true, flush: "post" });

  /** Another form: an empty one that is there already, else a new one. */
  function begin(call: Call | null = null): Contact {
    const empty = call ? undefined : list.value.find((one) => isBlank(one) && !one.call && !one.saved);
    const one = empty ?? fresh(call);
    if (!empty) list.value = [...list.value.filter((other) => !(other.saved?.ended ?? false)), one];
    at.value = one.id;
    for (const id of written.keys()) if (!list.value.some((other) => other.id === id)) forget(id);
    return list.value.find((other) => other.id === one.id)!;
  }
  function forget(id: string): void {
    written.delete(id);
    void dropDraft(PREFIX + id);
  }
  /** Put away a form; what was typed in it can be had back until the next one is put away. */
  function drop(id: string): void {
    const one = list.value.find((other) => other.id === id);
    if (!one) return;
    if (one.call) away.add(one.call.id);
    if (!isBlank(one) && !one.saved) dropped.value = JSON.parse(JSON.stringify(one)) as Contact;
    const index = list.value.indexOf(one);
    list.value = list.value.filter((other) => other !== one);
    if (!list.value.length) list.value = [fresh()];
    if (at.value === id) at.value = list.value[Math.min(index, list.value.length - 1)]!.id;
    forget(id);
  }
  function restore(): void {
    if (!dropped.value) return;
    list.value = [...list.value, dropped.value];
    [at.value, dropped.value] = [dropped.value.id, null];
  }
  function next(): void {
    const index = list.value.findIndex((one) => one.id === at.value);
    at.value = list.value[(index + 1) % list.value.length]!.id;
  }

  /** A call as it stands now. Answers the contact it opened, if it opened one now. */
  function ring(told: Shape<"CurrentCall">): Contact | null {
    const call = told.call;
    if (!call) return null;
    const place = placeOfCall(list.value, at.value, call, away.has(call.id) || told.registered.length > 0);
    if (place === "known") {
      const one = list.value.find((other) => other.call?.id === call.id)!;
      if (JSON.stringify(one.call) !== JSON.stringify(call)) one.call = call;
    }
    if (place === "here") current.value.call = call;
    if (place === "beside") {
      const one = fresh(call);
      list.value = [...list.value, one];
      if (current.value.saved) at.value = one.id;
    }
    return place === "here" || place === "beside" ? (list.value.find((one) => one.call?.id === call.id) ?? null) : null;
  }
  return { list, at, current, dropped, recall, begin, drop, restore, next, ring };
});
