// Acts on a ticket, done by name: which are open comes from the ticket, what they ask from the OpenAPI document.
import { freshKey, Refused, setCsrf, Unanswered, type Problem, type Shape, api, must } from ".";
import orders from "./orders.json";

export interface Field {
  name: string;
  title: string;
  help?: string;
  required: boolean;
  default?: unknown;
  kind: "pick" | "word" | "choice" | "yes" | "number" | "instant" | "lines" | "findings" | "checklist" | "group" | "prose" | "line" | "day" | "words";
  pick?: string;
  multiple?: boolean;
  words?: string;
  options?: string[];
  min?: number;
  max?: number;
  fields?: Field[];
}
export interface OrderForm {
  label: string;
  fields: Field[];
}

const FORMS = orders as unknown as Record<string, OrderForm>;

/** The form of an act's order; undefined for what takes no JSON order (attachments). */
export const formOf = (act: string): OrderForm | undefined => FORMS[act];

/** Do an act on a ticket at the version last seen. `key` stays the same when the same attempt is sent again. */
export async function perform(
  number: string,
  act: string,
  order: Record<string, unknown>,
  version: number | undefined,
  key = freshKey(),
): Promise<Shape<"ActResult">> {
  const headers: Record<string, string> = { "Idempotency-Key": key };
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  // The path is one of the typed ones, chosen at run time by the ticket's `acts`.
  return must(api.POST(`/api/v1/tickets/{number}/${act}` as "/api/v1/tickets/{number}/accept", {
    params: { path: { number } },
    body: order as never,
    headers,
  }));
}

export { Refused, setCsrf, Unanswered, type Problem };
