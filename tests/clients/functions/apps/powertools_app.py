"""Powertools for AWS Lambda in Python: logger, tracer, metrics, idempotency."""

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent

logger = Logger(service="orders")
metrics = Metrics(namespace="shop", service="orders")
tracer = Tracer(service="orders")
store = DynamoDBPersistenceLayer(table_name="idempotency")
runs = 0


@logger.inject_lambda_context(log_event=True)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
@idempotent(persistence_store=store, config=IdempotencyConfig(event_key_jmespath="order"))
def handler(event, context):
    global runs
    runs += 1
    logger.info("ordered", order=event["order"])
    metrics.add_metric(name="orders", unit=MetricUnit.Count, value=1)
    return {"order": event["order"], "runs": runs}
