import type { RecordingHead } from '../api'
import { here } from './here.svelte'
import { exported, get, recording, recordings, Refusal } from './server'

export interface Answer<T> {
  value: T
  /** Of the recording that this is; nothing where the server answered. */
  head: RecordingHead | undefined
}

/** What a GET gives: the server's answer now, or, where no kernel is to be asked about, what was recorded for the same path. */
export async function answer<T>(path: string): Promise<Answer<T>> {
  if (!(await here.asks())) {
    const head = (await recordings()).find((r) => r.path === path)
    if (head) return { value: (await recording(head.view, head.choice))!.answer as T, head }
    if (exported) throw new Refusal(0, 'This was not recorded when the page was exported.', 'lkm web')
  }
  return { value: await get<T>(path), head: undefined }
}
