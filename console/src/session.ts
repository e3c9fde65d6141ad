// Who sits here, and which operations are open to them: told by the engine, never worked out in the browser.
import { defineStore } from "pinia";
import { computed, ref } from "vue";
import { api, connection, must, Refused, setCsrf, type Shape } from "@/client";
import { forgetTyped, typedBy } from "@/parts/typed";

export const useSession = defineStore("session", () => {
  const session = ref<Shape<"SessionView"> | null>(null);
  const me = ref<Shape<"Me"> | null>(null);
  const open = computed(() => new Set<string>(me.value?.may ?? []));

  function keep(view: Shape<"SessionView">): void {
    session.value = view;
    setCsrf(view.csrf);
    connection.ended = false;
    typedBy(view.login);
  }

  /** The session this browser already has, if any. */
  async function resume(): Promise<void> {
    try {
      keep(await must(api.GET("/api/v1/session")));
      if (!session.value?.owed) await introduce();
    } catch (failure) {
      if (!(failure instanceof Refused)) throw failure;
      session.value = me.value = null;
    }
  }
  async function introduce(): Promise<void> {
    me.value = await must(api.GET("/api/v1/me"));
  }
  async function enter(view: Shape<"SessionView">): Promise<void> {
    keep(view);
    if (!view.owed) await introduce();
  }
  async function leave(): Promise<void> {
    await must(api.DELETE("/api/v1/session"));
    session.value = me.value = null;
    forgetTyped();
  }
  /** Whether the engine would let this person do the operation at all. */
  const may = (operation: string): boolean => open.value.has(operation);

  return { session, me, may, resume, enter, leave, introduce };
});
