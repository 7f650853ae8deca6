"""Every error that AWS's model declares for every operation that is here: produced, or named with the reason why it
cannot happen. The model is botocore's, so that an error that AWS adds makes this fail until somebody has decided."""

import boto3
import botocore.config
import botocore.session
from botocore.exceptions import ClientError

db = boto3.client("dynamodb")

KEY = {"pk": {"S": "a"}}
ABSENT = {"TableName": "absent"}
PLAIN = {"TableName": "plain"}
SLOW = {"TableName": "slow"}

# Errors that no caller can bring about here, or not at will.
NEVER = {
    "InternalServerError": "a fault of the platform",
    "RequestLimitExceeded": "accounts have no quota of requests",
    "ThrottlingException": "accounts have no quota of requests",
    "ItemCollectionSizeLimitExceededException": "item collections are as large as they get",
    "ReplicatedWriteConflictException": "there are no global tables",
    "TransactionConflictException": "single writes wait for transactions",
    "TransactionInProgressException": "a token is stored by the commit of its transaction",
    "ContinuousBackupsUnavailableException": "backups are there as soon as their table is",
    "TableInUseException": "tables are backed up while they are written to",
}
NEVER_OF = {
    ("BackupInUseException", "CreateBackup"): "backups do not stand in one another's way",
    ("BackupInUseException", "DeleteBackup"): "only while a restore from it runs",
    ("BackupInUseException", "RestoreTableFromBackup"): "only while the backup is being made",
    ("TransactionCanceledException", "TransactGetItems"): "a snapshot is read, which conflicts with nothing",
}
for operation in "CreateBackup DeleteBackup DeleteResourcePolicy RestoreTableFromBackup RestoreTableToPointInTime UntagResource UpdateTimeToLive CreateTable DeleteTable TagResource ExportTableToPointInTime DescribeExport ListExports".split():
    NEVER_OF["LimitExceededException", operation] = "no limit of it that a test could reach"
for operation in "DeleteResourcePolicy PutResourcePolicy TagResource UntagResource UpdateTimeToLive UpdateTable DeleteTable".split():
    NEVER_OF["ResourceInUseException", operation] = "only while an index is filled"


def statement(text):
    return lambda: db.execute_statement(Statement=text)


def transact(*parts, **more):
    return lambda: db.transact_write_items(TransactItems=list(parts), **more)


def put(table, n=1):
    return {"Put": {"TableName": table, "Item": {"pk": {"S": "a"}, "n": {"N": str(n)}}}}


def reads(of):
    """The calls that read a table."""
    name = of["TableName"]
    return {
        "GetItem": lambda: db.get_item(**of, Key=KEY),
        "Query": lambda: db.query(**of, KeyConditionExpression="pk = :a", ExpressionAttributeValues={":a": {"S": "a"}}),
        "Scan": lambda: db.scan(**of),
        "BatchGetItem": lambda: db.batch_get_item(RequestItems={name: {"Keys": [KEY]}}),
        "TransactGetItems": lambda: db.transact_get_items(TransactItems=[{"Get": {**of, "Key": KEY}}]),
        "ExecuteStatement": statement(f"SELECT * FROM {name} WHERE pk = 'a'"),
    }


def writes(of):
    """The calls that write to a table."""
    name = of["TableName"]
    one = [{"Statement": f"UPDATE {name} SET n = 1 WHERE pk = 'a'"}]
    return {
        "PutItem": lambda: db.put_item(**of, Item=KEY),
        "UpdateItem": lambda: db.update_item(**of, Key=KEY),
        "DeleteItem": lambda: db.delete_item(**of, Key=KEY),
        "BatchWriteItem": lambda: db.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": KEY}}]}),
        "TransactWriteItems": transact(put(name)),
        "ExecuteTransaction": lambda: db.execute_transaction(TransactStatements=one),
    }


