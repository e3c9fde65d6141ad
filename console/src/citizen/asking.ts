// What the holder of a link asks and says: by the link alone, without a session.
import type { Shape } from "@/client";
import { freshKey } from "@/client/key";
import { Refused, Unanswered, type Problem } from "@/client/problem";

export type Demand = Shape<"CitizenView">;

async function asked<Answer>(token: string, what: string, init: RequestInit): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(`/api/v1/public/tickets/${encodeURIComponent(token)}${what}`, { ...init, credentials: "omit", cache: "no-store" });
  } catch {
    throw new Unanswered();
  }
  const told: unknown = await response.json().catch(() => null);
  if (response.ok && told) return told as Answer;
  if (response.ok) throw new Unanswered(); // the answer was cut off
  const detail = `服务器答复了错误（${response.status}），请稍后再试。`;
  throw new Refused(response.status, { detail, code: "unknown", ...(told as object | null) } as Problem);
}

export const read = (token: string): Promise<Demand> => asked(token, "", {});

/** Says something once: the same words sent again after a lost answer carry the same key, other words a new one. */
export function speaker(token: string, what: "evaluation" | "appeal"): (order: object) => Promise<Shape<"Said">> {
  let [key, last] = [freshKey(), ""];
  return (order) => {
    const body = JSON.stringify(order);
    if (last && body !== last) key = freshKey();
    last = body;
    return asked(token, `/${what}`, { method: "POST", body, headers: { "Content-Type": "application/json", "Idempotency-Key": key } });
  };
}

/** Whether the link itself opens nothing: mistyped, or another took its place. */
export const opensNothing = (failure: unknown): boolean => failure instanceof Refused && (failure.status === 404 || failure.status === 422);
