// Unfinished forms: in this browser at once, with the engine a moment later, so that neither a reload, a crash nor another seat loses a word.
import { onMounted, type Ref, watch } from "vue";
import { api, clockOffset, must } from "@/client";
import { useSession } from "@/session";

export type Content = Record<string, unknown>;
export interface Draft {
  form: string;
  content: Content;
  /** When it was last changed, by the server's clock. */
  at: string;
  /** Whether the engine has it like this. */
  sent?: boolean;
}

const PREFIX = "hotline-draft:";
const PAUSE_MS = 1200;
const KEPT_MS = 7 * 86_400_000;

const nameOf = (form: string): string => `${PREFIX}${useSession().session?.login ?? ""}:${form}`;
const stamp = (): string => new Date(Date.now() + clockOffset.value).toISOString();

function read(name: string): Draft | null {
  try {
    const found = JSON.parse(localStorage.getItem(name) ?? "null") as Draft | null;
    return found && typeof found.content === "object" && typeof found.at === "string" ? found : null;
  } catch {
    return null;
  }
}
function write(draft: Draft): void {
  try {
    localStorage.setItem(nameOf(draft.form), JSON.stringify(draft));
  } catch {
    /* no room or no storage: the form and the engine still hold it */
  }
}
function names(): string[] {
  const found: string[] = [];
  for (let at = 0; at < localStorage.length; at += 1) {
    const name = localStorage.key(at);
    if (name?.startsWith(PREFIX)) found.push(name);
  }
  return found;
}

/** This person's drafts in this browser whose form's name begins so. Anybody's older than a week are dropped on the way. */
export function localDrafts(prefix: string): Draft[] {
  const mine = nameOf(prefix);
  const found: Draft[] = [];
  for (const name of names()) {
    const draft = read(name);
    if (!draft || Date.parse(draft.at) < Date.now() - KEPT_MS) localStorage.removeItem(name);
    else if (name.startsWith(mine)) found.push(draft);
  }
  return found;
}

/** The person leaves: what the engine has is no longer kept in the browser; what it has not stays until they come back. */
export function forgetSent(): void {
  for (const name of names()) if (read(name)?.sent) localStorage.removeItem(name);
}

window.addEventListener("online", () => void sendWaiting());
const waiting = new Map<string, ReturnType<typeof setTimeout>>();

/** Keep it here now, and with the engine once nothing has changed for a moment. */
export function keepDraft(form: string, content: Content): void {
  write({ form, content, at: stamp() });
  clearTimeout(waiting.get(form));
  waiting.set(form, setTimeout(() => void send(form), PAUSE_MS));
}
async function send(form: string): Promise<void> {
  waiting.delete(form);
  const draft = read(nameOf(form));
  if (!draft || draft.sent || !useSession().may("save_draft")) return;
  try {
    await must(api.POST("/api/v1/drafts/{form}", { params: { path: { form } }, body: { content: { ...draft.content, kept_at: draft.at } } }));
  } catch {
    return; // the browser has it; the next change is sent again
  }
  if (read(nameOf(form))?.at === draft.at) write({ ...draft, sent: true });
}
/** What has not been sent yet, sent: the line is back, or the person leaves. */
export async function sendWaiting(): Promise<void> {
  await Promise.all(localDrafts("").filter((draft) => !draft.sent).map((draft) => send(draft.form)));
}

/** Finished or given up: it is nowhere any more. */
export async function dropDraft(form: string): Promise<void> {
  clearTimeout(waiting.get(form));
  waiting.delete(form);
  localStorage.removeItem(nameOf(form));
  if (!useSession().may("discard_draft")) return;
  await must(api.POST("/api/v1/drafts/{form}/discard", { params: { path: { form } }, body: {} })).catch(() => undefined);
}

/** The person's drafts whose form's name begins so, from here and from the engine; of two the one changed later. */
export async function recallDrafts(prefix: string): Promise<Draft[]> {
  const found = new Map(localDrafts(prefix).map((draft) => [draft.form, draft]));
  if (useSession().may("list_drafts")) {
    const kept = await must(api.GET("/api/v1/drafts")).catch(() => []);
    await Promise.all(kept.filter((one) => one.form.startsWith(prefix)).map(async ({ form, saved_at }) => {
      const here = found.get(form);
      if (here && Date.parse(here.at) >= Date.parse(saved_at) - PAUSE_MS * 5) return;
      const whole = await must(api.GET("/api/v1/drafts/{form}", { params: { path: { form } } })).catch(() => null);
      if (!whole) return;
      const { kept_at, ...content } = whole.content as Content & { kept_at?: string };
      const at = kept_at ?? saved_at;
      if (!here || Date.parse(at) > Date.parse(here.at)) found.set(form, { form, content, at, sent: true });
    }));
  }
  return [...found.values()];
}

/** One form's draft: filled in from what was kept, if `blank` says that nothing has been typed meanwhile; kept with every change. */
export function useDraft<Form extends Content>(form: string, state: Ref<Form>, blank: (state: Form) => boolean): { discard: () => Promise<void> } {
  const stop = watch(state, (now) => (blank(now) ? void dropDraft(form) : keepDraft(form, now)), { deep: true });
  onMounted(async () => {
    const kept = (await recallDrafts(form)).find((one) => one.form === form);
    if (kept && blank(state.value)) state.value = { ...state.value, ...kept.content };
  });
  return {
    discard: async () => {
      stop();
      await dropDraft(form);
    },
  };
}
