// What has to work in a clone: each feature of the runtime that needs more than its main thread's memory. The platform runs
// it in a clone of each interpreter before it clones functions of it, and the soak runs one by lot in each of many clones.
const crypto = require('crypto');
const dns = require('dns');
const fs = require('fs');
const http = require('http');
const tls = require('tls');
const zlib = require('zlib');
const { promisify } = require('util');
const { execFile } = require('child_process');
const { Worker } = require('worker_threads');

const made = crypto.randomUUID();
const check = (holds, what) => {
  if (!holds) throw new Error(what);
};

const FEATURES = {
  random: () => check(crypto.randomUUID() !== made && Math.random() !== Math.random(), 'random'),
  timer: () => new Promise((resolve) => setTimeout(resolve, 2)),
  files: async () => {
    await fs.promises.writeFile('/tmp/file', 'text');
    check((await fs.promises.readFile('/tmp/file', 'utf8')) === 'text', 'files');
    check(fs.readdirSync('/tmp').length === 1, 'its own /tmp');
    fs.unlinkSync('/tmp/file');
  },
  pbkdf2: async () => check((await promisify(crypto.pbkdf2)('a', 'b', 100, 16, 'sha256')).length === 16, 'pbkdf2'),
  zlib: async () => check((await promisify(zlib.gunzip)(await promisify(zlib.gzip)('a'.repeat(1e4)))).length === 1e4, 'zlib'),
  fetch: async () => {
    const server = http.createServer((request, response) => response.end('pong'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    check((await (await fetch(`http://127.0.0.1:${server.address().port}`)).text()) === 'pong', 'fetch');
    server.closeAllConnections();
    server.close();
  },
  exec: async () => check((await promisify(execFile)('/bin/echo', ['hi'])).stdout === 'hi\n', 'exec'),
  worker: () =>
    new Promise((resolve, reject) => {
      const worker = new Worker("require('worker_threads').parentPort.postMessage(42)", { eval: true });
      worker.on('message', (message) => (message === 42 ? resolve() : reject(new Error('worker'))));
      worker.on('error', reject);
    }),
  wasm: async () => {
    const code = [0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0];
    const body = [10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11];
    const made = await WebAssembly.instantiate(Uint8Array.from([...code, ...body]));
    check(made.instance.exports.add(40, 2) === 42, 'wasm');
  },
  signal: () =>
    new Promise((resolve, reject) => {
      // A handler alone does not keep the loop going.
      const late = setTimeout(() => reject(new Error('no signal came')), 5000);
      process.once('SIGUSR2', () => {
        clearTimeout(late);
        resolve();
      });
      process.kill(process.pid, 'SIGUSR2');
    }),
  lookup: async () => check((await dns.promises.lookup('localhost')).address.includes('1'), 'lookup'),
  tls: () => check(tls.createSecureContext() !== null, 'tls'),
  web: async () => check((await crypto.webcrypto.subtle.digest('SHA-256', Buffer.from('x'))).byteLength === 32, 'web'),
  memory: () => {
    let count = 0;
    for (let turn = 0; turn < 5; turn++) count += new Array(1e5).fill(turn).map((x) => ({ x })).length;
    check(count === 5e5, 'memory');
  },
  compile: () => {
    let sum = 0;
    for (let i = 0; i < 20; i++) sum += new Function('x', `return x + ${i}`)(i);
    check(sum === 380, 'compile');
  },
  throws: async () => {
    try {
      await fs.promises.readFile('/nothing');
    } catch (error) {
      check(error.code === 'ENOENT', 'throws');
      return;
    }
    throw new Error('it was there');
  },
};
const NAMES = Object.keys(FEATURES);

exports.handler = async (event) => {
  check(process.pid === 1, 'process number');
  const names = event === 'all' ? NAMES : [NAMES[crypto.randomInt(NAMES.length)]];
  for (const name of names) {
    try {
      await FEATURES[name]();
    } catch (error) {
      throw new Error(`${name}: ${error.message}`);
    }
  }
  return 'ok';
};