def cases(arn, backup):
    absent = arn.replace("plain", "absent")
    lost = backup[:-8] + "00000000"
    false = {"ConditionExpression": "attribute_not_exists(pk)"}
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"dynamodb:GetItem","Resource":"%s"}]}' % arn
    gsi = lambda name: {"Create": {"IndexName": name, "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}}
    attributes = [{"AttributeName": "pk", "AttributeType": "S"}]
    to = {"TargetTableName": "plain"}
    latest = {"UseLatestRestorableTime": True}
    twice = {"ClientRequestToken": "twice"}
    transact(put("plain", 7), **twice)()
    kept = arn.replace("plain", "kept")
    export = lambda table=kept, **more: db.export_table_to_point_in_time(TableArn=table, S3Bucket="none", **more)
    export(ClientToken="same")
    db.execute_transaction(TransactStatements=[{"Statement": "UPDATE plain SET n = 7 WHERE pk = 'a'"}], ClientRequestToken="again")
    return {
        "ResourceNotFoundException": {
            **reads(ABSENT),
            **writes(ABSENT),
            "DeleteTable": lambda: db.delete_table(**ABSENT),
            "DescribeTable": lambda: db.describe_table(**ABSENT),
            "DescribeTimeToLive": lambda: db.describe_time_to_live(**ABSENT),
            "UpdateTable": lambda: db.update_table(**ABSENT, DeletionProtectionEnabled=True),
            "UpdateTimeToLive": lambda: db.update_time_to_live(**ABSENT, TimeToLiveSpecification={"Enabled": True, "AttributeName": "t"}),
            "TagResource": lambda: db.tag_resource(ResourceArn=absent, Tags=[{"Key": "a", "Value": "b"}]),
            "UntagResource": lambda: db.untag_resource(ResourceArn=absent, TagKeys=["a"]),
            "ListTagsOfResource": lambda: db.list_tags_of_resource(ResourceArn=absent),
            "GetResourcePolicy": lambda: db.get_resource_policy(ResourceArn=absent),
            "PutResourcePolicy": lambda: db.put_resource_policy(ResourceArn=absent, Policy=policy),
            "DeleteResourcePolicy": lambda: db.delete_resource_policy(ResourceArn=absent),
        },
        "ProvisionedThroughputExceededException": {**reads(SLOW), **writes(SLOW)},
        "ConditionalCheckFailedException": {
            "PutItem": lambda: db.put_item(**PLAIN, Item=KEY, **false),
            "UpdateItem": lambda: db.update_item(**PLAIN, Key=KEY, **false),
            "DeleteItem": lambda: db.delete_item(**PLAIN, Key=KEY, **false),
            "ExecuteStatement": statement("DELETE FROM plain WHERE pk = 'a' AND gone = 1"),
        },
        "DuplicateItemException": {"ExecuteStatement": statement("INSERT INTO plain VALUE {'pk': 'a'}")},
        "TransactionCanceledException": {
            "TransactWriteItems": transact({"ConditionCheck": {**PLAIN, "Key": KEY, **false}}),
            "ExecuteTransaction": lambda: db.execute_transaction(TransactStatements=[{"Statement": "INSERT INTO plain VALUE {'pk': 'a'}"}]),
        },
        "IdempotentParameterMismatchException": {
            "TransactWriteItems": transact(put("plain", 8), **twice),
            "ExecuteTransaction": lambda: db.execute_transaction(
                TransactStatements=[{"Statement": "UPDATE plain SET n = 8 WHERE pk = 'a'"}], ClientRequestToken="again"),
        },
        "ResourceInUseException": {
            "CreateTable": lambda: db.create_table(
                **PLAIN, AttributeDefinitions=attributes, KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST"),
        },
        "LimitExceededException": {
            "UpdateTable": lambda: db.update_table(**PLAIN, AttributeDefinitions=attributes, GlobalSecondaryIndexUpdates=[gsi("one"), gsi("two")]),
            "PutResourcePolicy": lambda: db.put_resource_policy(ResourceArn=arn, Policy=policy + " " * 20_480),
        },
        "PolicyNotFoundException": {
            "GetResourcePolicy": lambda: db.get_resource_policy(ResourceArn=arn),
            "PutResourcePolicy": lambda: db.put_resource_policy(ResourceArn=arn, Policy=policy, ExpectedRevisionId="1"),
            "DeleteResourcePolicy": lambda: db.delete_resource_policy(ResourceArn=arn, ExpectedRevisionId="1"),
        },
        "TableNotFoundException": {
            "CreateBackup": lambda: db.create_backup(**ABSENT, BackupName="some"),
            "DescribeContinuousBackups": lambda: db.describe_continuous_backups(**ABSENT),
            "UpdateContinuousBackups": lambda: db.update_continuous_backups(
                **ABSENT, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}),
            "RestoreTableToPointInTime": lambda: db.restore_table_to_point_in_time(SourceTableName="absent", TargetTableName="other", **latest),
            "ExportTableToPointInTime": lambda: export(absent),
        },
        "BackupNotFoundException": {
            "DescribeBackup": lambda: db.describe_backup(BackupArn=lost),
            "DeleteBackup": lambda: db.delete_backup(BackupArn=lost),
            "RestoreTableFromBackup": lambda: db.restore_table_from_backup(BackupArn=lost, TargetTableName="other"),
        },
        "TableAlreadyExistsException": {
            "RestoreTableFromBackup": lambda: db.restore_table_from_backup(BackupArn=backup, **to),
            "RestoreTableToPointInTime": lambda: db.restore_table_to_point_in_time(SourceTableName="kept", **to, **latest),
        },
        "InvalidRestoreTimeException": {
            "RestoreTableToPointInTime": lambda: db.restore_table_to_point_in_time(
                SourceTableName="kept", TargetTableName="other", RestoreDateTime=1_000_000_000),
        },
        "PointInTimeRecoveryUnavailableException": {
            "RestoreTableToPointInTime": lambda: db.restore_table_to_point_in_time(SourceTableName="plain", TargetTableName="other", **latest),
            "ExportTableToPointInTime": lambda: export(arn),
        },
        "InvalidExportTimeException": {"ExportTableToPointInTime": lambda: export(ExportTime=1_000_000_000)},
        "ExportConflictException": {"ExportTableToPointInTime": lambda: export(ClientToken="same", S3Prefix="elsewhere")},
        "ExportNotFoundException": {"DescribeExport": lambda: db.describe_export(ExportArn=f"{kept}/export/01700000000000-00000000")},
    }


def create(name, **more):
    db.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        **(more or {"BillingMode": "PAY_PER_REQUEST"}),
    )
    db.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def exhaust():
    """Five minutes of units are kept for bursts: one item takes those for writing, reading it those for reading."""
    create("slow", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    db.put_item(**SLOW, Item={**KEY, "data": {"S": "x" * 390_000}})
    for _ in range(4):
        db.get_item(**SLOW, Key=KEY, ConsistentRead=True)


def absent_operations(model):
    """Operations that are not here say so by name, whatever they are given."""
    client = botocore.session.get_session().create_client("dynamodb", config=botocore.config.Config(parameter_validation=False))
    names = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    # What botocore itself looks into.
    given = {"BatchGetItem": {"RequestItems": {}}, "BatchWriteItem": {"RequestItems": {}}, "TransactGetItems": {"TransactItems": []},
             "TransactWriteItems": {"TransactItems": []}}
    absent = set()
    for operation in model.operation_names:
        try:
            getattr(client, names[operation])(**given.get(operation, {}))
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotImplemented":
                assert error.response["Error"]["Message"] == f"not implemented: dynamodb.{operation}", error
                absent.add(operation)
    return absent


def check():
    model = db.meta.service_model
    create("plain")
    create("kept")
    exhaust()
    db.put_item(**PLAIN, Item=KEY)
    db.update_continuous_backups(TableName="kept", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    backup = db.create_backup(**PLAIN, BackupName="some")["BackupDetails"]["BackupArn"]
    produced = cases(db.describe_table(**PLAIN)["Table"]["TableArn"], backup)
    absent = absent_operations(model)
    missing, seen = [], 0
    for operation in sorted(set(model.operation_names) - absent):
        for shape in model.operation_model(operation).error_shapes:
            # Its endpoint is the only one, so that it is never a wrong one.
            if shape.name in NEVER or (shape.name, operation) in NEVER_OF or shape.name == "InvalidEndpointException":
                continue
            call = produced.get(shape.name, {}).get(operation)
            if call is None:
                missing.append(f"{operation}: {shape.name}")
                continue
            try:
                answer = call()
            except ClientError as error:
                told = error.response["Error"]
                assert told["Code"] == shape.name, f"{operation} should have ended with {shape.name}: {error}"
                assert told["Message"], error
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
                seen += 1
                continue
            raise SystemExit(f"{operation} should have ended with {shape.name}: {answer}")
    assert not missing, missing
    assert seen > 60, seen
    print(f"{seen} errors of {len(set(model.operation_names) - absent)} operations")


check()
