// The one way to the engine: typed requests, problems as exceptions, the session's CSRF token, the server's clock.
import createClient, { type Middleware } from "openapi-fetch";
import { reactive, ref } from "vue";
import type { components, paths } from "./schema";
import { freshKey } from "./key";
import { type Problem, Refused, Unanswered } from "./problem";

export { freshKey } from "./key";
export { Refused, Unanswered, wordsOf, type Problem } from "./problem";
export type Shape<Name extends keyof components["schemas"]> = components["schemas"][Name];

/** Server time minus this machine's, in milliseconds. */
export const clockOffset = ref(0);
/** Whether the last request was answered, and whether the session has ended meanwhile. */
export const connection = reactive({ up: true, ended: false });

let csrf = "";
export const setCsrf = (token: string): void => void (csrf = token);

/** Sent while somebody types, as often as needed: doing it twice is doing it once, and nothing need be remembered of it. */
const KEYLESS = /^\/api\/v1\/(similar-tickets|drafts\/\{form\})/;

const dress: Middleware = {
  onRequest({ request, schemaPath }) {
    if (request.method !== "GET") {
      request.headers.set("X-CSRF-Token", csrf);
      if (request.method === "POST" && !request.headers.has("Idempotency-Key") && !KEYLESS.test(schemaPath))
        request.headers.set("Idempotency-Key", freshKey());
    }
    return request;
  },
  onResponse({ response, schemaPath }) {
    connection.up = true;
    const date = response.headers.get("Date");
    if (date) {
      const offset = Date.parse(date) + 500 - Date.now(); // the header counts whole seconds
      if (Math.abs(offset - clockOffset.value) > 1500) clockOffset.value = offset;
    }
    if (response.status === 401 && !schemaPath.endsWith("/session")) connection.ended = true;
    return response;
  },
};

export const api = createClient<paths>({
  baseUrl: "/",
  fetch: async (request) => {
    try {
      return await globalThis.fetch(request);
    } catch (failure) {
      if (failure instanceof DOMException && failure.name === "AbortError") throw failure;
      connection.up = false;
      throw new Unanswered();
    }
  },
});
api.use(dress);

type Answer<Data> = { data?: Data; error?: unknown; response: Response };

/** The data of an answer. Throws `Refused` with the engine's problem, `Unanswered` where none came. */
export async function must<Data>(answer: Promise<Answer<Data>>): Promise<Data> {
  const { data, error, response } = await answer;
  if (response.ok) return data as Data;
  const problem = (error && typeof error === "object" ? error : {}) as Partial<Problem>;
  throw new Refused(response.status, {
    type: "about:blank",
    title: `错误 ${response.status}`,
    code: "unknown",
    status: response.status,
    detail: `服务器答复了错误（${response.status}），请稍后再试；反复出现时请告诉管理员。`,
    ...problem,
  } as Problem);
}
