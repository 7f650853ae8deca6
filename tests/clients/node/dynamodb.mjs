// DynamoDB through AWS's document client, ElectroDB, and the session store of Express.
import assert from 'node:assert';
import { CreateTableCommand, DynamoDBClient, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import {
  BatchWriteCommand, DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand, TransactWriteCommand, UpdateCommand, paginateScan,
} from '@aws-sdk/lib-dynamodb';
import connectDynamoDb from 'connect-dynamodb';
import { Entity } from 'electrodb';
import express from 'express';
import session from 'express-session';

const client = new DynamoDBClient({});
const db = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });

async function create(TableName, keys, indexes) {
  const attributes = new Set([...keys, ...(indexes ?? []).flatMap((i) => i.keys)]);
  const schema = (names) => names.map((n, i) => ({ AttributeName: n, KeyType: i ? 'RANGE' : 'HASH' }));
  await client.send(new CreateTableCommand({
    TableName, BillingMode: 'PAY_PER_REQUEST', KeySchema: schema(keys),
    AttributeDefinitions: [...attributes].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    GlobalSecondaryIndexes: indexes?.map((i) => ({ IndexName: i.name, KeySchema: schema(i.keys), Projection: { ProjectionType: 'ALL' } })),
  }));
  await waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
}

async function documents() {
  await create('documents', ['pk', 'sk']);
  const Item = { pk: 'a', sk: '1', n: 1.5, list: [1, 'two', null, true], map: { deep: { er: [] } }, set: new Set(['x', 'y']), bytes: new Uint8Array([0, 255]) };
  await db.send(new PutCommand({ TableName: 'documents', Item }));
  const got = await db.send(new GetCommand({ TableName: 'documents', Key: { pk: 'a', sk: '1' }, ConsistentRead: true }));
  assert.deepStrictEqual({ ...got.Item, bytes: new Uint8Array(got.Item.bytes) }, Item);
  const updated = await db.send(new UpdateCommand({
    TableName: 'documents', Key: { pk: 'a', sk: '1' }, UpdateExpression: 'SET #l = list_append(#l, :more) ADD n :n',
    ExpressionAttributeNames: { '#l': 'list' }, ExpressionAttributeValues: { ':more': ['end'], ':n': 2 }, ReturnValues: 'ALL_NEW',
  }));
  assert.deepStrictEqual([updated.Attributes.n, updated.Attributes.list.at(-1)], [3.5, 'end']);
  const PutRequest = (n) => ({ PutRequest: { Item: { pk: 'b', sk: String(n).padStart(3, '0') } } });
  await db.send(new BatchWriteCommand({ RequestItems: { documents: Array.from({ length: 25 }, (_, n) => PutRequest(n)) } }));
  const page = await db.send(new QueryCommand({
    TableName: 'documents', KeyConditionExpression: 'pk = :b AND begins_with(sk, :s)', ExpressionAttributeValues: { ':b': 'b', ':s': '01' },
  }));
  assert.equal(page.Count, 10);
  let count = 0;
  for await (const one of paginateScan({ client: db, pageSize: 4 }, { TableName: 'documents' })) count += one.Count;
  assert.equal(count, 26);
  const Put = { TableName: 'documents', Item: { pk: 'a', sk: '1' }, ConditionExpression: 'attribute_not_exists(pk)' };
  await assert.rejects(db.send(new TransactWriteCommand({ TransactItems: [{ Put }] })), (e) =>
    e.name === 'TransactionCanceledException' && e.CancellationReasons[0].Code === 'ConditionalCheckFailed');
}

async function electro() {
  await create('electro', ['pk', 'sk'], [{ name: 'gsi1', keys: ['gsi1pk', 'gsi1sk'] }]);
  const Task = new Entity({
    model: { entity: 'task', version: '1', service: 'app' },
    attributes: {
      id: { type: 'string', required: true }, team: { type: 'string', required: true }, points: { type: 'number', default: 0 },
      status: { type: ['open', 'closed'], default: 'open' }, tags: { type: 'set', items: 'string' },
    },
    indexes: {
      byId: { pk: { field: 'pk', composite: ['id'] }, sk: { field: 'sk', composite: [] } },
      byTeam: { index: 'gsi1', pk: { field: 'gsi1pk', composite: ['team'] }, sk: { field: 'gsi1sk', composite: ['status', 'id'] } },
    },
  }, { client: db, table: 'electro' });
  for (let n = 0; n < 5; n++) await Task.create({ id: `t${n}`, team: 'red', points: n, tags: ['a', 'b'] }).go();
  await assert.rejects(Task.create({ id: 't1', team: 'red' }).go());
  await Task.patch({ id: 't1' }).set({ status: 'closed' }).add({ points: 10 }).go();
  const open = await Task.query.byTeam({ team: 'red', status: 'open' }).where(({ points }, { gt }) => gt(points, 1)).go();
  assert.deepStrictEqual(open.data.map((t) => t.id), ['t2', 't3', 't4']);
  const closed = await Task.get({ id: 't1' }).go();
  assert.deepStrictEqual([closed.data.points, closed.data.status], [11, 'closed']);
  await Task.delete([{ id: 't0' }, { id: 't2' }]).go();
  assert.equal((await Task.scan.go({ pages: 'all' })).data.length, 3);
}

async function sessions() {
  await create('sessions', ['id']);
  const app = express();
  const DynamoDBStore = connectDynamoDb(session);
  const store = new DynamoDBStore({ client, table: 'sessions' });
  app.use(session({ store, secret: 's', resave: false, saveUninitialized: false }));
  app.get('/', (request, response) => {
    request.session.views = (request.session.views ?? 0) + 1;
    response.json({ views: request.session.views });
  });
  const server = app.listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const first = await fetch(url);
  const cookie = first.headers.get('set-cookie').split(';')[0];
  assert.deepStrictEqual(await first.json(), { views: 1 });
  for (const views of [2, 3]) assert.deepStrictEqual(await (await fetch(url, { headers: { cookie } })).json(), { views });
  server.closeAllConnections();
  server.close();
}

await documents();
await electro();
await sessions();
