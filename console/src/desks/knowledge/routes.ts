import type { RouteRecordRaw } from "vue-router";

/** The knowledge desk and its pages. */
export const KNOWLEDGE: RouteRecordRaw = {
  path: "/knowledge", name: "knowledge", component: () => import("./KnowledgeDesk.vue"), redirect: { name: "knowledge-find" },
  meta: { title: "知识库", needs: "search_knowledge", menu: 8, key: "F10", last: true },
  children: [
    { path: "find", name: "knowledge-find", component: () => import("./FindPage.vue"), meta: { title: "检索知识" } },
    { path: "drafts", name: "knowledge-drafts", component: () => import("./DraftsPage.vue"), meta: { title: "编写与审核" } },
    { path: "duties", name: "knowledge-duties", component: () => import("./DutiesPage.vue"), meta: { title: "待完善的知识" } },
    { path: "duties/:number", name: "knowledge-duty", component: () => import("./DutyPage.vue"), props: true, meta: { title: "整理报送知识" } },
    { path: "questions", name: "knowledge-questions", component: () => import("./QuestionsPage.vue"), meta: { title: "知识提问" } },
    { path: "recalls", name: "knowledge-recalls", component: () => import("./RecallsPage.vue"), meta: { title: "更正回访" } },
    { path: "upkeep", name: "knowledge-upkeep", component: () => import("./UpkeepPage.vue"), meta: { title: "维护事项" } },
    { path: "import", name: "knowledge-import", component: () => import("./ImportPage.vue"), meta: { title: "导入导出知识" } },
    { path: "write", name: "knowledge-write", component: () => import("./EditPage.vue"), meta: { title: "编写知识" } },
    { path: "articles/:name", name: "knowledge-article", component: () => import("./ArticlePage.vue"), props: true, meta: { title: "知识条目" } },
  ],
};
