// What the CDK carries out with functions of its own: emptying a bucket, notifications, the retention of a log, any call.
const cdk = require("aws-cdk-lib");
const lambda = require("aws-cdk-lib/aws-lambda");
const logs = require("aws-cdk-lib/aws-logs");
const s3 = require("aws-cdk-lib/aws-s3");
const notifications = require("aws-cdk-lib/aws-s3-notifications");
const custom = require("aws-cdk-lib/custom-resources");

const app = new cdk.App();
const stack = new cdk.Stack(app, "Providers", { env: { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION } });
const removalPolicy = cdk.RemovalPolicy.DESTROY;
const bucket = new s3.Bucket(stack, "Files", { removalPolicy, autoDeleteObjects: true });
const fn = new lambda.Function(stack, "Take", {
  runtime: new lambda.Runtime(process.env.NODE_RUNTIME, lambda.RuntimeFamily.NODEJS, { supportsInlineCode: true }),
  handler: "index.handler",
  code: lambda.Code.fromInline("exports.handler = async (event) => console.log('uploaded', event.Records[0].s3.object.key);"),
  logRetention: logs.RetentionDays.ONE_WEEK,
  logRetentionRetryOptions: { maxRetries: 1 },
});
bucket.addEventNotification(s3.EventType.OBJECT_CREATED, new notifications.LambdaDestination(fn));
const put = new custom.AwsCustomResource(stack, "Put", {
  installLatestAwsSdk: false,
  onCreate: {
    service: "S3",
    action: "putObject",
    parameters: { Bucket: bucket.bucketName, Key: "made", Body: "by a custom resource" },
    physicalResourceId: custom.PhysicalResourceId.fromResponse("ETag"),
  },
  policy: custom.AwsCustomResourcePolicy.fromStatements([
    new cdk.aws_iam.PolicyStatement({ actions: ["s3:PutObject"], resources: [bucket.arnForObjects("made")] }),
  ]),
});
new cdk.CfnOutput(stack, "Bucket", { value: bucket.bucketName });
new cdk.CfnOutput(stack, "Function", { value: fn.functionName });
new cdk.CfnOutput(stack, "Tag", { value: put.getResponseField("ETag") });
