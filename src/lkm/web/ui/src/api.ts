// Made by tools/web-types from lkm.web.contract; not to be edited.

/** The action was handed to the run. */
export interface Accepted {
  accepted: boolean
}

/** An action on the loaded module (see ``Action``): what it gave, or the error. */
export interface Acted {
  action: string
  target: string
  value: string
  error: string
}

/** Whether kernel and doctor named the same gate and error number. */
export interface Agreed {
  predicted: string
  actual: string
  same: boolean
  errno_same: boolean
}

/** What a kernel under ``policy`` said to ``what``; ``stage`` is where it stopped, if it did. */
export interface Answered {
  what: string
  policy: string
  loads: boolean
  errno: number
  errno_name: string
  log: string[]
  taints: string
  stage: string
  predicted: Expected
}

/** What the load made: paths of /sys, /proc, /dev, and registrations. */
export interface Appeared {
  entries: ObservedEntry[]
  registrations: Registration[]
}

/** How this kernel comes to its root file system. */
export interface BootLine {
  release: string
  initramfs: boolean
  root: string
  steps: BootStep[]
  command: string
}

/** How a kernel comes to its root file system. */
export interface BootQuestion {
  kernel?: string
  initramfs?: boolean
}

/** A step from the firmware to the root file system; ``where`` its code comes from. */
export interface BootStep {
  name: string
  what: string
  seconds: number | null
  where: string
}

/** The symbols the module uses of one provider, sorted. */
export interface Bound {
  provider: string
  symbols: string[]
}

/** The module was built from ``source``; ``seconds`` is 0 when nothing had changed. */
export interface Built {
  source: string
  module: string
  warnings: string
  seconds: number
}

/** A call of the module into the kernel; ``result`` is ``None`` where it has none. */
export interface Called {
  number: number
  function: string
  arguments: string
  result: string | null
  place: Place
}

/** An oops, BUG or warning in the log: what happened in words, and where. */
export interface Crashed {
  words: string
  place: Place
}

/** A taint value in whatever form it was seen. */
export interface DecodeRequest {
  text: string
}

/** A taint value: number, letters, and as the kernel's log has it; ``read`` says from what. */
export interface Decoded {
  value: number
  letters: string
  line: string
  flags: TaintFlagShown[]
  read: string
  command: string
}

/** A module that was loaded first, and why; ``error`` is empty when the kernel took it. */
export interface DependencyLoaded {
  module: string
  path: string
  reason: string
  seconds: number
  error: string
}

/** A message of the compiler; ``line`` and ``column`` count from 1, 0: not told. */
export interface Diagnostic {
  file: string
  line: number
  column: number
  severity: string
  text: string
}

/** The kernel panicked, hung or went away. */
export interface Died {
  operation: string
  reason: string
}

/** Something to do while the module is loaded. */
export interface DoAction {
  kind: 'close' | 'open' | 'read' | 'set' | 'unload' | 'write'
  target?: string
  value?: string
}

/** One more action in an interactive run. */
export interface DoRequest {
  action: DoAction
}

/** For which symbols a module needs another. */
export interface EdgeQuestion {
  module: string
  needs: string
  kernel?: string
}

/** The symbols for which one module needs another. */
export interface EdgeSymbols {
  module: string
  needs: string
  symbols: string[]
}

/** The last event, always: ``code`` 0 and no ``why`` when all was told. */
export interface Ended {
  code: number
  why: string
}

/** A module of ours, as source; parameters and actions worth a try. */
export interface Example {
  name: string
  title: string
  source: string
  parameters: string[]
  actions: SuggestedAction[]
}

/** What the playground starts from. */
export interface Examples {
  examples: Example[]
}

/** What ``lkm.signing`` foretells of a load. */
export interface Expected {
  errno: number
  log: string
  taints: boolean
}

/** An allocation that was made to fail. */
export interface Failed {
  number: number
  function: string
  size: number | null
  place: Place
}

