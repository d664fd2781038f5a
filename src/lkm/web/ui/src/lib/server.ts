/** Talk to `lkm web`, or, in an exported folder, to what was recorded. */
import type { PageProblem, Recording, RecordingHead, RunEvent } from '../api'
import { read, write } from './store'

const KEY = 'lkm-token'

declare global {
  var lkmRecorded: Recording[] | undefined
}

/** Whether this page is an export: no server answers, every picture is a recording. */
export const exported = globalThis.lkmRecorded !== undefined

/** A request that failed; `hint` says what to do. */
export class Refusal extends Error {
  constructor(readonly status: number, message: string, readonly hint: string) {
    super(message)
  }
}

/** Move the token from the address into storage, so that it is neither seen nor shared. */
export function takeToken(): void {
  const match = /^#token=([\w-]+)/.exec(location.hash)
  if (!match) return
  write(KEY, match[1]!)
  history.replaceState(null, '', `${location.pathname}#/start`)
}

async function ask(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  if (exported) throw new Refusal(0, 'This page is an export: only what was recorded is here.', 'lkm web')
  const headers: Record<string, string> = { authorization: `Bearer ${read(KEY)}` }
  if (method === 'POST') headers['content-type'] = 'application/json'
  const answer = await fetch(path, {
    method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...(signal ? { signal } : {}),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error
    throw new Refusal(0, 'The server does not answer.', 'lkm web')
  })
  if (answer.ok) return answer
  const problem = (await answer.json().catch(() => ({ error: answer.statusText, hint: '' }))) as PageProblem
  throw new Refusal(answer.status, problem.error, problem.hint)
}

export async function get<T>(path: string): Promise<T> {
  return (await ask('GET', path)).json() as Promise<T>
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  return (await ask('POST', path, body)).json() as Promise<T>
}

/** The events of a run, as many at a time as came together. Leaving the loop early, or `signal`, ends the run. */
export async function* run(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<RunEvent[]> {
  const answer = await ask('POST', path, body, signal)
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let kept = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const lines = (kept + value).split('\n')
    kept = lines.pop()!
    const events = lines.filter(Boolean).map((line) => JSON.parse(line) as RunEvent)
    if (events.length) yield events
  }
}

let heads: Promise<RecordingHead[]> | undefined

/** What recordings there are. */
export function recordings(): Promise<RecordingHead[]> {
  heads ??= exported
    ? Promise.resolve(globalThis.lkmRecorded!.map((r) => r.head))
    : get<{ recordings: RecordingHead[] }>('/api/recorded').then((index) => index.recordings)
  heads.catch(() => (heads = undefined))
  return heads
}

/** The recording of one choice in a view; nothing where there is none. */
export async function recording(view: string, choice: string): Promise<Recording | undefined> {
  if (exported) return globalThis.lkmRecorded!.find((r) => r.head.view === view && r.head.choice === choice)
  const head = (await recordings()).find((r) => r.view === view && r.choice === choice)
  return head && get<Recording>(`/api/recorded/${encodeURIComponent(head.name)}`)
}
