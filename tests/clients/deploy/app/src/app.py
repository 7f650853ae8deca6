import json
import os


def handler(event, context):
    for record in event.get("Records", []):
        print("uploaded", record["s3"]["object"]["key"])
    return {"statusCode": 200, "body": json.dumps({"greeting": os.environ["GREETING"]})}
