// S3 through MinIO's client for JavaScript, which signs, lists and uploads in parts in its own way.
import assert from 'node:assert';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { Client } from 'minio';

const at = new URL(process.env.AWS_ENDPOINT_URL);
const client = new Client({ endPoint: at.hostname, port: Number(at.port), useSSL: false, accessKey: 'test', secretKey: 'test', region: 'us-east-1', pathStyle: true });
const B = 'from-minio-client';
const all = async (stream) => {
  const found = [];
  for await (const one of stream) found.push(one);
  return found;
};
const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');
await client.makeBucket(B, 'us-east-1');
assert(await client.bucketExists(B) && !await client.bucketExists('never-was-there'));
const body = Buffer.alloc(13 * 1024 * 1024, 'a line of text\n');
await client.putObject(B, 'of a stream', Readable.from([body.subarray(0, 7_000_000), body.subarray(7_000_000)]), body.length, { 'x-amz-meta-a': 'b' });
assert.equal(sha(Buffer.concat(await all(await client.getObject(B, 'of a stream')))), sha(body));
assert.equal((await client.statObject(B, 'of a stream')).metaData.a, 'b');
assert.deepEqual(Buffer.concat(await all(await client.getPartialObject(B, 'of a stream', 5, 9))), body.subarray(5, 14));
await client.putObject(B, 'dir/small', 'small');
const listed = (await all(client.listObjectsV2(B, '', false))).map((one) => one.name ?? one.prefix);
assert.deepEqual(listed.sort(), ['dir/', 'of a stream']);
const answer = await fetch(await client.presignedGetObject(B, 'dir/small', 60));
assert.equal(await answer.text(), 'small');
await assert.rejects(client.statObject(B, 'none'), { code: 'NotFound' });
await client.removeObjects(B, ['dir/small', 'of a stream']);
await client.removeBucket(B);
