// Powertools for AWS Lambda in TypeScript, with Middy: logger, tracer, metrics, idempotency.
const middy = require('@middy/core');
const { Logger } = require('@aws-lambda-powertools/logger');
const { injectLambdaContext } = require('@aws-lambda-powertools/logger/middleware');
const { Metrics, MetricUnit } = require('@aws-lambda-powertools/metrics');
const { logMetrics } = require('@aws-lambda-powertools/metrics/middleware');
const { Tracer } = require('@aws-lambda-powertools/tracer');
const { captureLambdaHandler } = require('@aws-lambda-powertools/tracer/middleware');
const { IdempotencyConfig } = require('@aws-lambda-powertools/idempotency');
const { DynamoDBPersistenceLayer } = require('@aws-lambda-powertools/idempotency/dynamodb');
const { makeHandlerIdempotent } = require('@aws-lambda-powertools/idempotency/middleware');

const logger = new Logger({ serviceName: 'orders' });
const metrics = new Metrics({ namespace: 'shop', serviceName: 'orders' });
const tracer = new Tracer({ serviceName: 'orders' });
const persistenceStore = new DynamoDBPersistenceLayer({ tableName: 'idempotency' });
const config = new IdempotencyConfig({ eventKeyJmesPath: 'order' });
let runs = 0;

exports.handler = middy(async (event) => {
  runs += 1;
  logger.info('ordered', { order: event.order });
  metrics.addMetric('orders', MetricUnit.Count, 1);
  return { order: event.order, runs, traced: tracer.getRootXrayTraceId() };
})
  .use(injectLambdaContext(logger, { logEvent: true }))
  .use(captureLambdaHandler(tracer))
  .use(logMetrics(metrics, { captureColdStartMetric: true }))
  .use(makeHandlerIdempotent({ persistenceStore, config }));
