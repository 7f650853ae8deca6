// The Node.js host: loads the function's handler as Lambda does and serves events over the frames of
// docs/formats/frames.md on descriptor 3. Between events it sits in a blocking read, so that nothing of the function
// runs there. Started as a template it serves nothing itself: it loads the handler (or leaves that to the clones, as a
// template of the booted runtime), rehearses what most handlers will use and parks in the clone library; each clone goes on
// from there. Where several events are taken at a time, seats.js serves them. Absent: extensions.
'use strict';

const fs = require('fs');
const Module = require('module');
const path = require('path');
const util = require('util');

const CHANNEL = 3;
// Longer messages are sent in pieces: no frame may be longer than an answer.
const LOG_PIECE_CHARS = 1024 * 1024;

// Kept from before the function's code could replace them.
const { setImmediate } = globalThis;
const { parse, stringify } = JSON;
const now = Date.now;
const exit = process.exit.bind(process);

// ---- frames

const library = { exports: {} };
process.dlopen(library, path.join(__dirname, 'channel.so'));
const channel = library.exports;
channel.calls(serve);

function send(type, text) {
  if (!channel.send(type.charCodeAt(0), text)) exit(1);
}

function sendLog(timestamp, message) {
  for (let from = 0; from === 0 || from < message.length; from += LOG_PIECE_CHARS) {
    const piece = message.length <= LOG_PIECE_CHARS ? message : message.slice(from, from + LOG_PIECE_CHARS);
    if (!channel.log(timestamp, piece)) exit(1);
  }
}

// The frame that somebody who wants the clone begins with: a JSON object.
function readFrame() {
  const body = channel.body();
  if (body === undefined) exit(0);
  return parse(body);
}

// Waits for the next event: its header parsed, its payload as text.
function readEvent() {
  const header = channel.event();
  // The host is gone, and with it all reason to be.
  if (header === undefined) exit(0);
  return { header: parse(header), payload: channel.payload() };
}

// ---- streamed answers

const HANDLER_STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HTTP_INTEGRATION = 'application/vnd.awslambda.http-integration-response';
const CHUNK_BYTES = 64 * 1024;
const DELIMITER = new Uint8Array(8);

// Made when the first handler asks for one: most never do, and streams take a while to load.
let ResponseStream = null;

function loadResponseStream() {
  if (ResponseStream) return;
  const { Writable } = require('stream');
  ResponseStream = class extends Writable {
    constructor(invocation) {
      super();
      this.invocation = invocation;
      this.hasBegun = false;
      this.contentType = '';
    }

    setContentType(contentType) {
      this.contentType = String(contentType);
    }

    // As in Lambda's tutorial of streamed answers.
    finished() {
      return require('stream/promises').finished(this);
    }

    begin() {
      if (this.hasBegun) return;
      this.hasBegun = true;
      const { seat } = this.invocation;
      if (seat) seat.send('B', Buffer.from(this.contentType));
      else send('B', this.contentType);
      const { _onBeforeFirstWrite: before } = this;
      if (before) before((data) => (seat ? seat.send('C', Buffer.from(data)) : sendChunks(Buffer.from(data))));
    }

    _write(chunk, encoding, done) {
      // Another event may be under way: what comes too late goes nowhere.
      if (isUnderWay(this.invocation)) {
        this.begin();
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
        const { seat } = this.invocation;
        if (seat) {
          seat.stream(bytes, done);
          return;
        }
        sendChunks(bytes);
      }
      // Not at once, so that what else the function does has its turn between two writes.
      setImmediate(done);
    }
  };
}

// The host reads no further while the reader of the answer is behind: then this waits.
function sendChunks(bytes) {
  for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
    if (!channel.bytes(0x43, bytes.subarray(from, from + CHUNK_BYTES))) exit(1);
  }
}

