// The AWS SDK for JavaScript: answers that come while the function still runs, their errors, and function URLs.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  AddPermissionCommand,
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
} from '@aws-sdk/client-lambda';

const client = new LambdaClient({});
const folder = mkdtempSync(path.join(tmpdir(), 'streaming-'));
const Role = 'arn:aws:iam::000000000000:role/test';

async function create(FunctionName, file, text, settings = {}) {
  writeFileSync(path.join(folder, file), text, { mode: 0o755 });
  const zip = path.join(folder, `${FunctionName}.zip`);
  execFileSync('zip', ['-qj', zip, path.join(folder, file)]);
  const Code = { ZipFile: readFileSync(zip) };
  const Handler = 'index.handler';
  await client.send(
    new CreateFunctionCommand({ FunctionName, Runtime: process.env.RUNTIME, Handler, Role, Code, Timeout: 20, ...settings }),
  );
}

async function* events(FunctionName, event, more = {}) {
  const Payload = JSON.stringify(event);
  const answer = await client.send(new InvokeWithResponseStreamCommand({ FunctionName, Payload, ...more }));
  yield { ExecutedVersion: answer.ExecutedVersion };
  yield* answer.EventStream;
}

async function all(FunctionName, event, more) {
  let text = '';
  let end;
  for await (const { PayloadChunk, InvokeComplete } of events(FunctionName, event, more)) {
    if (PayloadChunk) text += Buffer.from(PayloadChunk.Payload).toString();
    if (InvokeComplete) end = InvokeComplete;
  }
  return { text, end };
}

// What functions wait for in the middle of an answer: a file that another function makes when the first bytes have come.
const Arn = 'arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0';
const FileSystemConfigs = [{ Arn, LocalMountPath: '/mnt/shared' }];
await create('go-on', 'go.js', `
exports.handler = async (event) => require('fs').writeFileSync('/mnt/shared/' + event.name, '');
`, { Handler: 'go.handler', FileSystemConfigs });
async function goOn(name) {
  const { FunctionError } = await client.send(new InvokeCommand({ FunctionName: 'go-on', Payload: JSON.stringify({ name }) }));
  assert.equal(FunctionError, undefined);
}

// The first bytes are here while the function still runs: it goes on only when it is told to, and then with all that is left.
async function comesBitByBit(FunctionName, name, first, rest) {
  const iterator = events(FunctionName, { until: name })[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).value.ExecutedVersion, '$LATEST');
  assert.equal(Buffer.from((await iterator.next()).value.PayloadChunk.Payload).toString(), first);
  await goOn(name);
  let text = '';
  for await (const { PayloadChunk, InvokeComplete } of iterator) {
    if (PayloadChunk) text += Buffer.from(PayloadChunk.Payload).toString();
    if (InvokeComplete) assert.equal(InvokeComplete.ErrorCode, undefined);
  }
  assert.equal(text, rest);
}

await create('stream', 'index.js', `
const { existsSync } = require('fs');
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  if (event.requestContext) {
    stream = awslambda.HttpResponseStream.from(stream, {
      statusCode: 201, headers: { 'content-type': 'text/plain', 'x-path': event.rawPath }, cookies: ['a=b'] });
  } else stream.setContentType('text/plain');
  if (event.fail === 'before') throw new TypeError('before');
  if (event.big) {
    const piece = Buffer.alloc(65536, 'x');
    await pipeline(Readable.from((function* () { for (let n = 0; n < event.big; n++) yield piece; })()), stream);
    return;
  }
  stream.write('first;');
  const mode = event.fail || event.rawPath;
  if (mode === 'middle' || mode === '/middle') {
    await new Promise((resolve) => setTimeout(resolve, 50));
    throw new TypeError('middle');
  }
  if (event.exit) { setTimeout(() => process.exit(3), 50); await new Promise(() => {}); }
  const until = event.until || event.queryStringParameters?.until;
  while (until && !existsSync('/mnt/shared/' + until)) await new Promise((resolve) => setTimeout(resolve, 5));
  stream.write('second;');
  stream.end(context.awsRequestId ? 'end' : 'no context');
  await stream.finished();
});`, { FileSystemConfigs });
await create('plain', 'plain.js', 'exports.handler = async (event) => ({ plain: event.n });', { Handler: 'plain.handler' });

