"""Libraries over boto3: PynamoDB's models, and the idempotency layer of Powertools for AWS Lambda."""

import os

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyPersistenceLayerError
from pynamodb.attributes import ListAttribute, MapAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute, VersionAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]


class ByAuthor(GlobalSecondaryIndex):
    class Meta:
        index_name = "by-author"
        projection = AllProjection()
        billing_mode = "PAY_PER_REQUEST"

    author = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class Thread(Model):
    class Meta:
        table_name = "threads"
        host = ENDPOINT
        region = "us-east-1"
        billing_mode = "PAY_PER_REQUEST"

    forum = UnicodeAttribute(hash_key=True)
    subject = UnicodeAttribute(range_key=True)
    author = UnicodeAttribute(null=True)
    views = NumberAttribute(default=0)
    tags = UnicodeSetAttribute(null=True)
    more = MapAttribute(null=True)
    replies = ListAttribute(default=list)
    by_author = ByAuthor()


class Versioned(Model):
    class Meta:
        table_name = "versioned"
        host = ENDPOINT
        region = "us-east-1"
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    version = VersionAttribute()


def models():
    Thread.create_table(wait=True)
    with Thread.batch_write() as batch:
        for n in range(40):
            batch.save(Thread("f", f"s{n:02}", author="a" if n % 2 else "b", views=n, tags={"x"}, more={"k": [1, None]}))
    assert Thread.count("f") == 40
    assert [t.subject for t in Thread.query("f", Thread.subject.startswith("s1"), limit=3)] == ["s10", "s11", "s12"]
    found = list(Thread.by_author.query("a", Thread.views > 30, scan_index_forward=False))
    assert [t.views for t in found] == [39, 37, 35, 33, 31]
    thread = Thread.get("f", "s01")
    thread.update(actions=[Thread.views.add(5), Thread.replies.set(Thread.replies.append(["r"]))], condition=Thread.author == "a")
    assert (thread.views, thread.replies) == (6, ["r"])
    try:
        thread.update(actions=[Thread.views.set(0)], condition=Thread.author == "z")
        raise SystemExit("the condition did not hold")
    except UpdateError as error:
        assert error.cause_response_code == "ConditionalCheckFailedException"
    thread.delete()
    try:
        Thread.get("f", "s01")
        raise SystemExit("it was deleted")
    except DoesNotExist:
        pass
    assert len(list(Thread.batch_get([("f", "s02"), ("f", "s01"), ("f", "s03")]))) == 2
    assert len(list(Thread.scan(Thread.tags.contains("x"), page_size=7))) == 39
    connection = Connection(region="us-east-1", host=ENDPOINT)
    with TransactWrite(connection=connection) as transaction:
        transaction.save(Thread("g", "1"), condition=Thread.forum.does_not_exist())
        transaction.update(Thread("f", "s02"), actions=[Thread.views.set(100)])
    assert Thread.get("f", "s02").views == 100
    Versioned.create_table(wait=True)
    one = Versioned("v")
    one.save()
    stale = Versioned.get("v")
    one.save()
    try:
        stale.save()
        raise SystemExit("an old version was saved")
    except PutError as error:
        assert error.cause_response_code == "ConditionalCheckFailedException"


def idempotency():
    import boto3

    db = boto3.client("dynamodb")
    db.create_table(TableName="idempotency", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
    calls = []
    layer = DynamoDBPersistenceLayer(table_name="idempotency")
    config = IdempotencyConfig(event_key_jmespath="order")

    @idempotent_function(data_keyword_argument="event", persistence_store=layer, config=config)
    def pay(event):
        calls.append(event)
        if event["order"] == "bad":
            raise ValueError("declined")
        return {"paid": event["order"], "times": len(calls)}

    first = pay(event={"order": "1"})
    assert pay(event={"order": "1", "again": True}) == first and len(calls) == 1
    assert pay(event={"order": "2"})["times"] == 2
    for _ in range(2):
        try:
            pay(event={"order": "bad"})
            raise SystemExit("it was declined")
        except (ValueError, IdempotencyPersistenceLayerError) as error:
            assert isinstance(error, ValueError), error
    assert len(calls) == 4
    assert db.describe_table(TableName="idempotency")["Table"]["ItemCount"] == 2


models()
idempotency()
