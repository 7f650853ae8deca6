// A REST API as the CDK makes it: resources, a proxy, preflight requests, a model, a key with its plan.
const cdk = require("aws-cdk-lib");
const apigateway = require("aws-cdk-lib/aws-apigateway");
const lambda = require("aws-cdk-lib/aws-lambda");

const app = new cdk.App();
const stack = new cdk.Stack(app, "Rest", { env: { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION } });
const fn = new lambda.Function(stack, "Answer", {
  runtime: new lambda.Runtime(process.env.NODE_RUNTIME, lambda.RuntimeFamily.NODEJS, { supportsInlineCode: true }),
  handler: "index.handler",
  code: lambda.Code.fromInline("exports.handler = async (event) => ({ statusCode: 200, body: process.env.GREETING + ' ' + event.path });"),
  environment: { GREETING: process.env.GREETING || "hello" },
});
const api = new apigateway.LambdaRestApi(stack, "Api", {
  handler: fn,
  proxy: false,
  cloudWatchRole: false,
  deployOptions: { stageName: "dev", throttlingRateLimit: 1000, throttlingBurstLimit: 500 },
  defaultCorsPreflightOptions: { allowOrigins: ["https://example.com"] },
});
const items = api.root.addResource("items");
items.addMethod("GET");
items.addResource("{id}").addMethod("PUT", undefined, { apiKeyRequired: true });
api.root.addResource("rest").addProxy({ anyMethod: true });
api.addModel("Item", { schema: { type: apigateway.JsonSchemaType.OBJECT } });
const plan = api.addUsagePlan("Plan", { apiStages: [{ api, stage: api.deploymentStage }] });
const key = api.addApiKey("Key", { value: "a-key-of-more-than-twenty-letters" });
plan.addApiKey(key);