/** What came of failing one allocation; ``error`` is what the load, if refused, gave. */
export interface FailureTried {
  failed: Failed
  outcome: Outcome
  error: string
  crash: Crashed | null
  leaks: Leaked[]
  left: ObservedEntry[]
}

/** A wrong access to the module's memory (``overflow``, ``use-after-free``, …). */
export interface Faulted {
  kind: string
  access: string
  offset: number
  size: number | null
  place: Place
  caller: Place | null
  allocated: Place | null
  freed: Place | null
  found_at_free: boolean
}

/** Fetch a kernel: a release or a flavour (``amd64``). */
export interface FetchRequest {
  what: string
  headers?: boolean
}

/** A kernel was fetched. */
export interface Fetched {
  release: string
}

/** The end: ``problems`` in words, none when all went well; ``seconds`` in all. */
export interface Finished {
  problems: string[]
  seconds: number
}

/** A taint flag that is set: the loaded modules that carry it, the log lines that tell. */
export interface FlagCause {
  bit: number
  letter: string
  meaning: string
  modules: string[]
  log: string[]
}

/** One bit of the signed content was turned: its byte's offset, before and after. */
export interface Flipped {
  offset: number
  bit: number
  before: number
  after: number
}

/** Pages in a row that were given back. */
export interface FreedPages {
  address: string
  count: number
}

/** One of the doctor's gates, in load_module's order, and the kernel's functions for it. */
export interface GateOnTheWay {
  name: string
  what: string
  functions: string[]
}

/** A module's file, brought by the user; ``base64`` are its bytes. */
export interface GivenFile {
  name: string
  base64: string
}

/** One C file: ``name`` is without the suffix. */
export interface GivenSource {
  name: string
  text: string
}

/** A rule and what becomes of it: applies, shadowed, masked, none or kernel. */
export interface JudgedRule {
  rule: RuleText
  module: string
  effect: string
  because: string
}

/** The kernel that is used, why this one, and where its image is. */
export interface KernelChosen {
  kernel: string
  reason: string
  image: string
}

/** A kernel of this machine or its cache, what of it is here, whether it is taken by default. */
export interface KernelHere {
  release: string
  bootable: boolean
  headers: boolean
  modules: boolean
  default: boolean
}

/** Something about a kernel. */
export interface KernelQuestion {
  kernel?: string
}

/** The kernel runs; ``how`` it came to, ``seconds`` it took. */
export interface KernelReady {
  release: string
  how: string
  seconds: number
}

/** A signing key; the private half is in the run's own folder only. ``certificate`` is hex. */
export interface KeyMade {
  name: string
  subject: string
  serial: string
  key_id: string
  fingerprint: string
  algorithm: string
  not_after: string
  certificate: string
  seconds: number
}

/** A failure that can be made; ``command`` is what does the same to a file of one's own. */
export interface KnownFailure {
  name: string
  title: string
  what: string
  command: string
}

/** A module's memory at a moment: ``linked``, ``protected`` (before init) or ``live``. */
export interface LaidOut {
  module: string
  moment: string
  sections: PlacedSection[]
  pages: PageRun[]
}

/** Memory that was not given back: the allocation's number, by what, how large, called where. */
export interface Leaked {
  number: number
  function: string
  size: number | null
  place: Place
}

/** What the module should have taken with it; nothing, if it did. */
export interface LeftBehind {
  entries: ObservedEntry[]
  registrations: Registration[]
}

/** Load a module, act on it, unload it. */
export interface LifeRequest {
  subject?: Subject
  kernel?: string
  parameters?: string[]
  actions?: DoAction[]
  sig_enforce?: boolean
  lockdown?: boolean
  guard?: boolean
  trace?: boolean
  interactive?: boolean
  live?: boolean
}

/** The kernel took the module. */
export interface Loaded {
  module: string
  path: string
  parameters: string
  seconds: number
}