// What functions find as `awslambda`.
const awslambda = {
  streamifyResponse(handler, options) {
    handler[HANDLER_STREAMING] = 'response';
    if (options && options.highWaterMark !== undefined) {
      handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')] = parseInt(options.highWaterMark, 10);
    }
    return handler;
  },
  HttpResponseStream: class {
    static from(stream, prelude) {
      stream.setContentType(HTTP_INTEGRATION);
      const text = stringify(prelude);
      stream._onBeforeFirstWrite = (write) => {
        write(text);
        write(DELIMITER);
      };
      return stream;
    }
  },
};

// ---- errors, in the shapes that Lambda's Node.js runtime gives them

function named(name) {
  const Class = { [name]: class extends Error {} }[name];
  Class.prototype.name = `Runtime.${name}`;
  return Class;
}
const ImportModuleError = named('ImportModuleError');
const UserCodeSyntaxError = named('UserCodeSyntaxError');
const HandlerNotFound = named('HandlerNotFound');
const MalformedHandlerName = named('MalformedHandlerName');
const UnhandledPromiseRejection = named('UnhandledPromiseRejection');
const NodeJsExit = named('NodeJsExit');
const StreamNotEnded = named('StreamNotEnded');

function looksLikeError(value) {
  return (
    util.types.isNativeError(value) ||
    (value && typeof value.name === 'string' && typeof value.message === 'string' && typeof value.stack === 'string')
  );
}

