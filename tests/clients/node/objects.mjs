// S3 through AWS's client for JavaScript: uploads in parts that stream, presigned requests, pages, versions.
import assert from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectVersionsCommand, NoSuchKey,
  PutBucketVersioningCommand, PutObjectCommand, S3Client, paginateListObjectsV2, waitUntilObjectExists,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';

const s3 = new S3Client({ forcePathStyle: true });
const Bucket = 'from-javascript';
const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');
await s3.send(new CreateBucketCommand({ Bucket }));

const body = randomBytes(12 * 1024 * 1024 + 5);
const pieces = function* () {
  for (let at = 0; at < body.length; at += 700_001) yield body.subarray(at, at + 700_001);
};
// Its length is not known before it ends.
await new Upload({ client: s3, params: { Bucket, Key: 'streamed', Body: Readable.from(pieces()), ContentType: 'x/y' }, queueSize: 3 }).done();
await waitUntilObjectExists({ client: s3, maxWaitTime: 10 }, { Bucket, Key: 'streamed' });
const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'streamed' }));
assert.equal(got.ContentType, 'x/y');
assert.equal(sha(await got.Body.transformToByteArray()), sha(body));
const part = await s3.send(new GetObjectCommand({ Bucket, Key: 'streamed', Range: 'bytes=5242870-5242890' }));
assert.deepEqual(Buffer.from(await part.Body.transformToByteArray()), body.subarray(5242870, 5242891));

const broken = new Upload({ client: s3, params: { Bucket, Key: 'broken', Body: Readable.from(pieces()) } });
const done = broken.done();
await broken.abort();
await assert.rejects(done, { name: 'AbortError' });
await assert.rejects(s3.send(new GetObjectCommand({ Bucket, Key: 'broken' })), NoSuchKey);

for (let n = 0; n < 25; n++) await s3.send(new PutObjectCommand({ Bucket, Key: `n/${n}`, Body: `${n}`, Metadata: { n: `${n}` } }));
const keys = [];
for await (const page of paginateListObjectsV2({ client: s3, pageSize: 10 }, { Bucket, Prefix: 'n/' })) keys.push(...page.Contents.map((o) => o.Key));
assert.deepEqual(keys, Array.from({ length: 25 }, (_, n) => `n/${n}`).sort());
assert.deepEqual((await s3.send(new HeadObjectCommand({ Bucket, Key: 'n/7' }))).Metadata, { n: '7' });

await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
const { VersionId } = await s3.send(new PutObjectCommand({ Bucket, Key: 'n/7', Body: 'new' }));
assert.ok((await s3.send(new DeleteObjectCommand({ Bucket, Key: 'n/7' }))).DeleteMarker);
const versions = await s3.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'n/7' }));
assert.deepEqual(versions.Versions.map((v) => v.VersionId), [VersionId, 'null']);
assert.equal(await (await s3.send(new GetObjectCommand({ Bucket, Key: 'n/7', VersionId }))).Body.transformToString(), 'new');
