import type { RouteRecordRaw } from "vue-router";

/** The report desk and its pages. */
export const REPORTS: RouteRecordRaw = {
  path: "/reports", name: "reports", component: () => import("./ReportsDesk.vue"), redirect: { name: "reports-figures" },
  meta: { title: "统计报告", needs: "read_figures", menu: 9, last: true },
  children: [
    { path: "figures", name: "reports-figures", component: () => import("./FiguresPage.vue"), meta: { title: "统计数据" } },
    { path: "figures/:indicator", name: "reports-counted", component: () => import("./CountedPage.vue"), meta: { title: "指标清单" } },
    { path: "filed", name: "reports-list", component: () => import("./ReportsPage.vue"), meta: { title: "报告" } },
    { path: "filed/:report(\\d+)", name: "reports-one", component: () => import("./ReportPage.vue"), props: true, meta: { title: "报告" } },
  ],
};
