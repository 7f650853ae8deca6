'use strict';

// What a template goes through before it parks: what is not compiled yet would be compiled in each clone again. Once through
// what most handlers use: HTTP and HTTPS, `fetch`, and the clients of AWS's SDK that the function has loaded.

const http = require('http');
const https = require('https');
const { _cache: loaded } = require('module');

// A shared key needs no certificate; older than what servers take today, so that Node.js lets it be chosen.
const KEY = Buffer.alloc(16, 1);
const SHARED = { ciphers: 'PSK', maxVersion: 'TLSv1.2' };

const SDK_CLIENT = /\/node_modules\/@aws-sdk\/client-[a-z0-9-]+\/dist-cjs\/index\.js$/;
const SDK_CLIENTS_MAX = 4;
const SDK_CALL_MS = 1000;

function answer(request, response) {
  request.resume();
  const isXml = 'amz-sdk-request' in request.headers && !/json/.test(request.headers['content-type'] || '');
  response.end(isXml ? '<Result/>' : '{}');
}

async function listening(server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

function got(protocol, options) {
  return new Promise((resolve, reject) => {
    protocol.get(options, (message) => message.resume().on('end', resolve)).on('error', reject);
  });
}

async function closed(server) {
  if (server.closeAllConnections) server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function plainly(url) {
  const { hostname: host, port } = new URL(url);
  const agent = new http.Agent({ keepAlive: false });
  for (let turn = 0; turn < 2; turn++) {
    if (typeof fetch === 'function') await (await fetch(url, { headers: { connection: 'close' } })).json();
    await got(http, { host, port, agent });
  }
}

async function sealed() {
  // With the public authorities, as real servers need it.
  require('tls').createSecureContext();
  const server = https.createServer({ ...SHARED, pskCallback: () => KEY }, answer);
  const port = await listening(server);
  const agent = new https.Agent({ keepAlive: false });
  const identify = { pskCallback: () => ({ psk: KEY, identity: 'rehearsal' }), checkServerIdentity: () => undefined };
  try {
    for (let turn = 0; turn < 2; turn++) await got(https, { ...SHARED, ...identify, host: '127.0.0.1', port, agent });
  } catch {
    // Not every build of OpenSSL has shared keys.
  } finally {
    await closed(server);
  }
}

// A client of its own makes one call that lists; the function's clients are left alone.
async function withSdk(url) {
  const paths = Object.keys(loaded).filter((path) => SDK_CLIENT.test(path));
  for (const path of paths.slice(0, SDK_CLIENTS_MAX)) {
    const sdk = loaded[path].exports;
    const names = Object.keys(sdk);
    const client = names.find((name) => /^[A-Z]\w*Client$/.test(name));
    const command = names.find((name) => /^List\w*Command$/.test(name));
    if (!client || !command) continue;
    const credentials = { accessKeyId: 'rehearsal', secretAccessKey: 'rehearsal' };
    let made;
    try {
      made = new sdk[client]({ endpoint: url, region: 'us-east-1', credentials, maxAttempts: 1, forcePathStyle: true });
      const late = new Promise((resolve) => setTimeout(resolve, SDK_CALL_MS).unref());
      await Promise.race([made.send(new sdk[command]({})), late]);
    } catch {
      // An answer that it cannot read has been most of the way.
    }
    if (made && made.destroy) made.destroy();
  }
}

exports.rehearse = async () => {
  const server = http.createServer(answer);
  const url = `http://127.0.0.1:${await listening(server)}`;
  await plainly(url);
  await withSdk(url);
  await closed(server);
  await sealed();
};
