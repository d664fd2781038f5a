import type { RunEvent, RunFailed } from '../api'

const AT: Record<string, string> = { load: 'while loading', unload: 'while unloading', use: 'in use', dependencies: 'while loading what it needs' }

export function bytes(n: number): string {
  if (n >= 1 << 20) return `${+(n / (1 << 20)).toFixed(1)} MiB`
  return n >= 1024 ? `${+(n / 1024).toFixed(1)} KiB` : `${n} bytes`
}

export function count(n: number, word: string, many = `${word}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? word : many}`
}

export function seconds(s: number): string {
  return s >= 1 ? `${s.toFixed(1)} s` : `${(s * 1000).toFixed(s < 0.01 ? 1 : 0)} ms`
}

export function base(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function list(items: readonly string[], most = 4): string {
  return items.length > most ? `${items.slice(0, most).join(', ')} and ${items.length - most} more` : items.join(', ')
}

/** Why a run could not go on: the compiler's errors counted, else in the server's words. */
export function failure(event: RunFailed): string {
  const errors = event.diagnostics.filter((d) => d.severity === 'error')
  return errors.length ? `It does not compile: ${count(errors.length, 'error')}, the first in line ${errors[0]!.line}.` : event.text
}

/** One event as a sentence: what the moment bar, the text twin and a screen reader say. */
export function words(event: RunEvent): string {
  switch (event.event) {
    case 'run-started': return 'The run begins.'
    case 'progress': return event.total ? `${event.what}: ${Math.round((100 * event.done) / event.total)} %` : event.what
    case 'kernel-chosen': return `Kernel ${event.kernel}: ${event.reason}.`
    case 'built': return `${base(event.module)} is compiled${event.seconds ? `, in ${seconds(event.seconds)}` : ''}.`
    case 'kernel-ready': return `Linux ${event.release} runs, ${event.how} in ${seconds(event.seconds)}.`
    case 'dependency-loaded': return event.error ? `${event.module}, needed first, is refused: ${event.error}.` : `${event.module} is loaded first: ${event.reason}.`
    case 'stage': return `The kernel enters ${event.function}()${event.meaning ? `: ${event.meaning}` : ''}${event.meaning.endsWith('?') ? '' : '.'}`
    case 'logged': return `The kernel logs ${AT[event.phase] ?? ''}: ${event.record.text}`
    case 'loaded': return `The kernel took ${event.module}, in ${seconds(event.seconds)}.`
    case 'refused': return `Refused: ${event.operation}: ${event.error || `signal ${event.signal}`}.`
    case 'stopped': return `The kernel went no further than ${event.function}().`
    case 'state': return `${event.module} is ${event.state}: reference count ${event.refcount ?? 'unknown'}${event.holders.length ? `, held by ${list(event.holders)}` : ''}.`
    case 'parameter-shown': return `Parameter ${event.name} is ${event.value ?? 'not readable'}.`
    case 'bound': return `It uses ${count(event.symbols.length, 'symbol')} of ${event.provider}.`
    case 'tainted': return `The kernel is tainted, ${event.letters}: ${event.meanings.join(', ')}.`
    case 'appeared': return `It made ${list(event.entries.map((e) => e.path)) || 'no file'}.`
    case 'left-behind': return event.entries.length + event.registrations.length ? `It left behind ${list(event.entries.map((e) => e.path))}.` : 'It left nothing behind.'
    case 'acted': return `${event.action} ${event.target}: ${event.error || event.value || 'done'}.`
    case 'waiting': return 'The module is loaded and waits for what you do.'
    case 'unloaded': return `${event.module} is gone.`
    case 'finished': return event.problems.length ? `Problems: ${event.problems.join('; ')}.` : 'All went well.'
    case 'run-failed': return failure(event)
    case 'ended': return event.why || 'That was all.'
    case 'crashed': return `${event.words} at ${event.place.line || event.place.at}.`
    case 'died': return `The kernel died in ${event.operation}: ${event.reason}.`
    case 'leaked': return `${event.size ?? 'Some'} bytes from ${event.function} are lost, allocated at ${event.place.line || event.place.at}.`
    case 'faulted': return `${event.kind}: a ${event.access} at byte ${event.offset}${event.size === null ? '' : ` of ${event.size}`}, at ${event.place.line || event.place.at}.`
    case 'called': return `It calls ${event.function}(${event.arguments})${event.result === null ? '' : ` = ${event.result}`}.`
    case 'failed': return `Allocation ${event.number}, by ${event.function}, is made to fail.`
    case 'failure-tried': return `Allocation ${event.failed.number} failed: ${event.outcome}.`
    case 'predicted': return event.loads ? 'The doctor says: it loads.' : `The doctor says: ${event.errno_name || event.message} at the gate “${event.gate}”.`
    case 'agreed': return event.same ? 'Doctor and kernel agree.' : `The doctor said ${event.predicted || 'it loads'}, the kernel ${event.actual || 'loaded it'}.`
    case 'laid-out': return `Memory is ${event.moment}: ${count(event.pages.reduce((n, p) => n + p.count, 0), 'page')}.`
    case 'relocated': return `${event.symbol}: ${event.before} becomes ${event.after} in ${event.section}.`
    case 'memory-freed': return `${bytes(event.bytes)} are given back: init is over.`
    case 'key-made': return `A key is made: ${event.subject}.`
    case 'signed': return `${bytes(event.blob_length)} of signature are appended to ${bytes(event.content_length)} of module.`
    case 'verified': return `${event.what}: ${event.verdict}${event.reason ? `, ${event.reason}` : ''}.`
    case 'flipped': return `Bit ${event.bit} of byte ${event.offset} is flipped: ${event.before} becomes ${event.after}.`
    case 'answered': return `${event.what} under ${event.policy}: ${event.loads ? 'loads' : event.errno_name}.`
    case 'rehearsed': return `${event.link === 'mok' ? 'MOK' : event.link}: ${event.what}${event.ok ? '' : '; not as it should be'}.`
    case 'taint-now': return `/proc/sys/kernel/tainted is ${event.value} (${event.letters || 'not tainted'}).`
    case 'fetched': return `Kernel ${event.release} is here.`
    default: return (event as { event: string }).event
  }
}

/** How a tick on the moment bar looks: what matters is tall, what is wrong is marked. */
export function weight(event: RunEvent): 'small' | 'tall' | 'bad' {
  switch (event.event) {
    case 'refused': case 'run-failed': case 'crashed': case 'died': case 'leaked': case 'faulted': return 'bad'
    case 'answered': return event.loads ? 'tall' : 'bad'
    case 'rehearsed': return !event.ok || event.errno ? 'bad' : 'tall'
    case 'finished': return event.problems.length ? 'bad' : 'tall'
    case 'loaded': case 'unloaded': case 'state': case 'kernel-ready': case 'acted': case 'tainted': case 'memory-freed':
    case 'laid-out': case 'signed': case 'flipped': case 'key-made': case 'predicted': case 'stopped': case 'taint-now': return 'tall'
    default: return 'small'
  }
}