/** One record of the kernel log. */
export interface LogRecord {
  text: string
  level: number
  facility: number
  sequence: number
  microseconds: number
  continuation: boolean
  caller: string
  tags: ([string, string])[]
  lost: number
}

/** A record of the kernel log. */
export interface Logged {
  phase: Phase
  record: LogRecord
}

/** What went after init: pages that are no longer mapped as before. */
export interface MemoryFreed {
  pages: FreedPages[]
  bytes: number
}

/** Sections with equal permissions, in pages of their own; ``kept``: after init. */
export interface MemoryGroup {
  name: string
  permissions: string
  size: number
  pages: number
  kept: boolean
}

/** What a module's file says of its memory; all in bytes. */
export interface MemoryPlan {
  module: string
  path: string
  release: string
  core: number
  init: number
  percpu: number
  page_size: number
  groups: MemoryGroup[]
  sections: MemorySection[]
  relocations: RelocationCount[]
  command: string
}

/** Which module's memory: a name of the tree, or ``example:NAME``. */
export interface MemoryQuestion {
  module: string
  kernel?: string
}

/** Load a module and show where the kernel puts it. */
export interface MemoryRequest {
  subject?: Subject
  kernel?: string
}

/** A section, where it is in its group (bytes) and in the file. */
export interface MemorySection {
  name: string
  offset: number
  size: number
  file_offset: number
  alignment: number
  group: string
  kept: boolean
  loaded: boolean
}

/** A place that knows the name, in modprobe's order; the first that knows it decides. */
export interface NameMeaning {
  source: RuleSource
  pattern: string
  module: string
  decides: boolean
}

/** Who decides a name. */
export interface NameRules {
  name: string
  release: string
  steps: PlannedStep[]
  meanings: NameMeaning[]
  rules: JudgedRule[]
  similar: string[]
  findings: RuleFinding[]
  problems: string[]
  command: string
}

/** ``module`` needs ``needs``; ``kind`` is hard, pre, post or weak. */
export interface NeedEdge {
  module: string
  needs: string
  kind: string
}

/** A module of a closure; ``order``: the place in which it is loaded, 0 first; -1: never. */
export interface NeededModule {
  name: string
  path: string
  size: number
  core: number
  order: number
}

/** What a module needs; ``command`` is the equal ``lkm`` command line, here and elsewhere. */
export interface NeedsGraph {
  release: string
  roots: string[]
  modules: NeededModule[]
  edges: NeedEdge[]
  order: string[]
  problems: string[]
  symbols: SymbolCounts
  command: string
}

/** What a module needs. */
export interface NeedsQuestion {
  module: string
  kernel?: string
}

/** Nothing is asked but the route itself. */
export interface NoQuestion {
}

/** A path of the kernel's own file systems; ``kind`` in words (``character device 10:124``). */
export interface ObservedEntry {
  path: string
  kind: string
}

/** What an option is in this kernel, and what comes of it. */
export interface OptionFacts {
  name: string
  value: string
  release: string
  prompt: string
  where: string
  modules: OptionModule[]
  needed_for_root: boolean | null
  needed_why: string
  aliases: number
  command: string
}

/** An option of a kernel's configuration and the modules that it makes. */
export interface OptionHead {
  name: string
  value: string
  modules: string[]
}

/** A module of an option; sizes in bytes, 0 where it is built in (``path`` is then empty). */
export interface OptionModule {
  name: string
  built_in: boolean
  path: string
  file_size: number
  core: number
  init: number
}

/** One option, with or without ``CONFIG_``. */
export interface OptionQuestion {
  name: string
  kernel?: string
}

/** Load a module of the tree, to see its real size and time. */
export interface OptionRequest {
  module: string
  kernel?: string
}

/** The first options whose name or module has the text; ``total`` is how many there are. */
export interface Options {
  release: string
  options: OptionHead[]
  total: number
}

