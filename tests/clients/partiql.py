"""DynamoDB's PartiQL as boto3 sees it: single statements, batches, transactions. The messages are AWS's."""

import boto3
from botocore.exceptions import ClientError

db = boto3.client("dynamodb")

ILL = "Statement wasn't well formed, can't be processed: "
KEYS = "Where clause does not contain a mandatory equality on all key attributes"


def refused(code, call, message=None, **parameters):
    """The error a call ends with."""
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        if message is not None:
            assert message == error.response["Error"]["Message"], error
        return error.response
    raise SystemExit(f"{call.__name__}({parameters}) should have ended with {code}")


def run(statement, *parameters, **more):
    if parameters:
        more["Parameters"] = list(parameters)
    return db.execute_statement(Statement=statement, **more)


def items(statement, *parameters, **more):
    """All items, page by page."""
    found = []
    while True:
        page = run(statement, *parameters, **more)
        found += page["Items"]
        if "NextToken" not in page:
            return found
        more["NextToken"] = page["NextToken"]


def stored(pk, sk):
    return db.get_item(TableName="music", Key={"pk": {"S": pk}, "sk": {"N": str(sk)}}, ConsistentRead=True).get("Item")


def create():
    attributes = {"pk": "S", "sk": "N", "genre": "S", "plays": "N"}
    key = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    genre = [{"AttributeName": "genre", "KeyType": "HASH"}]
    plays = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "plays", "KeyType": "RANGE"}]
    keys_only = {"ProjectionType": "KEYS_ONLY"}
    db.create_table(
        TableName="music",
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": t} for a, t in attributes.items()],
        KeySchema=key,
        GlobalSecondaryIndexes=[
            {"IndexName": "by-genre", "KeySchema": genre, "Projection": {"ProjectionType": "ALL"}},
            {"IndexName": "genre-keys", "KeySchema": genre, "Projection": keys_only},
        ],
        LocalSecondaryIndexes=[{"IndexName": "by-plays", "KeySchema": plays, "Projection": keys_only}],
        BillingMode="PAY_PER_REQUEST",
    )
    db.get_waiter("table_exists").wait(TableName="music", WaiterConfig={"Delay": 1})


def inserts():
    answer = run("INSERT INTO music VALUE {'pk': 'a', 'sk': 1, 'genre': 'rock', 'plays': 5, 'tags': <<'x', 'y'>>}")
    assert answer["Items"] == [], answer
    run("insert into \"music\" value {'pk': ?, 'sk': ?, 'm': {'n': [1, 'two', NULL, TRUE]}}", {"S": "a"}, {"N": "2"})
    assert stored("a", 2)["m"] == {"M": {"n": {"L": [{"N": "1"}, {"S": "two"}, {"NULL": True}, {"BOOL": True}]}}}
    again = "INSERT INTO music VALUE {'pk': 'a', 'sk': 1}"
    refused("DuplicateItemException", run, "Duplicate primary key exists in table", statement=again)
    assert "genre" in stored("a", 1)
    invalid = "One or more parameter values were invalid: "
    refused("ValidationException", run, invalid + "Missing the key sk in the item", statement="INSERT INTO music VALUE {'pk': 'a'}")
    mismatch = "Type mismatch for key sk expected: N actual: S"
    refused("ValidationException", run, invalid + mismatch, statement="INSERT INTO music VALUE {'pk': 'a', 'sk': 'x'}")
    refused("ResourceNotFoundException", run, "Requested resource not found", statement="INSERT INTO absent VALUE {'pk': 'a'}")


