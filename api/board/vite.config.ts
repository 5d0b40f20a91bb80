import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

// The api serves the page from its own root; `npm run dev` passes the page's calls on to an api on this machine.
const API = process.env.CARBONSTREAM_API ?? 'http://127.0.0.1:8000'

export default defineConfig({
  plugins: [vue()],
  build: {
    // Control rooms keep their browsers for years; Chromium 87 (2020) has all that the page needs.
    target: ['chrome87', 'firefox78', 'safari14'],
    // The content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // ECharts' bars and lines, 177 kB compressed; it comes after the figures.
    chunkSizeWarningLimit: 600,
  },
  server: { host: '127.0.0.1', proxy: { '/v1': API } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
