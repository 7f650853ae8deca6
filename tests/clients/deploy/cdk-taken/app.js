// A queue; with MODE=import also a bucket and a queue that are there already, with MODE=broken something that cannot be made.
const cdk = require("aws-cdk-lib");
const s3 = require("aws-cdk-lib/aws-s3");
const sqs = require("aws-cdk-lib/aws-sqs");
const ssm = require("aws-cdk-lib/aws-ssm");

const stack = new cdk.Stack(new cdk.App(), "Taken", { env: { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION } });
const mode = process.env.GREETING;
const queue = new sqs.CfnQueue(stack, "Queue", { visibilityTimeout: mode === "broken" ? 77 : 30 });
if (mode !== "plain") {
  new s3.Bucket(stack, "Bucket", { bucketName: "there-already" });
  new sqs.CfnQueue(stack, "Other", { queueName: "there-already" }).cfnOptions.deletionPolicy = cdk.CfnDeletionPolicy.RETAIN;
}
if (mode === "broken") {
  const parameter = new ssm.CfnParameter(stack, "Parameter", { type: "String", value: "x", name: "no name of a parameter" });
  parameter.addDependency(queue);
}