/** Which options: those whose name, or a module of theirs, has the text. */
export interface OptionsQuestion {
  search?: string
  kernel?: string
}

export type Outcome = 'clean error' | 'crash' | 'it went on' | 'leak' | 'left things behind' | 'the kernel died'

/** Why a request was refused, and what to do. */
export interface PageProblem {
  error: string
  hint: string
  kind: string
}

/** Pages in a row with equal permissions, and the sections in them. */
export interface PageRun {
  address: string
  count: number
  permissions: string
  sections: string[]
}

/** What is here; each hint is the line that brings what is missing. */
export interface PageState {
  version: string
  running: string
  kernels: KernelHere[]
  emulated: boolean
  emulated_hint: string
  playground: boolean
  playground_hint: string
  secure_boot: boolean
  secure_boot_hint: string
  live: boolean
  landlock: number
  limits: RunLimits
  fetch: string
}

/** A parameter: its type (empty: not told), permission bits, value (``None``: unreadable). */
export interface ParameterShown {
  name: string
  type: string
  permission: number | null
  value: string | null
  description: string
}

/** A part of the signed file. */
export interface Part {
  name: string
  offset: number
  length: number
}

export type Phase = 'dependencies' | 'load' | 'unload' | 'use'

/** ``at`` is ``function+0xoffset``, ``line`` ``file:line``, ``text`` that line. */
export interface Place {
  at: string
  line: string
  text: string
}

/** A section where the kernel put it. */
export interface PlacedSection {
  name: string
  address: string
  size: number
  group: string
}

/** A step of modprobe's plan; ``source`` is ``file:line`` or empty. */
export interface PlannedStep {
  kind: string
  module: string
  reason: string
  path: string
  options: string
  command: string
  source: string
}

/** Compile one C file and try the module. */
export interface PlayRequest {
  source: GivenSource
  kernel?: string
  parameters?: string[]
  actions?: DoAction[]
  guard?: boolean
  trace?: boolean
  fail_alloc?: string
  interactive?: boolean
}

/** What the doctor says of the load beforehand; all empty where it says that it loads. */
export interface Predicted {
  loads: boolean
  gate: string
  errno: number
  errno_name: string
  message: string
  finding: string
  cause: string
  fixes: Remedy[]
  passed: string[]
}

/** A step that takes long; ``done`` of ``total`` bytes, both 0 where that is not known. */
export interface Progress {
  what: string
  done: number
  total: number
}

/** What one would ask a server for the same. */
export interface RecordedRequest {
  method: string
  path: string
  body: Record<string, unknown>
}

/** A recorded answer, or the events of a recorded run; the other is ``None`` or empty. */
export interface Recording {
  head: RecordingHead
  request: RecordedRequest
  answer: unknown
  events: (Record<string, unknown>)[]
}

/** One recording: ``path`` of what was asked with GET, else none; the day it was ``made``. */
export interface RecordingHead {
  name: string
  view: string
  choice: string
  path: string
  title: string
  kernel: string
  made: string
  seconds: number
}

/** All recorded runs. */
export interface RecordingIndex {
  recordings: RecordingHead[]
}

/** One recording. */
export interface RecordingQuestion {
  name: string
}

/** The kernel refused something: ``operation``, the errno's name and text, or the signal. */
export interface Refused {
  operation: string
  errno: number
  error: string
  signal: number
  causes: string[]
}

/** Something registered with a part of the kernel: of what ``kind``, and its name there. */
export interface Registration {
  kind: string
  name: string
}

/** A step of the Secure Boot rehearsal; ``link`` of the chain it is about. */
export interface Rehearsed {
  what: string
  ok: boolean
  said: string[]
  errno: number | null
  link: string
}

/** A place the kernel's linker wrote to: bytes (hexadecimal) before and after. */
export interface Relocated {
  section: string
  place: string
  address: string
  type: string
  symbol: string
  value: string
  before: string
  after: string
}

