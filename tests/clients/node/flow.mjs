// The AWS SDK for JavaScript v3 against the cloud that AWS_ENDPOINT_URL names.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateFunctionCommand, DeleteFunctionCommand, InvokeCommand, LambdaClient, ListFunctionsCommand,
  ResourceConflictException, waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';

const folder = mkdtempSync(join(tmpdir(), 'flow-'));
writeFileSync(join(folder, 'index.mjs'), 'export const handler = async (event) => { console.log("got", event); return { doubled: event.n * 2 }; };');
execFileSync('zip', ['-q', 'code.zip', 'index.mjs'], { cwd: folder });
const input = {
  FunctionName: 'flow', Runtime: process.env.RUNTIME, Handler: 'index.handler', Role: 'arn:aws:iam::000000000000:role/r',
  Code: { ZipFile: readFileSync(join(folder, 'code.zip')) },
};
rmSync(folder, { recursive: true });

const client = new LambdaClient({});
await client.send(new CreateFunctionCommand(input));
await waitUntilFunctionActiveV2({ client, maxWaitTime: 20 }, { FunctionName: 'flow' });
await assert.rejects(client.send(new CreateFunctionCommand(input)), ResourceConflictException);
const answers = await Promise.all([...Array(20).keys()].map((n) => client.send(new InvokeCommand({ FunctionName: 'flow', Payload: JSON.stringify({ n }), LogType: 'Tail' }))));
answers.forEach((answer, n) => {
  assert.deepEqual(JSON.parse(Buffer.from(answer.Payload).toString()), { doubled: n * 2 });
  const log = Buffer.from(answer.LogResult, 'base64').toString();
  assert.match(log, /^(INIT_START .*\n)?START RequestId: [0-9a-f-]+ Version: \$LATEST\n/);
  assert.match(log, new RegExp(`\tINFO\tgot \\{ n: ${n} \\}`));
  assert.match(log, /REPORT RequestId: .*\tDuration: .* ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB/);
});
assert.equal((await client.send(new ListFunctionsCommand({}))).Functions.length, 1);
await client.send(new DeleteFunctionCommand({ FunctionName: 'flow' }));
console.log('ok');
