import type { DoAction, RunEvent } from '../api'
import { route } from './route.svelte'
import { exported, post, recording, Refusal, run } from './server'

/** Events whose time on the page is kept, for the browser's own tools and the bench. */
const MARKED = new Set(['run-started', 'loaded', 'ended'])

/**
 * The events of one run and how many of them are shown. A picture is a function of `now`, whether the events come
 * from a kernel this moment, from a recording, from a link or from an export.
 */
export class Run {
  events = $state.raw<RunEvent[]>([])
  shown = $state(0)
  going = $state(false)
  /** Where the events came from. */
  origin = $state<'none' | 'recorded' | 'live'>('none')
  /** The release that a recording's head names. */
  #head = $state('')
  made = $state('')
  /** What a recording was asked with. */
  request = $state.raw<Record<string, unknown>>({})
  problem = $state<{ text: string; hint: string } | undefined>()
  now = $derived(this.events.slice(0, this.shown))
  command = $derived(this.events.find((e) => e.event === 'run-started')?.command ?? '')
  /** The kernel that ran, as far as it has been told. */
  kernel = $derived.by(() => {
    const ready = this.events.find((e) => e.event === 'kernel-ready')
    const chosen = this.events.find((e) => e.event === 'kernel-chosen')
    return ready?.release ?? chosen?.kernel.replace(/^\w+:/, '') ?? this.#head
  })
  /** The id by which a run that waits takes actions. */
  waiting = $derived.by(() => {
    const first = this.events.find((e) => e.event === 'run-started')
    const last = this.events.findLast((e) => e.event === 'waiting')
    return this.going && first && last ? first.id : ''
  })
  #control: AbortController | undefined

  constructor(readonly view: string) {}

  /** Show what was recorded for a choice, at the moment that the address names, else after the last event that is `best`. */
  async recorded(choice: string, best?: (event: RunEvent) => boolean): Promise<boolean> {
    this.stop()
    try {
      const found = await recording(this.view, choice)
      if (this.going) return true
      this.events = (found?.events ?? []) as unknown as RunEvent[]
      this.origin = found ? 'recorded' : 'none'
      this.#head = found?.head.kernel ?? ''
      this.made = found?.head.made ?? ''
      this.request = found?.request.body ?? {}
      const at = Number(route.params.at ?? NaN)
      this.shown = Number.isInteger(at) && at >= 0 ? Math.min(at, this.events.length) : this.events.findLastIndex(best ?? (() => true)) + 1 || this.events.length
      this.problem = undefined
      return found !== undefined
    } catch (error) {
      this.fail(error)
      return false
    }
  }

  /** Ask the server to do it now. */
  async live(body: unknown, path = `/api/run/${this.view}`): Promise<void> {
    this.stop()
    const control = new AbortController()
    this.#control = control
    this.going = true
    this.problem = undefined
    const before = { events: this.events, shown: this.shown, origin: this.origin }
    let fresh = false
    performance.mark('asked')
    try {
      for await (const events of run(path, body, control.signal)) {
        if (!fresh) {
          fresh = true
          this.events = []
          this.shown = 0
          this.origin = 'live'
          route.set({ at: '' })
        }
        const following = this.shown === this.events.length
        this.events = [...this.events, ...events]
        if (following) this.shown = this.events.length
        for (const event of events) if (MARKED.has(event.event)) performance.mark(event.event)
        const last = events.at(-1)!
        if (last.event === 'ended' && last.why) this.problem = { text: last.why, hint: '' }
      }
    } catch (error) {
      if (control.signal.aborted) return
      this.fail(error)
      if (!fresh) Object.assign(this, before)
    } finally {
      if (this.#control === control) this.going = false
    }
  }

  /** Let a waiting run do one thing more; the outcome comes as events. */
  async act(action: DoAction): Promise<void> {
    if (!this.waiting) return
    this.shown = this.events.length
    await post(`/api/run/${this.waiting}/do`, { action }).catch((error: unknown) => this.fail(error))
  }

  stop(): void {
    this.#control?.abort()
    this.#control = undefined
    this.going = false
  }

  fail(error: unknown): void {
    this.problem = error instanceof Refusal ? { text: error.message, hint: error.hint } : { text: String(error), hint: '' }
  }
}

export { exported }