/** How many relocations of a type a section has. */
export interface RelocationCount {
  section: string
  type: string
  count: number
}

/** What to do, in words and as commands to copy. */
export interface Remedy {
  text: string
  commands: string[]
}

/** What is doubtful in the configuration. */
export interface RuleFinding {
  severity: string
  text: string
  source: string
}

/** Where something is written; ``line`` 0: the file as a whole. */
export interface RuleSource {
  path: string
  line: number
}

/** One line of configuration: its command, the name it is about, the rest. */
export interface RuleText {
  kind: string
  name: string
  value: string
  source: RuleSource
}

/** A file of an example. */
export interface RulesConfigFile {
  path: string
  text: string
}

/** A configuration worth a look, and names to ask it. */
export interface RulesExample {
  name: string
  title: string
  files: RulesConfigFile[]
  asks: string[]
}

/** What the rules view starts from. */
export interface RulesExamples {
  examples: RulesExample[]
}

/** A configuration file that counts for the question: its path in the root, its text. */
export interface RulesFile {
  path: string
  text: string
}

/** Ask what a name stands for under the given configuration alone. */
export interface RulesRequest {
  name: string
  kernel?: string
  files?: RulesFile[]
  command_line?: string
}

/** The run could not go on: the error's class, what to do, what a program printed. */
export interface RunFailed {
  kind: string
  text: string
  hint: string
  output: string
  diagnostics: Diagnostic[]
}

/** What one run may take; ``memory``, ``output`` and ``body`` in bytes. */
export interface RunLimits {
  runs: number
  seconds: number
  processor_seconds: number
  memory: number
  output: number
  body: number
}

/** The first event: the run's id, its view, and the equal ``lkm`` command line. */
export interface RunStarted {
  id: string
  view: string
  command: string
}

/** Rehearse Secure Boot with a module, in a virtual machine. */
export interface SecureBootRequest {
  subject?: Subject
  kernel?: string
  mokmanager?: boolean
}

/** A module was signed; ``digest``, ``head`` and ``tail`` are hexadecimal. */
export interface Signed {
  module: string
  content_length: number
  digest_algorithm: string
  digest: string
  blob_length: number
  trailer: Trailer
  head: string
  tail: string
  parts: Part[]
}

/** Make a key, sign a module with it, flip the bit at ``flip`` (in bits; none: the middle). */
export interface SigningRequest {
  subject?: Subject
  kernel?: string
  flip?: number | null
}

/** The kernel came to one of its own functions on a module's way, the first time in ``phase``. */
export interface Stage {
  phase: Phase
  function: string
  meaning: string
  gate: string
}

/** The module's line of /proc/modules; ``size`` and ``freed`` (after init) in bytes. */
export interface State {
  module: string
  state: string
  size: number
  address: string
  refcount: number | null
  holders: string[]
  freed: number
}

/** After a refused load: the last of the kernel's functions that it came to, and its gate. */
export interface Stopped {
  function: string
  gate: string
  stages: string[]
}

/** Where the module comes from; exactly one field is filled. */
export interface Subject {
  example?: string
  name?: string
  file?: GivenFile | null
}

/** An action to offer with an example. */
export interface SuggestedAction {
  kind: string
  target: string
  value: string
}

/** How many symbols of the kernel image nm calls ``T``, and how many modules may use. */
export interface SymbolCounts {
  text: number
  text_not_exported: number
  exports: number
  exports_not_text: number
}

/** All flags, lowest bit first. */
export interface Taint {
  flags: TaintFlagShown[]
}

/** A taint flag; ``how`` it is caused here, empty where it is not (``causable`` false). */
export interface TaintFlagShown {
  bit: number
  letter: string
  meaning: string
  cause: string
  causable: boolean
  how: string
}

/** The kernel's taint, as /proc/sys/kernel/tainted has it, and each flag's cause. */
export interface TaintNow {
  value: number
  letters: string
  causes: FlagCause[]
  file: string
}

