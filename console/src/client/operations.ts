// Any operation asked with a JSON order, by its id: what it asks for comes from the OpenAPI document.
import { api, freshKey, must } from ".";
import type { OrderForm } from "./acts";
import forms from "./forms.json";

export type Operation = keyof typeof forms;
const FORMS = forms as unknown as Record<string, OrderForm & { path: string }>;

export function formOfOperation(operation: Operation): OrderForm & { path: string } {
  const form = FORMS[operation];
  if (!form) throw new Error(`没有操作 ${operation}`);
  return form;
}

/** Ask for an operation. `key` stays the same when the same attempt is sent again. */
export async function ask<Answer = unknown>(
  operation: Operation, path: Record<string, string | number>, order: Record<string, unknown> = {}, key = freshKey(),
): Promise<Answer> {
  // The path is one of the typed ones, chosen at run time by the operation's id.
  return (await must(api.POST(formOfOperation(operation).path as "/api/v1/emergencies", {
    params: { path } as never, body: order as never, headers: { "Idempotency-Key": key },
  }))) as Answer;
}
