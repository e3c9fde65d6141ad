import { fileURLToPath, URL } from "node:url";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [vue()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { fs: { allow: ["..", "."] } }, // the manual is read from docs/
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"], server: { deps: { inline: ["element-plus"] } } },
});
