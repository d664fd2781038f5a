// Made by tools/web-types from lkm.web.contract; not to be edited.

export interface Accepted {
  accepted: boolean
}

export interface Acted {
  action: string
  target: string
  value: string
  error: string
}

export interface Agreed {
  predicted: string
  actual: string
  same: boolean
  errno_same: boolean
}

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

export interface Appeared {
  entries: ObservedEntry[]
  registrations: Registration[]
}

export interface BootLine {
  release: string
  initramfs: boolean
  root: string
  steps: BootStep[]
  command: string
}

export interface BootQuestion {
  kernel?: string
  initramfs?: boolean
}

export interface BootStep {
  name: string
  what: string
  seconds: number | null
  where: string
}

export interface Bound {
  provider: string
  symbols: string[]
}

export interface Built {
  source: string
  module: string
  warnings: string
  seconds: number
  way: string
}

export interface Called {
  number: number
  function: string
  arguments: string
  result: string | null
  place: Place
}

export interface Crashed {
  words: string
  place: Place
}

export interface DecodeRequest {
  text: string
}

export interface Decoded {
  value: number
  letters: string
  line: string
  flags: TaintFlagShown[]
  read: string
  command: string
}

export interface DependencyLoaded {
  module: string
  path: string
  reason: string
  seconds: number
  error: string
}

export interface Diagnostic {
  file: string
  line: number
  column: number
  severity: string
  text: string
}

export interface Died {
  operation: string
  reason: string
}

export interface DoAction {
  kind: 'close' | 'open' | 'read' | 'set' | 'unload' | 'write'
  target?: string
  value?: string
}

export interface DoRequest {
  action: DoAction
}

export interface EdgeQuestion {
  module: string
  needs: string
  kernel?: string
}

export interface EdgeSymbols {
  module: string
  needs: string
  symbols: string[]
}

export interface Ended {
  code: number
  why: string
}

export interface Example {
  name: string
  title: string
  source: string
  parameters: string[]
  actions: SuggestedAction[]
}

export interface Examples {
  examples: Example[]
}

export interface Expected {
  errno: number
  log: string
  taints: boolean
}

export interface Failed {
  number: number
  function: string
  size: number | null
  place: Place
}

export interface FailureTried {
  failed: Failed
  outcome: Outcome
  error: string
  crash: Crashed | null
  leaks: Leaked[]
  left: ObservedEntry[]
}

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

export interface FetchRequest {
  what: string
  headers?: boolean
}

export interface Fetched {
  release: string
}

export interface Finished {
  problems: string[]
  seconds: number
  verdict: TrialVerdict | null
}

export interface FlagCause {
  bit: number
  letter: string
  meaning: string
  modules: string[]
  log: string[]
}

export interface Flipped {
  offset: number
  bit: number
  before: number
  after: number
}

export interface FreedPages {
  address: string
  count: number
}

export interface GateOnTheWay {
  name: string
  what: string
  functions: string[]
}

export interface GivenFile {
  name: string
  base64: string
}

export interface GivenSource {
  name: string
  text: string
}

export interface JudgedRule {
  rule: RuleText
  module: string
  effect: string
  because: string
}

export interface KernelChosen {
  kernel: string
  reason: string
  image: string
}

export interface KernelHere {
  release: string
  bootable: boolean
  headers: boolean
  modules: boolean
  default: boolean
}

export interface KernelQuestion {
  kernel?: string
}

export interface KernelReady {
  release: string
  how: string
  seconds: number
}

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

export interface KnownFailure {
  name: string
  title: string
  what: string
  command: string
}

export interface LaidOut {
  module: string
  moment: string
  sections: PlacedSection[]
  pages: PageRun[]
}

export interface Leaked {
  number: number
  function: string
  size: number | null
  place: Place
}

export interface LeftBehind {
  entries: ObservedEntry[]
  registrations: Registration[]
}

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

export interface Loaded {
  module: string
  path: string
  parameters: string
  seconds: number
}

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

export interface Logged {
  phase: Phase
  record: LogRecord
}

export interface MemoryFreed {
  pages: FreedPages[]
  bytes: number
}

export interface MemoryGroup {
  name: string
  permissions: string
  size: number
  pages: number
  kept: boolean
}

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

export interface MemoryQuestion {
  module: string
  kernel?: string
}

export interface MemoryRequest {
  subject?: Subject
  kernel?: string
}

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

export interface ModulesCame {
  modules: string[]
}

export interface NameMeaning {
  source: RuleSource
  pattern: string
  module: string
  decides: boolean
}

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

export interface NeedEdge {
  module: string
  needs: string
  kind: string
}

export interface NeededModule {
  name: string
  path: string
  size: number
  core: number
  order: number
}

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

export interface NeedsQuestion {
  module: string
  kernel?: string
}

export interface NoQuestion {
}

export interface NotChecked {
  what: string[]
}

export interface ObservedEntry {
  path: string
  kind: string
}

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

export interface OptionHead {
  name: string
  value: string
  modules: string[]
}

export interface OptionModule {
  name: string
  built_in: boolean
  path: string
  file_size: number
  core: number
  init: number
}

export interface OptionQuestion {
  name: string
  kernel?: string
}

export interface OptionRequest {
  module: string
  kernel?: string
}

export interface Options {
  release: string
  options: OptionHead[]
  total: number
}

