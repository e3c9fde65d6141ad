import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { dropDraft, forgetSent, keepDraft, localDrafts, recallDrafts } from "@/parts/drafts";
import { useSession } from "@/session";

type Kept = { form: string; content: Record<string, unknown>; saved_at: string };
let engine: Map<string, Kept>;
let up: boolean;
let requests: string[];

function answer(request: Request): Response {
  const path = new URL(request.url, "http://localhost").pathname.replace("/api/v1/drafts", "").slice(1);
  const json = (body: unknown) => new Response(JSON.stringify(body), { headers: { "Content-Type": "application/json" } });
  if (!path) return json([...engine.values()]);
  const form = path.split("/")[0]!;
  if (path.endsWith("/discard")) return json({ discarded: engine.delete(form) });
  return json(engine.get(form));
}

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
  setActivePinia(createPinia());
  const session = useSession();
  session.session = { login: "agent" } as never;
  session.me = { may: ["save_draft", "list_drafts", "read_draft", "discard_draft"] } as never;
  [engine, up, requests] = [new Map(), true, []];
  vi.stubGlobal("fetch", async (request: Request) => {
    requests.push(`${request.method} ${new URL(request.url, "http://localhost").pathname}`);
    if (!up) throw new TypeError("down");
    if (request.method === "POST" && !request.url.endsWith("/discard")) {
      const form = request.url.split("/").at(-1)!;
      const { content } = (await request.json()) as { content: Record<string, unknown> };
      engine.set(form, { form, content, saved_at: new Date().toISOString() });
    }
    return answer(request);
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a draft", () => {
  test("is in the browser at once and with the engine a moment after the last change", async () => {
    keepDraft("contact-1", { content: "暖" });
    keepDraft("contact-1", { content: "暖气" });
    expect(localDrafts("contact-")).toMatchObject([{ form: "contact-1", content: { content: "暖气" } }]);
    expect(requests).toEqual([]);
    await vi.advanceTimersByTimeAsync(1300);
    expect(requests).toEqual(["POST /api/v1/drafts/contact-1"]);
    expect(localDrafts("contact-")[0]!.sent).toBe(true);
  });
  test("comes back from the engine at another seat, without what the engine adds", async () => {
    engine.set("contact-2", { form: "contact-2", content: { content: "路灯不亮", kept_at: new Date().toISOString() }, saved_at: new Date().toISOString() });
    expect(await recallDrafts("contact-")).toMatchObject([{ form: "contact-2", content: { content: "路灯不亮" }, sent: true }]);
  });
  test("changed here after it was sent is not replaced by the older one", async () => {
    keepDraft("contact-3", { content: "旧" });
    await vi.advanceTimersByTimeAsync(1300);
    await vi.advanceTimersByTimeAsync(60_000);
    up = false;
    keepDraft("contact-3", { content: "新" });
    await vi.advanceTimersByTimeAsync(1300);
    up = true;
    expect((await recallDrafts("contact-"))[0]!.content).toEqual({ content: "新" });
  });
  test("that the engine has leaves the browser with the person; one it has not stays", async () => {
    keepDraft("contact-4", { content: "已送" });
    await vi.advanceTimersByTimeAsync(1300);
    up = false;
    keepDraft("contact-5", { content: "未送" });
    await vi.advanceTimersByTimeAsync(1300);
    forgetSent();
    expect(localDrafts("contact-").map((one) => one.form)).toEqual(["contact-5"]);
  });
  test("of somebody else at the same browser is not shown", () => {
    keepDraft("contact-6", { content: "甲" });
    useSession().session = { login: "agent2" } as never;
    expect(localDrafts("contact-")).toEqual([]);
  });
  test("given up is nowhere any more", async () => {
    keepDraft("contact-7", { content: "废" });
    await vi.advanceTimersByTimeAsync(1300);
    await dropDraft("contact-7");
    expect([localDrafts("contact-"), engine.size]).toEqual([[], 0]);
  });
});
