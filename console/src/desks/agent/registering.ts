// From what is typed to a ticket: registered with a decision, answered from an article, or merged; each attempt under one key until it is answered.
import { computed, ref } from "vue";
import { api, freshKey, must, Refused, type Shape } from "@/client";
import { formOf, perform } from "@/client/acts";
import { useWords } from "@/words";
import { useContacts } from "./contacts";
import { type Contact, demandOf, markOf, missingOf, nothing, type Order, placeOf, titled, type Typed } from "./demand";

/** What an act's order cannot be sent without and has not got. */
export const missingIn = (act: string, order: Order): string[] =>
  (formOf(act)?.fields ?? []).filter((field) => field.required && !String(order[field.name] ?? "").trim()).map((field) => field.name);

export function useRegistering() {
  const [contacts, words] = [useContacts(), useWords()];
  const [busy, failure] = [ref(false), ref<unknown>(null)];
  const tried = ref(false);
  /** What is still missing, once it was tried to send without. */
  const missing = computed<string[]>(() => (tried.value && !contacts.current.saved ? missingOf(contacts.current.typed) : []));
  /** What was typed last, for a second demand of the same caller; never kept anywhere but here. */
  const last = ref<Typed | null>(null);

  const wrong = computed(() => {
    const found: Record<string, string> = {};
    if (failure.value instanceof Refused) {
      const { errors, field, detail } = failure.value.problem;
      for (const one of errors ?? []) if (one.field) found[placeOf(one.field)] ??= one.message ?? one.detail ?? "";
      if (field) found[placeOf(field)] ??= detail;
    }
    for (const name of missing.value) found[name] ??= "请填写";
    return found;
  });
  /** The ticket this call was registered as before, where that is the reason of the refusal. */
  const already = computed(() => (failure.value instanceof Refused && failure.value.problem.code === "already_registered" ? String(failure.value.problem.number ?? "") : ""));

  function clear(): void {
    [failure.value, tried.value] = [null, false];
  }
  function complete(): boolean {
    tried.value = true;
    return !missing.value.length;
  }

  /** One request that makes a ticket, under the same key as long as it is the same and was not answered. */
  async function attempt(one: Contact, what: string, body: unknown, send: (headers: { "Idempotency-Key": string }) => Promise<Shape<"ActResult">>): Promise<boolean> {
    if (busy.value) return false;
    [busy.value, failure.value] = [true, null];
    const mark = markOf(what + JSON.stringify(body));
    if (one.attempt?.mark !== mark) one.attempt = { key: freshKey(), mark };
    try {
      keepResult(one, await send({ "Idempotency-Key": one.attempt.key }));
      return true;
    } catch (problem) {
      failure.value = problem;
      if (problem instanceof Refused && problem.status < 500) one.attempt = null;
      return false;
    } finally {
      busy.value = false;
    }
  }
  function keepResult(one: Contact, result: Shape<"ActResult">): void {
    const { number, spoken, state, version, acts, clocks } = result;
    [last.value, tried.value] = [one.typed, false];
    one.saved = { number, spoken, state, version, acts, clocks, title: titled(one.typed) };
    [one.typed, one.orders, one.deciding, one.attempt] = [nothing(), {}, "", null];
  }

  async function register(act: string, order: Order): Promise<boolean> {
    const one = contacts.current;
    if (!complete()) return false;
    const body = { demand: demandOf(one), decision: { act, ...order } as never };
    return attempt(one, "take", body, (headers) => must(api.POST("/api/v1/tickets", { body, headers: headers as never })));
  }
  /** Answered with an article; what of the demand is still empty is taken from it. */
  async function tell(article: { name: string; question: string; categories: string[]; areas: string[] }, home: string, remark: string): Promise<boolean> {
    const one = contacts.current;
    const typed = one.typed;
    typed.content ||= article.question;
    typed.matter ||= "inquiry";
    typed.category ||= article.categories.find((code) => words.categories.some((known) => known.code === code && !words.categories.some((other) => other.parent === code))) ?? "";
    typed.area ||= article.areas.length === 1 ? article.areas[0]! : home;
    if (!complete()) return false;
    const body = { demand: demandOf(one), remark: remark.trim() || undefined };
    return attempt(one, article.name, body, (headers) => must(api.POST("/api/v1/knowledge/{name}/tell", { params: { path: { name: article.name } }, body, headers: headers as never })));
  }
  /** Registered and at once merged into another ticket; where only the merging fails, it can be tried again. */
  async function mergeInto(into: string): Promise<boolean> {
    if (!(await register("accept", {}))) return false;
    contacts.current.saved!.into = into;
    return act("merge", { into, reason: "与主单为同一事项，来电时核对确认。" });
  }
  /** An act on the ticket that was just made. */
  async function act(name: string, order: Order): Promise<boolean> {
    const one = contacts.current;
    if (!one.saved || busy.value) return false;
    [busy.value, failure.value] = [true, null];
    const mark = markOf(name + JSON.stringify(order));
    if (one.attempt?.mark !== mark) one.attempt = { key: freshKey(), mark };
    try {
      const { state, version, acts, clocks } = await perform(one.saved.number, name, order, one.saved.version, one.attempt.key);
      one.saved = { ...one.saved, state, version, acts, clocks, into: undefined, ended: true };
      one.attempt = null;
      return true;
    } catch (problem) {
      failure.value = problem;
      if (problem instanceof Refused && problem.status < 500) one.attempt = null;
      return false;
    } finally {
      busy.value = false;
    }
  }
  return { busy, failure, missing, wrong, already, last, clear, register, tell, mergeInto, act };
}
export type Registering = ReturnType<typeof useRegistering>;
