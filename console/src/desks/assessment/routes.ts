import type { RouteRecordRaw } from "vue-router";

/** 热点、督办函、考核: one desk, its pages by what somebody may ask for. */
export const ASSESSMENT: RouteRecordRaw = {
  path: "/assessment", name: "assessment", component: () => import("./AssessmentDesk.vue"),
  meta: { title: "热点考核", needs: "list_assessments", also: "list_samples", menu: 9.5, last: true },
  children: [
    { path: "", name: "assessment-home", component: () => import("./HomePage.vue"), meta: { title: "热点考核" } },
    { path: "hotspots/:run(\\d+)?", name: "hotspots", component: () => import("./HotspotsPage.vue"), props: true, meta: { title: "诉求热点", needs: "list_hotspots" } },
    { path: "letters", name: "letters", component: () => import("./LettersPage.vue"), meta: { title: "督办函", needs: "list_letters" } },
    { path: "scores", name: "scores", component: () => import("./ScoresPage.vue"), meta: { title: "考核" } },
    { path: "scores/:assessment(\\d+)", name: "score", component: () => import("./ScorePage.vue"), props: true, meta: { title: "考核" } },
    { path: "samples/:sample(\\d+)?", name: "samples", component: () => import("./SamplesPage.vue"), props: true, meta: { title: "数据抽查", needs: "list_samples" } },
    { path: "points", name: "points", component: () => import("./PointsPage.vue"), meta: { title: "评定分", needs: "list_points" } },
    { path: "exclusions", name: "exclusions", component: () => import("./ExclusionsPage.vue"), meta: { title: "容错剔除" } },
  ],
};