await comesBitByBit('stream', 'stream', 'first;', 'second;end');
assert.equal((await all('stream', {})).text, 'first;second;end');
const tailed = await all('stream', {}, { LogType: 'Tail' });
assert.match(Buffer.from(tailed.end.LogResult, 'base64').toString(), /REPORT RequestId/);
assert.equal((await all('plain', { n: 7 })).text, '{"plain":7}');
for (const fail of ['before', 'middle']) {
  const { text, end } = await all('stream', { fail });
  assert.equal(text, fail === 'middle' ? 'first;' : '');
  assert.equal(end.ErrorCode, 'TypeError');
  assert.equal(JSON.parse(end.ErrorDetails).errorMessage, fail);
}
const exited = await all('stream', { exit: true });
assert.equal(exited.text, 'first;');
assert.equal(exited.end.ErrorCode, 'Runtime.ExitError');
const { text: long } = await all('stream', { big: 200 });
assert.equal(long.length, 200 * 65536, 'more than an answer that comes whole may have');

// Whole, where it is asked for whole.
const whole = await client.send(new InvokeCommand({ FunctionName: 'stream', Payload: '{}' }));
assert.equal(Buffer.from(whole.Payload).toString(), 'first;second;end');
await assert.rejects(all('absent', {}), { name: 'ResourceNotFoundException' });

// A custom runtime over the Runtime API, chunk by chunk, with an error in its trailers.
await create('custom', 'bootstrap', `#!/usr/bin/python3
import http.client, json, os, time
host = os.environ['AWS_LAMBDA_RUNTIME_API']
prefix = '/2018-06-01/runtime/invocation/'
while True:
    connection = http.client.HTTPConnection(host)
    connection.request('GET', prefix + 'next')
    event = connection.getresponse()
    id, body = event.headers['Lambda-Runtime-Aws-Request-Id'], json.loads(event.read())
    connection.putrequest('POST', prefix + id + '/response')
    connection.putheader('Lambda-Runtime-Function-Response-Mode', 'streaming')
    connection.putheader('Content-Type', 'text/plain')
    connection.putheader('Transfer-Encoding', 'chunked')
    if body.get('fail'):
        connection.putheader('Trailer', 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body')
    connection.endheaders()
    for piece in (b'one;', b'two;'):
        connection.send(b'%x\\r\\n%s\\r\\n' % (len(piece), piece))
        while body.get('until') and not os.path.exists('/mnt/shared/' + body['until']):
            time.sleep(0.005)
    if body.get('fail'):
        connection.send(b'0\\r\\nLambda-Runtime-Function-Error-Type: Mine.Broken\\r\\nLambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJNaW5lLkJyb2tlbiJ9\\r\\n\\r\\n')
    else:
        connection.send(b'0\\r\\n\\r\\n')
    connection.getresponse().read()
`, { Runtime: 'provided.al2023', FileSystemConfigs });
assert.equal((await all('custom', {})).text, 'one;two;');
const broken = await all('custom', { fail: true });
assert.equal(broken.text, 'one;two;');
assert.equal(broken.end.ErrorCode, 'Mine.Broken');
await comesBitByBit('custom', 'custom', 'one;', 'two;');

// A function URL in the mode of streams: status and headers from the prelude, bytes as they are written, broken off
// where the function fails in the middle.
const FunctionName = 'stream';
const { FunctionUrl } = await client.send(
  new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: 'NONE', InvokeMode: 'RESPONSE_STREAM' }),
);
await client.send(
  new AddPermissionCommand({
    FunctionName, StatementId: 'url', Action: 'lambda:InvokeFunctionUrl', Principal: '*', FunctionUrlAuthType: 'NONE' }),
);
const { port } = new URL(process.env.AWS_ENDPOINT_URL);
function get(to, whenSomeIsHere = async () => {}) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: to, headers: { host: new URL(FunctionUrl).host } };
    http.get(options, (response) => {
      let body = '';
      response.on('data', (data) => {
        if (!body) whenSomeIsHere(data.toString()).catch(reject);
        body += data;
      });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
      response.on('error', reject);
    }).on('error', reject);
  });
}
const answer = await get('/here');
assert.deepEqual(
  [answer.status, answer.headers['content-type'], answer.headers['x-path'], answer.headers['set-cookie'], answer.body],
  [201, 'text/plain', '/here', ['a=b'], 'first;second;end'],
);
await assert.rejects(get('/middle'));
const bits = await get('/here?until=url', async (data) => {
  assert.equal(data, 'first;');
  await goOn('url');
});
assert.equal(bits.body, 'first;second;end');