export interface OptionsQuestion {
  search?: string
  kernel?: string
}

export type Outcome = 'clean error' | 'crash' | 'it went on' | 'leak' | 'left things behind' | 'the kernel died'

export interface PageProblem {
  error: string
  hint: string
  kind: string
}

export interface PageRun {
  address: string
  count: number
  permissions: string
  sections: string[]
}

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

export interface ParameterShown {
  name: string
  type: string
  permission: number | null
  value: string | null
  description: string
}

export interface Part {
  name: string
  offset: number
  length: number
}

export type Phase = 'dependencies' | 'load' | 'unload' | 'use'

export interface Place {
  at: string
  line: string
  text: string
}

export interface PlacedSection {
  name: string
  address: string
  size: number
  group: string
}

export interface PlannedStep {
  kind: string
  module: string
  reason: string
  path: string
  options: string
  command: string
  source: string
}

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

export interface Progress {
  what: string
  done: number
  total: number
}

export interface RecordedRequest {
  method: string
  path: string
  body: Record<string, unknown>
}

export interface Recording {
  head: RecordingHead
  request: RecordedRequest
  answer: unknown
  events: (Record<string, unknown>)[]
}

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

export interface RecordingIndex {
  recordings: RecordingHead[]
}

export interface RecordingQuestion {
  name: string
}

export interface Refused {
  operation: string
  errno: number
  error: string
  signal: number
  causes: string[]
  advice: string[]
}

export interface Registration {
  kind: string
  name: string
}

export interface Rehearsed {
  what: string
  ok: boolean
  said: string[]
  errno: number | null
  link: string
}

export interface RelatedPlace {
  what: string
  place: Place
}

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

export interface RelocationCount {
  section: string
  type: string
  count: number
}

export interface Remedy {
  text: string
  commands: string[]
}

export interface RuleBroken {
  rule: string
  words: string
  place: Place
  related: RelatedPlace[]
}

export interface RuleFinding {
  severity: string
  text: string
  source: string
}

export interface RuleSource {
  path: string
  line: number
}

export interface RuleText {
  kind: string
  name: string
  value: string
  source: RuleSource
}

export interface RulesConfigFile {
  path: string
  text: string
}

export interface RulesExample {
  name: string
  title: string
  files: RulesConfigFile[]
  asks: string[]
}

export interface RulesExamples {
  examples: RulesExample[]
}

export interface RulesFile {
  path: string
  text: string
}

export interface RulesRequest {
  name: string
  kernel?: string
  files?: RulesFile[]
  command_line?: string
}

export interface RunFailed {
  kind: string
  text: string
  hint: string
  output: string
  diagnostics: Diagnostic[]
}

export interface RunLimits {
  runs: number
  seconds: number
  processor_seconds: number
  memory: number
  output: number
  body: number
}

export interface RunStarted {
  id: string
  view: string
  command: string
}

export interface SecureBootRequest {
  subject?: Subject
  kernel?: string
  mokmanager?: boolean
}

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

export interface SigningRequest {
  subject?: Subject
  kernel?: string
  flip?: number | null
}

export interface Stage {
  phase: Phase
  function: string
  meaning: string
  gate: string
}

export interface State {
  module: string
  state: string
  size: number
  address: string
  refcount: number | null
  holders: string[]
  freed: number
}

export interface Stopped {
  function: string
  gate: string
  stages: string[]
}

export interface Subject {
  example?: string
  name?: string
  file?: GivenFile | null
}

export interface SuggestedAction {
  kind: string
  target: string
  value: string
}

export interface SymbolCounts {
  text: number
  text_not_exported: number
  exports: number
  exports_not_text: number
}

export interface Taint {
  flags: TaintFlagShown[]
}

export interface TaintFlagShown {
  bit: number
  letter: string
  meaning: string
  cause: string
  causable: boolean
  how: string
}

export interface TaintNow {
  value: number
  letters: string
  causes: FlagCause[]
  file: string
}

export interface TaintRequest {
  letter: string
  kernel?: string
}

export interface Tainted {
  letters: string
  meanings: string[]
}

export interface Trailer {
  algo: number
  hash: number
  id_type: number
  signer_len: number
  key_id_len: number
  sig_len: number
  magic: string
}

export interface TreeMap {
  release: string
  folders: string[]
  modules: TreeModule[]
}

export interface TreeModule {
  name: string
  folder: number
  size: number
  needs: number[]
}

export interface TrialVerdict {
  kind: VerdictKind
  headline: string
  cause: string
  place: Place | null
  advice: string[]
  further: number
}

export interface TurnBegun {
  module: string
  number: number
  total: number
}

export interface Unloaded {
  module: string
  seconds: number
}

export type VerdictKind = 'died' | 'good' | 'problem' | 'refused'

export interface Verified {
  what: string
  verdict: string
  reason: string
  signer: string
  key_id: string
  trusted_by: string
}

export interface Waiting {
  seconds: number
}

export interface Way {
  gates: GateOnTheWay[]
  failures: KnownFailure[]
}

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
  | ({ event: 'turn-begun' } & TurnBegun)
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
  | ({ event: 'rule-broken' } & RuleBroken)
  | ({ event: 'modules-came' } & ModulesCame)
  | ({ event: 'not-checked' } & NotChecked)
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
