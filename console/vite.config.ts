import { fileURLToPath, URL } from "node:url";
import vue from "@vitejs/plugin-vue";
import Components from "unplugin-vue-components/vite";
import { ElementPlusResolver } from "unplugin-vue-components/resolvers";
import { defineConfig } from "vite";

const engine = process.env.HOTLINE_URL ?? "http://127.0.0.1:12345";

export default defineConfig({
  base: "/console/",
  plugins: [
    vue(),
    Components({ dirs: [], dts: "src/components.d.ts", resolvers: [ElementPlusResolver({ importStyle: "css" })] }),
  ],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  cacheDir: process.env.VITE_CACHE ?? "node_modules/.vite", // two dev servers side by side want two
  build: {
    target: ["chrome86", "edge86", "firefox90", "safari14"], // domestic browsers run older Chromium cores
    outDir: "../api/web",
    emptyOutDir: true,
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/api": { target: engine, changeOrigin: false }, "/healthz": engine } }, // a session wants the Host its page came from
});
