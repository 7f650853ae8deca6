import json
import os


def handler(event, context):
    for record in event.get("Records", []):
        print("uploaded " + record["s3"]["object"]["key"] if "s3" in record else "asked for " + record["body"])
    return {"statusCode": 200, "body": json.dumps({"greeting": os.environ["GREETING"]})}
