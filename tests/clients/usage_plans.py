"""Usage plans as boto3 sees them: keys that are let in as often as their quotas say, by plans and methods, and what was
used of them. Called with `before` and, after the cloud has ended and begun again, `after`."""

import datetime
import json
import sys
import time
import urllib.error
import urllib.request

import boto3
from botocore.exceptions import ClientError

gateway = boto3.client("apigateway")
today = datetime.datetime.now(datetime.timezone.utc).date()
yesterday = today - datetime.timedelta(days=1)


def ask(url, key=None, method="GET"):
    headers = {"Host": f"{api}.execute-api.us-east-1.localhost", **({"x-api-key": key} if key else {})}
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("x-amzn-errortype", "")


def used(plan, key):
    usage = gateway.get_usage(usagePlanId=plan, keyId=key, startDate=str(yesterday), endDate=str(today))
    assert (usage["startDate"], usage["endDate"]) == (str(yesterday), str(today)), usage
    return usage["items"][key]


def plan_named(name):
    (plan,) = [plan for plan in gateway.get_usage_plans()["items"] if plan["name"] == name]
    return plan


if sys.argv[1] == "before":
    api = gateway.create_rest_api(name="shop")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    pets = gateway.create_resource(restApiId=api, parentId=root, pathPart="pets")["id"]
    for method in ["GET", "POST"]:
        at = {"restApiId": api, "resourceId": pets, "httpMethod": method}
        gateway.put_method(**at, authorizationType="NONE", apiKeyRequired=True)
        gateway.put_integration(**at, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
        gateway.put_method_response(**at, statusCode="200")
        gateway.put_integration_response(**at, statusCode="200")
    gateway.create_deployment(restApiId=api, stageName="live")
    stage = {"apiId": api, "stage": "live"}
    plan = gateway.create_usage_plan(name="few", apiStages=[stage], quota={"limit": 3, "period": "MONTH"})
    assert plan["quota"] == {"limit": 3, "offset": 0, "period": "MONTH"}, plan
    other = gateway.create_usage_plan(
        name="slow", throttle={"rateLimit": 1000, "burstLimit": 1000},
        apiStages=[{**stage, "throttle": {"/pets/POST": {"rateLimit": 0.001, "burstLimit": 1}}}],
    )
    for name, of in [("first", plan), ("second", plan), ("third", other)]:
        key = gateway.create_api_key(name=name, enabled=True, value=f"{name}-key-of-more-than-twenty-letters")
        gateway.create_usage_plan_key(usagePlanId=of["id"], keyId=key["id"], keyType="API_KEY")

api = gateway.get_rest_apis()["items"][0]["id"]
keys = {key["name"]: key for key in gateway.get_api_keys(includeValues=True)["items"]}
first, second, third = (keys[name] for name in ["first", "second", "third"])
few, slow = plan_named("few")["id"], plan_named("slow")["id"]
url = f"{sys.argv[2]}/live/pets"

if sys.argv[1] == "before":
    assert ask(url) == (403, "ForbiddenException")
    assert [ask(url, first["value"]) for _ in range(2)] == [(200, "")] * 2
    assert used(few, first["id"]) == [[0, 3], [2, 1]] or today.day == 1, used(few, first["id"])
    # What a method has of its own comes before the plan's.
    assert [ask(url, third["value"], "POST")[0] for _ in range(3)] == [200, 429, 429]
    assert ask(url, third["value"], "POST")[1] == "TooManyRequestsException"
    assert [ask(url, third["value"])[0] for _ in range(5)] == [200] * 5
    shown = gateway.get_usage_plan(usagePlanId=slow)["apiStages"][0]["throttle"]
    assert shown == {"/pets/POST": {"rateLimit": 0.001, "burstLimit": 1}}, shown
    path = f"/apiStages/{api}:live/throttle/~1pets~1POST"
    patch = [{"op": "replace", "path": f"{path}/{name}", "value": "100"} for name in ["rateLimit", "burstLimit"]]
    shown = gateway.update_usage_plan(usagePlanId=slow, patchOperations=patch)["apiStages"][0]["throttle"]
    assert shown == {"/pets/POST": {"rateLimit": 100.0, "burstLimit": 100}}, shown
    assert [ask(url, third["value"], "POST")[0] for _ in range(3)] == [200] * 3
    assert used(slow, third["id"])[1][0] == 9, used(slow, third["id"])
else:
    assert [ask(url, first["value"]) for _ in range(2)] == [(200, ""), (429, "LimitExceededException")]
    # A key's quota is its own.
    assert ask(url, second["value"]) == (200, "")
    assert used(few, first["id"])[1] == [3, 0] and used(few, second["id"])[1] == [1, 2]
    granted = gateway.update_usage(
        usagePlanId=few, keyId=first["id"], patchOperations=[{"op": "replace", "path": "/remaining", "value": "1"}]
    )
    assert granted["items"] == {first["id"]: [[3, 1]]}, granted
    assert [ask(url, first["value"])[0] for _ in range(2)] == [200, 429]
    patch = [{"op": "replace", "path": "/quota/limit", "value": "4"}]
    gateway.update_usage_plan(usagePlanId=few, patchOperations=patch)
    assert [ask(url, first["value"])[0] for _ in range(2)] == [200, 429]
    whole = gateway.get_usage(usagePlanId=few, startDate=str(today), endDate=str(today), limit=1)
    assert len(whole["items"]) == 1 and whole["position"] == "1", whole
    for bad in [{"startDate": str(today), "endDate": str(yesterday)}, {"startDate": "soon", "endDate": str(today)}]:
        try:
            gateway.get_usage(usagePlanId=few, **bad)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "BadRequestException", error
        else:
            raise SystemExit(f"{bad} was taken")
    for plan in [few, slow]:
        gateway.update_usage_plan(
            usagePlanId=plan, patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{api}:live"}]
        )
        gateway.delete_usage_plan(usagePlanId=plan)
    watch = boto3.client("cloudwatch")
    end = time.monotonic() + 30
    while True:
        points = watch.get_metric_statistics(
            Namespace="AWS/ApiGateway", MetricName="4XXError", Dimensions=[{"Name": "ApiName", "Value": "shop"}],
            StartTime=yesterday.isoformat(), EndTime=(today + datetime.timedelta(days=1)).isoformat(), Period=86400,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        if sum(point["Sum"] for point in points) >= 3 and sum(point["SampleCount"] for point in points) >= 7:
            break
        if time.monotonic() > end:
            raise SystemExit(f"the API's requests are in no metric: {json.dumps(points, default=str)}")
        time.sleep(0.1)
