// Several events at a time in one process: each seat has a socket of its own, over which one event at a time comes by the
// frames of docs/formats/frames.md. All share the event loop, as in Lambda's managed instances.
'use strict';

const fs = require('fs');
const net = require('net');

const READ_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;
const LOG_PIECE_CHARS = 1024 * 1024;
const { parse } = JSON;
const { setImmediate } = globalThis;

function frame(type, reserved, text) {
  const bytes = Buffer.byteLength(text);
  const buffer = Buffer.allocUnsafe(5 + reserved + bytes);
  buffer.writeUInt32LE(1 + reserved + bytes, 0);
  buffer[4] = type.charCodeAt(0);
  buffer.write(text, 5 + reserved, 'utf8');
  return buffer;
}

// What any seat reads, until the end of the callback.
const input = Buffer.allocUnsafeSlow(READ_BYTES);

class Seat {
  constructor(fd, around, handle, exit) {
    this.fd = fd;
    this.around = around;
    this.handle = handle;
    // The event under way, or null.
    this.invocation = null;
    // Of an event that has come in part.
    this.pieces = [];
    this.have = 0;
    const onread = { buffer: input, callback: (count) => this.take(input.subarray(0, count)) };
    this.socket = new net.Socket({ fd, readable: true, writable: true, onread });
    // The host is gone, and with it all reason to be.
    this.socket.on('end', () => exit(0));
    this.socket.on('error', () => exit(0));
  }

  take(data) {
    if (this.have === 0 && data.length >= 4 && data.length === 4 + data.readUInt32LE(0)) {
      this.serve(data, data.length);
      return;
    }
    this.pieces.push(Buffer.from(data));
    this.have += data.length;
    while (this.have >= 4) {
      if (this.pieces[0].length < 4) this.pieces = [Buffer.concat(this.pieces)];
      const total = 4 + this.pieces[0].readUInt32LE(0);
      if (this.have < total) return;
      const whole = this.pieces.length === 1 ? this.pieces[0] : Buffer.concat(this.pieces);
      this.have -= total;
      this.pieces = this.have > 0 ? [whole.subarray(total)] : [];
      this.serve(whole, total);
    }
  }

  serve(whole, total) {
    const headerEnd = 9 + whole.readUInt32LE(5);
    const header = parse(whole.toString('utf8', 9, headerEnd));
    const payload = whole.toString('utf8', headerEnd, total);
    const invocation = { isDecided: false, seat: this };
    this.invocation = invocation;
    const own = { seat: this, requestId: header.requestId, values: values(header) };
    this.around.run(own, this.handle, header, payload, invocation);
  }

  send(type, bytes, done) {
    const head = Buffer.allocUnsafe(5);
    head.writeUInt32LE(1 + bytes.length, 0);
    head[4] = type.charCodeAt(0);
    this.socket.cork();
    this.socket.write(head);
    this.socket.write(bytes, done);
    this.socket.uncork();
  }

  // The host reads no further while the reader of the answer is behind: then `done` waits.
  stream(bytes, done) {
    let from = 0;
    while (bytes.length - from > CHUNK_BYTES) {
      this.send('C', bytes.subarray(from, from + CHUNK_BYTES));
      from += CHUNK_BYTES;
    }
    this.send('C', bytes.subarray(from), () => setImmediate(done));
  }

  // Straight to the socket; the stream is for what it has no room for, and what comes after that.
  write(buffer) {
    let sent = 0;
    if (this.socket.writableLength === 0) {
      try {
        sent = fs.writeSync(this.fd, buffer);
      } catch {
        // No room, or no host: the stream finds out which.
      }
    }
    if (sent < buffer.length) this.socket.write(buffer.subarray(sent));
  }

  answer(type, text) {
    this.invocation = null;
    this.write(frame(type, 0, text));
  }

  log(timestamp, message) {
    for (let from = 0; from === 0 || from < message.length; from += LOG_PIECE_CHARS) {
      const buffer = frame('L', 8, message.slice(from, from + LOG_PIECE_CHARS));
      buffer.writeUIntLE(timestamp, 5, 6);
      buffer.writeUInt16LE(0, 11);
      this.write(buffer);
    }
  }
}

// ---- what @aws/lambda-invoke-store finds as `awslambda.InvokeStore`

const KEYS = {
  REQUEST_ID: Symbol.for('_AWS_LAMBDA_REQUEST_ID'),
  X_RAY_TRACE_ID: Symbol.for('_AWS_LAMBDA_X_RAY_TRACE_ID'),
  TENANT_ID: Symbol.for('_AWS_LAMBDA_TENANT_ID'),
};

function values(header) {
  const { requestId, trace, tenantId } = header;
  return { [KEYS.REQUEST_ID]: requestId, [KEYS.X_RAY_TRACE_ID]: trace || undefined, [KEYS.TENANT_ID]: tenantId };
}

function makeStore(around) {
  const now = () => (around.getStore() || {}).values;
  const isProtectedKey = (key) => Object.values(KEYS).includes(key);
  const get = (key) => (now() || {})[key];
  return {
    isProtectedKey,
    get,
    getContext: now,
    hasContext: () => now() !== undefined,
    getRequestId: () => get(KEYS.REQUEST_ID) ?? '-',
    getXRayTraceId: () => get(KEYS.X_RAY_TRACE_ID),
    getTenantId: () => get(KEYS.TENANT_ID),
    set(key, value) {
      if (isProtectedKey(key)) throw new Error(`Cannot modify protected Lambda context field: ${String(key)}`);
      const found = now();
      if (!found) throw new Error('No context available');
      found[key] = value;
    },
    run: (given, act) => around.run({ ...around.getStore(), values: given }, act),
  };
}

// Receives the seats' sockets over `channel` and serves them.
exports.open = (channel, around, handle, exit) => {
  const library = { exports: {} };
  process.dlopen(library, '/var/runtime/clone.so');
  const fds = library.exports.seats(channel);
  if (!fds) exit(0);
  const seats = fds.map((fd) => new Seat(fd, around, handle, exit));
  return {
    store: makeStore(around),
    // An error nobody caught is the answer to all that is under way: a write to a socket with room is out at once.
    fail(text) {
      for (const seat of seats) {
        if (!seat.invocation) continue;
        seat.answer('F', text);
      }
    },
  };
};
