import { createRouter, createWebHistory, type RouteRecordRaw } from "vue-router";
import { ADMIN } from "@/desks/admin/routes";
import { ASSESSMENT } from "@/desks/assessment/routes";
import { KNOWLEDGE } from "@/desks/knowledge/routes";
import { REPORTS } from "@/desks/reports/routes";
import { useSession } from "@/session";

declare module "vue-router" {
  interface RouteMeta {
    title: string;
    /** The operation somebody must be able to ask for to be offered this desk in the menu. */
    needs?: string;
    /** Another operation that offers it too, to those who work on one of its pages alone. */
    also?: string;
    /** Shown in the menu, in this order. */
    menu?: number;
    /** The F-key that opens it. */
    key?: string;
    /** The operation that makes it somebody's first page; `needs` where it is left out. */
    home?: string;
    /** Somebody's first page only where no other desk is. */
    last?: boolean;
    open?: boolean;
  }
}

// In the order of the work, the same for everybody. Agents have the callback desk too: who took a call follows it to its callback (art. 14(1)).
export const DESKS: RouteRecordRaw[] = [
  { path: "/agent", name: "agent", component: () => import("@/desks/agent/AgentDesk.vue"), meta: { title: "话务台", needs: "take", home: "current_call", menu: 1, key: "F2" } },
  { path: "/tickets", name: "queues", component: () => import("@/desks/queues/QueueDesk.vue"), meta: { title: "工单队列", needs: "list_tickets", menu: 2, key: "F3", last: true } },
  { path: "/dispatch", name: "dispatch", component: () => import("@/desks/dispatch/DispatchDesk.vue"), meta: { title: "派单台", needs: "uphold_return", menu: 3, key: "F4" } },
  { path: "/review", name: "review", component: () => import("@/desks/review/ReviewDesk.vue"), meta: { title: "审核台", needs: "review_pass", menu: 4, key: "F6" } },
  { path: "/callback", name: "callback", component: () => import("@/desks/callback/CallbackDesk.vue"), meta: { title: "回访台", needs: "record_callback", menu: 5, key: "F7" } },
  { path: "/unit", name: "unit", component: () => import("@/desks/unit/UnitDesk.vue"), meta: { title: "承办台", needs: "sign", menu: 6, key: "F8" } },
  { path: "/board", name: "board", component: () => import("@/desks/board/BoardDesk.vue"), meta: { title: "督办看板", needs: "board", menu: 7, key: "F9" } },
  KNOWLEDGE,
  REPORTS,
  ASSESSMENT,
  ADMIN,
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

/** The desks offered to this person, in the order of the menu. */
export function offeredTo(may: (operation: string) => boolean): RouteRecordRaw[] {
  const offered = DESKS.filter((desk) => desk.meta?.menu && (may(desk.meta.needs ?? "") || may(desk.meta.also ?? "")));
  return offered.sort((a, b) => (a.meta?.menu ?? 0) - (b.meta?.menu ?? 0));
}

/** The first desk of the menu that is open to this person. */
function homeOf(): string {
  const session = useSession();
  const offered = offeredTo(session.may).filter((desk) => session.may(desk.meta?.home ?? desk.meta?.needs ?? ""));
  offered.sort((a, b) => Number(a.meta?.last ?? false) - Number(b.meta?.last ?? false) || (a.meta?.menu ?? 0) - (b.meta?.menu ?? 0));
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
