// Tells the bus of every new order in the table.
const { EventBridgeClient, PutEventsCommand } = require('@aws-sdk/client-eventbridge');
const { unmarshall } = require('@aws-sdk/util-dynamodb');

const bus = new EventBridgeClient({});

exports.handler = async (event) => {
  const Entries = event.Records.map((record) => ({
    EventBusName: process.env.BUS,
    Source: 'shop.orders',
    DetailType: 'OrderPlaced',
    Detail: JSON.stringify(unmarshall(record.dynamodb.NewImage)),
  }));
  const sent = await bus.send(new PutEventsCommand({ Entries }));
  // The batch comes again: an order may be announced twice, and is never forgotten.
  if (sent.FailedEntryCount > 0) throw new Error(`${sent.FailedEntryCount} events were not taken`);
};
