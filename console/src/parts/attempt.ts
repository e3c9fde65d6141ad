// One act attempted: busy, refused in the engine's words field by field, sent again under the same key where no answer came.
import { computed, ref } from "vue";
import { plain } from "@/client/problem";
import { freshKey, Refused, Unanswered, type Shape } from "@/client";
import { perform } from "@/client/acts";

export function useAttempt() {
  const [busy, failure] = [ref(false), ref<unknown>(null)];
  let [key, of] = [freshKey(), ""];

  const stale = computed(() => failure.value instanceof Refused && failure.value.status === 412);
  /** What is wrong with each field, by its name. */
  const wrong = computed(() => {
    if (!(failure.value instanceof Refused)) return {};
    const { errors, field, detail } = failure.value.problem;
    const found: Record<string, string> = {};
    for (const one of errors ?? []) if (one.field) found[one.field.split(".")[0] ?? ""] ??= plain(one.message ?? one.detail ?? "");
    if (field) found[field.split(".")[0] ?? ""] ??= plain(detail);
    return found;
  });

  function forget(): void {
    [failure.value, key] = [null, freshKey()];
  }
  /** Do it; null where it was refused or not answered, or is under way. What was typed is the caller's to keep. */
  async function attempt(ticket: { number: string; version: number }, act: string, order: Record<string, unknown>): Promise<Shape<"ActResult"> | null> {
    if (busy.value) return null;
    const what = `${ticket.number}/${act}/${ticket.version}/${JSON.stringify(order)}`;
    if (what !== of) [key, of] = [freshKey(), what]; // another order is another attempt
    [busy.value, failure.value] = [true, null];
    try {
      const result = await perform(ticket.number, act, order, ticket.version, key);
      [key, of] = [freshKey(), ""];
      return result;
    } catch (problem) {
      failure.value = problem;
      if (!(problem instanceof Unanswered)) [key, of] = [freshKey(), ""];
      return null;
    } finally {
      busy.value = false;
    }
  }
  return { busy, failure, stale, wrong, attempt, forget };
}
