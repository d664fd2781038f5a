import type { Appeared, LogRecord, RunEvent } from '../api'

export const STATES = ['file', 'coming', 'live', 'going', 'gone'] as const
export type LifeState = (typeof STATES)[number]

export interface LogLine { phase: string; text: string; level: number; sequence: number }
export interface Parameter { name: string; type: string; permission: number | null; value: string | null; description: string }

/** What /proc/modules calls a module's state. */
const KERNEL_STATES: Record<string, LifeState> = { Live: 'live', Loading: 'coming', Unloading: 'going' }

/** What is true of a module after some events. */
export interface Life {
  state: LifeState
  release: string
  module: string
  core: number
  freed: number
  address: string
  refcount: number | null
  holders: readonly string[]
  taints: string
  meanings: readonly string[]
  log: readonly LogLine[]
  made: Appeared['entries']
  parameters: readonly Parameter[]
  providers: readonly { provider: string; symbols: readonly string[] }[]
  stages: readonly { function: string; meaning: string; gate: string; phase: string }[]
  open: readonly string[]
  acts: readonly { action: string; target: string; value: string; error: string }[]
  refused: string
  problems: readonly string[] | null
}

export const NOTHING: Life = {
  state: 'file', release: '', module: '', core: 0, freed: 0, address: '', refcount: null, holders: [], taints: '', meanings: [], log: [],
  made: [], parameters: [], providers: [], stages: [], open: [], acts: [], refused: '', problems: null,
}

export function lifeAfter(events: readonly RunEvent[]): Life {
  return events.reduce(after, NOTHING)
}

function line(phase: string, record: LogRecord): LogLine {
  return { phase, text: record.text, level: record.level, sequence: record.sequence }
}

function acted(life: Life, event: RunEvent & { event: 'acted' }): Life {
  const { action, target, value, error } = event
  const next = { ...life, acts: [...life.acts, { action, target, value, error }] }
  if (error) return action === 'unload' ? { ...next, state: 'live' } : next
  switch (action) {
    case 'open': return { ...next, open: [...life.open, target] }
    case 'close': return { ...next, open: life.open.filter((held) => held !== target) }
    case 'set': return { ...next, parameters: life.parameters.map((p) => (p.name === target ? { ...p, value } : p)) }
    default: return next
  }
}

function after(life: Life, event: RunEvent): Life {
  switch (event.event) {
    case 'kernel-ready': return { ...life, release: event.release }
    case 'logged': {
      const entered = event.phase === 'load' && life.state === 'file' ? 'coming' : event.phase === 'unload' ? 'going' : life.state
      return { ...life, state: life.state === 'gone' ? 'gone' : entered, log: [...life.log, line(event.phase, event.record)] }
    }
    case 'stage': {
      const entered = event.phase === 'load' && life.state === 'file' ? 'coming' : event.phase === 'unload' && life.state === 'live' ? 'going' : life.state
      const { function: name, meaning, gate, phase } = event
      return { ...life, state: entered, stages: [...life.stages, { function: name, meaning, gate, phase }] }
    }
    case 'loaded': return { ...life, state: 'live', module: event.module }
    case 'state': return {
      ...life, state: KERNEL_STATES[event.state] ?? life.state, module: event.module, core: event.size, freed: event.freed || life.freed, address: event.address,
      refcount: event.refcount, holders: event.holders,
    }
    case 'parameter-shown': {
      const { name, type, permission, value, description } = event
      return { ...life, parameters: [...life.parameters.filter((p) => p.name !== name), { name, type, permission, value, description }] }
    }
    case 'bound': return { ...life, providers: [...life.providers, { provider: event.provider, symbols: event.symbols }] }
    case 'tainted': return { ...life, taints: event.letters, meanings: event.meanings }
    case 'appeared': return { ...life, made: event.entries }
    case 'acted': return acted(life, event)
    case 'refused': {
      const error = event.error || `signal ${event.signal}`
      const acts = life.module ? [...life.acts, { action: event.operation, target: '', value: '', error }] : life.acts
      return { ...life, state: life.state === 'going' ? 'live' : life.state, refused: error, acts }
    }
    case 'unloaded': return { ...life, state: 'gone', refcount: null, holders: [], made: [], open: [] }
    case 'finished': return { ...life, problems: event.problems }
    case 'run-failed': return { ...life, refused: event.text }
    default: return life
  }
}
