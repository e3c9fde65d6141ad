import { createApp } from "vue";
import "./citizen.css";
import CitizenPage from "./CitizenPage.vue";

const token = /^\/q\/([^/]*)/.exec(location.pathname)?.[1] ?? "";
createApp(CitizenPage, { token }).mount("#citizen");
