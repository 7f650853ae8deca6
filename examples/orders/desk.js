// Takes orders and tells what has become of them.
const { randomUUID } = require('node:crypto');
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { DynamoDBDocumentClient, GetCommand, PutCommand } = require('@aws-sdk/lib-dynamodb');

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const TableName = process.env.TABLE;

exports.handler = async (event) => {
  if (event.requestContext.http.method === 'POST') {
    const { item } = JSON.parse(event.body || '{}');
    if (typeof item !== 'string' || item === '') return { statusCode: 400, body: 'an order has an item' };
    const order = { id: randomUUID(), item, status: 'placed' };
    await table.send(new PutCommand({ TableName, Item: order }));
    return { statusCode: 201, body: JSON.stringify(order) };
  }
  const found = await table.send(new GetCommand({ TableName, Key: { id: event.pathParameters.id }, ConsistentRead: true }));
  return found.Item ? found.Item : { statusCode: 404, body: 'there is no such order' };
};