/** Cause one taint flag for real. */
export interface TaintRequest {
  letter: string
  kernel?: string
}

/** Taint flags that were set, as letters and in words. */
export interface Tainted {
  letters: string
  meanings: string[]
}

/** The twelve bytes before the magic (``struct module_signature``), and the magic. */
export interface Trailer {
  algo: number
  hash: number
  id_type: number
  signer_len: number
  key_id_len: number
  sig_len: number
  magic: string
}

/** All modules of a kernel; ``size`` of the files in bytes. */
export interface TreeMap {
  release: string
  folders: string[]
  modules: TreeModule[]
}

/** A module of the whole tree: indices into the tree's folders and modules. */
export interface TreeModule {
  name: string
  folder: number
  size: number
  needs: number[]
}

/** The module is gone. */
export interface Unloaded {
  module: string
  seconds: number
}

/** lkm's own verdict on ``what``, before any kernel is asked. */
export interface Verified {
  what: string
  verdict: string
  reason: string
  signer: string
  key_id: string
  trusted_by: string
}

/** The module is loaded and what is to be done next is asked for, so many seconds at most. */
export interface Waiting {
  seconds: number
}

/** The gates, and the failures to choose from. */
export interface Way {
  gates: GateOnTheWay[]
  failures: KnownFailure[]
}

/** Make one of the known failures happen, or see where the kernel stops with a file. */
export interface WayRequest {
  failure?: string
  subject?: Subject | null
  kernel?: string
  parameters?: string[]
  sig_enforce?: boolean
  lockdown?: boolean
}

export type RunEvent = { at: number } & (
  | ({ event: 'progress' } & Progress)
  | ({ event: 'kernel-chosen' } & KernelChosen)
  | ({ event: 'built' } & Built)
  | ({ event: 'kernel-ready' } & KernelReady)
  | ({ event: 'dependency-loaded' } & DependencyLoaded)
  | ({ event: 'loaded' } & Loaded)
  | ({ event: 'refused' } & Refused)
  | ({ event: 'died' } & Died)
  | ({ event: 'crashed' } & Crashed)
  | ({ event: 'logged' } & Logged)
  | ({ event: 'stage' } & Stage)
  | ({ event: 'waiting' } & Waiting)
  | ({ event: 'state' } & State)
  | ({ event: 'parameter-shown' } & ParameterShown)
  | ({ event: 'bound' } & Bound)
  | ({ event: 'laid-out' } & LaidOut)
  | ({ event: 'relocated' } & Relocated)
  | ({ event: 'memory-freed' } & MemoryFreed)
  | ({ event: 'tainted' } & Tainted)
  | ({ event: 'appeared' } & Appeared)
  | ({ event: 'acted' } & Acted)
  | ({ event: 'unloaded' } & Unloaded)
  | ({ event: 'left-behind' } & LeftBehind)
  | ({ event: 'leaked' } & Leaked)
  | ({ event: 'faulted' } & Faulted)
  | ({ event: 'called' } & Called)
  | ({ event: 'failed' } & Failed)
  | ({ event: 'failure-tried' } & FailureTried)
  | ({ event: 'finished' } & Finished)
  | ({ event: 'run-started' } & RunStarted)
  | ({ event: 'run-failed' } & RunFailed)
  | ({ event: 'ended' } & Ended)
  | ({ event: 'fetched' } & Fetched)
  | ({ event: 'predicted' } & Predicted)
  | ({ event: 'stopped' } & Stopped)
  | ({ event: 'agreed' } & Agreed)
  | ({ event: 'key-made' } & KeyMade)
  | ({ event: 'signed' } & Signed)
  | ({ event: 'verified' } & Verified)
  | ({ event: 'flipped' } & Flipped)
  | ({ event: 'answered' } & Answered)
  | ({ event: 'rehearsed' } & Rehearsed)
  | ({ event: 'taint-now' } & TaintNow)
)
