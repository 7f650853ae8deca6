"""A data model of NoSQL Workbench, committed as the Workbench does it: its tables with their indexes, then its data."""

import base64
import json
import pathlib

import boto3

db = boto3.client("dynamodb")
MODEL = json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())


def schema(keys):
    """Key attributes of a table or an index, as the API wants them."""
    named = [(keys[place], kind) for place, kind in (("PartitionKey", "HASH"), ("SortKey", "RANGE")) if place in keys]
    return [{"AttributeName": key["AttributeName"], "KeyType": kind} for key, kind in named], [key for key, _ in named]


def commit(table):
    key, attributes = schema(table["KeyAttributes"])
    given = {"ProvisionedThroughput": table["ProvisionedCapacitySettings"]["ProvisionedThroughput"]} if table["BillingMode"] == "PROVISIONED" else {}
    indexes = []
    for index in table.get("GlobalSecondaryIndexes", []):
        index_key, index_attributes = schema(index["KeyAttributes"])
        attributes += [attribute for attribute in index_attributes if attribute not in attributes]
        indexes.append({"IndexName": index["IndexName"], "KeySchema": index_key, "Projection": index["Projection"], **given})
    db.create_table(
        TableName=table["TableName"], KeySchema=key, AttributeDefinitions=attributes, BillingMode=table["BillingMode"],
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}), **given,
    )
    db.get_waiter("table_exists").wait(TableName=table["TableName"], WaiterConfig={"Delay": 1})
    requests = [{"PutRequest": {"Item": item}} for item in table["TableData"]]
    assert db.batch_write_item(RequestItems={table["TableName"]: requests})["UnprocessedItems"] == {}


def comparable(item):
    """Sets have no order, and neither have attributes."""
    def value(typed):
        (kind, content), = typed.items()
        return kind, sorted(content) if kind in ("SS", "NS") else content
    return sorted((name, value(typed)) for name, typed in item.items())


def check(table):
    name = table["TableName"]
    described = db.describe_table(TableName=name)["Table"]
    assert described["KeySchema"] == schema(table["KeyAttributes"])[0]
    order = lambda items: sorted((comparable(item) for item in items), key=str)
    assert order(db.scan(TableName=name)["Items"]) == order(table["TableData"])
    for index in table.get("GlobalSecondaryIndexes", []):
        keys = [key["AttributeName"] for key in index["KeyAttributes"].values()]
        base = [key["AttributeName"] for key in table["KeyAttributes"].values()]
        shown = {*keys, *base, *index["Projection"].get("NonKeyAttributes", [])}
        held = [{n: v for n, v in item.items() if n in shown} for item in table["TableData"] if all(k in item for k in keys)]
        assert order(db.scan(TableName=name, IndexName=index["IndexName"])["Items"]) == order(held), index["IndexName"]


for model in MODEL["DataModel"]:
    # The binaries of the file are in base64 already, which boto3 would encode once more.
    for entry in model["TableData"]:
        for typed in entry.values():
            if "B" in typed:
                typed["B"] = base64.b64decode(typed["B"])
    commit(model)
    check(model)
arrived = db.query(
    TableName="Harbour", IndexName="ByBerth", ScanIndexForward=False, KeyConditionExpression="Berth = :berth AND ArrivedAt > :since",
    ExpressionAttributeValues={":berth": {"S": "North 4"}, ":since": {"N": "1772323200"}},
)
assert [item["PK"]["S"] for item in arrived["Items"]] == ["SHIP#2"]
print("ok")