def selects():
    for n in range(3, 8):
        run("INSERT INTO music VALUE {'pk': 'a', 'sk': ?, 'plays': ?, 'genre': 'rock'}", {"N": str(n)}, {"N": str(10 - n)})
    run("INSERT INTO music VALUE {'pk': 'b', 'sk': 1, 'genre': 'jazz', 'note': 'b'}")
    numbers = lambda statement, *p, **more: [item["sk"]["N"] for item in items(statement, *p, **more)]
    assert numbers("SELECT * FROM music WHERE pk = 'a'") == ["1", "2", "3", "4", "5", "6", "7"]
    assert numbers("SELECT sk FROM music WHERE pk = 'a' AND sk BETWEEN 2 AND 4") == ["2", "3", "4"]
    assert numbers("SELECT sk FROM music WHERE pk = 'a' AND 6 <= sk ORDER BY sk DESC") == ["7", "6"]
    assert numbers("SELECT sk FROM music WHERE pk = ? AND plays > 5", {"S": "a"}) == ["3", "4"]
    assert numbers("SELECT * FROM music WHERE pk IN ['b', 'a'] AND sk = 1") == ["1", "1"]
    both = "SELECT * FROM music WHERE pk = 'b' OR pk = 'a' AND sk < 3"
    assert [(i["pk"]["S"], i["sk"]["N"]) for i in items(both)] == [("b", "1"), ("a", "1"), ("a", "2")]
    assert [i["pk"]["S"] for i in items("SELECT pk FROM music WHERE pk IN ['b','a'] AND sk = 1 ORDER BY pk")] == ["a", "b"]
    assert len(items("SELECT * FROM music")) == 8
    assert items("SELECT * FROM music WHERE note = 'b' AND plays IS MISSING")[0]["pk"] == {"S": "b"}
    assert items("SELECT m.n[1], tags FROM music WHERE pk = 'a' AND sk = 2") == [{"_1": {"S": "two"}}]
    assert items("SELECT m.n FROM music WHERE pk = 'a' AND sk = 2")[0].keys() == {"n"}
    assert items("SELECT * FROM music WHERE pk = 'nobody'") == []
    # Pages, over one partition, over several, and over the whole table.
    assert numbers("SELECT sk FROM music WHERE pk = 'a'", Limit=2) == ["1", "2", "3", "4", "5", "6", "7"]
    assert numbers("SELECT sk FROM music WHERE pk IN ['a', 'b']", Limit=3) == ["1", "2", "3", "4", "5", "6", "7", "1"]
    assert len(items("SELECT * FROM music", Limit=3)) == 8
    page = run("SELECT * FROM music WHERE pk = 'a'", Limit=2, ReturnConsumedCapacity="TOTAL")
    assert page["LastEvaluatedKey"] == {"pk": {"S": "a"}, "sk": {"N": "2"}}
    assert page["ConsumedCapacity"] == {"TableName": "music", "CapacityUnits": 0.5}
    other = dict(statement="SELECT * FROM music WHERE pk = 'b'", NextToken=page["NextToken"])
    refused("ValidationException", run, **other)
    # Indexes.
    rock = items("SELECT * FROM music.\"by-genre\" WHERE genre = 'rock'")
    assert len(rock) == 6 and all("plays" in item for item in rock)
    assert all(item.keys() == {"pk", "sk", "genre"} for item in items("SELECT * FROM \"music\".\"genre-keys\" WHERE genre = 'rock'"))
    assert numbers("SELECT sk FROM music.\"by-plays\" WHERE pk = 'a' ORDER BY plays") == ["7", "6", "1", "5", "4", "3"]
    assert items("SELECT genre FROM music.\"by-plays\" WHERE pk = 'a' AND plays = 3") == [{"genre": {"S": "rock"}}]
    invalid = "One or more parameter values were invalid: "
    lacking = invalid + "Global secondary index genre-keys does not project [plays]"
    refused("ValidationException", run, lacking, statement="SELECT plays FROM music.\"genre-keys\" WHERE genre = 'rock'")
    for index, condition in [("genre-keys", "genre = 'rock'"), ("by-plays", "pk = 'a'")]:
        lacking = invalid + f"Secondary index {index} does not project one or more filter attributes: [tags]"
        refused("ValidationException", run, lacking, statement=f"SELECT pk FROM music.\"{index}\" WHERE {condition} AND tags IS MISSING")
    refused("ValidationException", run, "The table does not have the specified index", statement="SELECT * FROM music.nothing")
    strong = "Strongly consistent read is not supported on Global Secondary Indexes"
    refused("ValidationException", run, strong, statement="SELECT * FROM music.\"by-genre\"", ConsistentRead=True)


