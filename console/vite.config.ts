import { fileURLToPath, URL } from "node:url";
import vue from "@vitejs/plugin-vue";
import Components from "unplugin-vue-components/vite";
import { ElementPlusResolver } from "unplugin-vue-components/resolvers";
import { defineConfig, type Plugin } from "vite";

const engine = process.env.HOTLINE_URL ?? "http://127.0.0.1:12345";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The engine serves the citizen's page under /q/<token>; so does the dev server. */
const citizenPage: Plugin = {
  name: "citizen-page",
  configureServer(server) {
    server.middlewares.use((request, _answer, next) => {
      if (request.url?.startsWith("/q/")) request.url = "/console/citizen.html";
      next();
    });
  },
};

export default defineConfig({
  base: "/console/",
  define: { __VUE_OPTIONS_API__: false }, // nothing here is written so, nor in what we use of Element Plus
  plugins: [
    vue(),
    Components({ dirs: [], dts: "src/components.d.ts", resolvers: [ElementPlusResolver({ importStyle: "css" })] }),
    citizenPage,
  ],
  resolve: { alias: { "@": at("./src") } },
  cacheDir: process.env.VITE_CACHE ?? "node_modules/.vite", // two dev servers side by side want two
  build: {
    target: ["chrome86", "edge86", "firefox90", "safari14"], // domestic browsers run older Chromium cores
    outDir: "../api/web",
    emptyOutDir: true,
    chunkSizeWarningLimit: 700,
    rolldownOptions: { input: { console: at("./index.html"), citizen: at("./citizen.html") } },
  },
  server: { fs: { allow: [at("."), at("../docs/manual")] }, proxy: { "/api": { target: engine, changeOrigin: false }, "/healthz": engine } }, // a session wants the Host its page came from
});
