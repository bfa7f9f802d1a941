import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** `vite build renderer` writes renderer/dist; `vite renderer` serves it with hot reload for work on it. */
export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  plugins: [react()],
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    // Fonts and styles come from us alone: the page's policy allows nothing inline.
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
