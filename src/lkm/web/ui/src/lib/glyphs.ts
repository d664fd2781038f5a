import type { View } from './route.svelte'

/** One line drawing a view, in a square of 48. */
export const glyphs: Record<Exclude<View, 'start'>, string> = {
  life: 'M4 24h8m6 0h12m6 0h8M15 24m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0M33 24m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0',
  way: 'M8 6v36M8 14h12M8 24h20M8 34h12M36 17l8 14M44 17l-8 14',
  memory: 'M6 8h14v8H6zM6 20h14v8H6zM6 32h14v8H6zM28 8h14v20H28zM28 32h4m4 0h4m2 2v4m-14 0v-4m2 6h4m4 0h2',
  option: 'M6 12l6 10l6-10M12 22v12M21 34V16m0 4c2-5 7-5 7 0v14m0-14c2-5 7-5 7 0v14M40 34V20',
  needs: 'M8 24h10M18 24L30 10M18 24l12 0M18 24l12 14M30 6h12v8H30zM30 20h12v8H30zM30 34h12v8H30z',
  rules: 'M6 10h22M6 19h30M6 28h14M6 37h26M34 28l4 4l7-9',
  signing: 'M14 24m-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0M22 24h20v7M35 24v6',
  taint: 'M6 14h36M6 24h36M6 34h36M14 11v6M34 21v6M22 31v6',
  play: 'M16 12L5 24l11 12M32 12l11 12l-11 12M27 8l-6 32',
}
