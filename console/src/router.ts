import { createRouter, createWebHistory, type RouteRecordRaw } from "vue-router";
import { useSession } from "@/session";

declare module "vue-router" {
  interface RouteMeta {
    title: string;
    /** The operation somebody must be able to ask for to be offered this desk in the menu. */
    needs?: string;
    /** Shown in the menu, in this order. */
    menu?: number;
    /** The F-key that opens it. */
    key?: string;
    open?: boolean;
  }
}

export const DESKS: RouteRecordRaw[] = [
  { path: "/tickets", name: "queues", component: () => import("@/desks/queues/QueueDesk.vue"), meta: { title: "工单队列", needs: "list_tickets", menu: 2, key: "F3" } },
  { path: "/tickets/:number", name: "ticket", component: () => import("@/desks/ticket/TicketPage.vue"), props: true, meta: { title: "工单", needs: "get_ticket" } },
];

export const router = createRouter({
  history: createWebHistory(import.meta.env.BASE_URL),
  routes: [
    { path: "/", name: "home", component: () => import("@/desks/entry/LostPage.vue"), meta: { title: "工作台" } },
    { path: "/sign-in", name: "sign-in", component: () => import("@/desks/entry/SignIn.vue"), meta: { title: "登录", open: true } },
    ...DESKS,
    { path: "/:rest(.*)*", name: "lost", component: () => import("@/desks/entry/LostPage.vue"), meta: { title: "没有这个页面", open: true } },
  ],
});

/** The first desk of the menu that is open to this person. */
function homeOf(): string {
  const session = useSession();
  const offered = DESKS.filter((desk) => desk.meta?.menu && session.may(desk.meta.needs ?? ""));
  offered.sort((a, b) => (a.meta?.menu ?? 0) - (b.meta?.menu ?? 0));
  return String(offered[0]?.name ?? "lost");
}

let asked = false;
router.beforeEach(async (to) => {
  const session = useSession();
  if (!asked) {
    await session.resume();
    asked = true;
  }
  if (!to.meta.open && !session.me) return { name: "sign-in", query: to.name === "home" ? {} : { to: to.fullPath } };
  if (to.name === "home") return { name: homeOf(), replace: true };
  return true;
});
router.afterEach((to) => {
  document.title = `${to.meta.title} · 12345 热线`;
});
