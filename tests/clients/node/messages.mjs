// Queues and topics as the AWS SDK for JavaScript and sqs-consumer see them.
import assert from "node:assert/strict";
import { CreateTopicCommand, PublishCommand, SNSClient, SubscribeCommand } from "@aws-sdk/client-sns";
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageCommand, SendMessageBatchCommand, SetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const sqs = new SQSClient({});
const sns = new SNSClient({});
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "consumed" }));
const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }));
const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: "told" }));
const Policy = JSON.stringify({
  Statement: [{ Effect: "Allow", Principal: { Service: "sns.amazonaws.com" }, Action: "sqs:SendMessage", Resource: Attributes.QueueArn, Condition: { ArnLike: { "aws:SourceArn": TopicArn } } }],
});
await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy } }));
await sns.send(new SubscribeCommand({ TopicArn, Protocol: "sqs", Endpoint: Attributes.QueueArn, Attributes: { RawMessageDelivery: "true" } }));

const wanted = new Set(["topic", ...Array.from({ length: 25 }, (_, i) => `m${i}`)]);
let failures = 0;
await new Promise((resolve, reject) => {
  const app = Consumer.create({
    queueUrl: QueueUrl,
    sqs,
    batchSize: 10,
    waitTimeSeconds: 5,
    visibilityTimeout: 30,
    terminateVisibilityTimeout: true,
    handleMessage: async (message) => {
      // One of them goes wrong once, and comes back at once.
      if (message.Body === "m3" && failures++ === 0) throw new Error("once");
      wanted.delete(message.Body);
      if (wanted.size === 0) {
        app.once("stopped", resolve);
        app.stop();
      }
      return message;
    },
  });
  app.on("error", reject);
  app.on("processing_error", () => {});
  app.start();
  const send = async () => {
    await sns.send(new PublishCommand({ TopicArn, Message: "topic" }));
    for (let i = 0; i < 20; i += 10) {
      const Entries = Array.from({ length: 10 }, (_, n) => ({ Id: `${n}`, MessageBody: `m${i + n}` }));
      await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    }
    for (let i = 20; i < 25; i += 1) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: `m${i}` }));
  };
  send().catch(reject);
});
assert.equal(failures, 2);
