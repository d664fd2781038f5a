import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig, type Plugin } from 'vite'

const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "font-src 'self'", "img-src 'self' data:", "base-uri 'none'",
  "form-action 'none'", "require-trusted-types-for 'script'", 'trusted-types svelte-trusted-html',
].join('; ')

/** Pages from file:// cannot load module scripts: one classic script, preceded by what was recorded, and the policy as a tag. */
const classic: Plugin = {
  name: 'classic-script',
  enforce: 'post',
  transformIndexHtml: (html) =>
    html
      .replace(/<script type="module" crossorigin src="([^"]+)"><\/script>/,
        '<script defer src="./recorded.js"></script>\n    <script defer src="$1"></script>')
      .replace(/ crossorigin/g, '')
      .replace('<meta charset="utf-8" />', `<meta charset="utf-8" />\n    <meta http-equiv="Content-Security-Policy" content="${POLICY}" />`),
}

/** Two builds of one page: `vite build` for the server, split by view; `vite build --mode export` for a folder opened from disk. */
export default defineConfig(({ mode }) => {
  const exported = mode === 'export'
  const names = { entryFileNames: 'lkm.js', assetFileNames: '[name][extname]' }
  return {
    plugins: [svelte(), ...(exported ? [classic] : [])],
    base: './',
    build: {
      outDir: exported ? '../static/export' : '../static',
      emptyOutDir: true,
      target: 'es2022',
      modulePreload: false as const,
      assetsInlineLimit: 0,
      cssCodeSplit: !exported,
      reportCompressedSize: true,
      rolldownOptions: {
        checks: { pluginTimings: false },
        // One script has no parts to find by its own address.
        ...(exported ? { transform: { define: { 'import.meta': '{}' } } } : {}),
        output: exported ? { format: 'iife' as const, codeSplitting: false, ...names } : {},
      },
    },
  }
})
