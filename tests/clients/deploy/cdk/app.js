// An application for the CDK: a function with a table, a bucket, a queue, a rule, a parameter and an HTTP API.
const cdk = require("aws-cdk-lib");
const apigwv2 = require("aws-cdk-lib/aws-apigatewayv2");
const integrations = require("aws-cdk-lib/aws-apigatewayv2-integrations");
const dynamodb = require("aws-cdk-lib/aws-dynamodb");
const events = require("aws-cdk-lib/aws-events");
const targets = require("aws-cdk-lib/aws-events-targets");
const lambda = require("aws-cdk-lib/aws-lambda");
const sources = require("aws-cdk-lib/aws-lambda-event-sources");
const logs = require("aws-cdk-lib/aws-logs");
const s3 = require("aws-cdk-lib/aws-s3");
const sqs = require("aws-cdk-lib/aws-sqs");
const ssm = require("aws-cdk-lib/aws-ssm");

const app = new cdk.App();
const stack = new cdk.Stack(app, "Shop", { env: { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION } });
const remove = { removalPolicy: cdk.RemovalPolicy.DESTROY };
const table = new dynamodb.Table(stack, "Orders", { partitionKey: { name: "id", type: dynamodb.AttributeType.STRING }, billingMode: dynamodb.BillingMode.PAY_PER_REQUEST, ...remove });
const bucket = new s3.Bucket(stack, "Files", remove);
const group = new logs.LogGroup(stack, "Log", { retention: logs.RetentionDays.ONE_WEEK, ...remove });
const fn = new lambda.Function(stack, "Take", {
  runtime: new lambda.Runtime(process.env.NODE_RUNTIME, lambda.RuntimeFamily.NODEJS),
  handler: "index.handler",
  code: lambda.Code.fromAsset(__dirname + "/take"),
  environment: { TABLE: table.tableName, GREETING: process.env.GREETING || "hello" },
  logGroup: group,
});
table.grantReadWriteData(fn);
bucket.grantRead(fn);
const tasks = new sqs.Queue(stack, "Tasks");
fn.addEventSource(new sources.SqsEventSource(tasks, { batchSize: 5 }));
new events.Rule(stack, "Tick", { schedule: events.Schedule.rate(cdk.Duration.minutes(1)), targets: [new targets.LambdaFunction(fn)] });
new ssm.StringParameter(stack, "Setting", { stringValue: "on" });
const api = new apigwv2.HttpApi(stack, "Api");
api.addRoutes({ path: "/take", methods: [apigwv2.HttpMethod.GET], integration: new integrations.HttpLambdaIntegration("I", fn) });
new cdk.CfnOutput(stack, "Url", { value: api.apiEndpoint });
new cdk.CfnOutput(stack, "TasksUrl", { value: tasks.queueUrl });
new cdk.CfnOutput(stack, "Function", { value: fn.functionName });
