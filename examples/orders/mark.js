// Writes into an order what was done with it; the same twice changes nothing.
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { DynamoDBDocumentClient, UpdateCommand } = require('@aws-sdk/lib-dynamodb');

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

exports.mark = (id, name) => table.send(new UpdateCommand({
  TableName: process.env.TABLE,
  Key: { id },
  UpdateExpression: 'SET #n = :true',
  ConditionExpression: 'attribute_exists(id)',
  ExpressionAttributeNames: { '#n': name },
  ExpressionAttributeValues: { ':true': true },
}));