function errorObject(error) {
  try {
    if (looksLikeError(error)) {
      return { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

// A function may throw what cannot be written as JSON, such as a name with a toJSON that throws.
function errorText(error) {
  try {
    return stringify(errorObject(error));
  } catch {
    return '{"errorType":"handled","errorMessage":"the error could not be serialised"}';
  }
}

function withHiddenFields(_key, value) {
  if (!(value instanceof Error)) return value;
  const shown = Object.assign({ errorType: value.name, errorMessage: value.message, code: value.code }, value);
  if (typeof value.stack === 'string') shown.stack = value.stack.split('\n');
  return shown;
}

function logError(what, error) {
  try {
    const shown = error instanceof Error ? error : new Error(error);
    if (isJson) {
      emit('ERROR', [shown]);
      return;
    }
    let text;
    try {
      text = stringify(shown, withHiddenFields);
    } catch {
      text = errorText(shown);
    }
    emit('ERROR', [what, `\t${text}`]);
  } catch {
    emit('ERROR', [what]);
  }
}

// ---- console

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const isJson = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

function errorFields(error) {
  return {
    errorType: (error.constructor && error.constructor.name) || 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

// What an event's own code finds about it, where several are under way: an AsyncLocalStorage.
let around = null;

function jsonLine(time, level, requestId, params) {
  const line = { timestamp: time, level, requestId };
  if (params.length === 1) {
    line.message = params[0];
    try {
      return stringify(line, (_key, value) =>
        value instanceof Error ? Object.assign(errorFields(value), value) : value,
      );
    } catch {
      line.message = util.format(params[0]);
      return stringify(line);
    }
  }
  line.message = util.format(...params);
  const error = params.find((param) => param instanceof Error);
  if (error) Object.assign(line, errorFields(error));
  return stringify(line);
}

function emit(level, params) {
  const timestamp = now();
  const time = new Date(timestamp).toISOString();
  const own = around && around.getStore();
  const requestId = own ? own.requestId : globalThis[REQUEST_ID];
  const line = isJson
    ? jsonLine(time, level, requestId, params)
    : `${time}\t${requestId}\t${level}\t${util.format(...params)}`;
  if (own) own.seat.log(timestamp, line);
  else sendLog(timestamp, line);
}

function patchConsole() {
  const least = Math.max(0, LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  const at = (level) =>
    LEVELS.indexOf(level) >= least
      ? (...params) => emit(level, params.length === 0 ? [undefined] : params)
      : () => {};
  console.trace = at('TRACE');
  console.debug = at('DEBUG');
  console.info = at('INFO');
  console.log = console.info;
  console.warn = at('WARN');
  console.error = at('ERROR');
  console.fatal = at('FATAL');
}

// ---- loading

// Where Lambda looks for modules that are not in the function's own package.
function moduleFolders() {
  const major = process.versions.node.split('.')[0];
  return [
    `/opt/nodejs/node${major}/node_modules`,
    '/opt/nodejs/node_modules',
    '/var/runtime/node_modules',
    '/var/runtime',
  ];
}

function setModulePaths() {
  const before = (process.env.NODE_PATH || '').split(':').filter(Boolean);
  const added = moduleFolders().filter((folder) => !before.includes(folder));
  process.env.NODE_PATH = before.concat(added).join(':');
  Module._initPaths();
}

// ES modules ignore NODE_PATH in Node.js; Lambda makes them obey it. Only paid for where such a folder exists.
function letImportsUseModulePaths() {
  const folders = process.env.NODE_PATH.split(':').filter((f) => f.endsWith('/node_modules') && fs.existsSync(f));
  if (folders.length === 0) return;
  const { pathToFileURL } = require('url');
  const parents = folders.map((folder) => pathToFileURL(path.join(path.dirname(folder), 'from.mjs')).href);
  if (typeof Module.registerHooks === 'function') {
    Module.registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context);
        } catch (error) {
          if (error.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw error;
          for (const parentURL of parents) {
            try {
              return next(specifier, Object.assign({}, context, { parentURL }));
            } catch {}
          }
          throw error;
        }
      },
    });
  } else if (typeof Module.register === 'function') {
    const source = `
      const parents = ${stringify(parents)};
      export async function resolve(specifier, context, next) {
        try {
          return await next(specifier, context);
        } catch (error) {
          if (error.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw error;
          for (const parentURL of parents) {
            try {
              return await next(specifier, { ...context, parentURL });
            } catch {}
          }
          throw error;
        }
      }`;
    Module.register(`data:text/javascript,${encodeURIComponent(source)}`);
  }
}

// Whether the nearest package.json makes `.js` an ES module.
function isModulePackage(folder) {
  for (let at = folder; !at.endsWith('/node_modules'); at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    if (fs.existsSync(file)) {
      try {
        return parse(fs.readFileSync(file, 'utf8')).type === 'module';
      } catch (error) {
        console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (at === path.dirname(at)) return false;
  }
  return false;
}

async function loadModule(root, folder, name) {
  const base = path.resolve(root, folder, name);
  const importFile = (file) => {
    letImportsUseModulePaths();
    return import(require('url').pathToFileURL(file).href);
  };
  if (fs.existsSync(base) && fs.statSync(base).isFile()) return require(base);
  const isModule = isModulePackage(path.dirname(base));
  const typed = Number(process.versions.node.split('.')[0]) >= 24;
  const ways = [
    ['.js', isModule],
    ['.mjs', true],
    ['.cjs', false],
  ];
  if (typed) ways.push(['.ts', isModule], ['.mts', true], ['.cts', false]);
  for (const [extension, isImported] of ways) {
    const file = base + extension;
    if (!fs.existsSync(file)) continue;
    return isImported ? importFile(file) : require(file);
  }
  return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

async function loadHandler(root, handler) {
  if (handler.includes('..')) {
    throw new MalformedHandlerName(
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const last = path.basename(handler);
  const folder = handler.slice(0, handler.lastIndexOf(last));
  const dot = last.indexOf('.');
  if (dot < 0) throw new MalformedHandlerName('Bad handler');
  let found;
  try {
    found = await loadModule(root, folder, last.slice(0, dot));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UserCodeSyntaxError(error);
    if (error && error.code === 'MODULE_NOT_FOUND') throw new ImportModuleError(error);
    throw error;
  }
  for (const key of last.slice(dot + 1).split('.')) found = found && found[key];
  if (!found) throw new HandlerNotFound(`${handler} is undefined or not exported`);
  if (typeof found !== 'function') throw new HandlerNotFound(`${handler} is not a function`);
  return found;
}

// ---- serving

// The event under way, or null.
let current = null;
// What to do when the event loop has nothing left.
let whenEmpty = null;
let initialised = false;
// Nobody waits for the answer: see `rehearseServing`.
let isRehearsing = false;

// The answer is out before the next turn of the loop begins, so this turn costs the caller nothing; in it unhandled
// rejections are noticed and input and output left over from the event get a chance, as on Lambda.
function serveLater() {
  if (!isRehearsing) channel.later();
}

function isUnderWay(invocation) {
  return invocation.seat ? invocation.seat.invocation === invocation : invocation === current;
}

function finish(invocation, type, text) {
  if (!isUnderWay(invocation)) return;
  if (invocation.seat) {
    invocation.seat.answer(type, text);
    return;
  }
  current = null;
  whenEmpty = null;
  send(type, text);
  serveLater();
}

function succeed(invocation, result) {
  let text;
  try {
    text = stringify(result === undefined ? null : result);
  } catch {
    fail(invocation, new Error('Unable to stringify response body'));
    return;
  }
  finish(invocation, 'S', text === undefined ? 'null' : text);
}

function fail(invocation, error) {
  if (!isUnderWay(invocation)) return;
  logError('Invoke Error', error);
  finish(invocation, 'F', errorText(error));
}

// Read once: every look into the environment is a call out of the engine.
const { env } = process;
const IDENTITY = {
  functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
  functionName: env.AWS_LAMBDA_FUNCTION_NAME,
  memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
  logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
};

function makeContext(header, invocation) {
  let waits = true;
  const once = (act) => (...args) => {
    if (invocation.isDecided) return;
    invocation.isDecided = true;
    act(...args);
  };
  const done = (error, result) => {
    whenEmpty = null;
    if (error !== undefined && error !== null) fail(invocation, error);
    else succeed(invocation, result);
  };
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waits = value;
    },
    succeed: once((result) => done(null, result)),
    fail: once((error) => done(error === undefined || error === null ? 'handled' : error)),
    done: once(done),
    ...IDENTITY,
    clientContext: undefined,
    identity: undefined,
    invokedFunctionArn: header.arn,
    awsRequestId: header.requestId,
    tenantId: header.tenantId,
    getRemainingTimeInMillis: () => header.deadlineMs - now(),
  };
  const callback = once((error, result) => {
    if (!isUnderWay(invocation)) return;
    // With several events the loop is never empty.
    if ((error !== undefined && error !== null) || !waits || invocation.seat) done(error, result);
    else whenEmpty = () => succeed(invocation, result);
  });
  if (header.clientContext !== undefined) {
    try {
      context.clientContext = parse(header.clientContext);
    } catch (error) {
      throw new Error(`Cannot parse ClientContext as json: ${error}`);
    }
  }
  return { context, callback };
}

let handler;
let isAsync = false;
let isStreaming = false;

// Where CloudFormation waits for the answer of a custom resource: under a certificate of this cloud's own authority, which
// Node's list lacks. Found in events of functions and, escaped or not, of topics.
const ANSWERS_TO = 'https://127.0.0.1/_cumulet/';
let isPlatformTrusted = false;

// Done when the first such event comes, so that nobody else pays for it: an authority named in the environment is read,
// with all others, at every start of a process.
function trustPlatform() {
  isPlatformTrusted = true;
  const tls = require('tls');
  const ca = fs.readFileSync('/var/runtime/authority.pem');
  const connect = tls.connect;
  tls.connect = function (options, ...rest) {
    const isPlatform = options !== null && typeof options === 'object' && options.host === '127.0.0.1' && !options.ca;
    return connect.call(this, isPlatform ? { ...options, ca } : options, ...rest);
  };
}

function eventOf(payload) {
  if (!isPlatformTrusted && payload.includes(ANSWERS_TO)) trustPlatform();
  return parse(payload);
}

// The answer is over when the stream is; what the handler returns says nothing, but that it failed.
function serveStream(header, payload, invocation) {
  const { context } = makeContext(header, invocation);
  loadResponseStream();
  const stream = new ResponseStream(invocation);
  let isOver = false;
  const end = () => {
    if (isOver || !isUnderWay(invocation)) return;
    isOver = true;
    stream.begin();
    finish(invocation, 'S', '');
  };
  stream.on('finish', end);
  stream.on('error', (error) => fail(invocation, error));
  if (!invocation.seat) {
    whenEmpty = () =>
      fail(invocation, new StreamNotEnded('Response stream is not finished: the function ended without ending it'));
  }
  const event = eventOf(payload);
  Promise.resolve(handler(event, stream, context)).catch((error) => {
    isOver = true;
    fail(invocation, error === undefined || error === null ? 'handled' : error);
  });
}

function serve() {
  const { header, payload } = readEvent();
  const invocation = { isDecided: false };
  current = invocation;
  globalThis[REQUEST_ID] = header.requestId;
  if (header.trace === '') delete process.env._X_AMZN_TRACE_ID;
  else if (!channel.trace(header.trace)) process.env._X_AMZN_TRACE_ID = header.trace;
  // Nothing left to do and no answer: an async function can never answer, any other has said nothing.
  whenEmpty = () => {
    if (isAsync) {
      fail(
        invocation,
        new NodeJsExit(
          'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes',
        ),
      );
    } else {
      succeed(invocation, null);
    }
  };
  handle(header, payload, invocation);
}

function handle(header, payload, invocation) {
  let callback = (error) => fail(invocation, error);
  try {
    if (isStreaming) {
      serveStream(header, payload, invocation);
      return;
    }
    const made = makeContext(header, invocation);
    callback = made.callback;
    const { context } = made;
    const result = handler(eventOf(payload), context, callback);
    if (result && typeof result.then === 'function') result.then(context.succeed, context.fail);
  } catch (error) {
    callback(error);
  }
}

// An error nobody caught leaves the process in a state nobody knows: it is the answer, and the last one.
function die(what, error, code) {
  logError(what, error);
  if (!initialised) send('I', errorText(error));
  else if (seats) seats.fail(errorText(error));
  else if (current) {
    current = null;
    send('F', errorText(error));
  }
  exit(code);
}

// ---- templates

// Loaded in templates alone: in the clone it would take a millisecond.
let v8 = null;

// Random numbers made before the clones are parted would be the same in all of them, where an engine keeps some in stock.
// So until then they come from the kernel; the engine's own generators stay unused, and are seeded in the clone.
function withholdRandomness() {
  const crypto = require('crypto');
  const { random } = Math;
  const { randomUUID, randomInt } = crypto;
  let isClone = false;
  const draw = () => crypto.randomBytes(6).readUIntBE(0, 6);
  Math.random = () => (isClone ? random() : draw() / 2 ** 48);
  crypto.randomUUID = (options) =>
    isClone ? randomUUID(options) : randomUUID({ ...options, disableEntropyCache: true });
  crypto.randomInt = (...args) => {
    if (isClone || args.some((arg) => typeof arg === 'function')) return randomInt(...args);
    const [least, bound] = args.length === 1 ? [0, args[0]] : args;
    const range = bound - least;
    if (!Number.isSafeInteger(range) || range <= 0) return randomInt(...args);
    for (;;) {
      const drawn = draw();
      if (drawn < 2 ** 48 - (2 ** 48 % range)) return least + (drawn % range);
    }
  };
  return (seed) => {
    isClone = true;
    v8.setFlagsFromString(`--random-seed=${seed}`);
    Math.random = random;
    crypto.randomUUID = randomUUID;
    crypto.randomInt = randomInt;
  };
}

// What is not compiled, or not written to, before a clone is wanted takes its time while somebody waits for the answer: the
// way of its first frame and of events, with a handler that does nothing.
async function rehearseServing(turns) {
  const play = (type, header, rest) => {
    const start = header === null ? 5 : 9;
    const head = header === null ? '' : stringify(header);
    const bytes = Buffer.from(`${'\0'.repeat(start)}${head}${rest}`);
    bytes.writeUInt32LE(bytes.length - 4, 0);
    bytes[4] = type.charCodeAt(0);
    if (header !== null) bytes.writeUInt32LE(head.length, 5);
    return bytes;
  };
  const first = play('N', null, stringify({ environment: {} }));
  const trace = `Root=1-${'0'.repeat(8)}-${'0'.repeat(24)};Parent=${'0'.repeat(16)};Sampled=0`;
  const event = play('E', { requestId: '', deadlineMs: 0, arn: '', trace, clientContext: '{}' }, '{}');
  const before = [handler, isAsync, isStreaming];
  [handler, isAsync, isStreaming] = [async (_event, context) => ({ left: context.getRemainingTimeInMillis() }), true, false];
  isRehearsing = true;
  for (let turn = 0; turn < turns; turn++) {
    channel.rehearse(first);
    readFrame();
    channel.rehearse(event);
    serve();
    while (current) await null;
    if (!isClone) sendLog(now(), '');
  }
  channel.rehearse(Buffer.alloc(0));
  isRehearsing = false;
  [handler, isAsync, isStreaming] = before;
  delete globalThis[REQUEST_ID];
  // In a clone that is quiet nobody looks at it before the first event replaces it.
  if (!isQuiet) delete env._X_AMZN_TRACE_ID;
}

// Without calling them, for which the engine has a word of its own. Only functions written in JavaScript bear it.
function compile(functions) {
  const source = Function.prototype.toString;
  try {
    v8.setFlagsFromString('--allow-natives-syntax');
    const prepare = new Function('known', '%PrepareFunctionForOptimization(known)');
    for (const known of functions) {
      const isWritten = typeof known === 'function' && !util.types.isProxy(known) && !/\[native code\]\s*\}$/.test(source.call(known));
      if (isWritten) prepare(known);
    }
  } catch {
    // Engines may lose the word: then it takes longer.
  } finally {
    v8.setFlagsFromString('--no-allow-natives-syntax');
  }
}

// What functions register through `snapshot-restore`.
const hooks = { beforeSnapshot: [], afterRestore: [] };

// So often that the engine has seen all of it, and compiles nothing better in the first clones.
const TURNS = 20;
const SETTLE_MS = 20;
const SETTLE_TURNS_MAX = 100;
// What a clone would share with its siblings, or what goes on by itself. Sockets are ended in the clone, in order.
const UNCLONABLE = /^(TCPServerWrap|PipeServerWrap|ProcessWrap|FSEventWrap|StatWatcher|MessagePort|TLSServer)/;
// Work under way, which each clone would finish again.
const BUSY = /^(FSReq|FileHandleCloseReq|GetAddrInfoReq|TCPConnectWrap|RandomBytes|ScryptJob|ZipWrap|WorkHeap|ShutdownWrap|Write)/;

async function settle() {
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let quiet = 0;
  for (let turn = 0; turn < SETTLE_TURNS_MAX && quiet < 5; turn++) {
    await pause(SETTLE_MS);
    const busy = process.getActiveResourcesInfo().some((name) => BUSY.test(name));
    quiet = busy ? 0 : quiet + 1;
  }
  const found = process.getActiveResourcesInfo().find((name) => UNCLONABLE.test(name));
  if (found) throw new Error(`an open ${found}`);
}

// What the clone library is told of the clones: they have nothing to do before their first event.
const QUIET = 1;

// Returns in each clone, when it is wanted.
async function park(release, isLoaded) {
  const clones = { exports: {} };
  process.dlopen(clones, '/var/runtime/clone.so');
  require('dns');
  require('async_hooks');
  const { Socket } = require('net');
  await require('/var/runtime/node/rehearsal.js').rehearse();
  await import('node:fs');
  await rehearseServing(TURNS);
  compile([handler, begin, release]);
  for (const hook of hooks.beforeSnapshot.reverse()) await hook();
  await settle();
  // Made when first looked at, and renewed in the clone by the library.
  const standard = [process.stdout, process.stderr].filter((stream) => stream instanceof Socket).length;
  const hasSockets = process.getActiveResourcesInfo().filter((name) => /^(TCP|Pipe|TLS)/.test(name)).length > standard;
  isQuiet = isLoaded && hooks.afterRestore.length === 0 && !hasSeats;
  const found = clones.exports.park(CHANNEL, isQuiet ? QUIET : 0);
  if (typeof found === 'string') throw new Error(found);
  isClone = true;
  release(found);
  // Handlers of `exit` have run when this is called.
  process.reallyExit = (code) => clones.exports.end(code || 0);
  // What the first event will write to is the clone's own before anybody waits for it.
  await rehearseServing(1);
  const { environment } = readFrame();
  Object.assign(env, environment);
  IDENTITY.logStreamName = env.AWS_LAMBDA_LOG_STREAM_NAME;
  // Whoever owns a socket that was open sees its end before anything else happens.
  if (hasSockets) await new Promise((resolve) => setImmediate(resolve));
  for (const hook of hooks.afterRestore) await hook();
}

// The library is for this process alone, before those the function has named itself.
function releasePreload() {
  const [, ...own] = (env.LD_PRELOAD || '').split(':');
  if (own.length > 0) env.LD_PRELOAD = own.join(':');
  else delete env.LD_PRELOAD;
}

function load() {
  return loadHandler(process.env.LAMBDA_TASK_ROOT || process.cwd(), process.env._HANDLER || '').then((found) => {
    handler = found;
    isStreaming = found[HANDLER_STREAMING] === 'response';
    isAsync = Object.prototype.toString.call(found) === '[object AsyncFunction]';
  });
}

// Those that serve, where several events are taken at a time.
let seats = null;
const hasSeats = Number(env.AWS_LAMBDA_MAX_CONCURRENCY) > 1;
// In a clone that the first event finds ready without having said so.
let isQuiet = false;
let isClone = false;

function begin() {
  initialised = true;
  if (!isQuiet) send('R', '');
  if (hasSeats) {
    const { AsyncLocalStorage } = require('async_hooks');
    around = new AsyncLocalStorage();
    seats = require('/var/runtime/node/seats.js').open(CHANNEL, around, handle, exit);
    awslambda.InvokeStore = seats.store;
  } else {
    serveLater();
  }
}

const failInit = (error) => die('Uncaught Exception', error, 129);

function main() {
  // `initialised`: with the handler loaded; `booted`: without.
  const template = env.CUMULET_TEMPLATE;
  delete env.CUMULET_TEMPLATE;
  if (template) releasePreload();
  if (template) v8 = require('v8');
  const release = template ? withholdRandomness() : null;
  if (template) globalThis[Symbol.for('cumulet.snapshotHooks')] = hooks;
  patchConsole();
  Object.defineProperty(globalThis, 'awslambda', { value: awslambda, writable: true, enumerable: true, configurable: true });
  process.on('uncaughtException', (error) => die('Uncaught Exception', error, 129));
  process.on('unhandledRejection', (reason, promise) => {
    const error = new UnhandledPromiseRejection(reason);
    error.reason = reason;
    error.promise = promise;
    die('Unhandled Promise Rejection', error, 128);
  });
  process.on('beforeExit', () => {
    const act = whenEmpty;
    whenEmpty = null;
    if (act) act();
  });
  setModulePaths();
  if (!template) {
    load().then(begin, failInit);
    return;
  }
  const refuse = (error) => {
    send('I', errorText(error));
    exit(1);
  };
  const parked = () => park(release, template === 'initialised');
  const fail = (error) => (isClone ? failInit(error) : refuse(error));
  if (template === 'booted') parked().then(load).then(begin, fail);
  else load().then(() => parked().then(begin, fail), failInit);
}

main();
