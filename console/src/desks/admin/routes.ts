import type { RouteRecordRaw } from "vue-router";
import { ADMIN_PAGES } from "./pages";

const PAGES: Record<string, RouteRecordRaw["component"]> = {
  people: () => import("./PeoplePage.vue"), units: () => import("./UnitsPage.vue"), catalogue: () => import("./CataloguePage.vue"),
  clients: () => import("./ClientsPage.vue"), subscriptions: () => import("./SubscriptionsPage.vue"), calendar: () => import("./CalendarPage.vue"),
  rules: () => import("./RulesPage.vue"), audit: () => import("./AuditPage.vue"), alerts: () => import("./AlertsPage.vue"),
  exports: () => import("./ExportsPage.vue"), account: () => import("./AccountPage.vue"),
};

/** The administration desk: everybody has an account of their own, so everybody has it; which pages, the session says. */
export const ADMIN: RouteRecordRaw = {
  path: "/admin", name: "admin", component: () => import("./AdminDesk.vue"),
  meta: { title: "管理与设置", needs: "list_sessions", menu: 10, home: "list_clients", last: true },
  children: ADMIN_PAGES.map((page) => ({ path: page.name.replace("admin-", ""), name: page.name, component: PAGES[page.name.replace("admin-", "")]!, meta: { title: page.title } })),
};