def updates():
    statement = "UPDATE music SET plays = plays + 1 SET m = {'x': [1]} REMOVE tags WHERE pk = 'a' AND sk = 1 RETURNING "
    assert run(statement + "MODIFIED OLD *")["Items"] == [{"plays": {"N": "5"}, "tags": {"SS": ["x", "y"]}}]
    assert run(statement + "ALL NEW *")["Items"][0]["plays"] == {"N": "7"}
    assert run("UPDATE music SET m.x = list_append(m.x, [2]) WHERE pk = 'a' AND sk = 1")["Items"] == []
    assert run("UPDATE music SET m.x[0] = 9 WHERE pk='a' AND sk=1 RETURNING MODIFIED NEW *")["Items"] == [{"m": {"M": {"x": {"L": [{"N": "9"}]}}}}]
    run("UPDATE music SET tags = set_add(tags, <<'p', 'q'>>) WHERE pk = 'a' AND sk = 1")
    run("FROM music WHERE pk = 'a' AND sk = 1 SET tags = SET_DELETE(tags, <<'p'>>)")
    assert stored("a", 1)["tags"] == {"SS": ["q"]}
    failed = "The conditional request failed"
    check = "ConditionalCheckFailedException"
    refused(check, run, failed, statement="UPDATE music SET x = 1 WHERE pk = 'a' AND sk = 99")
    refused(check, run, failed, statement="UPDATE music SET x = 1 WHERE pk = 'a' AND sk = 1 AND plays = 0")
    shown = dict(statement="UPDATE music SET x = 1 WHERE pk = 'a' AND sk = 1 AND plays = 0", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert refused(check, run, failed, **shown)["Item"]["plays"] == {"N": "7"}
    assert stored("a", 99) is None and "x" not in stored("a", 1)
    # The API's update makes items, but not by taking out.
    key = {"pk": {"S": "a"}, "sk": {"N": "98"}}
    assert "Attributes" not in db.update_item(TableName="music", Key=key, UpdateExpression="REMOVE x, y.z", ReturnValues="ALL_NEW")
    remove = {"Update": {"TableName": "music", "Key": key, "UpdateExpression": "REMOVE x"}}
    db.transact_write_items(TransactItems=[remove])
    assert stored("a", 98) is None
    run("UPDATE music SET x = 1 WHERE pk = 'a' AND sk = 1 AND attribute_exists(plays) AND NOT begins_with(genre, 'j')")
    for statement in ["UPDATE music SET x = 1 WHERE pk = 'a'", "UPDATE music SET x = 1 WHERE plays = 5", "FROM music SET x = 1"]:
        refused("ValidationException", run, KEYS, statement=statement)
    key = "One or more parameter values were invalid: Cannot update attribute sk. This attribute is part of the key"
    refused("ValidationException", run, key, statement="UPDATE music SET sk = 2 WHERE pk = 'a' AND sk = 1")
    scalar = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: genre"
    refused("ValidationException", run, scalar, statement="UPDATE music SET genre.x = 2 WHERE pk = 'a' AND sk = 1")
    path = "The document path provided in the update expression is invalid for update"
    refused("ValidationException", run, path, statement="UPDATE music SET gone[0] = 2 WHERE pk = 'a' AND sk = 1")


def deletes():
    assert run("DELETE FROM music WHERE pk = 'b' AND sk = 99 AND x = 1 RETURNING ALL OLD *")["Items"] == []
    refused("ConditionalCheckFailedException", run, statement="DELETE FROM music WHERE pk = 'b' AND sk = 1 AND genre = 'rock'")
    old = run("DELETE FROM music WHERE pk = 'b' AND sk = 1 AND genre = 'jazz' RETURNING ALL OLD *")["Items"]
    assert old[0]["note"] == {"S": "b"} and stored("b", 1) is None
    only = "Invalid returning clause: RETURNING ALL NEW *. Only RETURNING ALL OLD * is allowed in DELETE statements."
    refused("ValidationException", run, only, statement="DELETE FROM music WHERE pk = 'b' AND sk = 1 RETURNING ALL NEW *")


def malformed():
    refused("ValidationException", run, ILL + "Expected data manipulation", statement="SLECT * FROM music")
    refused("ValidationException", run, ILL + "Unexpected token after expression", statement="SELECT * FROM music WHERE pk = 1 foo")
    count = "Number of parameters in request and statement don't match."
    refused("ValidationException", run, count, statement="SELECT * FROM music WHERE pk = ?")
    schema = "One or more parameter values were invalid: Condition parameter type does not match schema type"
    refused("ValidationException", run, schema, statement="SELECT * FROM music WHERE pk = 1")
    operand = "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"
    refused("ValidationException", run, operand, statement="SELECT * FROM absent WHERE pk = 'x' AND v < TRUE")
    refused("ResourceNotFoundException", run, statement="SELECT * FROM absent WHERE pk = 'x'")
    order = "Must have WHERE clause in the statement when using ORDER BY clause."
    refused("ValidationException", run, order, statement="SELECT * FROM music ORDER BY sk")
    refused("ValidationException", run, statement="EXISTS(SELECT * FROM music WHERE pk = 'a')")
    refused("ValidationException", run, statement="SELECT * FROM music WHERE pk = '" + "x" * 8192 + "'")


def batches():
    batch = lambda *statements: db.batch_execute_statement(Statements=[{"Statement": s} for s in statements])["Responses"]
    wrote = batch(
        "INSERT INTO music VALUE {'pk': 'c', 'sk': 1, 'v': 1}",
        "INSERT INTO music VALUE {'pk': 'a', 'sk': 1}",
        "UPDATE music SET v = 2 WHERE pk = 'c' AND sk = 1 RETURNING ALL NEW *",
        "UPDATE music SET v = 2 WHERE pk = 'nobody' AND sk = 1",
        "DELETE FROM music WHERE pk = 'c'",
        "SLECT 1",
        "DELETE FROM absent WHERE pk = 'c'",
    )
    codes = [response.get("Error", {}).get("Code") for response in wrote]
    assert codes == [None, "DuplicateItem", None, "ConditionalCheckFailed", "ValidationError", "ValidationError", "ResourceNotFound"], codes
    assert wrote[0] == {"TableName": "music"} and wrote[2]["Item"]["v"] == {"N": "2"}
    assert wrote[4]["Error"]["Message"] == KEYS and wrote[5]["Error"]["Message"] == ILL + "Expected data manipulation"
    read = batch("SELECT v FROM music WHERE pk = 'c' AND sk = 1", "SELECT * FROM music WHERE pk = 'x' AND sk = 1", "SELECT * FROM music WHERE pk = 'c'")
    assert read[0]["Item"] == {"v": {"N": "2"}} and "Item" not in read[1]
    must = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
    assert read[2]["Error"] == {"Code": "ValidationError", "Message": must}, read[2]
    refused("ValidationException", batch)
    refused("ValidationException", db.batch_execute_statement, Statements=[{"Statement": "SELECT * FROM music"}] * 26)


def transactions():
    def transact(*statements, **more):
        return db.execute_transaction(TransactStatements=[{"Statement": s} for s in statements], **more)

    token = dict(ClientRequestToken="once-only")
    statements = [
        "INSERT INTO music VALUE {'pk': 't', 'sk': 1, 'n': 1}",
        "UPDATE music SET v = 3 WHERE pk = 'c' AND sk = 1 AND v = 2",
        "DELETE FROM music WHERE pk = 'a' AND sk = 7",
        "EXISTS(SELECT * FROM music WHERE pk = 'a' AND sk = 1 AND plays = 7)",
    ]
    assert transact(*statements, **token)["Responses"] == []
    assert transact(*statements, **token)["Responses"] == []
    assert stored("t", 1)["n"] == {"N": "1"} and stored("c", 1)["v"] == {"N": "3"} and stored("a", 7) is None
    cancelled = refused("TransactionCanceledException", lambda **m: transact(
        "INSERT INTO music VALUE {'pk': 't', 'sk': 1}",
        "INSERT INTO music VALUE {'pk': 't', 'sk': 2}",
        "EXISTS(SELECT * FROM music WHERE pk = 'a' AND sk = 1 AND plays = 8)",
    ))
    assert [r["Code"] for r in cancelled["CancellationReasons"]] == ["DuplicateItem", "None", "ConditionalCheckFailed"]
    assert stored("t", 2) is None
    read = transact("SELECT n FROM music WHERE pk = 't' AND sk = 1", "SELECT * FROM music WHERE pk = 't' AND sk = 2", ReturnConsumedCapacity="TOTAL")
    assert read["Responses"] == [{"Item": {"n": {"N": "1"}}}, {}], read
    assert read["ConsumedCapacity"][0]["CapacityUnits"] == 4.0, read
    at = "Validation failed in TransactStatements[0]: "
    wrong = {
        "SELECT * FROM music WHERE": ILL + "Unexpected term",
        "UPDATE music SET v = 1 WHERE pk = 'c' AND sk = 1 RETURNING ALL NEW *": "RETURNING clause is not supported in ExecuteTransaction.",
        "SELECT * FROM music.\"by-genre\" WHERE genre = 'x'": "Reads on indices are not supported within transactions.",
        "SELECT * FROM music WHERE pk = 'c'": "Select statements within ExecuteTransaction must specify the primary key in the where clause.",
        "EXISTS(SELECT * FROM music WHERE pk = 'c' AND sk = 1)": "EXISTS() must contain a single item read with additional condition",
    }
    for statement, message in wrong.items():
        refused("ValidationException", lambda **m: transact(statement), at + message)
    mixed = "ExecuteTransaction API does not support both read and write operations in the same request."
    refused("ValidationException", lambda **m: transact("SELECT * FROM music WHERE pk = 'c' AND sk = 1", "DELETE FROM music WHERE pk = 'c' AND sk = 1"), mixed)
    refused("ValidationException", lambda **m: transact())


create()
inserts()
selects()
updates()
deletes()
malformed()
batches()
transactions()
print("ok")
